package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/s3reader"
)

// panicking is code of the caller that panics wherever it is called.
type panicking struct{ calls atomic.Int64 }

func (p *panicking) boom() {
	p.calls.Add(1)
	panic("boom")
}

func (p *panicking) WriteAt([]byte, int64) (int, error) { p.boom(); return 0, nil }
func (p *panicking) Write([]byte) (int, error)          { p.boom(); return 0, nil }
func (p *panicking) Do(*http.Request) (*http.Response, error) {
	p.boom()
	return nil, nil
}

func (p *panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (p *panicking) Handle(context.Context, slog.Record) error { p.boom(); return nil }
func (p *panicking) WithAttrs([]slog.Attr) slog.Handler        { return p }
func (p *panicking) WithGroup(string) slog.Handler             { return p }

// isBoom checks that an error is that of the panic, with its place.
func isBoom(t *testing.T, name string, err error) {
	t.Helper()
	e, ok := errors.AsType[*s3reader.Error](err)
	if !ok || e.Kind != s3reader.Panicked || !errors.Is(err, s3reader.Panicked) || e.Op == "" || e.Bucket != "pics" {
		t.Errorf("%s: got %#v", name, err)
		return
	}
	p, ok := errors.AsType[*s3reader.PanicError](err)
	if !ok || p.Value != "boom" || !strings.Contains(string(p.Stack), "panic_test.go") {
		t.Errorf("%s: got %#v", name, p)
	}
	if text := err.Error(); !strings.Contains(text, "Panicked: panic: boom, in ") || !strings.Contains(text, "panic_test.go:") || strings.Contains(text, "\n") {
		t.Errorf("%s: got %q", name, text)
	}
}

// A panic in code of the caller's is the operation's error, whichever goroutine it
// happens in, and nothing is left behind.
func TestPanicOfTheCaller(t *testing.T) {
	many := noise(3 * partSize)
	for _, size := range []int{10, len(many)} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			s.Put("dir/k", many[:size])
			s.Put("dir/k2", many[:size])
			s.Put("dir//bad", nil)
			cfg := s.config(mayList)
			split := func(o *s3reader.Options) { o.PartSize, o.Concurrency = partSize, 4 }
			reader := func(opts ...func(*s3reader.Options)) *s3reader.Reader {
				return newReader(t, cfg, "pics", append(opts, split)...)
			}
			var p panicking

			_, err := reader().Download(t.Context(), "dir/k", &p)
			isBoom(t, "WriterAt", err)

			o := open(t, reader(), "dir/k")
			_, err = o.WriteTo(&p)
			isBoom(t, "Writer", err)

			progress := func(o *s3reader.Options) { o.Progress = func(s3reader.Progress) { p.boom() } }
			_, err = reader(progress).Download(t.Context(), "dir/k", &memory{})
			isBoom(t, "Progress", err)
			_, err = reader(progress).DownloadFile(t.Context(), "dir/k", t.TempDir()+"/k")
			isBoom(t, "Progress of DownloadFile", err)
			_, err = reader(progress).DownloadDir(t.Context(), "dir", t.TempDir())
			isBoom(t, "Progress of DownloadDir", err)

			for name, opts := range map[string]s3reader.DirOptions{
				"Include": {Include: func(*s3reader.Info) bool { p.boom(); return true }},
				"Each":    {Each: func(s3reader.Outcome) { p.boom() }},
				"Each of what is left out": {Each: func(o s3reader.Outcome) {
					if o.Skipped != "" {
						p.boom()
					}
				}},
				"one at a time": {Concurrency: 1, Each: func(s3reader.Outcome) { p.boom() }},
			} {
				_, err = reader().DownloadDir(t.Context(), "dir", t.TempDir(), func(o *s3reader.DirOptions) { *o = opts })
				isBoom(t, name, err)
			}
			if p.calls.Load() < 8 {
				t.Errorf("%d calls", p.calls.Load())
			}
		})
	}
}

func TestPanicInOptions(t *testing.T) {
	var p panicking
	for name, opt := range map[string]func(*s3reader.Options){
		"option":     func(*s3reader.Options) { p.boom() },
		"Options.S3": func(o *s3reader.Options) { o.S3 = func(*s3.Options) { p.boom() } },
	} {
		_, err := s3reader.New(newShelf().config(mayRead), "pics", opt)
		isBoom(t, name, err)
	}
	// Options.S3 is called again when the bucket is found elsewhere.
	s := newShelf()
	s.SetRegion("eu-west-1")
	s.Put("k", []byte("v"))
	r := s.reader(t, mayList, func(o *s3reader.Options) {
		o.S3 = func(o *s3.Options) {
			if o.Region == "eu-west-1" {
				p.boom()
			}
		}
	})
	_, err := r.Get(t.Context(), "k")
	isBoom(t, "Options.S3 of another region", err)
	_, err = s.reader(t, mayList).DownloadDir(t.Context(), "", t.TempDir(), func(*s3reader.DirOptions) { p.boom() })
	isBoom(t, "DirOptions", err)
}

// panicBody panics when it is read, or closed.
type panicBody struct {
	io.Reader
	read bool
}

func (b panicBody) Read(p []byte) (int, error) {
	if b.read {
		panic("boom")
	}
	return b.Reader.Read(p)
}

func (b panicBody) Close() error { panic("boom") }

// The HTTP client, its bodies, the credentials and the log are code of the
// caller's too.
func TestPanicOfTheHTTPClient(t *testing.T) {
	var p panicking
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("k", noise(100))
		good := s.config(mayList)
		client, provider := good, good
		client.HTTPClient = &p
		provider.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { panic("boom") })
		for name, cfg := range map[string]aws.Config{"client": client, "credentials": provider} {
			for op, err := range all(t, newReader(t, cfg, "pics"), "k") {
				isBoom(t, name+", "+op, err)
			}
		}
		body := good
		body.HTTPClient = server(func(r *http.Request) *http.Response {
			resp, err := good.HTTPClient.Do(r)
			if err != nil {
				t.Error(err)
			}
			resp.Body = panicBody{resp.Body, true}
			return resp
		})
		for op, err := range all(t, newReader(t, body, "pics"), "k") {
			if op == "stat" || op == "fs stat" || op == "open" || op == "fs open" {
				continue // read no body
			}
			isBoom(t, "body, "+op, err)
		}
	})
	if p.calls.Load() != 9 { // "open" has no "readat" then
		t.Errorf("%d requests, want one each", p.calls.Load())
	}
}

// A panic when a body is closed has no operation to end.
func TestPanicInClose(t *testing.T) {
	cfg := server(func(*http.Request) *http.Response {
		resp := answer(200, "", "Content-Length: 4", `ETag: "e"`)
		resp.Body = panicBody{strings.NewReader("0123"), false}
		return resp
	}).config()
	if got, err := newReader(t, cfg, "pics").Get(t.Context(), "k"); err != nil || string(got) != "0123" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPanicOfALog(t *testing.T) {
	var p panicking
	s := newShelf()
	s.SetRegion("eu-west-1")
	s.Put("k", []byte("v"))
	r := s.reader(t, mayList, func(o *s3reader.Options) { o.Logger = slog.New(&p) })
	_, err := r.Get(t.Context(), "k")
	isBoom(t, "Logger", err)
	if got, err := r.Get(t.Context(), "k"); err != nil || string(got) != "v" {
		t.Errorf("afterwards: got %q, %v", got, err)
	}
}

// A writer that writes less without an error would leave a hole.
func TestShortWriteWithoutAnError(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(100))
	_, err := s.reader(t, mayRead).Download(t.Context(), "k", halfWriter{})
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
}

type halfWriter struct{}

func (halfWriter) WriteAt(p []byte, _ int64) (int, error) { return len(p) - 1, nil }

func ExamplePanicError() {
	cfg := answering(func(*http.Request) *http.Response { panic("a defect of the HTTP client") })
	r, err := s3reader.New(cfg, "pics")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = r.Get(context.Background(), "cat.jpg")
	if p, ok := errors.AsType[*s3reader.PanicError](err); ok {
		fmt.Println(p.Value, len(p.Stack) > 0, errors.Is(err, s3reader.Panicked))
	}
	// Output: a defect of the HTTP client true true
}

func answering(f func(*http.Request) *http.Response) aws.Config { return server(f).config() }
