package s3reader_test

import (
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// served is a reader that comes to the bucket over a socket, by the endpoint in
// the environment, as a pod does.
func (s *shelf) served(t *testing.T) *s3reader.Reader {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL_S3", s.cloud.Serve(t))
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"), config.WithCredentialsProvider(s.config(mayList).Credentials))
	if err != nil {
		t.Fatal(err)
	}
	return newReader(t, cfg, "pics")
}

func TestBrokenConnectionResumes(t *testing.T) {
	for _, f := range []awstest.Fault{{ResetAfter: new(int64(700_000))}, {ResetAfter: new(int64(0))}} {
		s := newShelf()
		data := noise(1_000_000)
		s.Put("k", data)
		r := s.served(t)
		f.Operation, f.Times = "GetObject", 1
		s.cloud.Fault(f)
		got, err := r.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data)
		if n := len(s.requests()); n != 2 {
			t.Errorf("%d requests: %q", n, s.requests())
		}
	}
}

// A body that was read to its end gives its connection back.
func TestConnectionsAreReused(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(300_000))
	r := s.served(t)
	dialled := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if !c.Reused {
			dialled++
		}
	}})
	for range 5 {
		if _, err := r.Get(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		o, err := r.Open(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.WriteTo(new(strings.Builder)); err != nil {
			t.Fatal(err)
		}
		if _, err := o.ReadAt(make([]byte, 1000), 1000); err != nil {
			t.Fatal(err)
		}
		_ = o.Close()
		if _, err := r.Stat(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Stat(ctx, "absent"); err == nil {
			t.Fatal("absent was found")
		}
		for _, err := range r.List(ctx, "") {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if dialled != 1 {
		t.Errorf("%d connections for one request at a time", dialled)
	}
}
