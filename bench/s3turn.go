package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// way is the method by which a contender does the work of a row.
type way struct {
	name  string
	do    func() error
	after func() error // not measured; may be nil
}

// takeTurns measures each of the ways in turn, rounds times, and adds its units of
// work per second.
func takeTurns(got figures, row string, units float64, rounds int, ways []way) error {
	for round := range rounds {
		for _, w := range rotated(ways, round) {
			runtime.GC() // so that the previous contender's garbage does not slow down this one
			start := time.Now()
			err := w.do()
			took := time.Since(start)
			if err == nil && w.after != nil {
				err = w.after()
			}
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			got.add(row, w.name, units/took.Seconds())
		}
	}
	return nil
}

// rotated starts with a different contender each round, so that none always runs
// after the same one.
func rotated[T any](list []T, round int) []T {
	first := round % len(list)
	return slices.Concat(list[first:], list[:first])
}
