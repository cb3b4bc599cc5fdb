package clients_test

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/programs"
)

// httpserver is a running examples/httpserver, over the hub route.
type httpserver struct {
	*world
	files, admin string // URLs
	cmd          *exec.Cmd
	bucket       *awstest.Bucket
}

var serving = regexp.MustCompile(` serving .* addr=(\S+) admin=(\S+)`)

// startHTTPServer builds the example and runs it until the test ends.
func startHTTPServer(t *testing.T) *httpserver {
	t.Helper()
	program := filepath.Join(t.TempDir(), "httpserver")
	build := exec.Command("go", "build", "-o", program, "./examples/httpserver")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build examples/httpserver: %v\n%s", err, out)
	}
	w := newWorld(t)
	s := &httpserver{world: w, bucket: w.bucket}
	s.cmd = exec.Command(program, "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-role", w.target.ARN(), bucket)
	s.cmd.Env = programs.Alone(t, append(w.pod.Env(), "AWS_ENDPOINT_URL_STS="+w.url, "AWS_ENDPOINT_URL_S3="+w.url)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	var log strings.Builder
	for s.files == "" {
		line, err := lines.ReadString('\n')
		log.WriteString(line)
		if found := serving.FindStringSubmatch(line); found != nil {
			s.files, s.admin = "http://"+found[1]+"/files/", "http://"+found[2]
		} else if err != nil {
			_ = s.cmd.Wait()
			t.Fatalf("httpserver does not say where it serves:\n%s", &log)
		}
	}
	logged := make(chan struct{})
	go func() { defer close(logged); _, _ = io.Copy(&log, lines) }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have exited
		<-logged
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("httpserver: %v", err)
		}
		if t.Failed() {
			t.Logf("httpserver logged:\n%s", &log)
		}
	})
	return s
}

// curled is what curl got.
type curled struct {
	exit, status int
	header       http.Header // of the last response
	body         []byte
}

// curl gets a key. The body is written to a file, which holds what it held before at first.
func (s *httpserver) curl(t *testing.T, key string, before []byte, args ...string) curled {
	t.Helper()
	dir := t.TempDir()
	body, head := filepath.Join(dir, "body"), filepath.Join(dir, "head")
	if before != nil {
		if err := os.WriteFile(body, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args = append([]string{"-sS", "-o", body, "-D", head, "-w", "%{http_code}"}, args...)
	cmd := exec.CommandContext(t.Context(), programs.Find(t, "curl", "install the Debian package curl"), append(args, s.files+key)...)
	cmd.Env = programs.Alone(t)
	out, err := cmd.Output()
	got := curled{exit: cmd.ProcessState.ExitCode()}
	if got.exit < 0 {
		t.Fatalf("curl: %v", err)
	}
	if got.status, err = strconv.Atoi(string(out)); err != nil {
		t.Fatalf("curl %q printed %q", args, out)
	}
	if got.body, err = os.ReadFile(body); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if f, err := os.Open(head); err == nil {
		defer f.Close()
		if resp, err := http.ReadResponse(bufio.NewReader(f), &http.Request{Method: http.MethodHead}); err == nil {
			got.header = resp.Header
		}
	}
	return got
}

// curl reads ranges, asks for what has changed, and resumes.
func TestClientsHTTPServerCurl(t *testing.T) {
	t.Parallel()
	programs.Find(t, "curl", "install the Debian package curl")
	s := startHTTPServer(t)
	defer s.report(t)
	data := make([]byte, 1_000_000)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	put := s.bucket.Put("cats/indoor cat.bin", data, func(o *awstest.Object) { o.ContentType = "image/x-cat" })
	const key = "cats/indoor%20cat.bin"
	modified := put.LastModified.UTC().Format(http.TimeFormat)
	etags := filepath.Join(t.TempDir(), "etags")
	if err := os.WriteFile(etags, []byte(put.ETag+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string // separated by "|"
		before []byte
		status int
		body   []byte
		header string // "Name: value" of the response
	}{
		{"", nil, 200, data, "Content-Type: image/x-cat"},
		{"-r|0-99", nil, 206, data[:100], "Content-Range: bytes 0-99/1000000"},
		{"-r|500000-", nil, 206, data[500_000:], "Content-Length: 500000"},
		{"-r|-10", nil, 206, data[999_990:], "Content-Range: bytes 999990-999999/1000000"},
		{"-r|999999-2000000", nil, 206, data[999_999:], "Content-Length: 1"},
		{"-r|1000000-", nil, 416, nil, "Content-Range: bytes */1000000"},
		{"-I", nil, 200, nil, "Content-Length: 1000000"},
		{"-I", nil, 200, nil, "Etag: " + put.ETag},
		{"-I", nil, 200, nil, "Accept-Ranges: bytes"},
		{"-I|-r|5-9", nil, 206, nil, "Content-Length: 5"},
		{"-z|" + modified, nil, 304, nil, "Etag: " + put.ETag},
		{"-z|-" + put.LastModified.Add(time.Hour).UTC().Format(http.TimeFormat), nil, 200, data, ""}, // If-Unmodified-Since
		{"-z|Mon, 01 Jan 2001 00:00:00 GMT", nil, 200, data, ""},
		{"--etag-compare|" + etags, nil, 304, nil, ""},
		{"-H|If-None-Match: \"other\", W/" + put.ETag, nil, 304, nil, ""},
		{"-H|If-None-Match: *", nil, 304, nil, ""},
		{"-H|If-None-Match: \"other\"", nil, 200, data, ""},
		{"-H|If-Match: \"other\"", nil, 412, nil, ""},
		{"-r|7-8|-H|If-Range: " + put.ETag, nil, 206, data[7:9], ""},
		{"-r|7-8|-H|If-Range: \"other\"", nil, 200, data, ""},
		{"-C|-", data[:300_000], 206, data, "Content-Range: bytes 300000-999999/1000000"},
		{"-C|-", data[:999_999], 206, data, ""},
		{"--compressed", nil, 200, data, ""},
	} {
		var args []string
		if c.args != "" {
			args = strings.Split(c.args, "|")
		}
		got := s.curl(t, key, c.before, args...)
		if got.status != c.status || got.exit != 0 {
			t.Errorf("curl %q: status %d, exit code %d; want %d, 0", args, got.status, got.exit, c.status)
		}
		if name, value, _ := strings.Cut(c.header, ": "); got.header.Get(name) != value {
			t.Errorf("curl %q: %s %q, want %q", args, name, got.header.Get(name), value)
		}
		if c.status < 300 && args != nil && args[0] == "-I" {
			continue // its file has the headers
		}
		if c.status < 400 && !bytes.Equal(got.body, c.body) {
			t.Errorf("curl %q: %d bytes, want these %d", args, len(got.body), len(c.body))
		}
	}

	several := s.curl(t, key, nil, "-r", "0-0,100-199,-5")
	_, params, err := mime.ParseMediaType(several.header.Get("Content-Type"))
	if err != nil || several.status != 206 {
		t.Fatalf("several ranges: %d, %v", several.status, several.header)
	}
	parts := multipart.NewReader(bytes.NewReader(several.body), params["boundary"])
	for _, want := range [][]byte{data[:1], data[100:200], data[999_995:]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(part); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", part.Header.Get("Content-Range"), len(got), err)
		}
	}

	for key, want := range map[string]int{"missing": 404, "cats": 404, "cats/": 404, "": 404, "..%2f..%2fetc%2fpasswd": 404, "%00": 404} {
		if got := s.curl(t, key, nil); got.status != want || strings.Contains(string(got.body), sharedID) {
			t.Errorf("%q: %d, %q; want %d", key, got.status, got.body, want)
		}
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/metrics": "crossrole_session_remaining_seconds{"} {
		out, err := exec.CommandContext(t.Context(), "curl", "-sSf", s.admin+path).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %q, %v", path, out, err)
		}
	}
}

// curl fails if the bytes are not those that were stored, with and without a length.
func TestClientsHTTPServerWrongBytes(t *testing.T) {
	t.Parallel()
	programs.Find(t, "curl", "install the Debian package curl")
	s := startHTTPServer(t)
	defer s.report(t)
	for _, encoding := range []string{"", "br"} {
		s.bucket.Put("k", bytes.Repeat([]byte("purr "), 100_000), func(o *awstest.Object) {
			if encoding != "" {
				o.Headers = map[string]string{"Content-Encoding": encoding}
			}
		})
		if got := s.curl(t, "k", nil); got.exit != 0 || len(got.body) != 500_000 {
			t.Fatalf("exit code %d, %d bytes", got.exit, len(got.body))
		}
		remove := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: bytes.ToUpper})
		if got := s.curl(t, "k", nil); got.exit == 0 || len(got.body) == 500_000 {
			t.Errorf("Content-Encoding %q: curl succeeded with %d bytes", encoding, len(got.body))
		}
		remove()
	}
}

// After SIGTERM a slow download still ends well, and then the server does.
func TestClientsHTTPServerShutdown(t *testing.T) {
	t.Parallel()
	curl := programs.Find(t, "curl", "install the Debian package curl")
	s := startHTTPServer(t)
	defer s.report(t)
	const size = 16 << 20 // more than the buffers of a connection hold
	s.bucket.Put("k", make([]byte, size))
	file := filepath.Join(t.TempDir(), "k")
	cmd := exec.CommandContext(t.Context(), curl, "-sSf", "--limit-rate", "8M", "-o", file, s.files+"k")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for begun := false; !begun; time.Sleep(10 * time.Millisecond) {
		stat, err := os.Stat(file)
		begun = err == nil && stat.Size() > 0
		if t.Context().Err() != nil {
			t.Fatal("nothing arrives")
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("curl: %v", err)
	}
	if stat, err := os.Stat(file); err != nil || stat.Size() != size {
		t.Errorf("%v, %v; want %d bytes", stat, err, size)
	}
}

// Chromium shows a page of the bucket with its picture.
func TestClientsHTTPServerBrowser(t *testing.T) {
	t.Parallel()
	programs.Find(t, "chromium", "install the Debian package chromium")
	s := startHTTPServer(t)
	defer s.report(t)
	fur := color.RGBA{230, 120, 20, 255}
	picture := image.NewRGBA(image.Rect(0, 0, 160, 120))
	for i := range 160 * 120 {
		picture.Set(i%160, i/160, fur)
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		t.Fatal(err)
	}
	s.bucket.Put("cats/indoor cat.png", encoded.Bytes(), func(o *awstest.Object) { o.ContentType = "image/png" })
	s.bucket.Put("page.html", []byte(`<!doctype html><title>-</title><body style="margin:0"><img id="cat" src="cats/indoor%20cat.png">
<script>onload = () => { document.title = cat.naturalWidth + " by " + cat.naturalHeight }</script>`),
		func(o *awstest.Object) { o.ContentType = "text/html; charset=utf-8" })

	if dom := string(chromium(t, s.files+"page.html", "--dump-dom")); !strings.Contains(dom, "<title>160 by 120</title>") {
		t.Errorf("the page has no picture:\n%s", dom)
	}
	file := filepath.Join(t.TempDir(), "page.png")
	chromium(t, s.files+"page.html", "--screenshot="+file, "--window-size=400,300")
	shot, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer shot.Close()
	shown, err := png.Decode(shot)
	if err != nil {
		t.Fatal(err)
	}
	if got := color.RGBAModel.Convert(shown.At(80, 60)); got != fur {
		t.Errorf("the screenshot shows %v, want %v", fmt.Sprint(got), fur)
	}
}
