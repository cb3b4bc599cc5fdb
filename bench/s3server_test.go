package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/crc64nvme"
)

// newStore returns a store that is closed at the end of the test.
func newStore(t *testing.T) *store {
	t.Helper()
	s, err := startStore(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// content returns the bytes [from, until) of any object.
func content(from, until int64) []byte {
	p := pattern()
	return bytes.Repeat(p, int(until/int64(len(p)))+1)[from:until]
}

func TestServerObject(t *testing.T) {
	st := newStore(t)
	client := st.rawClient()
	const size = 3<<20 + 5
	const etag = `"3145733"`
	tests := []struct {
		name, method string
		header       map[string]string
		status       int
		from, until  int64
		contentRange string
		sum          bool
	}{
		{name: "whole", status: 200, until: size},
		{name: "checksum", header: map[string]string{"x-amz-checksum-mode": "ENABLED"}, status: 200, until: size, sum: true},
		{name: "head", method: "HEAD", header: map[string]string{"x-amz-checksum-mode": "ENABLED"}, status: 200, sum: true},
		{name: "range", header: map[string]string{"Range": "bytes=1048570-2097160", "x-amz-checksum-mode": "ENABLED"}, status: 206, from: 1048570, until: 2097161, contentRange: "bytes 1048570-2097160/3145733"},
		{name: "end", header: map[string]string{"Range": "bytes=3145730-9999999"}, status: 206, from: 3145730, until: size, contentRange: "bytes 3145730-3145732/3145733"},
		{name: "same version", header: map[string]string{"If-Match": etag}, status: 200, until: size},
		{name: "other version", header: map[string]string{"If-Match": `"1"`, "Range": "bytes=0-1"}, status: 412},
		{name: "after the end", header: map[string]string{"Range": "bytes=3145733-3145740"}, status: 416},
	}
	for _, endpoint := range []string{st.Plain, st.TLS} {
		for _, tt := range tests {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, endpoint+"/"+bucketName+"/"+bytesKey(size), nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range tt.header {
				req.Header.Set(k, v)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			h := resp.Header
			if resp.StatusCode != tt.status || h.Get("ETag") != etag || h.Get("Content-Range") != tt.contentRange || !bytes.Equal(body, content(tt.from, tt.until)) {
				t.Errorf("%s: %d, ETag %s, Content-Range %q, %d bytes", tt.name, resp.StatusCode, h.Get("ETag"), h.Get("Content-Range"), len(body))
			}
			wantSum, wantType := "", ""
			if tt.sum {
				wantSum, wantType = sumOfBytes(content(0, size)), "FULL_OBJECT"
			}
			if got, kind := h.Get("x-amz-checksum-crc64nvme"), h.Get("x-amz-checksum-type"); got != wantSum || kind != wantType {
				t.Errorf("%s: checksum %q of type %q, want %q, %q", tt.name, got, kind, wantSum, wantType)
			}
			if tt.method == "HEAD" && resp.ContentLength != size {
				t.Errorf("%s: length %d", tt.name, resp.ContentLength)
			}
		}
	}
}

func sumOfBytes(b []byte) string {
	h := crc64nvme.New()
	h.Write(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestServerList(t *testing.T) {
	st := newStore(t)
	var keys []string
	var pages []int
	for p := s3.NewListObjectsV2Paginator(st.sdkClient(st.TLS), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: aws.String("many/2500/")}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, len(page.Contents))
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	var want []string
	for i := range 2500 {
		want = append(want, fmt.Sprintf("many/2500/%06d", i))
	}
	if !slices.Equal(keys, want) || !slices.Equal(pages, []int{1000, 1000, 500}) {
		t.Errorf("pages of %d, %d keys", pages, len(keys))
	}
}

// All bytes that the server has sent count, whether they were read or not.
func TestTraffic(t *testing.T) {
	st := newStore(t)
	before, err := st.traffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 30
	resp, err := get(t.Context(), st.rawClient(), st.Plain, bytesKey(size))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	after, err := st.traffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := after.Bytes - before.Bytes; after.Requests-before.Requests != 1 || n < 2 || n >= size {
		t.Errorf("before %+v, after %+v: want one request and some of the object's bytes", before, after)
	}
}

// A capped connection keeps its rate, also after a pause.
func TestCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }() // until the pipe is closed
		c := &cappedConn{Conn: ours}
		for _, pause := range []time.Duration{0, time.Hour} {
			time.Sleep(pause) // in synctest's time
			start := time.Now()
			if _, err := c.Write(make([]byte, cappedRate)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < time.Second-time.Millisecond || took > time.Second+time.Millisecond {
				t.Errorf("after a pause of %v, what is delivered in a second took %v", pause, took)
			}
		}
		start := time.Now()
		w := httptest.NewRecorder()
		s3Handler(cappedFirst, &meter{}).ServeHTTP(w, httptest.NewRequest("GET", "/"+bucketName+"/bytes/10", nil))
		if took := time.Since(start); took != cappedFirst || w.Code != 200 || w.Body.Len() != 10 {
			t.Errorf("%d, %d bytes after %v", w.Code, w.Body.Len(), took)
		}
		ours.Close()
	})
}
