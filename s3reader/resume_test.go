package s3reader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// reads are the ways to all bytes of an object.
var reads = map[string]func(context.Context, *s3reader.Reader, string) ([]byte, error){
	"Get": func(ctx context.Context, r *s3reader.Reader, key string) ([]byte, error) { return r.Get(ctx, key) },
	"Read": withObject(func(o *s3reader.Object) ([]byte, error) {
		var b bytes.Buffer
		_, err := io.CopyBuffer(&b, struct{ io.Reader }{o}, make([]byte, 7))
		return b.Bytes(), err
	}),
	"WriteTo": withObject(func(o *s3reader.Object) ([]byte, error) {
		var b bytes.Buffer
		_, err := o.WriteTo(&b)
		return b.Bytes(), err
	}),
	"ReadAt": withObject(func(o *s3reader.Object) ([]byte, error) {
		p := make([]byte, o.Info().Size)
		n, err := o.ReadAt(p, 0)
		return p[:n], err
	}),
}

func withObject(read func(*s3reader.Object) ([]byte, error)) func(context.Context, *s3reader.Reader, string) ([]byte, error) {
	return func(ctx context.Context, r *s3reader.Reader, key string) ([]byte, error) {
		o, err := r.Open(ctx, key)
		if err != nil {
			return nil, err
		}
		defer o.Close()
		return read(o)
	}
}

// inBubble runs a subtest for each way to read; pauses take no time in it.
func inBubble(t *testing.T, name string, f func(t *testing.T, read func(context.Context, *s3reader.Reader, string) ([]byte, error))) {
	for how, read := range reads {
		t.Run(name+" "+how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, read) })
		})
	}
}

// Case B45: a body that breaks off is resumed at the next byte of the same
// version, and nothing comes twice.
func TestBrokenBodiesResume(t *testing.T) {
	const size = 100
	for _, after := range []int64{0, 1, 2, 49, 50, 98, 99} {
		for _, stall := range []bool{false, true} {
			inBubble(t, fmt.Sprintf("after %d, stall %v,", after, stall), func(t *testing.T, read func(context.Context, *s3reader.Reader, string) ([]byte, error)) {
				s := newShelf()
				data := noise(size)
				s.Put("k", data)
				f := awstest.Fault{Operation: "GetObject", Times: 4, ResetAfter: &after}
				if stall {
					f.ResetAfter, f.StallAfter = nil, &after
				}
				s.cloud.Fault(f)
				got, err := read(t.Context(), s.reader(t, mayRead), "k")
				if err != nil {
					t.Fatal(err)
				}
				same(t, got, data)
				contiguous(t, s, after, size)
			})
		}
	}
}

// contiguous checks that each request began where the body before it ended: it
// delivered after bytes, or all that were asked for.
func contiguous(t *testing.T, s *shelf, after, size int64) {
	t.Helper()
	at := int64(0)
	for i, call := range s.cloud.Calls() {
		asked := call.Params["Range"]
		if asked == "" {
			at = after
			continue
		}
		var first, last int64
		if _, err := fmt.Sscanf(asked, "bytes=%d-%d", &first, &last); err != nil {
			t.Fatal(err)
		}
		// ReadAt does not use the body that Open began.
		if first != at && (first != 0 || i != 1) || last != size-1 {
			t.Errorf("request %d asked for %s, the next byte is %d; all: %q", i, asked, at, s.requests())
		}
		if call.Params["IfMatch"] == "" {
			t.Errorf("request %d has no If-Match: %v", i, call)
		}
		at = first + after
	}
}

// The limit counts attempts without progress only.
func TestOneByteAtATimeArrives(t *testing.T) {
	inBubble(t, "", func(t *testing.T, read func(context.Context, *s3reader.Reader, string) ([]byte, error)) {
		s := newShelf()
		data := noise(50)
		s.Put("k", data)
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(1))})
		got, err := read(t.Context(), s.reader(t, mayRead), "k")
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data)
	})
}

func TestNoProgressEnds(t *testing.T) {
	for _, f := range []awstest.Fault{{ResetAfter: new(int64(0))}, {StallAfter: new(int64(0))}} {
		inBubble(t, "", func(t *testing.T, read func(context.Context, *s3reader.Reader, string) ([]byte, error)) {
			s := newShelf()
			s.Put("k", noise(100))
			r := s.reader(t, mayRead)
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(60)), Times: 1})
			f.Operation = "GetObject"
			s.cloud.Fault(f)
			start := time.Now()
			got, err := read(t.Context(), r, "k")
			if !errors.Is(err, s3reader.Truncated) || len(got) == 100 {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if f.ResetAfter != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the cause is lost: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "of 100 after 6 attempts") {
				t.Errorf("got %q", err)
			}
			if n := len(s.requests()); n > 8 {
				t.Errorf("%d requests", n)
			}
			if took := time.Since(start); took > 4*time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A server that is away while the body is resumed comes back.
func TestResumeOutlastsRefusals(t *testing.T) {
	for _, f := range []awstest.Fault{{Status: 503, Code: "SlowDown"}, {Status: 500, Code: "InternalError"}, {Drop: true}, {Hang: true}} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			data := noise(100)
			s.Put("k", data)
			r := s.reader(t, mayRead)
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(60)), Times: 1})
			f.Times = 8 // more than the SDK itself tries
			s.cloud.Fault(f)
			got, err := r.Get(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, data)

			f.Times = 0
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(60)), Times: 1})
			s.cloud.Fault(f)
			_, err = r.Get(t.Context(), "k")
			e, ok := errors.AsType[*s3reader.Error](err)
			if !ok || e.Code != f.Code || (e.Kind == s3reader.Truncated) != (f.Code == "") {
				t.Errorf("%+v: got %v", f, err)
			}
		})
	}
}

func TestResumeStopsAtOnceOnRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("k", noise(100))
		r := s.reader(t, mayRead)
		s.cloud.Fault(awstest.Fault{ResetAfter: new(int64(60)), Times: 1})
		s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied"})
		_, err := r.Get(t.Context(), "k")
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
		if got := s.requests(); len(got) != 2 {
			t.Errorf("asked for %q", got)
		}
	})
}

// A hang before the answer is no reason to wait for ever either.
func TestHangsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("k", noise(100))
		r := s.reader(t, mayList, func(o *s3reader.Options) { o.StallTimeout = 10 * time.Second })
		s.cloud.Fault(awstest.Fault{Hang: true})
		start := time.Now()
		for op, err := range all(t, r, "k") {
			if err == nil || !strings.Contains(err.Error(), "the server sent nothing for 10s") {
				t.Errorf("%s: got %v", op, err)
			}
		}
		if took := time.Since(start); took > 5*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestCancelEndsAResumeAtOnce(t *testing.T) {
	inBubble(t, "", func(t *testing.T, read func(context.Context, *s3reader.Reader, string) ([]byte, error)) {
		s := newShelf()
		s.Put("k", noise(100))
		r := s.reader(t, mayRead)
		s.cloud.Fault(awstest.Fault{StallAfter: new(int64(60))})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := read(ctx, r, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestCloseEndsAStalledRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("k", noise(100))
		r := s.reader(t, mayRead)
		s.cloud.Fault(awstest.Fault{StallAfter: new(int64(60))})
		o := open(t, r, "k")
		errs := make(chan error, 2)
		go func() { _, err := io.ReadAll(o); errs <- err }()
		go func() { _, err := o.ReadAt(make([]byte, 90), 0); errs <- err }()
		synctest.Wait() // both wait for bytes
		start := time.Now()
		_ = o.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, fs.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}
