package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"
)

// virtualCommand is the argument with which the program starts itself.
const virtualCommand = "run-in-virtual-time"

// scenario runs once for every contender, in virtual time. It reports what
// it measured through add. dir is empty and not shared.
type scenario func(ctx context.Context, set settings, c contender, dir string, add func(row string, sample float64)) error

var scenarios = map[string]scenario{
	failedRow: playOutageWhileValid,
	callsRow:  playOutageAfterEnd,
	blockRow:  playHang,

	recoveredRow: playExpired,

	regionFailedRow: playRegionAway,
	firstRefusedRow: playFirstInRegion,
	startedRow:      playLateStart,

	peakRow:          playFleet,
	fleetRecoveryRow: playExpiredFleet,
	warmRow:          playWarm,
}

// virtualLimit is the real time allowed for one round, many times what one takes.
const virtualLimit = 20 * time.Minute

// inVirtualTime runs a scenario with all contenders in turn, for that many
// rounds; one with -quick.
func inVirtualTime(name string, full int) func(context.Context, settings) (figures, error) {
	return func(ctx context.Context, s settings) (figures, error) {
		all := figures{}
		for range s.rounds(1, full) {
			got, err := playApart(ctx, name, s)
			if err != nil {
				return nil, fmt.Errorf("in virtual time: %w", err)
			}
			for row, samples := range got {
				for c, list := range samples {
					for _, sample := range list {
						all.add(row, c, sample)
					}
				}
			}
		}
		return all, nil
	}
}

// playApart runs a round in a separate process.
func playApart(ctx context.Context, name string, s settings) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, virtualLimit)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, virtualCommand, name, s.String())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, &stdout, &stderr)
	}
	var got figures
	err = json.NewDecoder(&stdout).Decode(&got)
	return got, err
}

// virtualMain turns the process into a test binary with one test and exits.
// testing/synctest works only in a test.
func virtualMain(name string, set settings) {
	play := func(t *testing.T) {
		s, ok := scenarios[name]
		if !ok {
			t.Fatalf("no scenario %q", name)
		}
		got := figures{}
		for _, c := range contenders {
			synctest.Test(t, func(t *testing.T) {
				if err := s(t.Context(), set, queueing(c), t.TempDir(), func(row string, sample float64) { got.add(row, c.name, sample) }); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
			})
		}
		if err := json.NewEncoder(os.Stdout).Encode(got); err != nil {
			t.Fatal(err)
		}
	}
	matchAny := func(string, string) (bool, error) { return true, nil }
	testing.Main(matchAny, []testing.InternalTest{{Name: name, F: play}}, nil, nil)
}

// queueing returns a provider that behaves like c in virtual time. minio-go holds a mutex
// while it calls STS, and a goroutine that waits for a mutex stops the clock.
func queueing(c contender) contender {
	if c.name != minioGo {
		return c
	}
	return contender{c.name, func(p pod) (retriever, error) {
		retrieve, err := c.make(p)
		turn := make(chan struct{}, 1)
		return func(ctx context.Context) error {
			select {
			case turn <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-turn }()
			// This favors minio-go: a request that has begun is completed. Without it,
			// callers with deadlines would start one request after another and abort it.
			return retrieve(context.WithoutCancel(ctx))
		}, err
	}}
}
