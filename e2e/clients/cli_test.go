package clients_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/e2e/programs"
)

// cli runs the aws command with the keys of one identity.
type cli struct {
	world *world // nil: the endpoint is that of an emulator
	url   string
	path  string
	env   []string // the keys, or the variables by which the CLI finds them
}

func newCLI(t *testing.T, w *world) cli {
	t.Helper()
	return cli{world: w, url: w.url, path: programs.AWS(t)}
}

// as returns a cli with the keys that sts printed.
func (c cli) as(creds map[string]any) cli {
	text := func(name string) string { s, _ := creds[name].(string); return s }
	c.env = []string{
		"AWS_ACCESS_KEY_ID=" + text("AccessKeyId"),
		"AWS_SECRET_ACCESS_KEY=" + text("SecretAccessKey"),
		"AWS_SESSION_TOKEN=" + text("SessionToken"),
	}
	return c
}

// run returns the command's output, parsed if it is JSON, and its error text.
func (c cli) run(t *testing.T, args ...string) (map[string]any, string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.path, append(args, "--endpoint-url", c.url, "--output", "json")...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(programs.Alone(t), c.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var out map[string]any
	if err == nil && stdout.Len() > 0 {
		if jsonErr := json.Unmarshal(stdout.Bytes(), &out); jsonErr != nil {
			out = map[string]any{"text": stdout.String()}
		}
	}
	return out, strings.TrimSpace(stderr.String()), err
}

// must runs a command that must succeed.
func (c cli) must(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out, stderr, err := c.run(t, args...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return out
}

// refused runs a command that must fail with this code in its error text.
func (c cli) refused(t *testing.T, code string, args ...string) {
	t.Helper()
	if out, stderr, err := c.run(t, args...); err == nil || !strings.Contains(stderr, "("+code+")") {
		t.Errorf("aws %s: %v, %v, %q; want (%s)", strings.Join(args, " "), out, err, stderr, code)
	}
}

func field(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// The aws CLI exchanges the token, assumes the second role, reads, lists and
// writes.
func TestClientsCLI(t *testing.T) {
	w := newWorld(t)
	aws := newCLI(t, w)
	defer w.report(t)
	token, err := os.ReadFile(w.pod.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	web := []string{"sts", "assume-role-with-web-identity", "--role-session-name", "cli", "--web-identity-token", string(token), "--role-arn"}
	got := aws.must(t, append(web, w.hub.ARN())...)
	const hubCaller, targetCaller = "arn:aws:sts::111122223333:assumed-role/hub/cli", "arn:aws:sts::444455556666:assumed-role/S3_Pics/cli"
	if arn := field(got, "AssumedRoleUser", "Arn"); arn != hubCaller {
		t.Errorf("web identity: %v, want %s", arn, hubCaller)
	}
	aws.refused(t, "InvalidIdentityToken", append(web, w.target.ARN())...)
	aws.refused(t, "AccessDenied", append(web, w.hub.ARN()+"x")...)

	hub := aws.as(got["Credentials"].(map[string]any))
	if arn := hub.must(t, "sts", "get-caller-identity")["Arn"]; arn != hubCaller {
		t.Errorf("caller %v, want %s", arn, hubCaller)
	}
	assume := []string{"sts", "assume-role", "--role-arn", w.target.ARN(), "--role-session-name", "cli"}
	got = hub.must(t, assume...)
	hub.refused(t, "ValidationError", append(assume, "--duration-seconds", "7200")...)
	hub.refused(t, "AccessDenied", "s3api", "get-object", "--bucket", bucket, "--key", key, "out")
	target := aws.as(got["Credentials"].(map[string]any))
	if arn := target.must(t, "sts", "get-caller-identity")["Arn"]; arn != targetCaller {
		t.Errorf("caller %v, want %s", arn, targetCaller)
	}

	t.Run("read", func(t *testing.T) { readAsCLI(t, target) })
	t.Run("list", func(t *testing.T) { listAsCLI(t, target) })
	t.Run("write", func(t *testing.T) { writeAsCLI(t, target) })
	w.target.RevokeSessions()
	target.refused(t, "ExpiredToken", "s3api", "get-object", "--bucket", bucket, "--key", key, "out")
}

func readAsCLI(t *testing.T, aws cli) {
	file := filepath.Join(t.TempDir(), "out")
	get := func(args ...string) []string {
		return append([]string{"s3api", "get-object", "--bucket", bucket, "--key", key, file}, args...)
	}
	for _, tt := range []struct {
		args  []string
		body  string
		extra map[string]any
	}{
		{nil, photo, map[string]any{"ContentLength": 10.0, "ETag": photoETag, "AcceptRanges": "bytes"}},
		{[]string{"--range", "bytes=2-4"}, "234", map[string]any{"ContentLength": 3.0, "ContentRange": "bytes 2-4/10"}},
		{[]string{"--range", "bytes=-3"}, "789", map[string]any{"ContentRange": "bytes 7-9/10"}},
		{[]string{"--if-match", photoETag}, photo, nil},
		{[]string{"--checksum-mode", "ENABLED"}, photo, nil},
	} {
		out := aws.must(t, get(tt.args...)...)
		if data, err := os.ReadFile(file); err != nil || string(data) != tt.body {
			t.Errorf("%q: wrote %q, %v; want %q", tt.args, data, err, tt.body)
		}
		for name, want := range tt.extra {
			if out[name] != want {
				t.Errorf("%q: %s is %v, want %v", tt.args, name, out[name], want)
			}
		}
	}
	aws.refused(t, "PreconditionFailed", get("--if-match", `"0"`)...)
	aws.refused(t, "InvalidRange", get("--range", "bytes=10-")...)
	aws.refused(t, "NoSuchKey", "s3api", "get-object", "--bucket", bucket, "--key", "no-cat.jpg", file)
	aws.refused(t, "NoSuchBucket", "s3api", "get-object", "--bucket", "no-such-bucket", "--key", key, file)

	head := aws.must(t, "s3api", "head-object", "--bucket", bucket, "--key", key)
	if head["ContentLength"] != 10.0 || head["ETag"] != photoETag {
		t.Errorf("head: %v", head)
	}
	aws.refused(t, "404", "s3api", "head-object", "--bucket", bucket, "--key", "no-cat.jpg")
}

// names returns the keys, or the prefixes, of a listing.
func names(list any, field string) []string {
	var keys []string
	items, _ := list.([]any)
	for _, item := range items {
		m, _ := item.(map[string]any)
		name, _ := m[field].(string)
		keys = append(keys, name)
	}
	return keys
}

func listAsCLI(t *testing.T, aws cli) {
	all := []string{"dir/a.txt", "dir/b.txt", "dir/sub/c.txt", key, "other.txt"}
	list := func(args ...string) map[string]any {
		t.Helper()
		return aws.must(t, append([]string{"s3api", "list-objects-v2", "--bucket", bucket}, args...)...)
	}
	before := aws.world.asked("ListObjectsV2", 200)
	if got := names(list("--page-size", "2")["Contents"], "Key"); !slices.Equal(got, all) {
		t.Errorf("in pages of two: %q, want %q", got, all)
	}
	if n := aws.world.asked("ListObjectsV2", 200) - before; n != 3 {
		t.Errorf("%d pages, want 3", n)
	}
	out := list("--delimiter", "/")
	if keys, prefixes := names(out["Contents"], "Key"), names(out["CommonPrefixes"], "Prefix"); !slices.Equal(keys, all[3:]) || !slices.Equal(prefixes, []string{"dir/"}) {
		t.Errorf("with a delimiter: %q and %q", keys, prefixes)
	}
	if got := names(list("--prefix", "dir/s")["Contents"], "Key"); !slices.Equal(got, all[2:3]) {
		t.Errorf("with a prefix: %q", got)
	}
	first := list("--max-items", "2")
	token, ok := first["NextToken"].(string)
	if !ok {
		t.Fatalf("no NextToken in %v", first)
	}
	rest := list("--starting-token", token)
	if got := append(names(first["Contents"], "Key"), names(rest["Contents"], "Key")...); !slices.Equal(got, all) {
		t.Errorf("in two calls: %q, want %q", got, all)
	}
}

func writeAsCLI(t *testing.T, aws cli) {
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte("purr"), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(key string, args ...string) []string {
		return append([]string{"s3api", "put-object", "--bucket", bucket, "--key", key, "--body", file}, args...)
	}
	for _, algorithm := range []string{"CRC32", "SHA1", "SHA256"} {
		out := aws.must(t, put("new/"+algorithm, "--checksum-algorithm", algorithm)...)
		if out["Checksum"+algorithm] == nil {
			t.Errorf("%s: no checksum in %v", algorithm, out)
		}
	}
	aws.must(t, put("new/a b+c%20é.txt", "--content-type", "text/plain")...)
	back := file + ".back"
	out := aws.must(t, "s3api", "get-object", "--bucket", bucket, "--key", "new/a b+c%20é.txt", back)
	if data, err := os.ReadFile(back); err != nil || string(data) != "purr" || out["ContentType"] != "text/plain" {
		t.Errorf("read back %q, %v, %v", data, err, out)
	}
	aws.refused(t, "AccessDenied", put("old/x")...)
	aws.refused(t, "BadDigest", put("new/x", "--content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")...)
}

// The CLI finds the pod's identity without configuration, like every botocore program.
func TestClientsCLIInPod(t *testing.T) {
	w := newWorld(t)
	aws := newCLI(t, w)
	defer w.report(t)
	aws.env = append(w.pod.Env(), "AWS_ROLE_SESSION_NAME=pod", "AWS_ENDPOINT_URL="+w.url, "AWS_ENDPOINT_URL_STS="+w.url)
	if arn := aws.must(t, "sts", "get-caller-identity")["Arn"]; arn != "arn:aws:sts::111122223333:assumed-role/hub/pod" {
		t.Errorf("caller %v", arn)
	}
	if n := w.asked("AssumeRoleWithWebIdentity", 200); n != 1 {
		t.Errorf("the token was exchanged %d times, want once", n)
	}
}
