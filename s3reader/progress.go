package s3reader

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// The calls of Progress during a download.

const (
	// progressEvery leaves room in ten calls per second for the last one, which is made
	// immediately, and for one that a slow call has delayed.
	progressEvery = 125 * time.Millisecond

	// progressPatience is how long the end of a download waits for a call of Progress.
	progressPatience = time.Second
)

// reporter counts the bytes that have arrived and reports them to the caller's Progress.
// A separate goroutine makes the calls, one at a time, so that the download does not wait
// for them.
type reporter struct {
	key          string
	call         func(Progress) // nil: nothing is reported
	bytes, total atomic.Int64
	stop         chan bool // receives once whether the download has succeeded
	stopped      chan struct{}
	failed       error // why report ended early; to be read after stopped
}

// during calls f and reports while it runs. A panic in Progress cancels the context of f
// and becomes the error.
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

// begin starts reporting. It calls cancel if Progress panics.
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
		case success := <-m.stop:
			if success {
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
	// Total first, so that the bytes never exceed it.
	total := m.total.Load()
	return Progress{Key: m.key, Bytes: min(m.bytes.Load(), total), Total: total}
}

// end stops reporting, with a last call if the download has succeeded. It waits up to
// progressPatience for that and returns why reporting failed.
func (m *reporter) end(success bool) error {
	m.stop <- success
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
	sized    bool // the reporter's total already includes the object
	n        atomic.Int64
}

func (t *counter) expect(size int64) {
	if !t.sized {
		t.reporter.expect(size)
		t.sized = true
	}
}

// expect adds to the total, which cannot overflow, whatever sizes a listing has.
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

// undo subtracts what was added.
func (t *counter) undo() { t.reporter.bytes.Add(-t.n.Swap(0)) }
