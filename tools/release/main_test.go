package main

import (
	"context"
	"errors"
	"testing"
)

// The exit status of steps that end in each way.
func TestExitStatus(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	all := steps
	defer func() { steps = all }()
	ends := func(name string, err error) step {
		return step{name, "a step of the test", func(*release, context.Context) (string, error) { return "", err }}
	}
	interrupted := step{"interrupted", "a step of the test", func(*release, context.Context) (string, error) {
		interrupt()
		return "", notRun{"its command was interrupted"}
	}}
	for _, tt := range []struct {
		name   string
		steps  []step
		named  []string
		status int
	}{
		{"all ran", []step{ends("a", nil), ends("b", nil)}, nil, 0},
		{"one failed", []step{ends("a", errors.New("no")), ends("b", nil)}, nil, 1},
		{"one could not be run", []step{ends("a", notRun{"no network"}), ends("b", nil)}, nil, 0},
		{"a named one could not be run", []step{ends("a", notRun{"no network"}), ends("b", nil)}, []string{"a"}, 3},
		{"interrupted", []step{interrupted, ends("b", nil)}, nil, 1},
	} {
		steps = tt.steps
		if status := run(ctx, "../..", "", "", tt.named); status != tt.status {
			t.Errorf("%s: exit status %d, want %d", tt.name, status, tt.status)
		}
	}
}
