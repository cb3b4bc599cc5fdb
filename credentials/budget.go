package credentials

import (
	"context"
	"sync"
	"time"
)

// budget is the context of a flight: it has so much time, which stands still
// while the flight queues at the limiter of a pool.
type budget struct {
	context.Context // done when the time is over
	cancel          context.CancelCauseFunc

	margin time.Duration
	ended  *time.Timer // tells the attempts to end
	late   *time.Timer // abandons them if they don't, a margin later

	mu  sync.Mutex // guards what follows
	end time.Time  // of the attempts
}

// newBudget keeps the values of ctx, and none of its deadlines. The attempts get
// a little less than the whole, so that their own error, which knows more, comes
// before abandon is called.
func newBudget(ctx context.Context, whole time.Duration, abandon func()) *budget {
	b := &budget{margin: whole / 50}
	b.end = time.Now().Add(whole - b.margin)
	b.Context, b.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	b.ended = time.AfterFunc(whole-b.margin, func() { b.cancel(context.DeadlineExceeded) })
	b.late = time.AfterFunc(whole, abandon)
	return b
}

// Deadline moves when the budget stands still.
func (b *budget) Deadline() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end, true
}

// Err is context.DeadlineExceeded when the time is over.
func (b *budget) Err() error {
	if b.Context.Err() == nil {
		return nil
	}
	return context.Cause(b.Context)
}

// pause has the time stand still until the returned function is called.
func (b *budget) pause() (resume func()) {
	left := time.Until(b.end)
	if !b.ended.Stop() || !b.late.Stop() {
		return func() {} // it is over
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.end = time.Now().Add(left)
		b.ended.Reset(left)
		b.late.Reset(left + b.margin)
	}
}

// stop lets go of what the budget holds.
func (b *budget) stop() {
	b.ended.Stop()
	b.late.Stop()
	b.cancel(context.Canceled)
}
