package s3reader_test

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// line is an HTTP client over a line as S3's is: some time to the first byte,
// and a limit to each connection. It is for bubbles of synctest, where waiting
// costs nothing.
type line struct {
	aws.HTTPClient
	firstByte time.Duration
	rate      float64 // bytes a second, of one connection; 0: no limit
	whole     float64 // bytes a second, of all of them; 0: no limit

	requests, bytes atomic.Int64

	mu   sync.Mutex
	free time.Time // when the whole line is
}

func (l *line) Do(r *http.Request) (*http.Response, error) {
	l.requests.Add(1)
	time.Sleep(l.firstByte) // in synctest's time
	resp, err := l.HTTPClient.Do(r)
	if err == nil {
		resp.Body = &slowBody{resp.Body, l}
	}
	return resp, err
}

type slowBody struct {
	io.ReadCloser
	l *line
}

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 64<<10)])
	b.l.bytes.Add(int64(n))
	if b.l.rate > 0 {
		time.Sleep(time.Duration(float64(n) / b.l.rate * float64(time.Second))) // in synctest's time
	}
	if b.l.whole > 0 {
		time.Sleep(b.l.turn(n)) // in synctest's time
	}
	return n, err
}

// turn is how long n bytes wait for their end on a line that all share.
func (l *line) turn(n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.whole * float64(time.Second)))
	return l.free.Sub(now)
}
