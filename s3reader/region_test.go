package s3reader_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/s3reader"
)

// moved answers for a bucket in the given region and sends every other host
// there, naming a foreign host in the body.
func moved(region string, hosts *[]string) server {
	return func(r *http.Request) *http.Response {
		*hosts = append(*hosts, r.URL.Host)
		if r.URL.Host == "pics.s3."+region+".amazonaws.com" {
			return answer(200, "v", "Content-Length: 1", `ETag: "e"`)
		}
		body := "<Error><Code>PermanentRedirect</Code><Endpoint>evil.example</Endpoint><Message>Elsewhere.</Message></Error>"
		if r.Method == http.MethodHead {
			body = ""
		}
		return answer(301, body, "X-Amz-Bucket-Region: "+region)
	}
}

// Case B34.
func TestRegionIsLearntOnce(t *testing.T) {
	for _, op := range []string{"get", "stat"} {
		var hosts []string
		cfg := moved("us-west-2", &hosts).config()
		cfg.Region = "eu-west-1"
		r := newReader(t, cfg, "pics")
		for range 2 {
			var err error
			if op == "get" {
				_, err = r.Get(t.Context(), "k")
			} else {
				_, err = r.Stat(t.Context(), "k")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"pics.s3.eu-west-1.amazonaws.com", "pics.s3.us-west-2.amazonaws.com", "pics.s3.us-west-2.amazonaws.com"}
		if !slices.Equal(hosts, want) {
			t.Errorf("%s asked %q, want %q", op, hosts, want)
		}
		if got := r.Client().Options().Region; got != "us-west-2" {
			t.Errorf("Client is for %s", got)
		}
	}
}

func TestRegionAgainstAwstest(t *testing.T) {
	s := newShelf()
	s.SetRegion("eu-west-1")
	s.Put("k", []byte("v"))
	r := s.reader(t, mayList)
	if got, err := r.Get(t.Context(), "k"); err != nil || string(got) != "v" {
		t.Fatalf("got %q, %v", got, err)
	}
	for info, err := range s.reader(t, mayList).List(t.Context(), "") {
		if err != nil || info.Key != "k" {
			t.Errorf("got %+v, %v", info, err)
		}
	}
}

func TestRegionOfTheUserIsFinal(t *testing.T) {
	for name, opt := range map[string]func(*s3reader.Options){
		"Region": func(o *s3reader.Options) { o.Region = "eu-west-1" },
		"S3":     func(o *s3reader.Options) { o.S3 = func(o *s3.Options) { o.Region = "eu-west-1" } },
	} {
		for _, op := range []string{"get", "stat"} {
			var hosts []string
			cfg := moved("us-west-2", &hosts).config()
			r := newReader(t, cfg, "pics", opt)
			_, err := r.Get(t.Context(), "k")
			if op == "stat" {
				_, err = r.Stat(t.Context(), "k")
			}
			if !errors.Is(err, s3reader.WrongRegion) || !strings.Contains(err.Error(), `the bucket is in us-west-2 and the request went to eu-west-1: set Options.Region to "us-west-2"`) {
				t.Errorf("%s %s: got %v", name, op, err)
			}
			if len(hosts) > 2 {
				t.Errorf("%s %s: asked %q", name, op, hosts)
			}
		}
	}
}

func TestRegionThatMovesForEver(t *testing.T) {
	regions := []string{"us-west-1", "us-west-2", "us-east-2"}
	asked := 0
	cfg := server(func(*http.Request) *http.Response {
		asked++
		return answer(301, "<Error><Code>PermanentRedirect</Code></Error>", "X-Amz-Bucket-Region: "+regions[asked%3])
	}).config()
	_, err := newReader(t, cfg, "pics").Get(t.Context(), "k")
	if !errors.Is(err, s3reader.WrongRegion) || asked > 3 {
		t.Errorf("got %v after %d requests", err, asked)
	}
}

// A region becomes part of a host name: it must not be one of somebody's own.
func TestRegionHeaderIsNotTrusted(t *testing.T) {
	for _, header := range []string{"evil.example/", "evil.example#", "x@evil", "", "a.b"} {
		var hosts []string
		cfg := server(func(r *http.Request) *http.Response {
			hosts = append(hosts, r.URL.Host)
			return answer(301, "<Error><Code>PermanentRedirect</Code></Error>", "X-Amz-Bucket-Region: "+header)
		}).config()
		_, err := newReader(t, cfg, "pics").Get(t.Context(), "k")
		if !errors.Is(err, s3reader.WrongRegion) || !slices.Equal(hosts, []string{"pics.s3.us-east-1.amazonaws.com"}) {
			t.Errorf("%q: asked %q, got %v", header, hosts, err)
		}
	}
}

// A refusal that names the region asked in is no reason to ask again.
func TestRegionAlreadyRight(t *testing.T) {
	asked := 0
	cfg := server(func(r *http.Request) *http.Response {
		if r.Method == http.MethodGet { // a HEAD asks for the reason
			asked++
		}
		return answer(403, "<Error><Code>AccessDenied</Code></Error>", "X-Amz-Bucket-Region: us-east-1")
	}).config()
	if _, err := newReader(t, cfg, "pics").Get(t.Context(), "k"); !errors.Is(err, s3reader.AccessDenied) || asked != 1 {
		t.Errorf("got %v after %d requests", err, asked)
	}
}
