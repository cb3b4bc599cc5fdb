package s3reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// The body that a caller reads: see "How a body resumes" below. Part files are resumed
// in download.go.

const (
	// resumeLimit is how many attempts in a row may deliver nothing. In each of them,
	// the SDK makes up to three requests.
	resumeLimit = 5

	resumePause    = 100 * time.Millisecond // before the first of them, at most; doubling
	maxResumePause = 5 * time.Second

	// maxShort is how many responses may have less than was requested and less than
	// shortSize bytes.
	maxShort  = 10_000
	shortSize = 64 << 10
)

// # How a body resumes
//
// Read reads from the body of one GET (get.go). When that breaks off or stalls, it
// waits (backoff) and requests the rest, from the next byte on, with another GET that
// is tied to the same version (version.getRange). The pauses double; after
// resumeLimit attempts without a byte the error is returned. An error of this
// package says what is wrong with a response, and is never retried (isFinal).
//
// A resumer has no lock: it belongs to a worker of a download (Reset), to an Object
// (under its mutex) or to the request of one block of a cache.

// resumer delivers the bytes [pos, end) of one version of an object, from as many
// responses as are necessary.
type resumer struct {
	of             *version
	ctx            context.Context // of the requests: io.Reader passes none
	pos, end       int64
	body           *body // nil: none
	failedAttempts int   // attempts since the last byte
	short          int   // short responses, see countShort

	detach func() bool // body, opened under an earlier ctx, no longer ends with ctx; nil: it does not
}

// Reset makes r the range that Read delivers next, with requests under ctx. A
// body that is at r.Start is kept, and ends with ctx too if it was opened under
// another context. See [transfer.Body].
func (s *resumer) Reset(ctx context.Context, r transfer.Range) {
	if s.ctx != ctx {
		s.release()
		s.ctx = ctx
		if first := s.body; first != nil {
			s.detach = context.AfterFunc(ctx, func() { first.cancel(context.Canceled) })
		}
	}
	s.seek(r.Start)
	s.end = r.End
}

// release undoes what Reset has done to a body that was opened under an earlier
// context.
func (s *resumer) release() {
	if s.detach != nil {
		s.detach()
		s.detach = nil
	}
}

// Read reads from the current response. It returns io.EOF at end and only there.
func (s *resumer) Read(p []byte) (int, error) {
	if s.pos >= s.end {
		return 0, io.EOF
	}
	for {
		if s.body == nil {
			if err := s.connect(); err != nil {
				return 0, err
			}
		}
		end := min(s.end, s.body.end)
		n, err := s.body.Read(p[:min(int64(len(p)), end-s.pos)])
		if n > 0 && s.body.exact && s.pos+int64(n) == s.body.end {
			// Before the last byte is delivered.
			if err = s.body.checkEnd(); err != nil {
				n = 0
			}
		}
		if n > 0 {
			s.failedAttempts = 0
			s.pos += int64(n)
			if s.pos == end {
				s.Close() // the rest, if any, takes another request
			}
			return n, nil // an error, if any, occurs again at the next byte
		}
		if err == nil {
			// io.Reader allows that, but not forever.
			if s.failedAttempts++; s.failedAttempts < maxIdleReads {
				continue
			}
			err = io.ErrNoProgress
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
			if s.body.encoded {
				// What arrived may be all of a compressed body.
				err = &Error{Kind: RangeMismatch, Endpoint: s.body.endpoint, Err: fmt.Errorf(
					"the body ended at byte %d and not at %d, with a Content-Encoding and no Content-Length: something between here and S3 compresses it, or it was truncated", s.pos, s.body.end)}
			}
		}
		from := s.body.endpoint
		s.Close()
		if isFinal(err) {
			return 0, err
		}
		if err := s.backoff(&requestError{from, err}); err != nil {
			return 0, err
		}
	}
}

// isFinal reports whether err describes what is wrong with a response, so that a
// retry is of no use.
func isFinal(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return ok
}

// connect requests the rest, until there is a response or the last attempt has failed.
func (s *resumer) connect() error {
	for {
		body, err := s.of.getRange(s.ctx, s.pos, s.end)
		if err == nil {
			s.body = body
			return s.countShort()
		}
		if isFinal(err) || retryable.IsErrorRetryable(err) != aws.TrueTernary {
			return err
		}
		if err := s.backoff(err); err != nil {
			return err
		}
	}
}

// countShort counts responses that are shorter than requested. They are allowed, but
// a server that sends a byte at a time would never get done.
func (s *resumer) countShort() error {
	if s.body.end == s.end || s.body.end-s.pos >= shortSize {
		return nil
	}
	if s.short++; s.short <= maxShort {
		return nil
	}
	err := &Error{Kind: RangeMismatch, Endpoint: s.body.endpoint, Err: fmt.Errorf(
		"%d responses had fewer bytes than requested, and fewer than %d each; requested bytes %d-%d, the last one ends before byte %d", s.short, shortSize, s.pos, s.end-1, s.body.end)}
	s.Close()
	return err
}

var retryable = retry.IsErrorRetryables(retry.DefaultRetryables)

// backoff waits before the next attempt after err. It returns an error after
// resumeLimit attempts without a byte, or when the context ends.
func (s *resumer) backoff(err error) error {
	if ended := ctxErr(s.ctx); ended != nil {
		return ended
	}
	s.failedAttempts++
	if s.failedAttempts > resumeLimit {
		failed := &Error{Kind: kindOf(err), Err: err, hint: fmt.Sprintf("gave up at byte %d of %d after %d attempts", s.pos, s.of.info.Size, s.failedAttempts)}
		if !hasResponse(err) {
			failed.Kind = Truncated
		}
		return failed
	}
	s.of.client.opts.Logger.Debug("s3reader: the body broke off, resuming", "bucket", s.of.client.bucket.name, "key", s.of.info.Key, "offset", s.pos, "attempt", s.failedAttempts, "cause", causeText(err))
	longest := min(resumePause<<(s.failedAttempts-1), maxResumePause)
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return ctxErr(s.ctx)
	}
}

// Close closes the body. The next Read makes another request.
func (s *resumer) Close() {
	s.release()
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// seek closes the current body unless pos is its next byte.
func (s *resumer) seek(pos int64) {
	if s.pos != pos {
		s.Close()
		s.pos, s.failedAttempts = pos, 0
	}
}

// ctxErr returns the error of ctx, or nil; fs.ErrClosed for the context of a handle
// that was closed.
func ctxErr(ctx context.Context) error {
	err := ctx.Err()
	if err != nil && errors.Is(context.Cause(ctx), fs.ErrClosed) {
		return fs.ErrClosed
	}
	return err
}
