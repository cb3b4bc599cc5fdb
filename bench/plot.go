package main

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// plotRequests draws the requests of each minute, one line for each contender.
func plotRequests(file string, series map[string][]float64) error {
	p := plot.New()
	p.Title.Text = "STS requests of a fleet: start, six hours, restarts one by one, an outage of ten minutes"
	p.X.Label.Text, p.Y.Label.Text = "hours", "requests a minute"
	p.Y.Scale, p.Y.Tick.Marker = logScale{}, decades{}
	p.Legend.Top = true
	for _, line := range []struct {
		name, text string
		color      color.Color
	}{
		{sdk, "stscreds and CredentialsCache", color.RGBA{R: 200, G: 60, B: 40, A: 255}},
		{ours, "crossrole", color.RGBA{R: 20, G: 90, B: 180, A: 255}},
	} {
		points := make(plotter.XYs, len(series[line.name]))
		for i, n := range series[line.name] {
			points[i] = plotter.XY{X: float64(i) / 60, Y: n}
		}
		l, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("plot %s: %w", line.name, err)
		}
		l.Color, l.Width = line.color, vg.Points(1)
		p.Add(l)
		p.Legend.Add(line.text, l)
	}
	return p.Save(24*vg.Centimeter, 11*vg.Centimeter, file)
}
