package s3reader_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/tracing"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// recorder keeps the requests for objects.
type recorder struct {
	inner interface {
		Do(*http.Request) (*http.Response, error)
	}
	mu   sync.Mutex
	gets []*http.Request
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	if !req.URL.Query().Has("list-type") {
		r.mu.Lock()
		r.gets = append(r.gets, req)
		r.mu.Unlock()
	}
	return r.inner.Do(req)
}

// bySDK counts those that the SDK has made.
func (r *recorder) bySDK() int {
	n := 0
	for _, req := range r.gets {
		if req.Header.Get("Amz-Sdk-Invocation-Id") != "" {
			n++
		}
	}
	return n
}

// oneByOne fetches everything, one object at a time.
func oneByOne(t *testing.T, cfg aws.Config, opts ...func(*s3reader.Options)) (*recorder, string) {
	t.Helper()
	rec := &recorder{inner: cfg.HTTPClient}
	cfg.HTTPClient = rec
	dir := t.TempDir()
	sum, err := newReader(t, cfg, "pics", opts...).DownloadDir(t.Context(), "", dir, func(o *s3reader.DirOptions) { o.Concurrency = 1 })
	if err != nil {
		t.Fatal(err, sum)
	}
	return rec, dir
}

// The SDK makes the first request. The others are the same, but for what belongs
// to each: whatever the key, S3 takes their signatures.
func TestPatternOfTheFirstRequest(t *testing.T) {
	keys := []string{"a", "a b", "a+b", "100%.csv", "%41", "q?x#y", "é", "e\u0301", "dir/sub/k", "~!@$&'()*,;=:[]", "\u202e", "line\nbreak", "file..txt"}
	s := newShelf()
	s.putAll(keys...)
	want := map[string]string{}
	for _, k := range keys {
		want[k] = "of " + k
	}
	for name, opts := range map[string]func(*s3reader.Options){
		"plain":      func(*s3reader.Options) {},
		"path style": func(o *s3reader.Options) { o.S3 = func(o *s3.Options) { o.UsePathStyle = true } },
		"owner and payer": func(o *s3reader.Options) {
			o.ExpectedBucketOwner, o.RequestPayer = "444455556666", true
		},
		"unchecked": func(o *s3reader.Options) { o.Verify = s3reader.VerifyOff },
	} {
		rec, dir := oneByOne(t, s.config(mayList), opts)
		sameFiles(t, dir, want)
		if rec.bySDK() != 1 || len(rec.gets) != len(keys) {
			t.Errorf("%s: the SDK made %d of %d requests", name, rec.bySDK(), len(rec.gets))
		}
		first := rec.gets[0]
		for _, req := range rec.gets[1:] {
			if req.Host != first.URL.Host || req.URL.Host != first.URL.Host || req.URL.RawQuery != first.URL.RawQuery || req.Method != first.Method {
				t.Errorf("%s: %s %s, the first was %s %s", name, req.Method, req.URL, first.Method, first.URL)
			}
			for h := range first.Header {
				switch h {
				case "Authorization", "X-Amz-Date", "If-Match":
					if req.Header.Get(h) == "" {
						t.Errorf("%s: no %s", name, h)
					}
				case "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request":
				default:
					if got := strings.Join(req.Header[h], ","); got != strings.Join(first.Header[h], ",") {
						t.Errorf("%s: %s is %q, and was %q", name, h, got, first.Header[h])
					}
				}
			}
		}
	}
}

// Whoever wants to see or change the SDK's requests sees all of them.
func TestNobodyIsPassedBy(t *testing.T) {
	s := newShelf()
	s.putAll("a", "b", "c", "d")
	for name, change := range map[string]func(*s3.Options){
		"middleware": func(o *s3.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Mine", "1"))
		},
		"interceptor": func(o *s3.Options) { o.Interceptors.AddBeforeTransmit(interceptor{}) },
		"tracer":      func(o *s3.Options) { o.TracerProvider = tracer{} },
		"log":         func(o *s3.Options) { o.ClientLogMode = aws.LogRetries },
		"anonymous": func(o *s3.Options) {
			s.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"]}]}`)
			o.Credentials = aws.AnonymousCredentials{}
		},
	} {
		rec, _ := oneByOne(t, s.config(mayList), func(o *s3reader.Options) { o.S3 = change })
		if rec.bySDK() != len(rec.gets) || len(rec.gets) != 4 {
			t.Errorf("%s: the SDK made %d of %d requests", name, rec.bySDK(), len(rec.gets))
		}
	}
	cfg := s.config(mayList)
	seen := 0
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("counts", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			seen++
			return next.HandleFinalize(ctx, in)
		}), middleware.Before)
	})
	if rec, _ := oneByOne(t, cfg); seen != 5 || rec.bySDK() != 4 { // with the listing
		t.Errorf("%d requests were seen", seen)
	}
}

type interceptor struct{}

func (interceptor) BeforeTransmit(context.Context, *smithyhttp.InterceptorContext) error { return nil }

type tracer struct{ tracing.NopTracerProvider }

// A refusal is for the SDK, which knows what to do: a chain gets another session,
// an overload is waited for.
func TestRefusalsGoToTheSDK(t *testing.T) {
	for name, f := range map[string]awstest.Fault{
		"expired":     {Status: 400, Code: "ExpiredToken", Times: 1},
		"overloaded":  {Status: 503, Code: "SlowDown", Times: 2},
		"dropped":     {Drop: true, Times: 1},
		"hung":        {Hang: true, Times: 1},
		"wrong range": {WrongRange: true, Header: map[string]string{"Content-Range": "bytes 0-3/4"}, Times: 1},
		"broken":      {ResetAfter: new(int64(1)), Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud, bucket, cfg := gallery(t)
				want := map[string]string{"a b/cat+1.jpg": "meow"}
				for i := range 9 {
					key := fmt.Sprint(i)
					bucket.Put(key, []byte("of "+key))
					want[key] = "of " + key
				}
				f.Operation, f.Skip = "GetObject", 4
				cloud.Fault(f)
				rec, dir := oneByOne(t, cfg)
				sameFiles(t, dir, want)
				if n := rec.bySDK(); n < 2 || n > 4 {
					t.Errorf("the SDK made %d of %d requests", n, len(rec.gets))
				}
			})
		})
	}
}

// A server that takes no other requests than the SDK's gets no others.
func TestPatternThatIsRefused(t *testing.T) {
	s := newShelf()
	want := map[string]string{}
	for i := range 20 {
		key := fmt.Sprintf("%02d", i)
		s.putAll(key)
		want[key] = "of " + key
	}
	cfg := s.config(mayList)
	cfg.HTTPClient = picky{cfg.HTTPClient}
	rec, dir := oneByOne(t, cfg)
	sameFiles(t, dir, want)
	if made := rec.bySDK(); made != 20 || len(rec.gets) != 23 {
		t.Errorf("the SDK made %d of %d requests", made, len(rec.gets))
	}
}

type picky struct {
	inner interface {
		Do(*http.Request) (*http.Response, error)
	}
}

func (p picky) Do(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Amz-Sdk-Request") == "" {
		return &http.Response{StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), ContentLength: 0}, nil
	}
	return p.inner.Do(r)
}

// What was overwritten after it was listed is not taken for what was listed.
func TestPatternKeepsToTheVersion(t *testing.T) {
	s := newShelf()
	s.putAll("a", "b", "c")
	cfg := s.config(mayList)
	cfg.HTTPClient = &onNth{inner: cfg.HTTPClient, n: 3, do: func() { s.Put("b", []byte("new")); s.Put("c", []byte("new, too")) }}
	_, dir := oneByOne(t, cfg)
	if got := files(t, dir); got["b"] != "new" || got["c"] != "new, too" || len(got) != 3 {
		t.Errorf("got %q", got)
	}
}
