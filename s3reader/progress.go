package s3reader

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

const (
	// progressEvery leaves room in a second's ten calls for the last one, which
	// waits for nothing, and for one that a slow call has delayed.
	progressEvery = 125 * time.Millisecond

	// progressPatience is how long the end of a download waits for a call of
	// Options.Progress to return.
	progressPatience = time.Second
)

// meter counts the bytes that have arrived and tells Options.Progress of them.
// The calls are made one after the other, by a goroutine of its own, so that
// nothing waits for them but that.
type meter struct {
	key          string
	tell         func(Progress) // nil: nothing is reported
	bytes, total atomic.Int64
	stop         chan bool // sent once: whether all is well
	stopped      chan struct{}
	failed       error // why report has ended early; read after stopped
}

// during reports while f is running. A panic in Options.Progress ends the context
// of f, and is the error.
func (m *meter) during(ctx context.Context, f func(context.Context) error) (err error) {
	if m.tell == nil {
		return f(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.begin(cancel)
	err = errExited
	defer func() {
		if failed := m.end(err == nil); failed != nil {
			err = failed
		}
	}()
	return safely(func() error { return f(ctx) })
}

// begin starts to report, and calls cancel if that panics.
func (m *meter) begin(cancel func()) {
	m.stop, m.stopped = make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(m.stopped)
		m.failed = errExited
		defer func() {
			if m.failed != nil {
				cancel()
			}
		}()
		m.failed = safely(func() error { m.report(); return nil })
	}()
}

func (m *meter) report() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var told Progress
	for {
		select {
		case well := <-m.stop:
			if well {
				m.tell(m.now())
			}
			return
		case <-tick.C:
			if now := m.now(); now != told {
				m.tell(now)
				told = now
			}
		}
	}
}

func (m *meter) now() Progress {
	// Total first: bytes never run ahead of it then.
	total := m.total.Load()
	return Progress{Key: m.key, Bytes: min(m.bytes.Load(), total), Total: total}
}

// end has the last call made, if all is well. It waits for it, but not for ever,
// and returns why reporting has failed.
func (m *meter) end(well bool) error {
	m.stop <- well
	patience := time.NewTimer(progressPatience)
	defer patience.Stop()
	select {
	case <-m.stopped:
		return m.failed
	case <-patience.C:
		return nil
	}
}

// tally is what one download has reported to a meter.
type tally struct {
	meter *meter
	sized bool // the meter's total includes the object already
	n     atomic.Int64
}

func (t *tally) expect(size int64) {
	if !t.sized {
		t.meter.expect(size)
		t.sized = true
	}
}

// expect adds to the total, which stays within an int64 whatever a listing claims.
func (m *meter) expect(size int64) {
	for {
		old := m.total.Load()
		sum := old + size
		if size > 0 && sum < old {
			sum = math.MaxInt64
		}
		if m.total.CompareAndSwap(old, max(sum, 0)) {
			return
		}
	}
}

func (t *tally) add(n int64) {
	t.n.Add(n)
	t.meter.bytes.Add(n)
}

// undo takes back what was added.
func (t *tally) undo() { t.meter.bytes.Add(-t.n.Swap(0)) }
