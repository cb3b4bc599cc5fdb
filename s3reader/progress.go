package s3reader

import (
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
	tell         func(Progress) // nil: nobody is told
	bytes, total atomic.Int64
	stop         chan bool // sent once: whether all is well
	stopped      chan struct{}
}

// begin starts to report.
func (m *meter) begin() {
	if m.tell == nil {
		return
	}
	m.stop, m.stopped = make(chan bool, 1), make(chan struct{})
	go m.report()
}

func (m *meter) report() {
	defer close(m.stopped)
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

// end has the last call made, if all is well. It waits for it, but not for ever.
func (m *meter) end(well bool) {
	if m.stop == nil {
		return
	}
	m.stop <- well
	patience := time.NewTimer(progressPatience)
	defer patience.Stop()
	select {
	case <-m.stopped:
	case <-patience.C:
	}
}

// tally is what one download has told a meter.
type tally struct {
	meter *meter
	sized bool // the meter's total has the object already
	n     atomic.Int64
}

func (t *tally) expect(size int64) {
	if !t.sized {
		t.meter.total.Add(size)
		t.sized = true
	}
}

func (t *tally) add(n int64) {
	t.n.Add(n)
	t.meter.bytes.Add(n)
}

// undo takes back what was added.
func (t *tally) undo() { t.meter.bytes.Add(-t.n.Swap(0)) }
