package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/crc64nvme"
)

// s3Command is the argument with which the program starts itself as an S3 server.
const s3Command = "run-as-s3"

// s3Addresses is what the server reports to its parent process: three endpoints for the
// same objects, and the certificate of the second.
type s3Addresses struct{ Plain, TLS, Capped, Certificate string }

const (
	smallSize   = 8 << 10
	smallPrefix = "small/"
	manyPrefix  = "many/"
	pageSize    = 1000

	cappedRate  = 90e6 // bytes a second, of one connection
	cappedFirst = 30 * time.Millisecond
	cappedSlack = 20 * time.Millisecond
)

// s3Main serves objects whose names determine their content: "bytes/N" has N bytes,
// "small/K" has 8 KiB, and a listing of "small/N/" or "many/N/" has N keys. It
// serves until its standard input ends.
func s3Main() int {
	var m meter
	plain := httptest.NewServer(s3Handler(0, &m))
	secure := httptest.NewUnstartedServer(s3Handler(0, &m))
	secure.StartTLS() // HTTP/1.1, like S3
	capped := httptest.NewUnstartedServer(s3Handler(cappedFirst, &m))
	capped.Listener = cappedListener{capped.Listener}
	capped.Start()
	err := json.NewEncoder(os.Stdout).Encode(s3Addresses{
		plain.URL, secure.URL, capped.URL, base64.StdEncoding.EncodeToString(secure.Certificate().Raw),
	})
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// pattern is repeated as the content of every object.
var pattern = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
})

// sums are the checksums of objects by their size.
var sums sync.Map

func sumOf(size int64) string {
	if s, ok := sums.Load(size); ok {
		return s.(string)
	}
	h := crc64nvme.New()
	for left := size; left > 0; {
		n := min(left, int64(len(pattern())))
		h.Write(pattern()[:n])
		left -= n
	}
	s := base64.StdEncoding.EncodeToString(h.Sum(nil))
	sums.Store(size, s)
	return s
}

// s3Handler serves path-style requests. It does not check signatures.
// Responses begin after firstByte.
func s3Handler(firstByte time.Duration, m *meter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == trafficPath {
			m.ServeHTTP(w, r)
			return
		}
		defer m.begin()()
		time.Sleep(firstByte)
		key, ok := strings.CutPrefix(r.URL.Path, "/"+bucketName+"/")
		switch {
		case r.URL.Query().Get("list-type") == "2":
			s3List(w, r.URL.Query())
		case ok && key != "":
			s3Get(w, r, key, m)
		default:
			w.WriteHeader(http.StatusOK) // of the bucket, including its region
		}
	})
}

func s3Get(w http.ResponseWriter, r *http.Request, key string, m *meter) {
	size := int64(smallSize)
	if n, ok := strings.CutPrefix(key, "bytes/"); ok {
		var err error
		if size, err = strconv.ParseInt(n, 10, 64); err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
	}
	h := w.Header()
	h.Set("ETag", `"`+strconv.FormatInt(size, 10)+`"`)
	h.Set("Last-Modified", "Mon, 02 Nov 2026 15:04:05 GMT")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Accept-Ranges", "bytes")
	if match := r.Header.Get("If-Match"); match != "" && match != h.Get("ETag") {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	status, from, until := http.StatusOK, int64(0), size
	if asked, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		if _, err := fmt.Sscanf(asked, "%d-%d", &from, &until); err != nil || from >= size {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		until = min(until+1, size)
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, until-1, size))
		status = http.StatusPartialContent
	} else if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		h.Set("X-Amz-Checksum-Crc64nvme", sumOf(size))
		h.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
	h.Set("Content-Length", strconv.FormatInt(until-from, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	p := pattern()
	for from < until {
		at := from % int64(len(p))
		n, err := w.Write(p[at:min(int64(len(p)), at+until-from)])
		m.bytes.Add(int64(n))
		if err != nil {
			return // the client has disconnected
		}
		from += int64(n)
	}
}

// s3List lists the keys PREFIX000000 and so on, N of them for the prefix
// "many/N/".
func s3List(w http.ResponseWriter, q url.Values) {
	prefix := q.Get("prefix")
	parts := strings.Split(prefix, "/")
	total := 0
	if len(parts) > 1 {
		total, _ = strconv.Atoi(parts[1]) // 0 if it is not a number
	}
	from, _ := strconv.Atoi(q.Get("continuation-token")) // the first page has none
	until := min(from+pageSize, total)
	w.Header().Set("Content-Type", "application/xml")
	b := make([]byte, 0, 300*(until-from)+1000)
	b = fmt.Appendf(b, `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount><MaxKeys>%d</MaxKeys>`, bucketName, prefix, until-from, pageSize)
	if q.Get("encoding-type") == "url" {
		b = append(b, "<EncodingType>url</EncodingType>"...)
	}
	b = fmt.Appendf(b, "<IsTruncated>%t</IsTruncated>", until < total)
	if until < total {
		b = fmt.Appendf(b, "<NextContinuationToken>%d</NextContinuationToken>", until)
	}
	for i := from; i < until; i++ {
		b = fmt.Appendf(b, `<Contents><Key>%s%06d</Key><LastModified>2026-11-02T15:04:05.000Z</LastModified><ETag>&quot;%d&quot;</ETag><Size>%[3]d</Size><StorageClass>STANDARD</StorageClass></Contents>`, prefix, i, smallSize)
	}
	_, _ = w.Write(append(b, "</ListBucketResult>"...)) // it does not matter if the client has disconnected
}

// The connections of a cappedListener deliver at most cappedRate.
type cappedListener struct{ net.Listener }

func (l cappedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &cappedConn{Conn: c}, err
}

type cappedConn struct {
	net.Conn
	free time.Time // when the next byte may be sent
}

func (c *cappedConn) Write(p []byte) (int, error) {
	const step = 128 << 10
	written := 0
	for len(p) > 0 {
		// Make up for a sleep that was too long, but not for a pause.
		if now := time.Now(); c.free.Before(now.Add(-cappedSlack)) {
			c.free = now
		}
		n, err := c.Conn.Write(p[:min(len(p), step)])
		written += n
		if err != nil {
			return written, err
		}
		c.free = c.free.Add(time.Duration(float64(n) / cappedRate * float64(time.Second)))
		time.Sleep(time.Until(c.free))
		p = p[n:]
	}
	return written, nil
}
