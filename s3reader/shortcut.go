package s3reader

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// shortcut asks for many whole objects: the first through the SDK, the others by
// its pattern, where that is possible. It is safe for concurrent use.
type shortcut struct {
	r        *Reader
	gate     *gate
	learning sync.Mutex
	none     atomic.Bool // there is no pattern, or it is of no use
	pattern  atomic.Pointer[pattern]
	refused  atomic.Int32 // answers in a row that were not good
}

// maxRefused is how many refusals in a row show that it is the pattern that is
// refused.
const maxRefused = 3

// whole asks for a whole object, as Reader.whole does.
func (s *shortcut) whole(ctx context.Context, in *s3.GetObjectInput, mw []func(*middleware.Stack) error) (*s3.GetObjectOutput, *Info, *body, error) {
	client := s.r.Client()
	switch p := s.pattern.Load(); {
	case s.none.Load():
	case p != nil && p.client == client:
		out, info, body, err := p.get(ctx, s.r.opts.StallTimeout, *in.Key, aws.ToString(in.IfMatch))
		if err == nil {
			s.refused.Store(0)
			return out, info, body, nil
		}
		s.note(err)
	case s.learning.TryLock():
		defer s.learning.Unlock()
		return s.learn(ctx, client, in, mw)
	}
	return s.r.whole(ctx, in, mw...)
}

// learn makes a request through the SDK and takes its pattern.
func (s *shortcut) learn(ctx context.Context, client *s3.Client, in *s3.GetObjectInput, mw []func(*middleware.Stack) error) (*s3.GetObjectOutput, *Info, *body, error) {
	var l lesson
	out, info, body, err := s.r.whole(ctx, in, append([]func(*middleware.Stack) error{l.look}, mw...)...)
	if err == nil {
		p := l.pattern(client, *in.Key)
		s.pattern.Store(p)
		s.none.Store(p == nil)
	}
	return out, info, body, err
}

// note takes account of an answer that was not good.
func (s *shortcut) note(err error) {
	if throttled(err) {
		s.gate.slower()
		return
	}
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return
	}
	switch resp.HTTPStatusCode() {
	case http.StatusNotFound, http.StatusPreconditionFailed: // of the object
	default:
		if s.refused.Add(1) >= maxRefused {
			s.none.Store(true)
		}
	}
}
