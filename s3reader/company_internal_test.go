package s3reader

import (
	"testing"
	"testing/synctest"
	"time"
)

// line delivers to a download, in synctest's time: rate(n) is what n connections
// bring together.
type line struct {
	connections int
	rate        func(n int) float64
}

func (l *line) deliver(t *tally, stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.n.Add(int64(l.rate(l.connections) / 1000))
		case <-stop:
			return
		}
	}
}

// opened is how many connections a download comes to use over a line, and how
// long it takes to find out.
func opened(t *testing.T, c company, rate func(n int) float64) (n int, took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		var got tally
		l := &line{rate: rate}
		stop := make(chan struct{})
		defer close(stop)
		start := time.Now()
		for n = range maxConnections {
			l.connections = n
			if n == c.handful || n == 2*c.handful {
				go l.deliver(&got, stop)
			}
			if c.enough(t.Context(), n, &got) {
				took = time.Since(start)
				return
			}
			if n == c.handful || n == 2*c.handful {
				stop <- struct{}{}
			}
		}
		n, took = maxConnections, time.Since(start)
	})
	return n, took
}

func TestCompany(t *testing.T) {
	capped := func(n int) float64 { return 90e6 * float64(n) }
	full := func(int) float64 { return 1.5e9 }
	both := 2 * companyLooks
	tests := []struct {
		name    string
		handful int
		rate    func(int) float64
		want    int
		took    time.Duration
	}{
		{"far, capped", 0, capped, maxConnections, 0},
		{"near, capped", 4, capped, maxConnections, both},
		{"near, full", 4, full, 8, both},
		{"near, nothing comes", 4, func(int) float64 { return 0 }, maxConnections, both},
	}
	for _, tt := range tests {
		if n, took := opened(t, company{handful: tt.handful}, tt.rate); n != tt.want || took != tt.took {
			t.Errorf("%s: %d connections after %v, want %d after %v", tt.name, n, took, tt.want, tt.took)
		}
	}
}

// Only a store that answers at once is asked.
func TestCompanyOfNearStores(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		asks bool
	}{{time.Millisecond, true}, {nearby, false}, {30 * time.Millisecond, false}} {
		var c company
		if c.ask(tt.took); c.handful > 1 != tt.asks {
			t.Errorf("a first answer after %v: a handful of %d", tt.took, c.handful)
		}
	}
}
