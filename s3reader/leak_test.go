package s3reader_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
)

// ledger counts the bodies that are open and the requests whose context is.
type ledger struct {
	inner        aws.HTTPClient
	bodies, live atomic.Int64
}

func (l *ledger) Do(r *http.Request) (*http.Response, error) {
	l.live.Add(1)
	context.AfterFunc(r.Context(), func() { l.live.Add(-1) })
	resp, err := l.inner.Do(r)
	if err == nil {
		l.bodies.Add(1)
		resp.Body = &entry{ReadCloser: resp.Body, ledger: l}
	}
	return resp, err
}

type entry struct {
	io.ReadCloser
	ledger *ledger
	closed atomic.Bool
}

func (e *entry) Close() error {
	if !e.closed.Swap(true) {
		e.ledger.bodies.Add(-1)
	}
	return e.ReadCloser.Close()
}

// Whatever happens, no body stays open and no request's context alive once the
// handle is closed, though the caller's context lives on.
func TestNothingStaysOpen(t *testing.T) {
	for name, f := range map[string]awstest.Fault{
		"nothing":     {Operation: "PutObject"},
		"broken":      {ResetAfter: new(int64(30)), Times: 2},
		"always":      {ResetAfter: new(int64(0))},
		"stalled":     {StallAfter: new(int64(30)), Times: 2},
		"wrong range": {WrongRange: true},
		"no range":    {IgnoreRange: true},
		"refused":     {Status: 403, Code: "AccessDenied"},
		"overloaded":  {Status: 503, Code: "SlowDown", Times: 2},
		"hung":        {Hang: true, Times: 2},
		"dropped":     {Drop: true, Times: 2},
		"spoilt":      {Edit: spoil},
		"cut short":   {Edit: func(b []byte) []byte { return b[:len(b)/2] }},
		"bare 400":    {Operation: "HeadObject", Status: 400, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				s.Put("k", noise(100))
				cfg := s.config(mayList)
				l := &ledger{inner: cfg.HTTPClient}
				cfg.HTTPClient = l
				r := newReader(t, cfg, "pics")
				s.cloud.Fault(f)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for _, read := range reads {
					_, _ = read(ctx, r, "k")
				}
				_, _ = r.Stat(ctx, "k")
				for range r.List(ctx, "") {
					break
				}
				synctest.Wait()
				if l.bodies.Load() != 0 || l.live.Load() != 0 {
					t.Errorf("%d bodies are open, %d contexts live", l.bodies.Load(), l.live.Load())
				}
			})
		})
	}
}

// An open handle that nobody reads from holds nothing once its bytes are read.
func TestOpenHandleHoldsNothingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("k", noise(100))
		cfg := s.config(mayRead)
		l := &ledger{inner: cfg.HTTPClient}
		cfg.HTTPClient = l
		o := open(t, newReader(t, cfg, "pics"), "k")
		if _, err := io.ReadAll(o); err != nil {
			t.Fatal(err)
		}
		if _, err := o.ReadAt(make([]byte, 10), 20); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if l.bodies.Load() != 0 || l.live.Load() != 0 {
			t.Errorf("%d bodies are open, %d contexts live", l.bodies.Load(), l.live.Load())
		}
	})
}

func TestRefusedFirstAnswerIsClosed(t *testing.T) {
	l := &ledger{inner: server(func(*http.Request) *http.Response { return answer(200, "0123", `ETag: "e"`) })}
	cfg := server(nil).config()
	cfg.HTTPClient = l
	if _, err := newReader(t, cfg, "pics").Open(t.Context(), "k"); err == nil || l.bodies.Load() != 0 {
		t.Errorf("%d bodies are open, %v", l.bodies.Load(), err)
	}
}

// A body in use while the handle is closed is closed by its user.
func TestCloseLeavesTheBodyToItsUser(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(600_000))
	cfg := s.config(mayRead)
	l := &ledger{inner: cfg.HTTPClient}
	cfg.HTTPClient = l
	o := open(t, newReader(t, cfg, "pics"), "k")
	_, err := o.WriteTo(writerFunc(func(p []byte) (int, error) {
		_ = o.Close()
		if l.bodies.Load() != 1 {
			t.Errorf("%d bodies are open in the middle", l.bodies.Load())
		}
		return len(p), nil
	}))
	if err == nil || l.bodies.Load() != 0 {
		t.Errorf("%d bodies are open, %v", l.bodies.Load(), err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
