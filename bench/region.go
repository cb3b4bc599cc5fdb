package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The region rows: STS of the pods' own region is away for longer than a session lasts,
// while another region works.

const (
	regionFailedRow = "region/failed-calls"
	switchRow       = "region/switch-ms"
	homeAgainRow    = "region/home-again"

	firstRefusedRow = "region/first-s-refused"
	firstHangsRow   = "region/first-s-hangs"
)

var (
	regionAway = group{
		rows:    []Row{lower(regionFailedRow, "calls"), lower(switchRow, "ms"), higher(homeAgainRow, "share")},
		measure: inVirtualTime(regionFailedRow, 3),
	}
	regionFirst = group{
		rows:    []Row{lower(firstRefusedRow, "s"), lower(firstHangsRow, "s")},
		measure: inVirtualTime(firstRefusedRow, 5),
	}
)

const (
	regionAwayFor = 3 * time.Hour
	regionCalls   = 30 * time.Second // between two calls of a caller
	beforeAway    = 10 * time.Minute
)

// playRegionAway makes STS of the own region fail for three hours, in each of three ways.
func playRegionAway(ctx context.Context, _ settings, c contender, dir string, add func(string, float64)) error {
	if c.name == minioGo { // in virtual time its calls have no deadline: it would hang
		return nil
	}
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	var total regionCallers
	var home, all int64
	for _, trouble := range []condition{unavailable, refusing, silent} {
		server := newSTS(hopDelay, hourLife)
		server.away = homeHost
		retrieve, err := c.make(pod{client: server.client(), tokenFile: tokenFile, window: sdkEarly, fallback: []string{nearby}})
		if err != nil {
			return err
		}
		if err := retrieve(ctx); err != nil {
			return err
		}
		calls := regionCallers{server: server, retrieve: retrieve}
		calls.callFor(ctx, beforeAway)
		server.set(trouble)
		calls.callFor(ctx, regionAwayFor)
		total.failed += calls.failed
		total.longest = max(total.longest, calls.longest)

		// STS is back: one session's life later, all requests should go there again.
		server.set(working)
		calls.callFor(ctx, hourLife)
		home, all = home-server.atHome.Load(), all-server.requests.Load()
		calls.callFor(ctx, 2*hourLife)
		home, all = home+server.atHome.Load(), all+server.requests.Load()
		server.close()
	}
	if all == 0 {
		return errors.New("no request in two hours after the outage")
	}
	add(regionFailedRow, float64(total.failed))
	add(switchRow, milliseconds(total.longest))
	add(homeAgainRow, float64(home)/float64(all))
	return nil
}

// regionCallers are the callers of one provider.
type regionCallers struct {
	server   *stsServer
	retrieve retriever

	mu      sync.Mutex
	failed  int64
	longest time.Duration // of the calls that began while a session was valid
}

// callFor makes the callers call regularly for that long. Each call has a deadline.
func (r *regionCallers) callFor(ctx context.Context, d time.Duration) {
	end := time.Now().Add(d)
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			time.Sleep(time.Duration(caller) * regionCalls / callers)
			for time.Now().Before(end) {
				r.call(ctx)
				time.Sleep(regionCalls)
			}
		})
	}
	running.Wait()
}

func (r *regionCallers) call(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Now()
	valid := begun.Before(time.Unix(0, r.server.grantedAt.Load()).Add(hourLife - clockSlop))
	err := r.retrieve(ctx)
	took := time.Since(begun)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed++
	}
	if valid {
		r.longest = max(r.longest, took)
	}
}

// playFirstInRegion starts a pod while STS of the own region is away.
func playFirstInRegion(ctx context.Context, _ settings, c contender, dir string, add func(string, float64)) error {
	if c.name == minioGo {
		return nil
	}
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	for row, trouble := range map[string]condition{firstRefusedRow: refusing, firstHangsRow: silent} {
		server := newSTS(hopDelay, hourLife)
		server.away = homeHost
		server.set(trouble)
		retrieve, err := c.make(pod{client: server.client(), tokenFile: tokenFile, window: sdkEarly, fallback: []string{nearby}})
		if err != nil {
			return err
		}
		add(row, within(forever, func() bool { return retrieve(ctx) == nil }).Seconds())
		server.close()
		time.Sleep(time.Second) // lets the last call return
	}
	return nil
}
