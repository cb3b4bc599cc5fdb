package s3reader_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/s3reader"
)

// transport is a RoundTripper of a function, under an http.Client, which follows
// redirects of its own accord.
type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := f(r)
	resp.Request = r
	return resp, nil
}

// wrapped is a client of the user's own type.
type wrapped struct{ client *http.Client }

func (w wrapped) Do(r *http.Request) (*http.Response, error) { return w.client.Do(r) }

// rewriting sends requests to another address, as tests and sidecars have it.
type rewriting struct {
	client *http.Client
	copies bool
}

func (c rewriting) Do(r *http.Request) (*http.Response, error) {
	if c.copies {
		r = r.Clone(r.Context())
	}
	r.URL.Host = "127.0.0.1:1"
	r.URL.Scheme = "http"
	return c.client.Do(r)
}

const sessionToken = "IQoJb3JpZ2luX2VjE+session/token=="

func signedConfig(client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "us-east-1", HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", sessionToken),
	}
}

// No redirect is followed: neither in a circle, nor to another host, which would
// get the session token.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{"/k?again", "https://evil.example/k", "http://pics.s3.us-east-1.amazonaws.com/k", "//evil.example", "", "%zz:"} {
			for _, kind := range []string{"http.Client", "own type", "Options.S3"} {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					var asked []string
					client := &http.Client{Transport: transport(func(r *http.Request) *http.Response {
						mu.Lock()
						asked = append(asked, r.URL.Scheme+"://"+r.URL.Host)
						mu.Unlock()
						if len(asked) > 100 {
							t.Fatal("in a circle")
						}
						if r.URL.Host == "evil.example" || r.URL.Scheme == "http" {
							return answer(200, "forged", "Content-Length: 6", `ETag: "e"`)
						}
						return answer(status, "", "Location: "+location)
					})}
					cfg := signedConfig(client)
					opt := func(*s3reader.Options) {}
					switch kind {
					case "own type": // which is asked not to follow, so that it does not here
						plain := *client
						plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
						cfg.HTTPClient = wrapped{&plain}
					case "Options.S3":
						cfg.HTTPClient = nil
						opt = func(o *s3reader.Options) { o.S3 = func(o *s3.Options) { o.HTTPClient = client } }
					}
					for op, err := range all(t, newReader(t, cfg, "pics", opt), "k") {
						if op == "fs open" && err == nil {
							continue // asks nothing
						}
						if err == nil {
							t.Errorf("%d to %q, %s, %s: no error", status, location, kind, op)
							continue
						}
						want := "https://pics.s3.us-east-1.amazonaws.com"
						if !strings.Contains(err.Error(), want) {
							t.Errorf("%d to %q, %s, %s: does not name the host: %v", status, location, kind, op, err)
						}
						if strings.Contains(location, "evil.example") && !strings.Contains(err.Error(), "https://evil.example") {
							t.Errorf("%d to %q, %s, %s: does not name the other host: %v", status, location, kind, op, err)
						}
					}
					for _, origin := range asked {
						if origin != "https://pics.s3.us-east-1.amazonaws.com" {
							t.Errorf("%d to %q, %s: asked %s", status, location, kind, origin)
						}
					}
					if client.CheckRedirect != nil {
						t.Fatal("the caller's client was changed")
					}
				})
			}
		}
	}
}

// The SDK's own client follows 307 and 308 without limit.
func TestRedirectCircleOfTheSDKsClient(t *testing.T) {
	for _, client := range []aws.HTTPClient{nil, awshttp.NewBuildableClient()} {
		for _, status := range []int{301, 302, 307, 308} {
			var mu sync.Mutex
			requests := 0
			store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				requests++
				http.Redirect(w, r, fmt.Sprintf("/pics/k?%d", requests), status)
			}))
			cfg := signedConfig(client)
			cfg.BaseEndpoint = &store.URL
			r := newReader(t, cfg, "pics")
			_, get := r.Get(t.Context(), "k")
			if get == nil || strings.Count(get.Error(), store.URL) < 2 {
				t.Errorf("%d: got %v", status, get)
			}
			mu.Lock()
			if requests != 1 {
				t.Errorf("%d: %d requests", status, requests)
			}
			mu.Unlock()
			store.Close()
		}
	}
}

// A client that follows nevertheless is found out: nothing of the response is
// used, and nothing is tried again.
func TestRedirectFollowedByTheClient(t *testing.T) {
	requests := 0
	following := &http.Client{Transport: transport(func(r *http.Request) *http.Response {
		requests++
		if r.URL.Host == "evil.example" {
			return answer(200, "forged", "Content-Length: 6", `ETag: "e"`)
		}
		return answer(307, "", "Location: https://evil.example/k")
	})}
	manual := server(func(r *http.Request) *http.Response {
		requests++
		other, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "https://evil.example/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := answer(200, "forged", "Content-Length: 6", `ETag: "e"`)
		resp.Request = other
		return resp
	})
	for name, client := range map[string]aws.HTTPClient{
		"own type":     wrapped{following},
		"by hand":      manual,
		"RoundTripper": &http.Client{Transport: retrying{following}},
	} {
		requests = 0
		got, err := newReader(t, signedConfig(client), "pics").Get(t.Context(), "k")
		if err == nil || !strings.Contains(err.Error(), "https://pics.s3.us-east-1.amazonaws.com") || !strings.Contains(err.Error(), "https://evil.example") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if requests > 2 {
			t.Errorf("%s: %d requests", name, requests)
		}
	}
}

// retrying is a RoundTripper over a client, as packages for retries have it.
type retrying struct{ client *http.Client }

func (r retrying) RoundTrip(req *http.Request) (*http.Response, error) { return r.client.Do(req) }

// To connect elsewhere is not to follow a redirect.
func TestClientThatConnectsElsewhere(t *testing.T) {
	for _, copies := range []bool{false, true} {
		var host string
		client := rewriting{&http.Client{Transport: transport(func(r *http.Request) *http.Response {
			host = r.Host
			return answer(200, "0123", "Content-Length: 4", `ETag: "e"`)
		})}, copies}
		got, err := newReader(t, signedConfig(client), "pics").Get(t.Context(), "k")
		if err != nil || string(got) != "0123" || host != "pics.s3.us-east-1.amazonaws.com" {
			t.Errorf("copies %v: got %q, %v, Host %q", copies, got, err, host)
		}
	}
}

// A redirect that names the bucket's region is asked again there, signed for it,
// once.
func TestRedirectWithARegion(t *testing.T) {
	for _, c := range []struct {
		status  int
		regions []string // named one after the other
		asked   []string // hosts
		ok      bool
	}{
		{301, []string{"eu-west-1"}, []string{"us-east-1", "eu-west-1"}, true},
		{307, []string{"eu-west-1"}, []string{"us-east-1", "eu-west-1"}, true},
		{308, []string{"eu-west-1"}, []string{"us-east-1", "eu-west-1"}, true},
		{308, []string{"eu-west-1", "eu-west-2", "eu-west-3"}, []string{"us-east-1", "eu-west-1"}, false},
		{307, []string{"us-east-1", "us-east-1"}, []string{"us-east-1"}, false},
		{307, []string{"cn-north-1"}, []string{"us-east-1"}, false},     // another partition, and domain
		{307, []string{"us-iso-east-1"}, []string{"us-east-1"}, false},  // another partition, and domain
		{307, []string{"evil.example"}, []string{"us-east-1"}, false},   // not a region
		{307, []string{"x/.evil.exam"}, []string{"us-east-1"}, false},   // not a region
		{307, []string{"eu-west-1@evil"}, []string{"us-east-1"}, false}, // not a region
		{307, []string{"-"}, []string{"us-east-1"}, false},              // not a region
	} {
		var asked, signedFor []string
		regions := c.regions
		client := &http.Client{Transport: transport(func(r *http.Request) *http.Response {
			asked = append(asked, r.URL.Host)
			_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
			signedFor = append(signedFor, strings.Split(scope+"///", "/")[2])
			if len(regions) == 0 {
				return answer(200, "0123", "Content-Length: 4", `ETag: "e"`)
			}
			region := regions[0]
			regions = regions[1:]
			return answer(c.status, "", "X-Amz-Bucket-Region: "+region, "Location: https://evil.example/k")
		})}
		got, err := newReader(t, signedConfig(client), "pics").Get(t.Context(), "k")
		if (err == nil) != c.ok || c.ok && string(got) != "0123" {
			t.Errorf("%d %v: got %q, %v", c.status, c.regions, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), ".amazonaws.com") || !strings.Contains(err.Error(), "https://evil.example")) {
			t.Errorf("%d %v: does not name both hosts: %v", c.status, c.regions, err)
		}
		var want []string
		for _, region := range c.asked {
			want = append(want, "pics.s3."+region+".amazonaws.com")
		}
		if !slices.Equal(asked, want) || !slices.Equal(signedFor, c.asked) {
			t.Errorf("%d %v: asked %v, signed for %v", c.status, c.regions, asked, signedFor)
		}
	}
}

// A store of one's own answers with another region: the endpoint stays.
func TestRegionOfAStoreOfOnesOwn(t *testing.T) {
	var asked, scopes []string
	client := &http.Client{Transport: transport(func(r *http.Request) *http.Response {
		asked = append(asked, r.URL.Scheme+"://"+r.URL.Host)
		_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		scopes = append(scopes, strings.Split(scope+"///", "/")[2])
		if len(asked) == 1 {
			return answer(307, "", "X-Amz-Bucket-Region: eu-west-1", "Location: https://evil.example")
		}
		return answer(200, "0123", "Content-Length: 4", `ETag: "e"`)
	})}
	cfg := signedConfig(client)
	cfg.BaseEndpoint = aws.String("https://s3.store.example:9000")
	got, err := newReader(t, cfg, "pics").Get(t.Context(), "k")
	if err != nil || string(got) != "0123" || !slices.Equal(asked, []string{"https://pics.s3.store.example:9000", "https://pics.s3.store.example:9000"}) || !slices.Equal(scopes, []string{"us-east-1", "eu-west-1"}) {
		t.Errorf("got %q, %v; asked %v for %v", got, err, asked, scopes)
	}
	if e, ok := errors.AsType[*s3reader.Error](err); ok {
		t.Error(e.Endpoint)
	}
}
