package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// The refresh rows: how many callers a renewal blocks, and for how long.

const (
	waitingRow = "refresh/waiting-callers"
	maxWaitRow = "refresh/max-wait-ms"
	noiseRow   = "refresh/noise-ms"
)

var refresh = group{
	rows:    []Row{lower(waitingRow, "callers"), lower(maxWaitRow, "ms"), lower(noiseRow, "ms")},
	measure: measureRefresh,
}

const (
	callers      = 50
	callEvery    = 20 * time.Millisecond
	hopDelay     = 80 * time.Millisecond
	shortLife    = 6 * time.Second
	shortWindow  = shortLife / 12   // as 5 minutes are of an hour
	refreshRound = 19 * time.Second // three refreshes of a provider without a window
	noticeable   = 10 * time.Millisecond
)

// waits records how long the callers of one provider waited in one round.
type waits struct {
	mu      sync.Mutex
	held    map[int64]map[int]bool // blocked callers, by the number of the session they found
	longest time.Duration
	err     error
}

// note records one call of Retrieve by one caller.
func (w *waits) note(session int64, caller int, took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest = max(w.longest, took)
	if err != nil {
		w.err = err
	}
	if took > noticeable {
		if w.held[session] == nil {
			w.held[session] = map[int]bool{}
		}
		w.held[session][caller] = true
	}
}

func measureRefresh(ctx context.Context, s settings) (got figures, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tokenFile, err := writeToken(dir)
	if err != nil {
		return nil, err
	}
	got = figures{}
	for range s.rounds(1, 3) {
		if err := refreshOnce(ctx, tokenFile, got); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// refreshOnce runs all contenders at the same time, and one that never has
// anything to do.
func refreshOnce(ctx context.Context, tokenFile string, got figures) error {
	ctx, cancel := context.WithTimeout(ctx, refreshRound)
	defer cancel()
	idle := &waits{held: map[int64]map[int]bool{}}
	all := map[string]*waits{}
	servers := map[string]*stsServer{}
	var running sync.WaitGroup
	for _, c := range contenders {
		server := newSTS(hopDelay, shortLife)
		retrieve, err := c.make(pod{client: server.client(), tokenFile: tokenFile, window: shortWindow})
		if err == nil {
			err = retrieve(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		all[c.name], servers[c.name] = &waits{held: map[int64]map[int]bool{}}, server
		ask(ctx, &running, all[c.name], server, retrieve)
	}
	ask(ctx, &running, idle, newSTS(0, 0), func(context.Context) error { return nil })
	running.Wait()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	for name, w := range all {
		if w.err != nil {
			return fmt.Errorf("%s: a Retrieve failed: %w", name, w.err)
		}
		refreshes := servers[name].granted.Load() - 1
		if refreshes < 2 {
			return fmt.Errorf("%s: %d refreshes in %v are too few for a figure", name, refreshes, refreshRound)
		}
		for n := range refreshes {
			got.add(waitingRow, name, float64(len(w.held[n+1])))
		}
		got.add(maxWaitRow, name, milliseconds(w.longest))
	}
	got.add(noiseRow, ours, milliseconds(idle.longest))
	return nil
}

// ask starts the callers of one provider, which call Retrieve repeatedly.
func ask(ctx context.Context, running *sync.WaitGroup, w *waits, server *stsServer, retrieve retriever) {
	for caller := range callers {
		running.Go(func() {
			time.Sleep(rand.N(callEvery)) // so that the callers are not synchronized
			tick := time.NewTicker(callEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				session := server.granted.Load()
				start := time.Now()
				err := retrieve(context.Background())
				w.note(session, caller, time.Since(start), err)
				<-tick.C
			}
		})
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
