package awstest_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// awkwardKeys are names that a cleaned path, a second decoding or a confusion
// of plus and space would turn into others.
var awkwardKeys = []string{
	"a b", "a+b", "a%20b", "a%2Bb", "a%2Fb", "a/b", "ab",
	"/lead", "lead", "//lead", "a//b", "a/../b", "b", "./x", "x", "../up", "..", ".", "dir/", "dir", "/",
	"\u00e9", "e\u0301", "日本/猫.jpg", "100%.csv", "q?x#y", "file..txt", "semi;colon", "a&b=c", "<&>\"'", "back\\slash", "tab\there", "new\nline",
	"a:b@c,d$e!f(g)h*i'j", "~tilde", "🐈",
}

// onSocket is a client through which every host is the listener at address.
func onSocket(t *testing.T, address string) *http.Client {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, u.Host)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestAwkwardKeys(t *testing.T) {
	for _, transport := range []string{"memory", "socket"} {
		for _, style := range []string{"path", "virtual host"} {
			t.Run(transport+" "+style, func(t *testing.T) {
				s := newStore(t)
				client := s.client("owner", func(o *s3.Options) {
					o.UsePathStyle = style == "path"
					if transport == "socket" {
						o.HTTPClient = onSocket(t, s.cloud.Serve(t))
						o.EndpointOptions.DisableHTTPS = true
					}
				})
				bucket := s.owner.CreateBucket("keys").Name()
				for _, key := range awkwardKeys {
					_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("this is " + key)})
					if err != nil {
						t.Fatalf("put %q: %v", key, err)
					}
				}
				for _, key := range awkwardKeys {
					if got := get(t, client, bucket, key); got != "this is "+key {
						t.Errorf("key %q holds %q", key, got)
					}
				}
				// Tab and line feed are the only control characters that XML can carry.
				if got, want := listed(t, client, bucket, 7), slices.Sorted(slices.Values(awkwardKeys)); !slices.Equal(got, want) {
					t.Errorf("listed %q, want %q", got, want)
				}
			})
		}
	}
}

// A key of the path is decoded once: the same key under other spellings, and
// other keys that look alike.
func TestKeySpellings(t *testing.T) {
	s := newStore(t)
	bucket := s.owner.CreateBucket("keys")
	for _, key := range awkwardKeys {
		bucket.Put(key, []byte(key))
	}
	for path, key := range map[string]string{
		"a%20b": "a b", "a+b": "a+b", "a%2Bb": "a+b", "a%2bb": "a+b", "a%2520b": "a%20b", "a%252Bb": "a%2Bb",
		"a%2Fb": "a/b", "a/b": "a/b", "a%252Fb": "a%2Fb", "/lead": "/lead", "%2Flead": "/lead", "//lead": "//lead",
		"a//b": "a//b", "a/../b": "a/../b", "a/%2E%2E/b": "a/../b", "./x": "./x", "../up": "../up",
		"%C3%A9": "\u00e9", "e%CC%81": "e\u0301", "100%25.csv": "100%.csv", "q%3Fx%23y": "q?x#y", "%7Etilde": "~tilde", "%61b": "ab",
	} {
		for _, base := range []string{"s3.us-east-1.amazonaws.com/keys/", "keys.s3.us-east-1.amazonaws.com/"} {
			// Unsigned, so that no signer respells the path on its way.
			got := s.do(t, "", "GET", base+path, "", "")
			calls := s.cloud.Calls()
			if call := calls[len(calls)-1]; call.Params["Key"] != key || call.Params["Bucket"] != "keys" {
				t.Errorf("%s%s: bucket and key %v, want keys and %q (status %d)", base, path, call.Params, key, got.StatusCode)
			}
		}
	}
}

func get(t *testing.T, client *s3.Client, bucket, key string) string {
	t.Helper()
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return fmt.Sprint("error: ", err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		return fmt.Sprint("error: ", err)
	}
	return string(data)
}

// listed is every key of a bucket, in the order of the pages.
func listed(t *testing.T, client *s3.Client, bucket string, pageSize int32) []string {
	t.Helper()
	var keys []string
	seen := map[string]bool{}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: &pageSize})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range page.Contents {
			keys = append(keys, aws.ToString(object.Key))
			seen[aws.ToString(object.Key)] = true
		}
	}
	if len(seen) != len(keys) {
		t.Errorf("%d keys listed, %d of them different: %q", len(keys), len(seen), slices.Sorted(maps.Keys(seen)))
	}
	return keys
}
