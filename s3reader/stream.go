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
)

const (
	// resumeLimit is how many attempts in a row may deliver nothing. The SDK
	// makes up to three requests in each.
	resumeLimit = 5

	resumePause    = 100 * time.Millisecond // before the first of them, at most; doubling
	maxResumePause = 5 * time.Second
)

// stream delivers the bytes [pos, end) of an object's version, over as many
// answers as it takes.
type stream struct {
	of        *version
	ctx       context.Context // of whoever reads: io.Reader passes none
	pos, end  int64
	body      *body // nil: none
	fruitless int   // attempts since the last byte
}

// Read fills p from the current answer. It returns io.EOF at end and nowhere
// else.
func (s *stream) Read(p []byte) (int, error) {
	if s.pos >= s.end {
		return 0, io.EOF
	}
	for {
		if s.body == nil {
			if err := s.connect(); err != nil {
				return 0, err
			}
		}
		n, err := s.body.Read(p[:min(int64(len(p)), s.end-s.pos)])
		if n > 0 {
			s.fruitless = 0
			s.pos += int64(n)
			if s.pos == s.end {
				s.close()
			}
			return n, nil // an error, if any, comes again with the next byte
		}
		if err == nil {
			// Legal for an io.Reader, but not for ever.
			if s.fruitless++; s.fruitless < 100 {
				continue
			}
			err = io.ErrNoProgress
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		s.close()
		if err := s.pause(err); err != nil {
			return 0, err
		}
	}
}

// connect asks for what is left until there is an answer or no hope of one.
func (s *stream) connect() error {
	for {
		body, err := s.of.getRange(s.ctx, s.pos, s.end)
		if err == nil {
			s.body = body
			return nil
		}
		if retryable.IsErrorRetryable(err) != aws.TrueTernary {
			return err
		}
		if err := s.pause(err); err != nil {
			return err
		}
	}
}

var retryable = retry.IsErrorRetryables(retry.DefaultRetryables)

// pause waits before the next attempt after err. It gives up with an error when
// there have been enough without a byte, or when the reader's context ends.
func (s *stream) pause(err error) error {
	if ended := endOf(s.ctx); ended != nil {
		return ended
	}
	s.fruitless++
	if s.fruitless > resumeLimit {
		gave := &Error{Kind: kindOf(err), Err: err, note: fmt.Sprintf("gave up at byte %d of %d after %d attempts", s.pos, s.of.info.Size, s.fruitless)}
		if !answered(err) {
			gave.Kind = Truncated
		}
		return gave
	}
	s.of.r.opts.Logger.Debug("s3reader: the body broke off, resuming", "bucket", s.of.r.bucket.name, "key", s.of.info.Key, "offset", s.pos, "attempt", s.fruitless, "cause", causeText(err))
	longest := min(resumePause<<(s.fruitless-1), maxResumePause)
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return endOf(s.ctx)
	}
}

func (s *stream) close() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// seek drops the current answer if it is not the one that has pos next.
func (s *stream) seek(pos int64) {
	if s.pos != pos {
		s.close()
		s.pos, s.fruitless = pos, 0
	}
}

// endOf is why ctx has ended, or nil. A handle's context ends with fs.ErrClosed
// when it is closed.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if err != nil && errors.Is(context.Cause(ctx), fs.ErrClosed) {
		return fs.ErrClosed
	}
	return err
}
