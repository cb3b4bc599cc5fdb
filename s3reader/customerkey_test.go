package s3reader_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

var rawKey = []byte("0123456789abcdefghijklmnopqrstuv")

func customerKey(t testing.TB, raw []byte) s3reader.CustomerKey {
	t.Helper()
	key, err := s3reader.NewCustomerKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func withKey(key s3reader.CustomerKey) func(*s3reader.Options) {
	return func(o *s3reader.Options) { o.CustomerKey = key }
}

// Every way of reading brings the key.
func TestCustomerKey(t *testing.T) {
	s := newShelf()
	data := noise(20*partSize + 1)
	s.Put("k", data, func(o *awstest.Object) { o.CustomerKey = rawKey })
	raw := bytes.Clone(rawKey)
	key := customerKey(t, raw)
	clear(raw) // the key is a copy
	r := s.reader(t, mayList, parts, withKey(key))
	if info, err := r.Stat(t.Context(), "k"); err != nil || info.Size != int64(len(data)) {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	got, err := r.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
	var w memory
	if _, err := r.Download(t.Context(), "k", &w); err != nil {
		t.Fatal(err)
	}
	same(t, w.data, data)
	dir := t.TempDir()
	interrupted := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Skip: 10})
	if _, err := r.DownloadFile(t.Context(), "k", filepath.Join(dir, "k")); err == nil {
		t.Fatal("it was to be refused")
	}
	interrupted()
	if sum, err := r.DownloadDir(t.Context(), "", dir); err != nil || sum.Files != 1 {
		t.Fatalf("got %+v, %v", sum, err)
	}
	same(t, onDisk(t, filepath.Join(dir, "k")), data)
	for _, random := range []bool{false, true} {
		o, err := r.Open(t.Context(), "k", func(o *s3reader.OpenOptions) { o.Random = random })
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 10)
		if _, err := o.ReadAt(p, 70_000); err != nil {
			t.Fatal(err)
		}
		same(t, p, data[70_000:70_010])
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, err = fs.ReadFile(r.FS(t.Context()), "k"); err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
	if _, err := r.Presign(t.Context(), "k", time.Hour); err == nil || !strings.Contains(err.Error(), "does not work without the key") {
		t.Errorf("Presign: %v", err)
	}
}

func TestCustomerKeyRefusals(t *testing.T) {
	s := newShelf()
	s.Put("with", noise(10), func(o *awstest.Object) { o.CustomerKey = rawKey })
	s.Put("without", noise(10))
	right, wrong := customerKey(t, rawKey), customerKey(t, bytes.Repeat([]byte{7}, 32))
	for _, c := range []struct {
		object string
		key    s3reader.CustomerKey
		want   string
	}{
		{"with", s3reader.CustomerKey{}, "stored using a form of Server Side Encryption"},
		{"with", wrong, "AccessDenied"},
		{"without", right, "not applicable to this object"},
	} {
		_, err := s.reader(t, mayRead, withKey(c.key)).Get(t.Context(), c.object)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.object, err)
		}
		if _, err := s.reader(t, mayRead, withKey(c.key)).Stat(t.Context(), c.object); err == nil {
			t.Errorf("Stat of %s succeeds", c.object)
		}
	}
	for _, n := range []int{0, 16, 31, 33, 44, 64} {
		if _, err := s3reader.NewCustomerKey(make([]byte, n)); err == nil || !strings.Contains(err.Error(), fmt.Sprint(n)) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
}

// The key goes to no other machine in plain text.
func TestCustomerKeyNeedsHTTPS(t *testing.T) {
	for endpoint, sent := range map[string]bool{
		"https://s3.example.com": true, "http://s3.example.com": false, "http://10.0.0.1:9000": false, "http://minio:9000": false,
		"http://127.0.0.1:9000": true, "http://[::1]:9000": true, "http://localhost:9000": true, "http://localhost.example.com": false,
	} {
		asked := 0
		cfg := server(func(*http.Request) *http.Response {
			asked++
			return answer(200, "x", "Content-Length: 1", `ETag: "e"`)
		}).config()
		cfg.BaseEndpoint = aws.String(endpoint)
		_, err := newReader(t, cfg, "pics", withKey(customerKey(t, rawKey))).Get(t.Context(), "k")
		if sent && err != nil || !sent && (err == nil || !strings.Contains(err.Error(), "plain HTTP")) || asked > 0 != sent {
			t.Errorf("%s: got %v after %d requests", endpoint, err, asked)
		}
	}
}

// No verb, encoder or logger shows the key, wherever it stands.
func TestCustomerKeyIsNotPrinted(t *testing.T) {
	key := customerKey(t, rawKey)
	type hidden struct{ key s3reader.CustomerKey }
	type shown struct {
		Key     s3reader.CustomerKey
		Pointer *s3reader.CustomerKey
		Options s3reader.Options
	}
	values := []any{key, &key, hidden{key}, &hidden{key}, []hidden{{key}}, map[string]hidden{"k": {key}}, shown{Key: key, Pointer: &key, Options: s3reader.Options{CustomerKey: key}}, []any{key}}
	var all strings.Builder
	log := slog.New(slog.NewJSONHandler(&all, nil))
	text := slog.New(slog.NewTextHandler(&all, nil))
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%T", "%p"} {
			fmt.Fprintf(&all, verb+"\n", v)
		}
		log.Info("key", "v", v)
		text.Info("key", "v", v)
	}
	encoded, err := json.Marshal([]any{key, &key, struct{ Key s3reader.CustomerKey }{key}, hidden{key}})
	if err != nil {
		t.Fatal(err)
	}
	all.Write(encoded)
	printed := strings.ToLower(all.String())
	for _, secret := range []string{string(rawKey), hex.EncodeToString(rawKey), base64.StdEncoding.EncodeToString(rawKey), "48 49 50", "0x30, 0x31", "30 31 32", "abcdefgh"} {
		if strings.Contains(printed, strings.ToLower(secret)) {
			t.Errorf("%q is printed: %s", secret, all.String())
		}
	}
	if n := strings.Count(printed, "[redacted]"); n < 20 {
		t.Errorf("%d times redacted", n)
	}
}
