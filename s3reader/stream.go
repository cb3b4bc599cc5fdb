package s3reader

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"
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
	o         *Object
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
		body, err := s.o.getRange(s.pos, s.end)
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
// there have been enough without a byte, or when the handle ends.
func (s *stream) pause(err error) error {
	if ended := s.o.ended(); ended != nil {
		return ended
	}
	s.fruitless++
	if s.fruitless > resumeLimit {
		gave := &Error{Kind: kindOf(err), Err: err, note: fmt.Sprintf("gave up at byte %d of %d after %d attempts", s.pos, s.o.info.Size, s.fruitless)}
		if !answered(err) {
			gave.Kind = Truncated
		}
		return gave
	}
	s.o.r.opts.Logger.Debug("s3reader: the body broke off, resuming", "bucket", s.o.r.bucket.name, "key", s.o.info.Key, "offset", s.pos, "attempt", s.fruitless, "cause", causeText(err))
	longest := min(resumePause<<(s.fruitless-1), maxResumePause)
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.o.ctx.Done():
		return s.o.ended()
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

// getRange asks for the bytes [start, end) of the version that is open.
//
// If-Match alone tells the versions apart. The version id is sent only once the
// object has been overwritten or deleted, for it takes s3:GetObjectVersion, which
// a role that may read need not have.
func (o *Object) getRange(start, end int64) (*body, error) {
	if o.info.ETag == "" {
		return nil, &Error{Kind: RangeMismatch, Err: errors.New("the object has no ETag, so that a second request cannot be tied to the same version")}
	}
	in := o.r.getInput(o.info.Key)
	in.Range, in.IfMatch = rangeHeader(start, end), &o.info.ETag
	pinned := o.byVersion.Load()
	if pinned {
		in.VersionId = &o.info.VersionID
	}
	out, body, err := o.r.get(o.ctx, in)
	if err != nil && !pinned && o.info.VersionID != "" && mayBeGone(err) {
		in.VersionId = &o.info.VersionID
		var again error
		if out, body, again = o.r.get(o.ctx, in); again == nil {
			o.byVersion.Store(true)
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := checkRange(out, &o.info, start, end); err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

// mayBeGone reports whether the object's current version is perhaps no longer
// the one asked for. A deleted object looks forbidden without s3:ListBucket.
func mayBeGone(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return false
	}
	switch resp.HTTPStatusCode() {
	case http.StatusPreconditionFailed, http.StatusNotFound, http.StatusForbidden:
		return true
	}
	return false
}
