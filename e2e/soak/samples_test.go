package soak_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/color"
	"math/rand/v2"
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
	level      func([]float64) float64 // of the samples of a quarter
	growth     float64                 // fraction by which the last quarter may exceed the second
	slack      float64                 // what it may have in addition
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

// newSeries returns the figures. The limits are such that an hour's run finds a leak of one
// goroutine or one MiB a minute in any process. Most goroutines belong to connections, so
// their number varies by hundreds, except while the servers are down: then it is lowest.
func newSeries() []*series {
	return []*series{
		readersMemory:      {name: "readers, memory", unit: "MiB", level: median, growth: 0.1, slack: 16},
		readersHeap:        {name: "readers, live heap", unit: "MiB", level: median, growth: 0.1, slack: 8},
		readersGoroutines:  {name: "readers, goroutines", level: slices.Min[[]float64], growth: 0.02, slack: 10},
		sidecarsMemory:     {name: "sidecars, memory", unit: "MiB", level: median, growth: 0.02, slack: 10},
		sidecarsGoroutines: {name: "sidecars, goroutines", level: slices.Min[[]float64], growth: 0.02, slack: 10},
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// flat returns an error for a series that grows: the level of the last quarter of the cycles
// must not exceed that of the second quarter by more than growth and slack. The first quarter
// is the start. Whole cycles are compared, because connections close and open in each. The
// slack is what connections and garbage collections vary by, which a short run does not
// average out.
func (s *series) flat(at []time.Duration, cycles int) (report string, err error) {
	quarter := max(1, cycles/4)
	between := func(from, to int) []float64 {
		var values []float64
		for i, d := range at {
			if d >= time.Duration(from)*cycle && d < time.Duration(to)*cycle {
				values = append(values, s.values[i])
			}
		}
		return values
	}
	early, late := between(quarter, 2*quarter), between(cycles-quarter, cycles)
	if n := min(len(early), len(late)); n < 5 {
		return "", fmt.Errorf("%s: %d samples in a quarter are too few", s.name, n)
	}
	second, last := s.level(early), s.level(late)
	n := len(s.values)
	report = fmt.Sprintf("%s: first %.1f, middle %.1f, last %.1f %s; second quarter %.1f, last quarter %.1f",
		s.name, s.values[0], s.values[n/2], s.values[n-1], s.unit, second, last)
	if limit := second*(1+s.growth) + s.slack; last > limit {
		err = fmt.Errorf("%s: grew from %.1f to %.1f %s, more than %.1f", s.name, second, last, s.unit, limit)
	}
	return report, err
}

// An hour with a leak of one a minute is not flat, and one without a leak is.
func TestSoakFindsLeaks(t *testing.T) {
	// What a run of nine minutes had.
	levels := map[int]struct{ usual, varies, low float64 }{
		readersMemory: {100, 15, 74}, readersHeap: {27, 9, 14}, readersGoroutines: {870, 300, 264},
		sidecarsMemory: {592, 2, 591}, sidecarsGoroutines: {360, 25, 338},
	}
	const cycles = 60
	for i := range newSeries() {
		for _, leak := range []float64{0, 1} {
			s := newSeries()[i]
			random := rand.New(rand.NewPCG(1, uint64(i)))
			var at []time.Duration
			for d := time.Duration(0); d < cycles*cycle; d += cycles * cycle / 500 {
				value := levels[i].usual + levels[i].varies*(2*random.Float64()-1)
				if inCycle := d % cycle; inCycle > cycle/12 && inCycle < cycle/12+killed {
					value = levels[i].low + 3*random.Float64()
				}
				at, s.values = append(at, d), append(s.values, value+leak*d.Minutes())
			}
			if report, err := s.flat(at, cycles); (err != nil) != (leak > 0) {
				t.Errorf("%.0f a minute: %v; %s", leak, err, report)
			}
		}
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
	found := map[string]float64{}
	for _, m := range metric.FindAllStringSubmatch(s.Metrics(t), -1) {
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
