package clients_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/e2e/programs"
)

// outcome is one line of js/client.mjs.
type outcome struct {
	Name, Code, Message string
	Status              int
	ARN, Account        string
	Expires             bool
	Body, ETag, Range   string
	Length              int
	Keys, Prefixes      []string
	Pages               int
}

// The JavaScript SDK v3 exchanges the token, assumes the second role, reads,
// lists and writes.
func TestClientsJavaScript(t *testing.T) {
	node, dir := programs.Node(t, "js", "client.mjs")
	w := newWorld(t)
	defer w.report(t)
	client := exec.CommandContext(t.Context(), node, "client.mjs")
	client.Dir = dir
	client.Env = programs.Alone(t, "ENDPOINT="+w.url, "TOKEN_FILE="+w.pod.TokenFile(), "HUB="+w.hub.ARN(), "TARGET="+w.target.ARN(), "BUCKET="+bucket)
	var stderr bytes.Buffer
	client.Stderr = &stderr
	out, err := client.Output()
	if err != nil {
		t.Fatalf("client.mjs: %v\n%s", err, &stderr)
	}
	got := map[string]outcome{}
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var o outcome
		if err := lines.Decode(&o); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		got[o.Name] = o
	}

	const hub, target = "arn:aws:sts::111122223333:assumed-role/hub/js", "arn:aws:sts::444455556666:assumed-role/S3_Pics/js"
	all := []string{"dir/a.txt", "dir/b.txt", "dir/sub/c.txt", key, "other.txt"}
	want := []outcome{
		{Name: "web-identity", Status: 200, ARN: hub, Expires: true},
		{Name: "web-identity-wrong-role", Status: 400, Code: "InvalidIdentityToken"},
		{Name: "web-identity-garbage", Status: 400, Code: "InvalidIdentityToken"},
		{Name: "hub-identity", Status: 200, ARN: hub, Account: "111122223333"},
		{Name: "assume", Status: 200, ARN: target, Expires: true},
		{Name: "assume-too-long", Status: 400, Code: "ValidationError"},
		{Name: "target-identity", Status: 200, ARN: target, Account: "444455556666"},
		{Name: "get", Status: 200, Body: photo, ETag: photoETag, Length: 10},
		{Name: "get-range", Status: 206, Body: "234", ETag: photoETag, Range: "bytes 2-4/10", Length: 3},
		{Name: "get-if-match", Status: 200, Body: photo, ETag: photoETag, Length: 10},
		{Name: "get-if-match-other", Status: 412, Code: "PreconditionFailed"},
		{Name: "get-missing", Status: 404, Code: "NoSuchKey"},
		{Name: "head", Status: 200, ETag: photoETag, Length: 10},
		{Name: "head-missing", Status: 404, Code: "NotFound"},
		{Name: "list", Status: 200, Keys: all, Pages: 3},
		{Name: "list-delimiter", Status: 200, Keys: []string{key, "other.txt"}, Prefixes: []string{"dir/"}, Pages: 2},
		{Name: "list-prefix", Status: 200, Keys: all[:3], Pages: 2},
		{Name: "put", Status: 200},
		{Name: "put-read", Status: 200, Body: "purr", Length: 4},
		{Name: "put-once", Status: 412, Code: "PreconditionFailed"},
	}
	for _, w := range want {
		g, ok := got[w.Name]
		if !ok {
			t.Errorf("%s: no outcome", w.Name)
			continue
		}
		if strings.HasPrefix(w.Name, "put") {
			g.ETag = ""
		}
		if g.Status != w.Status || g.Code != w.Code || g.ARN != w.ARN || g.Account != w.Account || g.Expires != w.Expires ||
			g.Body != w.Body || g.ETag != w.ETag || g.Range != w.Range || g.Length != w.Length ||
			!slices.Equal(g.Keys, w.Keys) || !slices.Equal(g.Prefixes, w.Prefixes) || g.Pages != w.Pages {
			t.Errorf("%s:\ngot  %+v\nwant %+v", w.Name, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d outcomes, want %d", len(got), len(want))
	}
	if n := w.asked("ListObjectsV2", 200); n != 7 {
		t.Errorf("%d pages were asked for, want 7", n)
	}
}
