package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

// loadCommand is the argument with which the program starts itself as a busy loop.
const loadCommand = "run-as-load"

// loadMain keeps a processor busy until its process is killed.
func loadMain() {
	for n := 0; ; n++ {
	}
}

// startLoad starts n busy loops, each in a process of its own.
func startLoad(ctx context.Context, n int) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var loops []*exec.Cmd
	stop = func() error {
		var errs []error
		for _, loop := range loops {
			errs = append(errs, loop.Process.Kill())
			_ = loop.Wait() // that it was killed
		}
		return errors.Join(errs...)
	}
	for range n {
		loop := exec.CommandContext(ctx, self, loadCommand)
		if err := loop.Start(); err != nil {
			return nil, errors.Join(err, stop())
		}
		loops = append(loops, loop)
	}
	return stop, nil
}
