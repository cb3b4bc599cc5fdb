//go:build unix

package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// A policy that never comes, or never ends, holds doctor no longer than the user
// does.
func TestDoctorReadsAPolicyFromAPipe(t *testing.T) {
	_, vars := newFakePod(t, t.TempDir())
	fifo := t.TempDir() + "/policy"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readDocument(ctx, fifo); !errors.Is(err, context.Canceled) {
		t.Errorf("a pipe without a writer: %v", err)
	}
	doctor := startCommand(t, vars, "doctor", "--trust-policy", "/dev/zero")
	if status := doctor.wait(); status != 1 || !strings.Contains(doctor.stderr.String(), "longer than any policy") {
		t.Errorf("%d %s", status, doctor.stderr)
	}
}
