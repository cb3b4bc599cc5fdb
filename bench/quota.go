package main

import (
	"sync"
	"time"
)

// quota is a token bucket like those that throttle AWS requests: it has a rate per second
// and allows a burst of the same size after an idle second.
type quota struct {
	mu     sync.Mutex
	rate   float64
	tokens float64
	at     time.Time
	no     int64
}

func newQuota(rate float64) *quota { return &quota{rate: rate, tokens: rate, at: time.Now()} }

// take reports whether a request may pass.
func (q *quota) take() bool {
	if q == nil {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.tokens = min(q.rate, q.tokens+now.Sub(q.at).Seconds()*q.rate)
	q.at = now
	if q.tokens < 1 {
		q.no++
		return false
	}
	q.tokens--
	return true
}

func (q *quota) refused() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.no
}

// timeline counts requests by their time of arrival.
type timeline struct {
	mu    sync.Mutex
	begun time.Time
	bin   time.Duration
	bins  []float64
}

func newTimeline(bin time.Duration) *timeline { return &timeline{begun: time.Now(), bin: bin} }

func (t *timeline) note() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := int(time.Since(t.begun) / t.bin)
	for len(t.bins) <= i {
		t.bins = append(t.bins, 0)
	}
	t.bins[i]++
}

// counts returns the bins that are over.
func (t *timeline) counts() []float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := make([]float64, int(time.Since(t.begun)/t.bin))
	copy(counts, t.bins)
	return counts
}
