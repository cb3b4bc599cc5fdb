package awstest

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// cut says where a fault ends a body.
type cut struct {
	after int64
	stall bool  // say nothing more
	end   error // what a reader gets, if it is not that the connection was reset
}

// cut is where the fault ends the body of the answer; nil: nowhere.
func (f *Fault) cut(req *request) *cut {
	switch {
	case f == nil || f.Status != 0 || req.service != serviceS3:
		return nil
	case f.ResetAfter != nil:
		return &cut{after: *f.ResetAfter}
	case f.StallAfter != nil:
		return &cut{after: *f.StallAfter, stall: true}
	case f.EndAfter != nil && f.NoLength:
		return &cut{after: *f.EndAfter, end: io.EOF}
	case f.EndAfter != nil:
		return &cut{after: *f.EndAfter, end: io.ErrUnexpectedEOF}
	}
	return nil
}

// memoryBody is a response's body. As on a connection, a read ends with the
// request's context, and Close from another goroutine ends a read that waits.
type memoryBody struct {
	ctx  context.Context
	data []byte
	read int64
	cut  *cut

	close  sync.Once
	closed chan struct{}
}

func newMemoryBody(ctx context.Context, data []byte, cut *cut) *memoryBody {
	return &memoryBody{ctx: ctx, data: data, cut: cut, closed: make(chan struct{})}
}

func (b *memoryBody) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, http.ErrBodyReadAfterClose
	default:
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.cut != nil {
		left := b.cut.after - b.read
		if left <= 0 {
			return 0, b.broken()
		}
		p = p[:min(int64(len(p)), left)]
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	b.read += int64(n)
	return n, nil
}

// broken is how a body ends that a fault has cut.
func (b *memoryBody) broken() error {
	switch {
	case b.cut.end != nil:
		return b.cut.end
	case !b.cut.stall:
		return connectionReset()
	}
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-b.closed:
		return http.ErrBodyReadAfterClose
	}
}

func (b *memoryBody) Close() error {
	b.close.Do(func() { close(b.closed) })
	return nil
}
