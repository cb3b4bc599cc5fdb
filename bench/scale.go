package main

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// logScale is a logarithmic scale that also has a position for zero.
type logScale struct{}

// Normalize implements plot.Normalizer.
func (logScale) Normalize(low, high, x float64) float64 {
	l := math.Log1p(max(low, 0))
	return (math.Log1p(max(x, 0)) - l) / (math.Log1p(high) - l)
}

// decades are the ticks of a logScale.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(low, high float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 0, Label: "0"}}
	for v := 1.0; v <= high; v *= 10 {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', 0, 64)})
	}
	return ticks
}
