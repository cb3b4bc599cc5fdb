package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Row is one figure, for ours and for each peer.
type Row struct {
	Name   string             `json:"name"`
	Unit   string             `json:"unit"`
	Better string             `json:"better"` // "lower" or "higher"
	Ours   float64            `json:"ours"`
	Peers  map[string]float64 `json:"peers"`
}

// lower returns a row in which lower is better.
func lower(name, unit string) Row { return Row{Name: name, Unit: unit, Better: "lower"} }

// higher returns a row in which higher is better.
func higher(name, unit string) Row { return Row{Name: name, Unit: unit, Better: "higher"} }

// figures are the samples of a measurement: by row, then by contender.
type figures map[string]map[string][]float64

func (f figures) add(row, contender string, sample float64) {
	if f[row] == nil {
		f[row] = map[string][]float64{}
	}
	f[row][contender] = append(f[row][contender], sample)
}

// print fills the rows with the medians.
func (f figures) print(rows []Row, out printer) error {
	for _, r := range rows {
		samples := f[r.Name]
		if len(samples[ours]) == 0 {
			return fmt.Errorf("no figure of ours for %s", r.Name)
		}
		r.Ours, r.Peers = median(samples[ours]), map[string]float64{}
		for name, list := range samples {
			if name != ours {
				r.Peers[name] = median(list)
			}
		}
		if err := out.print(r); err != nil {
			return err
		}
	}
	return nil
}

func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	m := len(s) / 2
	if len(s)%2 == 0 {
		return (s[m-1] + s[m]) / 2
	}
	return s[m]
}

type printer interface{ print(Row) error }

type jsonLines struct{ w io.Writer }

func (p jsonLines) print(r Row) error { return json.NewEncoder(p.w).Encode(r) }

// table prints each row as soon as it is measured, so its columns have fixed
// widths.
type table struct {
	w      io.Writer
	headed bool
}

func (t *table) print(r Row) error {
	var errs []error
	if !t.headed {
		t.headed = true
		_, err := fmt.Fprintf(t.w, "%-24s %10s  %-12s peers (ratio of ours to theirs)\n", "row", "ours", "unit")
		errs = append(errs, err)
	}
	var peers []string
	for _, name := range slices.Sorted(maps.Keys(r.Peers)) {
		theirs := r.Peers[name]
		text := name + " " + number(theirs)
		if theirs != 0 {
			text += fmt.Sprintf(" (%.3g)", r.Ours/theirs)
		}
		peers = append(peers, text)
	}
	_, err := fmt.Fprintf(t.w, "%-24s %10s  %-12s %s\n", r.Name, number(r.Ours), r.Unit, strings.Join(peers, "  "))
	return errors.Join(append(errs, err)...)
}

func number(f float64) string {
	if f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}
