package main

import (
	"os"
	"os/signal"
)

// signalQueue is how many signals may wait for the program to start.
const signalQueue = 256

// notified returns the signals to forward as os/signal delivers them, for
// systems and processes that cannot hold signals, and a function that ends it.
func notified() (chan received, func()) {
	in, out, done := make(chan os.Signal, signalQueue), make(chan received, signalQueue), make(chan struct{})
	for _, s := range forwarded {
		if !signal.Ignored(s) { // the program is to ignore it too, as under nohup
			signal.Notify(in, s)
		}
	}
	go func() {
		for {
			select {
			case s := <-in:
				out <- received{s, fromTerminal(s)}
			case <-done:
				return
			}
		}
	}()
	return out, func() { signal.Stop(in); close(done) }
}
