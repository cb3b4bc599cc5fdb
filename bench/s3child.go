package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// fetchCommand is the argument with which the program starts itself to fetch one object.
const fetchCommand = "run-as-fetcher"

const (
	rssRow    = "s3/rss-mib"
	rssBigRow = "s3/rss-mib-8gib"
	cpuRow    = "s3/cpu-s-per-gib"
	cpuTLSRow = "s3/cpu-s-per-gib-tls"
)

var s3Costs = group{
	rows:    []Row{lower(rssRow, "MiB"), lower(rssBigRow, "MiB"), lower(cpuRow, "s"), lower(cpuTLSRow, "s")},
	measure: withStore(measureCosts),
}

// errand describes the work of a fetching process.
type errand struct {
	s3Addresses
	Contender, Endpoint string
	Size                int64
	File                string // empty: bytes are discarded
}

// nowhere is a file that discards everything.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// peakMiB returns the peak memory of this process, in MiB.
func peakMiB() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("only Linux reports the memory of a process: %w", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	peak, err := strconv.ParseFloat(kb, 64)
	return peak / 1024, err
}

// fetchMain fetches an object and prints its peak memory, in MiB.
func fetchMain(argument string) int {
	err := func() error {
		var e errand
		if err := json.Unmarshal([]byte(argument), &e); err != nil {
			return err
		}
		fetch, err := e.fetcher(e.Contender, e.Endpoint)
		if err != nil {
			return err
		}
		var w io.WriterAt = nowhere{}
		if e.File != "" {
			f, err := os.OpenFile(e.File, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			w = f
		}
		if err := fetch(context.Background(), bytesKey(e.Size), e.Size, w); err != nil {
			return err
		}
		peak, err := peakMiB()
		if err == nil {
			_, err = fmt.Println(peak)
		}
		return err
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// sent runs an errand in a separate process. It returns the peak memory of
// the process in MiB, and its CPU time in seconds.
func sent(ctx context.Context, e errand) (rss, cpu float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	argument, err := json.Marshal(e)
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(ctx, self, fetchCommand, string(argument))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", e.Contender, err, &stderr)
	}
	rss, err = strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		cpu = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	}
	return rss, cpu, err
}

// measureCosts fetches objects in separate processes: one object to a
// file, without and with TLS, and a large one that is discarded.
func measureCosts(ctx context.Context, s settings, st *store, got figures) (err error) {
	one, big := int64(1<<30), int64(8<<30)
	if s.quick {
		one, big = 256*mib, 512*mib
	}
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "object")
	if err := fill(file, one); err != nil {
		return err
	}
	for round := range s.rounds(2, 5) {
		for _, name := range rotated(fetcherNames, round) {
			e := errand{s3Addresses: st.s3Addresses, Contender: name, Endpoint: st.Plain, Size: one, File: file}
			rss, cpu, err := sent(ctx, e)
			if err != nil {
				return err
			}
			got.add(cpuRow, name, cpu*float64(1<<30)/float64(one))
			got.add(rssRow, name, rss)
			e.Endpoint = st.TLS
			if _, cpu, err = sent(ctx, e); err != nil {
				return err
			}
			got.add(cpuTLSRow, name, cpu*float64(1<<30)/float64(one))
			if round >= 2 { // the largest object takes the longest and varies least
				continue
			}
			e.Endpoint, e.Size, e.File = st.Plain, big, ""
			if rss, _, err = sent(ctx, e); err != nil {
				return err
			}
			got.add(rssBigRow, name, rss)
		}
	}
	return nil
}
