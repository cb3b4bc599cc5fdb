package s3reader

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// Progress: how Options.Progress is called while a download runs.

const (
	// progressEvery leaves room in a second's ten calls for the last one, which
	// waits for nothing, and for one that a slow call has delayed.
	progressEvery = 125 * time.Millisecond

	// progressPatience is how long the end of a download waits for a call of
	// Options.Progress to return.
	progressPatience = time.Second
)

// reporter counts the bytes that have arrived and reports them to Options.Progress.
// A goroutine of its own makes the calls, one after the other, so that nothing else
// waits for them.
type reporter struct {
	key          string
	call         func(Progress) // nil: nothing is reported
	bytes, total atomic.Int64
	stop         chan bool // sent once: whether all is well
	stopped      chan struct{}
	failed       error // why report has ended early; read after stopped
}

// during reports while f is running. A panic in Options.Progress ends the context
// of f, and is the error.
func (m *reporter) during(ctx context.Context, f func(context.Context) error) (err error) {
	if m.call == nil {
		return f(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.begin(cancel)
	err = errGoexit
	defer func() {
		if failed := m.end(err == nil); failed != nil {
			err = failed
		}
	}()
	return safely(func() error { return f(ctx) })
}

// begin starts to report, and calls cancel if that panics.
func (m *reporter) begin(cancel func()) {
	m.stop, m.stopped = make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(m.stopped)
		m.failed = errGoexit
		defer func() {
			if m.failed != nil {
				cancel()
			}
		}()
		m.failed = safely(func() error { m.report(); return nil })
	}()
}

func (m *reporter) report() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var reported Progress
	for {
		select {
		case well := <-m.stop:
			if well {
				m.call(m.now())
			}
			return
		case <-tick.C:
			if now := m.now(); now != reported {
				m.call(now)
				reported = now
			}
		}
	}
}

func (m *reporter) now() Progress {
	// Total first: bytes never run ahead of it then.
	total := m.total.Load()
	return Progress{Key: m.key, Bytes: min(m.bytes.Load(), total), Total: total}
}

// end stops reporting, after a last call if all is well. It waits for that, up to
// progressPatience, and returns why reporting has failed.
func (m *reporter) end(well bool) error {
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

// counter counts the bytes of one download, for a reporter.
type counter struct {
	reporter *reporter
	sized    bool // the reporter's total includes the object already
	n        atomic.Int64
}

func (t *counter) expect(size int64) {
	if !t.sized {
		t.reporter.expect(size)
		t.sized = true
	}
}

// expect adds to the total, which stays within an int64 whatever a listing claims.
func (m *reporter) expect(size int64) {
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

func (t *counter) add(n int64) {
	t.n.Add(n)
	t.reporter.bytes.Add(n)
}

// undo takes back what was added.
func (t *counter) undo() { t.reporter.bytes.Add(-t.n.Swap(0)) }
