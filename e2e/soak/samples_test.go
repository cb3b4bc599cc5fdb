package soak_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/color"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/crossrole/crossrole/e2e/served"
)

// series is one figure over time.
type series struct {
	name, unit string
	slack      float64 // what the last quarter may have in addition to a tenth more
	values     []float64
}

// The figures that must be flat, in the order of the columns.
const (
	readersMemory = iota
	readersHeap
	readersGoroutines
	sidecarsMemory
	sidecarsGoroutines
)

func newSeries() []*series {
	return []*series{
		readersMemory:      {name: "readers, memory", unit: "MiB", slack: 16},
		readersHeap:        {name: "readers, live heap", unit: "MiB", slack: 8},
		readersGoroutines:  {name: "readers, goroutines", slack: 20},
		sidecarsMemory:     {name: "sidecars, memory", unit: "MiB", slack: 10},
		sidecarsGoroutines: {name: "sidecars, goroutines", slack: 20},
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// flat reports a series that grows: the median of the last quarter of the cycles must be
// at most a tenth above that of the second quarter, plus the slack. The first quarter is
// the start. Whole cycles are compared, because connections close and open in each. The
// slack is what connections and garbage collections vary by, which a short run does not
// average out.
func (s *series) flat(t *testing.T, at []time.Duration, cycles int) {
	t.Helper()
	quarter := max(1, cycles/4)
	between := func(from, to int) float64 {
		var values []float64
		for i, d := range at {
			if d >= time.Duration(from)*cycle && d < time.Duration(to)*cycle {
				values = append(values, s.values[i])
			}
		}
		if len(values) < 5 {
			t.Fatalf("%s: %d samples in the cycles from %d to %d are too few", s.name, len(values), from, to)
		}
		return median(values)
	}
	second, last := between(quarter, 2*quarter), between(cycles-quarter, cycles)
	n := len(s.values)
	t.Logf("%s: first %.1f, middle %.1f, last %.1f %s; medians: second quarter %.1f, last quarter %.1f",
		s.name, s.values[0], s.values[n/2], s.values[n-1], s.unit, second, last)
	if last > second*1.1+s.slack {
		t.Errorf("%s: the median grew from %.1f to %.1f %s", s.name, second, last, s.unit)
	}
}

// write writes the samples as CSV, and plots each series relative to its middle.
func write(t *testing.T, dir string, at []time.Duration, all []*series) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "soak.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := csv.NewWriter(file)
	head := []string{"seconds"}
	for _, s := range all {
		head = append(head, s.name)
	}
	_ = out.Write(head) // the error is in out.Error
	for i, d := range at {
		line := []string{strconv.FormatFloat(d.Seconds(), 'f', 1, 64)}
		for _, s := range all {
			line = append(line, strconv.FormatFloat(s.values[i], 'f', 1, 64))
		}
		_ = out.Write(line)
	}
	if out.Flush(); out.Error() != nil {
		t.Fatal(out.Error())
	}
	p := plot.New()
	p.Title.Text = "Soak: 200 readers in one process, 20 sidecars together"
	p.X.Label.Text, p.Y.Label.Text = "minutes", "relative to the middle of the run"
	p.Y.Min = 0
	p.Legend.Top = false
	for i, s := range all {
		points := make(plotter.XYs, len(at))
		middle := s.values[len(at)/2]
		for j := range at {
			points[j] = plotter.XY{X: at[j].Minutes(), Y: s.values[j] / middle}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			t.Fatal(err)
		}
		line.Color = []color.Color{
			color.RGBA{R: 20, G: 90, B: 180, A: 255}, color.RGBA{R: 200, G: 60, B: 40, A: 255}, color.RGBA{R: 30, G: 140, B: 60, A: 255},
			color.RGBA{R: 150, G: 80, B: 170, A: 255}, color.RGBA{R: 120, G: 120, B: 120, A: 255},
		}[i]
		line.Width = vg.Points(1)
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("%s (%.0f %s)", s.name, middle, s.unit), line)
	}
	if err := p.Save(24*vg.Centimeter, 11*vg.Centimeter, filepath.Join(dir, "soak.png")); err != nil {
		t.Fatal(err)
	}
}

var resident = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// memoryOf returns the resident memory of a process, in MiB.
func memoryOf(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := resident.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmRSS of process %d", pid)
	}
	return number(t, string(m[1])) / 1024
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var metric = regexp.MustCompile(`(?m)^(go_goroutines|process_resident_memory_bytes|process_cpu_seconds_total) (\S+)$`)

// metrics returns the figures of a sidecar's own metrics page.
func metrics(t *testing.T, s *served.Serve) map[string]float64 {
	t.Helper()
	resp, err := http.Get(s.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, m := range metric.FindAllStringSubmatch(string(page), -1) {
		found[m[1]] = number(t, m[2])
	}
	if len(found) != 3 {
		t.Fatalf("%s/metrics has only %v", s.Admin, found)
	}
	return found
}

// cpuOf returns the processor time that a process has used, in seconds.
func cpuOf(t *testing.T, pid int) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The fields after the name, which may contain blanks; the 14th and 15th of all.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return (number(t, fields[11]) + number(t, fields[12])) / 100
}
