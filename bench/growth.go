package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The growth rows: what a key, an object, a target, a call or a handle costs in a large
// job, compared with a small one. A row in "ratio" has the cost of one in the large job
// over the cost of one in the small job; a row in "MiB" has how much more memory the large
// job takes at its peak.
//
// # How it works
//
// Each job runs in a process of its own (growthchild.go), because the peak of a process
// never falls. A small and a large job take turns; because a small one is short, a turn has
// several, whose median counts (growthTurn). A row has the median of the turns.

const (
	growListTime  = "growth/list-time"
	growListRSS   = "growth/list-rss"
	growDirTime   = "growth/dir-time"
	growDirRSS    = "growth/dir-rss"
	growAgainTime = "growth/dir-again-time"
	growAgainRSS  = "growth/dir-again-rss"
	growObjectRSS = "growth/object-rss"
	growPoolBytes = "growth/pool-bytes"
	growPoolHot   = "growth/pool-hot"
	growCallers   = "growth/callers"
	growHandles   = "growth/handles"
)

var growth = []group{
	{rows: []Row{lower(growListTime, "ratio"), lower(growListRSS, "MiB")}, measure: withStore(growList)},
	{rows: []Row{lower(growDirTime, "ratio"), lower(growDirRSS, "MiB"), lower(growAgainTime, "ratio"), lower(growAgainRSS, "MiB")}, measure: withStore(growDir)},
	{rows: []Row{lower(growObjectRSS, "MiB")}, measure: withStore(growObject)},
	{rows: []Row{lower(growPoolBytes, "ratio"), lower(growPoolHot, "ratio")}, measure: growPool},
	{rows: []Row{lower(growCallers, "ratio")}, measure: growCalls},
	{rows: []Row{lower(growHandles, "ratio")}, measure: withStore(growHandlesOf)},
}

// job is the work of one process.
type job struct {
	s3Addresses
	Work      string // one of jobs
	Contender string
	Size      int64  // keys, objects, bytes, targets or handles
	Small     int64  // the small size, for work that measures both in one process
	Sets      int    // pools of Size targets each
	Dir       string // where files go
}

// jobCost is what a job took.
type jobCost struct {
	Seconds float64 // for the work, without the start of the process
	Peak    float64 // the most memory of the process, in MiB
	Each    float64 // live memory of one handle, in bytes
	Ratio   map[string]float64
}

// runJob runs a job in a process of its own.
func runJob(ctx context.Context, j job) (jobCost, error) {
	self, err := os.Executable()
	if err != nil {
		return jobCost{}, err
	}
	argument, err := json.Marshal(j)
	if err != nil {
		return jobCost{}, err
	}
	cmd := exec.CommandContext(ctx, self, jobCommand, string(argument))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return jobCost{}, fmt.Errorf("%s of %d: %w\n%s", j.Work, j.Size, err, &stderr)
	}
	var cost jobCost
	return cost, json.Unmarshal(out, &cost)
}

// growthTurn runs the small job several times and the large one once, in the other order
// in every second round. It returns the medians of the small jobs.
func growthTurn(ctx context.Context, round, times int, small, large job) (ofSmall, ofLarge jobCost, err error) {
	runLarge := func() {
		if err == nil {
			ofLarge, err = runJob(ctx, large)
		}
	}
	if round%2 == 1 {
		runLarge()
	}
	var seconds, peak, each []float64
	for range times {
		if err != nil {
			break
		}
		var c jobCost
		c, err = runJob(ctx, small)
		seconds, peak, each = append(seconds, c.Seconds), append(peak, c.Peak), append(each, c.Each)
	}
	if round%2 == 0 {
		runLarge()
	}
	if err != nil {
		return jobCost{}, jobCost{}, err
	}
	return jobCost{Seconds: median(seconds), Peak: median(peak), Each: median(each)}, ofLarge, nil
}

// perUnit returns the time of one in the large job over the time of one in the small job.
func perUnit(small, large job, ofSmall, ofLarge jobCost) float64 {
	return ofLarge.Seconds / float64(large.Size) / (ofSmall.Seconds / float64(small.Size))
}

// growList lists 10 thousand and a million keys.
func growList(ctx context.Context, s settings, st *store, got figures) error {
	for round := range s.rounds(2, 5) {
		for _, name := range rotated([]string{ours, sdk}, round) {
			small := job{s3Addresses: st.s3Addresses, Work: listJob, Contender: name, Size: 10_000}
			large := small
			large.Size = int64(s.rounds(100_000, 1_000_000))
			a, b, err := growthTurn(ctx, round, 3, small, large)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			got.add(growListTime, name, perUnit(small, large, a, b))
			got.add(growListRSS, name, b.Peak-a.Peak)
		}
	}
	return nil
}

// growDir copies directories of 1,000 and 200,000 objects, and then once more, when
// nothing has changed.
func growDir(ctx context.Context, s settings, st *store, got figures) error {
	for round := range s.rounds(1, 3) {
		small := job{s3Addresses: st.s3Addresses, Work: dirJob, Size: 1000}
		large := small
		large.Size = int64(s.rounds(20_000, 200_000))
		var first, again [2]jobCost
		sizes := []int{0, 1}
		for _, i := range rotated(sizes, round) {
			j, times := small, 3
			if i == 1 {
				j, times = large, 1
			}
			var err error
			if first[i], again[i], err = copyTwice(ctx, j, times); err != nil {
				return err
			}
		}
		got.add(growDirTime, ours, perUnit(small, large, first[0], first[1]))
		got.add(growDirRSS, ours, first[1].Peak-first[0].Peak)
		got.add(growAgainTime, ours, perUnit(small, large, again[0], again[1]))
		got.add(growAgainRSS, ours, again[1].Peak-again[0].Peak)
	}
	return nil
}

// copyTwice returns the medians of several first copies of a directory, and of the second
// ones.
func copyTwice(ctx context.Context, j job, times int) (first, again jobCost, err error) {
	var seconds, peak [2][]float64
	for range times {
		once := func() (err error) {
			dir, err := scratch()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			j.Dir = filepath.Join(dir, "files")
			for i := range 2 {
				c, err := runJob(ctx, j)
				if err != nil {
					return err
				}
				seconds[i], peak[i] = append(seconds[i], c.Seconds), append(peak[i], c.Peak)
			}
			return nil
		}
		if err := once(); err != nil {
			return first, again, err
		}
	}
	return jobCost{Seconds: median(seconds[0]), Peak: median(peak[0])}, jobCost{Seconds: median(seconds[1]), Peak: median(peak[1])}, nil
}

// growObject downloads objects of 256 MiB and 64 GiB, and discards them.
func growObject(ctx context.Context, s settings, st *store, got figures) error {
	for round := range s.rounds(2, 3) {
		small := job{s3Addresses: st.s3Addresses, Work: objectJob, Size: 256 * mib}
		large := small
		large.Size = int64(s.rounds(2, 64)) << 30
		a, b, err := growthTurn(ctx, round, 3, small, large)
		if err != nil {
			return err
		}
		got.add(growObjectRSS, ours, b.Peak-a.Peak)
	}
	return nil
}

// growPool uses the same number of targets in pools of 1,000 and in one pool of 100,000.
func growPool(ctx context.Context, s settings) (figures, error) {
	got := figures{}
	all := s.rounds(10_000, 100_000)
	for round := range s.rounds(2, 3) {
		small := job{Work: poolJob, Size: 1000, Sets: all / 1000}
		large := job{Work: poolJob, Size: int64(all), Small: 1000, Sets: 1}
		a, b, err := growthTurn(ctx, round, 1, small, large)
		if err != nil {
			return nil, err
		}
		got.add(growPoolBytes, ours, b.Peak/a.Peak)
		for name, ratio := range b.Ratio {
			got.add(growPoolHot, name, ratio)
		}
	}
	return got, nil
}

// growCalls calls Retrieve from 1 and from 64 goroutines.
func growCalls(ctx context.Context, s settings) (figures, error) {
	got := figures{}
	for range s.rounds(1, 3) {
		c, err := runJob(ctx, job{Work: callersJob, Size: 64, Small: 1})
		if err != nil {
			return nil, err
		}
		for name, ratio := range c.Ratio {
			got.add(growCallers, name, ratio)
		}
	}
	return got, nil
}

// growHandlesOf opens 10 and 10,000 objects and reads a little of each.
func growHandlesOf(ctx context.Context, s settings, st *store, got figures) error {
	for round := range s.rounds(2, 3) {
		small := job{s3Addresses: st.s3Addresses, Work: handlesJob, Size: 10}
		large := small
		large.Size = int64(s.rounds(1000, 10_000))
		a, b, err := growthTurn(ctx, round, 3, small, large)
		if err != nil {
			return err
		}
		got.add(growHandles, ours, b.Each/a.Each)
	}
	return nil
}
