package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// The outage rows: STS fails while sessions are valid, and after they have expired.

const (
	failedRow = "outage/failed-calls"
	callsRow  = "outage/sts-calls"
)

var (
	outageFailed = group{rows: []Row{lower(failedRow, "calls")}, measure: inVirtualTime(failedRow, 5)}
	outageCalls  = group{rows: []Row{lower(callsRow, "requests")}, measure: inVirtualTime(callsRow, 5)}
)

const (
	hourLife  = time.Hour
	sdkEarly  = 5 * time.Minute
	lastPart  = 20 * time.Minute // of the sessions' lifetime: longer than the window of any contender
	clockSlop = 2 * time.Second  // Date and Expiration have whole seconds

	outageLasts = 5 * time.Minute
	patience    = 10 * time.Second
)

// playOutageWhileValid makes STS fail in the last part of the sessions' lifetime.
func playOutageWhileValid(ctx context.Context, _ settings, c contender, dir string, add func(string, float64)) error {
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	failed := 0.0
	for _, trouble := range []condition{unavailable, refusing} {
		server := newSTS(hopDelay, hourLife)
		retrieve, err := c.make(pod{client: server.client(), tokenFile: tokenFile, window: sdkEarly})
		if err != nil {
			return err
		}
		// Ours renews the first session at a random time within nearly its
		// whole life, if a caller asks for it; here none does.
		if err := retrieve(ctx); err != nil {
			return err
		}
		end := time.Now().Add(hourLife - clockSlop)
		time.Sleep(hourLife - lastPart)
		server.set(trouble)
		failed += float64(failures(ctx, retrieve, end))
		server.close()
	}
	add(failedRow, failed)
	return nil
}

// failures counts the calls that fail before end.
func failures(ctx context.Context, retrieve retriever, end time.Time) int64 {
	var failed atomic.Int64
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			time.Sleep(time.Duration(caller) * time.Second / callers)
			for time.Now().Before(end) {
				// A call that returns after the session has expired does not count.
				if err := retrieve(ctx); err != nil && time.Now().Before(end) {
					failed.Add(1)
				}
				time.Sleep(time.Second)
			}
		})
	}
	running.Wait()
	return failed.Load()
}

// playOutageAfterEnd makes STS fail after all sessions have expired.
func playOutageAfterEnd(ctx context.Context, _ settings, c contender, dir string, add func(string, float64)) error {
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	server := newSTS(hopDelay, hourLife)
	retrieve, err := c.make(pod{client: server.client(), tokenFile: tokenFile, window: sdkEarly})
	if err != nil {
		return err
	}
	if err := retrieve(ctx); err != nil {
		return err
	}
	time.Sleep(hourLife + time.Minute)
	server.set(unavailable)
	before := server.requests.Load()
	var served atomic.Int64
	var running sync.WaitGroup
	const batch = 10
	for range int(outageLasts / (batch * time.Millisecond)) {
		for range batch {
			running.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				if retrieve(ctx) == nil {
					served.Add(1)
				}
			})
		}
		time.Sleep(batch * time.Millisecond)
	}
	add(callsRow, float64(server.requests.Load()-before))
	server.close()
	running.Wait()
	if served.Load() > 0 {
		return errors.New("a caller got credentials though STS was down and no session left")
	}
	return nil
}
