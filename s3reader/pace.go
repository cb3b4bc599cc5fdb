package s3reader

import "time"

const (
	// S3 delivers some 90 MB/s over one connection
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html:
	// "one concurrent request for each 85–90 MB/s"). One that delivers much more is not held back by that, and
	// gets no company.
	ampleRate = 250e6 // bytes a second

	waitShare   = 2       // the reader waits for the body if one in so many of the time is waiting
	judgedBytes = 4 << 20 // over so many bytes
	handover    = 4 << 20 // how much of a body is still read while other connections begin
)

// pace tells whether whoever reads a body is held up by its connection.
type pace struct {
	since  time.Time
	waited time.Duration
	bytes  int64
}

// slow notes a read and reports, once enough were read, whether the reader spent
// most of the time waiting for a connection that is not ample.
func (p *pace) slow(began, ended time.Time, n int) bool {
	if p.bytes == 0 {
		p.since = began
	}
	p.waited += ended.Sub(began)
	p.bytes += int64(n)
	if p.bytes < judgedBytes {
		return false
	}
	all := ended.Sub(p.since)
	slow := p.waited > all/waitShare && float64(p.bytes) < ampleRate*all.Seconds()
	*p = pace{}
	return slow
}
