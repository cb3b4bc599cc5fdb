package s3reader

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
)

// body is the body of one answer, given up when it delivers nothing for too
// long.
type body struct {
	content io.ReadCloser
	ctx     context.Context // the request's, which the transport obeys while the body is read
	cancel  context.CancelCauseFunc
	stall   time.Duration
	timer   *time.Timer
}

// get sends one GET. The body lives until it is closed or ctx ends.
func (r *Reader) get(ctx context.Context, in *s3.GetObjectInput, mw ...func(*middleware.Stack) error) (*s3.GetObjectOutput, *body, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	out, err := call(ctx, r, (*s3.Client).GetObject, in, mw...)
	if err != nil {
		cancel(err)
		return nil, nil, err
	}
	return out, &body{content: out.Body, ctx: ctx, cancel: cancel, stall: r.opts.StallTimeout}, nil
}

func (b *body) Read(p []byte) (int, error) {
	if b.timer == nil {
		b.timer = time.AfterFunc(b.stall, func() { b.cancel(&stallError{b.stall}) })
	} else {
		b.timer.Reset(b.stall)
	}
	n, err := b.content.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF {
		if stall, ok := stalled(b.ctx); ok {
			err = stall
		}
	}
	return n, err
}

// Close frees the connection. What closing an abandoned body reports is of no
// use to anybody: every byte that counts has been checked by then.
func (b *body) Close() {
	b.cancel(errBodyDone)
	_ = b.content.Close()
}

var errBodyDone = errors.New("s3reader: body done")
