package s3reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
)

// body is the body of one response, discarded when it delivers nothing for too
// long.
type body struct {
	content  io.ReadCloser
	endpoint string // where it comes from
	end      int64  // position in the object up to which it delivers

	// exact is a body of which the response does not say how long it is, and which
	// has to end exactly at end: the end of a body in chunks, or of its connection,
	// proves nothing. encoded is one with a Content-Encoding, which may be the work
	// of a proxy.
	exact, encoded bool

	ctx    context.Context // the request's, which the transport obeys while the body is read
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
}

// get sends one GET. The body lives until it is closed or ctx ends.
func (r *Reader) get(ctx context.Context, in *s3.GetObjectInput, mw ...func(*middleware.Stack) error) (*s3.GetObjectOutput, *body, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	out, err := call(ctx, r, (*s3.Client).GetObject, in, mw...)
	if err != nil {
		cancel(err)
		return nil, nil, err
	}
	b := &body{
		content: out.Body, ctx: ctx, cancel: cancel, stall: r.opts.StallTimeout,
	}
	if out.ContentLength == nil {
		b.encoded = aws.ToString(out.ContentEncoding) != ""
		b.exact = b.encoded || out.ContentRange == nil
	}
	if from, ok := out.Body.(*drained); ok {
		b.endpoint = from.endpoint
	}
	return out, b, nil
}

func (b *body) Read(p []byte) (n int, err error) {
	defer recovered(&err)
	if b.timer == nil {
		b.timer = time.AfterFunc(b.stall, func() { b.cancel(&stallError{b.stall}) })
	} else {
		b.timer.Reset(b.stall)
	}
	defer b.timer.Stop()
	n, err = b.content.Read(p)
	if n < 0 || n > len(p) {
		return 0, errBadRead
	}
	if err != nil && err != io.EOF {
		if stall, ok := stalled(b.ctx); ok {
			err = stall
		}
	}
	return n, err
}

// named adds where the body comes from to what is wrong with the response.
func (b *body) named(err error) error {
	if known, ok := errors.AsType[*Error](err); ok && known.Op == "" && known.Endpoint == "" {
		known.Endpoint = b.endpoint
	}
	return err
}

// ended reports an error unless the body ends at its position.
func (b *body) ended() error {
	var more [1]byte
	for range maxIdleReads {
		n, err := b.Read(more[:])
		switch {
		case n > 0:
			return &Error{Kind: RangeMismatch, Endpoint: b.endpoint, Err: fmt.Errorf("the body goes on beyond byte %d, where it should end", b.end)}
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// maxIdleReads is how often in a row a body may deliver nothing, which is legal
// for an io.Reader.
const maxIdleReads = 100

// Close frees the connection. What closing an abandoned body reports does not
// matter: every byte that counts has been checked by then.
func (b *body) Close() {
	b.cancel(errBodyDone)
	_ = safely(b.content.Close)
}

var errBodyDone = errors.New("s3reader: body done")
