package s3reader_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// rangeOf is what a request asks for of n bytes; all of them if it names no range.
func rangeOf(r *http.Request, n int) (first, last int, ok bool) {
	if m, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); m == 2 {
		return first, min(last, n-1), true
	}
	return 0, n - 1, false
}

// A range may be shorter than was asked for: the rest is asked for.
func TestShortRanges(t *testing.T) {
	t.Parallel()
	data := noise(5 * partSize)
	for _, most := range []int{1, 700, 64 << 10, partSize - 1} {
		for _, size := range []int{10, 3000, len(data)} {
			if size/most > 5000 {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				requests := 0
				cfg := server(func(r *http.Request) *http.Response {
					mu.Lock()
					requests++
					mu.Unlock()
					first, last, ranged := rangeOf(r, size)
					if !ranged { // breaks off
						return answer(200, string(data[:size/3]), `ETag: "e"`, "Content-Length: "+strconv.Itoa(size))
					}
					last = min(last, first+most-1)
					return answer(206, string(data[first:last+1]), `ETag: "e"`, fmt.Sprintf("Content-Range: bytes %d-%d/%d", first, last, size), "Content-Length: "+strconv.Itoa(last-first+1))
				}).config()
				r := newReader(t, cfg, "pics", parts)
				got, err := r.Get(t.Context(), "k")
				if err != nil {
					t.Fatalf("Get of %d by %d: %v", size, most, err)
				}
				same(t, got, data[:size])
				var w memory
				if _, err := r.Download(t.Context(), "k", &w); err != nil {
					t.Fatalf("Download of %d by %d: %v", size, most, err)
				}
				same(t, w.data, data[:size])
				path := filepath.Join(t.TempDir(), "k")
				if _, err := r.DownloadFile(t.Context(), "k", path); err != nil {
					t.Fatalf("DownloadFile of %d by %d: %v", size, most, err)
				}
				if got, err = os.ReadFile(path); err != nil {
					t.Fatal(err)
				}
				same(t, got, data[:size])
				p := make([]byte, size-2)
				if _, err := open(t, r, "k").ReadAt(p, 1); err != nil {
					t.Fatalf("ReadAt of %d by %d: %v", size, most, err)
				}
				same(t, p, data[1:size-1])
				if limit := 4 * (size/most + 20); requests > limit {
					t.Errorf("%d by %d: %d requests, want at most %d", size, most, requests, limit)
				}
			})
		}
	}
}

// One byte at a time leads nowhere for an object of a length worth mentioning.
func TestShortRangesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		cfg := server(func(r *http.Request) *http.Response {
			requests++
			first, _, ranged := rangeOf(r, math.MaxInt)
			if !ranged {
				return answer(200, "", `ETag: "e"`, "Content-Length: 1099511627776")
			}
			return answer(206, "x", `ETag: "e"`, fmt.Sprintf("Content-Range: bytes %d-%d/1099511627776", first, first), "Content-Length: 1")
		}).config()
		o := open(t, newReader(t, cfg, "pics"), "k")
		_, err := io.Copy(io.Discard, struct{ io.Reader }{o})
		if !errors.Is(err, s3reader.RangeMismatch) || requests > 11_000 {
			t.Errorf("got %v after %d requests", err, requests)
		}
	})
}

// A range that is the whole object may come as a 200, if ETag and length fit.
func TestWholeObjectForARangeOfAll(t *testing.T) {
	for _, c := range []struct {
		name string
		resp func() *http.Response
		kind s3reader.Kind
	}{
		{"fits", func() *http.Response { return answer(200, "0123456789", `ETag: "e"`, "Content-Length: 10") }, ""},
		{"in chunks", func() *http.Response { return answer(200, "0123456789", `ETag: "e"`) }, ""},
		{"in chunks, longer", func() *http.Response { return answer(200, "0123456789+", `ETag: "e"`) }, s3reader.RangeMismatch},
		{"longer", func() *http.Response { return answer(200, "0123456789+", `ETag: "e"`, "Content-Length: 11") }, s3reader.ObjectChanged},
		{"another version", func() *http.Response { return answer(200, "9876543210", `ETag: "f"`, "Content-Length: 10") }, s3reader.ObjectChanged},
		{"no version", func() *http.Response { return answer(200, "9876543210", "Content-Length: 10") }, s3reader.ObjectChanged},
		{"encoded", func() *http.Response {
			return answer(200, "9876543210", `ETag: "e"`, "Content-Length: 10", "Content-Encoding: gzip")
		}, s3reader.RangeMismatch},
	} {
		cfg := forRange(func(string) *http.Response { return c.resp() }).config()
		p := make([]byte, 10)
		n, err := open(t, newReader(t, cfg, "pics"), "k").ReadAt(p, 0)
		if c.kind == "" && (err != nil || string(p) != "0123456789") || c.kind != "" && (n != 0 || !errors.Is(err, c.kind)) {
			t.Errorf("%s: got %q, %v", c.name, p[:n], err)
		}
	}
}

// httpServer answers on a connection, byte for byte, and closes it.
func httpServer(t *testing.T, reply func(*http.Request) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, reply(r))
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// A response that does not say how long it is, on a real connection: in chunks or
// up to the connection's end, whole, short or longer than HEAD says.
func TestResponseWithoutLength(t *testing.T) {
	t.Parallel()
	const content = "0123456789"
	chunked := func(body, end string) string {
		return "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(body), body) + end
	}
	for _, c := range []struct {
		name string
		body string
		head string // header lines of a HEAD, beside the ETag
		ok   bool   // the bytes have to come; else an error
	}{
		{"chunks", chunked(content, "0\r\n\r\n"), "Content-Length: 10\r\n", true},
		{"chunks that end early", chunked(content[:4], "0\r\n\r\n"), "Content-Length: 10\r\n", true},
		{"chunks that break off", chunked(content[:4], ""), "Content-Length: 10\r\n", true},
		{"chunks that break off at the end", chunked(content, ""), "Content-Length: 10\r\n", true},
		{"longer chunks", chunked(content+"+", "0\r\n\r\n"), "Content-Length: 10\r\n", false},
		{"connection", "Connection: close\r\n\r\n" + content, "Content-Length: 10\r\n", true},
		{"connection that ends early", "Connection: close\r\n\r\n" + content[:9], "Content-Length: 10\r\n", true},
		{"longer connection", "Connection: close\r\n\r\n" + content + "+", "Content-Length: 10\r\n", false},
		{"chunks, HEAD without length", chunked(content, "0\r\n\r\n"), "", true},
		{"early chunks, HEAD without length", chunked(content[:1], "0\r\n\r\n"), "", true},
		{"chunks, HEAD of another version", chunked(content, "0\r\n\r\n"), "ETag: \"f\"\r\nContent-Length: 10\r\n", false},
		{"chunks, HEAD without ETag", chunked(content, "0\r\n\r\n"), "ETag: \r\nContent-Length: 10\r\n", false},
	} {
		head := c.head
		if !strings.HasPrefix(head, "ETag") {
			head = "ETag: \"e\"\r\n" + head
		}
		endpoint := httpServer(t, func(r *http.Request) string {
			first, last, ranged := rangeOf(r, len(content))
			switch {
			case r.Method == http.MethodHead:
				return "HTTP/1.1 200 OK\r\n" + head + "Connection: close\r\n\r\n"
			case ranged:
				body := content[first : last+1]
				return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nContent-Range: bytes %d-%d/10\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", first, last, len(body), body)
			}
			return "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n" + c.body
		})
		cfg := server(nil).config()
		cfg.HTTPClient, cfg.BaseEndpoint = nil, &endpoint
		r := newReader(t, cfg, "pics")
		got, err := r.Get(t.Context(), "k")
		var w memory
		_, downloadErr := r.Download(t.Context(), "k", &w)
		path := filepath.Join(t.TempDir(), "k")
		_, fileErr := r.DownloadFile(t.Context(), "k", path)
		if !c.ok {
			if err == nil || downloadErr == nil || fileErr == nil {
				t.Errorf("%s: got %q, %v, %v, %v", c.name, got, err, downloadErr, fileErr)
			}
			continue
		}
		if err != nil || string(got) != content || downloadErr != nil || string(w.data) != content {
			t.Errorf("%s: got %q, %v; Download %q, %v", c.name, got, err, w.data, downloadErr)
		}
		if file, err := os.ReadFile(path); fileErr != nil || err != nil || string(file) != content {
			t.Errorf("%s: DownloadFile %q, %v", c.name, file, fileErr)
		}
		if info, err := r.Stat(t.Context(), "k"); err != nil || info.Size != 10 {
			t.Errorf("%s: Stat: %+v, %v", c.name, info, err)
		}
	}
}

// An empty object in chunks, of which no HEAD knows the length.
func TestEmptyObjectWithoutLength(t *testing.T) {
	for body, ok := range map[string]bool{"": true, "+": false} {
		cfg := server(func(r *http.Request) *http.Response {
			if r.Header.Get("Range") != "" {
				return answer(416, "<Error><Code>InvalidRange</Code></Error>", "Content-Range: bytes */0")
			}
			return answer(200, body, `ETag: "e"`)
		}).config()
		r := newReader(t, cfg, "pics")
		if got, err := r.Get(t.Context(), "k"); (err == nil) != ok || len(got) != 0 {
			t.Errorf("%q: got %q, %v", body, got, err)
		}
		if info, err := r.Stat(t.Context(), "k"); err != nil || info.Size != 0 {
			t.Errorf("%q: Stat: got %+v, %v", body, info, err)
		}
	}
}

// storeWithoutIfMatch holds one object, replaces it after the first request, and
// ignores If-Match.
type storeWithoutIfMatch struct {
	mu       sync.Mutex
	data     []byte
	etag     string
	next     []byte
	nextETag string
	size416  bool // a 416 names the size
}

func (s *storeWithoutIfMatch) do(r *http.Request) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Query().Has("list-type") {
		return answer(200, fmt.Sprintf(`<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>%d</Size><ETag>%s</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>`, len(s.data), s.etag))
	}
	data, etag := s.data, s.etag
	headers := []string{"ETag: " + etag, "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT"}
	if r.Method == http.MethodHead {
		return answer(200, "", append(headers, "Content-Length: "+strconv.Itoa(len(data)))...)
	}
	first, last, ranged := rangeOf(r, len(data))
	switch {
	case !ranged:
		if s.next != nil {
			s.data, s.etag, s.next = s.next, s.nextETag, nil
			return answer(200, string(data[:len(data)/3]), append(headers, "Content-Length: "+strconv.Itoa(len(data)))...)
		}
		return answer(200, string(data), append(headers, "Content-Length: "+strconv.Itoa(len(data)))...)
	case first >= len(data):
		if s.size416 {
			headers = append(headers, fmt.Sprintf("Content-Range: bytes */%d", len(data)))
		}
		return answer(416, "<Error><Code>InvalidRange</Code><Message>No.</Message></Error>", headers...)
	}
	return answer(206, string(data[first:last+1]), append(headers, fmt.Sprintf("Content-Range: bytes %d-%d/%d", first, last, len(data)), "Content-Length: "+strconv.Itoa(last-first+1))...)
}

// An object that shrank, at a store that ignores If-Match: whatever the range
// meets, it has changed; nothing of the old version stays, and DownloadDir brings
// the new one.
func TestObjectShrankAtAStoreWithoutIfMatch(t *testing.T) {
	old := noise(5 * partSize)
	for name, c := range map[string]struct {
		next    []byte
		etag    string
		size416 bool
	}{
		"416":                      {noise(partSize), `"new"`, false},
		"416 with the size":        {noise(partSize), `"new"`, true},
		"416, the same ETag":       {noise(partSize), `"old"`, true},
		"416, HEAD, the same ETag": {noise(partSize), `"old"`, false},
		"a smaller total":          {noise(4 * partSize), `"old"`, false},
		"another ETag":             {noise(5*partSize + 1)[1:], `"new"`, false},
		"empty":                    {[]byte{}, `"new"`, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := func() *storeWithoutIfMatch {
				return &storeWithoutIfMatch{data: old, etag: `"old"`, next: c.next, nextETag: c.etag, size416: c.size416}
			}
			_, err := newReader(t, server(store().do).config(), "pics", parts).Download(t.Context(), "k", &memory{})
			if !errors.Is(err, s3reader.ObjectChanged) {
				t.Errorf("%s: Download: got %v", name, err)
			}
			if !strings.Contains(err.Error(), `https://pics.s3.us-east-1.amazonaws.com`) || c.etag == `"new"` && !strings.Contains(err.Error(), `"old"`) {
				t.Errorf("%s: names neither host nor ETag: %v", name, err)
			}
			dir := t.TempDir()
			_, err = newReader(t, server(store().do).config(), "pics", parts).DownloadFile(t.Context(), "k", filepath.Join(dir, "k"))
			if !errors.Is(err, s3reader.ObjectChanged) {
				t.Errorf("%s: DownloadFile: got %v", name, err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("%s: %v was left", name, left)
			}
			sum, err := newReader(t, server(store().do).config(), "pics", parts).DownloadDir(t.Context(), "", dir)
			if err != nil || sum.Files != 1 {
				t.Fatalf("%s: DownloadDir: %+v, %v", name, sum, err)
			}
			got, err := os.ReadFile(filepath.Join(dir, "k"))
			if err != nil || !bytes.Equal(got, c.next) {
				t.Errorf("%s: DownloadDir: %d bytes, want %d, %v", name, len(got), len(c.next), err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("%s: %v was left", name, left)
			}
		})
	}
}

// A 412 says that the object has changed, from which ETag to which and at which
// host; unless it has not.
func TestTextOfARefusedRange(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(100))
	r := s.reader(t, mayList)
	o := open(t, r, "k")
	was := o.Info().ETag
	s.Put("k", noise(101))
	info, err := r.Stat(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.ReadAt(make([]byte, 10), 20)
	if !errors.Is(err, s3reader.ObjectChanged) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{was, info.ETag, "https://pics.s3.us-east-1.amazonaws.com", "open it again"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Endpoint != "https://pics.s3.us-east-1.amazonaws.com" {
		t.Errorf("got %#v", err)
	}

	for _, status := range []int{412, 416} {
		s := newShelf()
		s.Put("k", noise(100))
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Skip: 1, Status: status, Code: map[int]string{412: "PreconditionFailed", 416: "InvalidRange"}[status]})
		o := open(t, s.reader(t, mayList), "k")
		_, err := o.ReadAt(make([]byte, 10), 20)
		if !errors.Is(err, s3reader.RangeMismatch) || errors.Is(err, s3reader.ObjectChanged) || strings.Contains(err.Error(), "overwritten") || strings.Contains(err.Error(), "open it again") {
			t.Errorf("%d: got %v", status, err)
		}
		for _, want := range []string{"the object has not changed: HEAD still says ETag " + o.Info().ETag, "https://pics.s3.us-east-1.amazonaws.com"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%d: %q is not in %v", status, want, err)
			}
		}
		if got := s.requests(); len(got) != 3 {
			t.Errorf("%d: asked %q", status, got)
		}
	}
}

// Every error of a range says which host it is of.
func TestErrorsOfARangeNameTheHost(t *testing.T) {
	for name, resp := range map[string]func() *http.Response{
		"ETag":     func() *http.Response { return answer(206, "234", `ETag: "f"`, "Content-Range: bytes 2-4/10") },
		"range":    func() *http.Response { return answer(206, "234", `ETag: "e"`, "Content-Range: bytes 3-5/10") },
		"status":   func() *http.Response { return answer(200, "234", `ETag: "e"`) },
		"total":    func() *http.Response { return answer(206, "234", `ETag: "e"`, "Content-Range: bytes 2-4/9") },
		"body":     func() *http.Response { return answer(206, "", `ETag: "e"`, "Content-Range: bytes 2-4/10") },
		"internal": func() *http.Response { return answer(500, "") },
		"denied":   func() *http.Response { return answer(403, "<Error><Code>AccessDenied</Code></Error>") },
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := forRange(func(string) *http.Response { return resp() }).config()
			_, err := open(t, newReader(t, cfg, "pics"), "k").ReadAt(make([]byte, 3), 2)
			if err == nil || !strings.Contains(err.Error(), "https://pics.s3.us-east-1.amazonaws.com") {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}
