package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// way is how a contender does the work of a row.
type way struct {
	name  string
	do    func() error
	after func() error // not measured; nil: nothing is left to do
}

// takeTurns adds what so many units of work are a second, for each of the ways
// and as many rounds.
func takeTurns(got figures, row string, units float64, rounds int, ways []way) error {
	for round := range rounds {
		for _, w := range rotated(ways, round) {
			runtime.GC() // what the one before has left is not this one's to clear away
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

// rotated begins with another one each round, so that nobody always follows the
// same contender.
func rotated[T any](list []T, round int) []T {
	first := round % len(list)
	return slices.Concat(list[first:], list[:first])
}
