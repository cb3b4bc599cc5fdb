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

// virtualCommand is the word by which the program calls itself.
const virtualCommand = "run-in-virtual-time"

// scenario is played once by every contender, in virtual time. It reports what
// it saw through add. dir is empty and of its own.
type scenario func(ctx context.Context, set settings, c contender, dir string, add func(row string, sample float64)) error

var scenarios = map[string]scenario{
	failedRow: playOutageWhileValid,
	callsRow:  playOutageAfterEnd,
	blockRow:  playHang,

	recoveredRow: playExpired,

	peakRow: playFleet,
	warmRow: playWarm,
}

// virtualLimit is real time, of one round. It is many times what one takes.
const virtualLimit = 20 * time.Minute

// inVirtualTime plays a scenario with all contenders in turn, for that many
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

// playApart plays a round in a process of its own.
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
// testing/synctest gives its clock to nothing else.
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

// queueing is c, which may be asked in virtual time. minio-go holds a mutex
// while it asks STS, and a goroutine that waits for a mutex stops the clock.
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
			// In its favour: a request that was begun is finished. Queues of
			// callers with deadlines would send one that is cut off after another.
			return retrieve(context.WithoutCancel(ctx))
		}, err
	}}
}
