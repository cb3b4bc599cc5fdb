package awstest_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/crossrole/crossrole/awstest"
)

// How a body ends, and which length the client gets, in memory and on a socket.
func TestFaultsOfBodies(t *testing.T) {
	for _, row := range []struct {
		name   string
		fault  awstest.Fault
		length int64 // Content-Length; -1: none
		body   string
		err    error
	}{
		{"ends early", awstest.Fault{EndAfter: new(int64(4))}, 10, "0123", io.ErrUnexpectedEOF},
		{"ends at once", awstest.Fault{EndAfter: new(int64(0))}, 10, "", io.ErrUnexpectedEOF},
		{"ends where it should", awstest.Fault{EndAfter: new(int64(10))}, 10, "0123456789", nil},
		{"no length", awstest.Fault{NoLength: true}, -1, "0123456789", nil},
		{"no length and short", awstest.Fault{NoLength: true, EndAfter: new(int64(4))}, -1, "0123", nil},
		{"no length and nothing", awstest.Fault{NoLength: true, EndAfter: new(int64(0))}, -1, "", nil},
		{"no length and long", awstest.Fault{NoLength: true, Edit: func(b []byte) []byte { return append(b, "more"...) }}, -1, "0123456789more", nil},
	} {
		for _, served := range []bool{false, true} {
			t.Run(row.name, func(t *testing.T) {
				cloud := awstest.New()
				pics := cloud.Account("444455556666").CreateBucket("pics")
				pics.Put("cat", []byte("0123456789"))
				pics.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
				client, url := cloud.Config().HTTPClient, "https://s3.us-east-1.amazonaws.com"
				if served {
					client, url = &http.Client{}, cloud.Serve(t)
				}
				row.fault.Times = 1
				cloud.Fault(row.fault)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/pics/cat", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if resp.ContentLength != row.length || string(body) != row.body || !errors.Is(err, row.err) {
					t.Errorf("served %v: Content-Length %d, %q, %v; want %d, %q, %v", served, resp.ContentLength, body, err, row.length, row.body, row.err)
				}
				if has := resp.Header.Get("Content-Length") != ""; has != (row.length >= 0) {
					t.Errorf("served %v: the header has a length: %v", served, has)
				}
			})
		}
	}
}

func TestFaultTakesAHeaderAway(t *testing.T) {
	s := newStore(t)
	s.cloud.Fault(awstest.Fault{Times: 1, Header: map[string]string{"Content-Range": "", "Etag": `"other"`}})
	if got := s.do(t, "owner", "GET", "/pics/cat", "Range: bytes=0-1", ""); got.Header.Values("Content-Range") != nil || got.Header.Get("Etag") != `"other"` || got.body != "01" {
		t.Errorf("got %v, %q", got.Header, got.body)
	}
	s.cloud.Fault(awstest.Fault{Times: 1, NoLength: true})
	if got := s.do(t, "owner", "HEAD", "/pics/cat", "", ""); got.Header.Values("Content-Length") != nil || got.ContentLength != -1 {
		t.Errorf("HEAD: %v", got.Header)
	}
}
