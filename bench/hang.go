package main

import (
	"context"
	"time"
)

const (
	blockRow    = "hang/longest-block-s"
	recoveryRow = "hang/recovery-s"
)

var hang = group{
	rows:    []Row{lower(blockRow, "s"), lower(recoveryRow, "s")},
	measure: inVirtualTime(blockRow, 5),
}

// forever is how long a caller is observed at most.
const forever = 300 * time.Second

// playHang makes one hop of STS stop responding before there is a session.
func playHang(ctx context.Context, _ settings, c contender, dir string, add func(string, float64)) error {
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	var block, recovery time.Duration
	for _, operation := range []string{"AssumeRoleWithWebIdentity", "AssumeRole"} {
		server := newSTS(hopDelay, hourLife)
		server.only = operation
		server.set(silent)
		retrieve, err := c.make(pod{client: server.client(), tokenFile: tokenFile, window: sdkEarly})
		if err != nil {
			return err
		}
		// The context has no deadline, as in a program that forgot to set one.
		block = max(block, within(forever, func() bool { _ = retrieve(ctx); return true }))
		server.set(working)
		recovery = max(recovery, within(forever, func() bool { return retrieve(ctx) == nil }))
		server.close()
	}
	add(blockRow, block.Seconds())
	add(recoveryRow, recovery.Seconds())
	return nil
}

// within returns how long it takes until done returns true. It calls done every 100 ms
// and returns limit at most, even if done does not return.
func within(limit time.Duration, done func() bool) time.Duration {
	start := time.Now()
	deadline := start.Add(limit)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for !done() && time.Now().Before(deadline) {
			time.Sleep(100 * time.Millisecond)
		}
	}()
	select {
	case <-finished:
	case <-time.After(limit):
	}
	return min(time.Since(start), limit)
}
