package s3reader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/s3reader"
)

// hostileOperations return what they read of the object, if anything.
var hostileOperations = []struct {
	name string
	run  func(context.Context, *s3reader.Reader) ([]byte, error)
}{
	{"Stat", func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		_, err := r.Stat(ctx, "k")
		return nil, err
	}},
	{"Get", func(ctx context.Context, r *s3reader.Reader) ([]byte, error) { return r.Get(ctx, "k") }},
	{"GetIfChanged", func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		data, _, err := r.GetIfChanged(ctx, "k", `"e"`)
		if errors.Is(err, s3reader.ErrNotModified) {
			return nil, nil
		}
		return data, err
	}},
	{"Open+ReadAt", func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		o, err := r.Open(ctx, "k")
		if err != nil {
			return nil, err
		}
		defer o.Close()
		p := make([]byte, 3)
		n, err := o.ReadAt(p, 2)
		if err == io.EOF {
			err = nil
		}
		return p[:n], err
	}},
	{"Open+Seek+Read", func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		o, err := r.Open(ctx, "k")
		if err != nil {
			return nil, err
		}
		defer o.Close()
		if _, err := o.Seek(-4, io.SeekEnd); err != nil {
			return nil, nil // shorter than that
		}
		p := make([]byte, 4)
		n, err := io.ReadFull(o, p)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		}
		return p[:n], err
	}},
	{"Download", func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		var w sparse
		_, err := r.Download(ctx, "k", &w)
		return w.start(), err
	}},
	{"List", func(ctx context.Context, r *s3reader.Reader) ([]byte, error) {
		for _, err := range r.List(ctx, "") {
			if err != nil {
				return nil, err
			}
		}
		return nil, nil
	}},
}

// sparse is a writer that keeps the first bytes only, so that an object may be
// said to be as long as it likes.
type sparse struct {
	mu   sync.Mutex
	head [64]byte
	n    int
}

func (s *sparse) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < int64(len(s.head)) {
		s.n = max(s.n, int(off)+copy(s.head[off:], p))
	}
	return len(p), nil
}

func (s *sparse) start() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.head[:s.n])
}

const hostileContent = "0123456789"

// hostileServer serves ten bytes as S3 does, but for headers that it sets last.
// "Name: value" sets a header of every response, "Name:" removes it.
func hostileServer(requests *int, lines ...string) server {
	var mu sync.Mutex
	return func(r *http.Request) *http.Response {
		mu.Lock()
		*requests++
		mu.Unlock()
		status, body := 200, hostileContent
		headers := []string{`ETag: "e"`}
		var first, last int
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n == 2 {
			if first >= len(body) {
				return answer(416, "", "Content-Range: bytes */10")
			}
			last = min(last, len(body)-1)
			headers = append(headers, fmt.Sprintf("Content-Range: bytes %d-%d/%d", first, last, len(body)))
			status, body = 206, body[first:last+1]
		}
		if r.URL.Query().Has("list-type") {
			body = `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>10</Size><ETag>"e"</ETag></Contents></ListBucketResult>`
		}
		headers = append(headers, "Content-Length: "+strconv.Itoa(len(body)))
		resp := answer(status, body, headers...)
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ":")
			resp.Header.Del(name)
			if value = strings.TrimPrefix(value, " "); value != "" {
				resp.Header.Set(name, value)
			}
		}
		if r.Method == http.MethodHead {
			resp.Body = http.NoBody
		}
		return resp
	}
}

var hostileHeaders = []string{
	"X-Nothing: at all",
	`ETag:`, `ETag: "-"`, `ETag: "e-2"`, `ETag: "e-0"`, `ETag: "e--1"`, `ETag: "e-10000"`, `ETag: "e-9223372036854775807"`, `ETag: W/"e"`, "ETag: \x00\xff", "ETag: " + strings.Repeat("e-2", 10_000),
	`Content-Length:`, `Content-Length: 0`, `Content-Length: 1`, `Content-Length: 9`, `Content-Length: 11`, `Content-Length: -1`, `Content-Length: 9223372036854775807`, `Content-Length: 9223372036854775800`,
	`Content-Length: 1125899906842624`, `Content-Length: 1125899906842625`, `Content-Length: 4611686018427387904`, `Content-Length: 99999999999999999999`, `Content-Length: ten`, `Content-Length: 1e1`,
	`Content-Range: bytes 0-9/10`, `Content-Range: bytes 2-4/9223372036854775807`, `Content-Range: bytes 9223372036854775806-9223372036854775806/9223372036854775807`, `Content-Range: bytes 2-2/10`, `Content-Range: bytes */10`,
	`Content-Range: bytes 2-1/10`, `Content-Range: bytes -9223372036854775808-4/10`, `Content-Range: bytes 6-9/1125899906842625`, `Content-Range: nonsense`, `Content-Range:`,
	`X-Amz-Checksum-Crc64nvme: !`, `X-Amz-Checksum-Crc64nvme: AA==`, `X-Amz-Checksum-Crc32: AAAAAA==`, `X-Amz-Checksum-Crc32c: -`, `X-Amz-Checksum-Sha256: x`, `X-Amz-Checksum-Type: FULL_OBJECT`, `X-Amz-Checksum-Type: other`,
	`X-Amz-Mp-Parts-Count: 0`, `X-Amz-Mp-Parts-Count: -2147483648`, `X-Amz-Mp-Parts-Count: many`, `X-Amz-Missing-Meta: 99999999999`,
	`Last-Modified: never`, `Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT`, `Last-Modified: Mon, 01 Jan 0001 00:00:00 GMT`,
	`X-Amz-Bucket-Region: evil.example/`, `X-Amz-Bucket-Region: us-west-2`, `Location: https://evil.example/`, `Retry-After: 99999999999`, `X-Amz-Retry-After: 9223372036854775807`,
	`Content-Encoding: gzip`, `Content-Encoding: aws-chunked`, `X-Amz-Restore: ongoing-request="`, `Date: Fri, 31 Dec 9999 23:59:59 GMT`, `X-Amz-Version-Id: null`, `Transfer-Encoding: chunked`, `X-Amz-Delete-Marker: true`,
}

// Whatever a header says, an operation ends with the object's bytes or with an
// error, after few requests and without much memory.
func TestHostileHeaders(t *testing.T) {
	for _, status := range []int{0, 206, 307, 416} {
		for _, header := range hostileHeaders {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, op := range hostileOperations {
				t.Run(fmt.Sprintf("%d/%.40s/%s", status, header, op.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { tryHostile(t, op.run, status, header) })
				})
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 512<<20 {
				t.Errorf("%d, %s: allocated %d MiB", status, header, grown>>20)
			}
		}
	}
}

func tryHostile(t *testing.T, run func(context.Context, *s3reader.Reader) ([]byte, error), status int, headers ...string) {
	t.Helper()
	requests := 0
	inner := hostileServer(&requests, headers...)
	srv := server(func(r *http.Request) *http.Response {
		resp := inner(r)
		if status != 0 {
			resp.StatusCode = status
		}
		return resp
	})
	began := time.Now()
	for _, part := range []int64{0, 1 << 20} {
		got, err := run(t.Context(), newReader(t, srv.config(), "pics", func(o *s3reader.Options) { o.PartSize = part }))
		if errors.Is(err, s3reader.Panicked) {
			p, _ := errors.AsType[*s3reader.PanicError](err)
			t.Errorf("%v\n%s", err, p.Stack)
		}
		if err == nil && !strings.Contains(hostileContent, string(got)) {
			t.Errorf("got %q", got)
		}
		if e, ok := errors.AsType[*s3reader.Error](err); err != nil && (!ok || e.Op == "") {
			t.Errorf("not an error of this package: %#v", err)
		}
	}
	if took := time.Since(began); took > 5*time.Minute {
		t.Errorf("took %v", took)
	}
	if requests > 1000 {
		t.Errorf("%d requests", requests)
	}
}

// The integer division by zero of an object of no bytes and some parts.
func TestEmptyObjectWithPartsInItsETag(t *testing.T) {
	for _, etag := range []string{`"d41d8cd98f00b204e9800998ecf8427e-2"`, `"x-10000"`, `"x-1"`} {
		cfg := server(func(*http.Request) *http.Response { return answer(200, "", "Content-Length: 0", "ETag: "+etag) }).config()
		r := newReader(t, cfg, "pics")
		if info, err := r.Download(t.Context(), "k", &memory{}); err != nil || info.Size != 0 {
			t.Errorf("%s: Download: got %+v, %v", etag, info, err)
		}
		if _, err := r.DownloadFile(t.Context(), "k", t.TempDir()+"/k"); err != nil {
			t.Errorf("%s: DownloadFile: %v", etag, err)
		}
		if got, err := r.Get(t.Context(), "k"); err != nil || len(got) != 0 {
			t.Errorf("%s: Get: got %q, %v", etag, got, err)
		}
	}
}

// A length that no object has is an error that names the limit.
func TestLengthsBeyondBelief(t *testing.T) {
	for _, length := range []string{"1125899906842625", "9223372036854775807"} {
		requests := 0
		cfg := hostileServer(&requests, "Content-Length: "+length).config()
		r := newReader(t, cfg, "pics")
		errs := map[string]error{}
		_, errs["stat"] = r.Stat(t.Context(), "k")
		_, errs["get"] = r.Get(t.Context(), "k")
		_, errs["open"] = r.Open(t.Context(), "k")
		_, errs["download"] = r.Download(t.Context(), "k", &memory{})
		_, errs["file"] = r.DownloadFile(t.Context(), "k", t.TempDir()+"/k")
		listing := answer(200, `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>`+length+`</Size></Contents></ListBucketResult>`)
		for _, err := range newReader(t, server(func(*http.Request) *http.Response { return listing }).config(), "pics").List(t.Context(), "") {
			errs["list"] = err
		}
		for op, err := range errs {
			if !errors.Is(err, s3reader.Truncated) || !strings.Contains(err.Error(), "1125899906842624") {
				t.Errorf("%s of %s bytes: got %v", op, length, err)
			}
		}
		if len(errs) != 6 || requests != 5 {
			t.Errorf("%d errors, %d requests", len(errs), requests)
		}
	}
}

// The shares of an object are made as they are fetched: a claim costs nothing.
func TestClaimedSizeCostsNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithCancel(t.Context())
	cfg := server(func(r *http.Request) *http.Response {
		if r.Header.Get("Range") != "" {
			cancel()
			return answer(403, "")
		}
		return answer(200, "0123", `ETag: "e"`, "Content-Length: 1125899906842624")
	}).config()
	_, err := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.PartSize = 1 << 10 }).Download(ctx, "k", &memory{})
	runtime.ReadMemStats(&after)
	if err == nil || errors.Is(err, s3reader.Panicked) {
		t.Errorf("got %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("allocated %d MiB", grown>>20)
	}
}

// endless is a body of n bytes that are made as they are read.
type endless struct {
	start string
	n     *int64 // read so far
	most  int64
}

func (e endless) Read(p []byte) (int, error) {
	if *e.n >= e.most {
		return 0, io.EOF
	}
	if rest := len(e.start) - int(min(*e.n, int64(len(e.start)))); rest > 0 {
		n := copy(p, e.start[len(e.start)-rest:])
		*e.n += int64(n)
		return n, nil
	}
	for i := range p {
		p[i] = 'x'
	}
	*e.n += int64(len(p))
	return len(p), nil
}

func (endless) Close() error { return nil }

// Of an error document 1 MiB is read at most, and of a page of a listing what S3's
// longest takes, however much there is.
func TestDocumentsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		start  string
		kind   s3reader.Kind
		most   int64 // read in each request
	}{
		{"error", 403, `<Error><Code>AccessDenied</Code><Message>`, s3reader.AccessDenied, 2 << 20},
		{"error with a tail", 403, `<Error><Code>AccessDenied</Code><Message>No.</Message></Error>`, s3reader.AccessDenied, 2 << 20},
		{"missing key", 404, `<Error><Code>NoSuchKey</Code><Message>No.</Message></Error>`, s3reader.NotFound, 2 << 20},
		{"no XML", 400, ``, "", 2 << 20},
		{"listing", 200, `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>`, s3reader.Truncated, 20 << 20},
		{"listing with a tail", 200, `<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`, "", 20 << 20},
	} {
		var read []*int64
		cfg := server(func(r *http.Request) *http.Response {
			resp := answer(c.status, "")
			n := new(int64)
			read = append(read, n)
			resp.Body = endless{c.start, n, 1 << 40}
			return resp
		}).config()
		r := newReader(t, cfg, "pics")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		errs := map[string]error{"list": nil}
		for _, err := range r.List(t.Context(), "") {
			errs["list"] = err
		}
		if c.status != 200 {
			_, errs["get"] = r.Get(t.Context(), "k")
			_, errs["stat"] = r.Stat(t.Context(), "k")
		}
		runtime.ReadMemStats(&after)
		for op, err := range errs {
			if want := c.name == "listing with a tail"; (err == nil) != want {
				t.Errorf("%s, %s: got %v", c.name, op, err)
			}
			if c.kind != "" && !errors.Is(err, c.kind) {
				t.Errorf("%s, %s: got %v, want %s", c.name, op, err, c.kind)
			}
		}
		for _, n := range read {
			if *n > c.most {
				t.Errorf("%s: %d bytes were read of a body", c.name, *n)
			}
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 200<<20 {
			t.Errorf("%s: allocated %d MiB", c.name, grown>>20)
		}
	}
}

// A page of many empty elements costs more than its bytes.
func TestPageOfEmptyKeys(t *testing.T) {
	page := `<ListBucketResult><IsTruncated>false</IsTruncated>` + strings.Repeat("<Contents/>", 500_000) + `</ListBucketResult>`
	cfg := server(func(*http.Request) *http.Response { return answer(200, page) }).config()
	for _, err := range newReader(t, cfg, "pics").List(t.Context(), "") {
		if !errors.Is(err, s3reader.Truncated) || !strings.Contains(err.Error(), "XML tags") {
			t.Errorf("got %v", err)
		}
	}
}

// A header that the SDK cannot read ends the request; its body is not read to the
// end for that.
func TestBodyOfAnUnreadableResponse(t *testing.T) {
	var read int64
	cfg := server(func(*http.Request) *http.Response {
		resp := answer(200, "", "Last-Modified: never", "Content-Length: 1099511627776", `ETag: "e"`)
		resp.Body = endless{"", &read, 1 << 40}
		return resp
	}).config()
	if _, err := newReader(t, cfg, "pics").Open(t.Context(), "k"); err == nil || read > 1<<20 {
		t.Errorf("got %v after %d bytes", err, read)
	}
}
