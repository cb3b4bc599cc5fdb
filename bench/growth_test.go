package main

import (
	"path/filepath"
	"testing"
)

// Each job does its work in a process of its own, and reports what its row needs.
func TestGrowthJobs(t *testing.T) {
	st, err := startStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.stop(); err != nil {
			t.Error(err)
		}
	}()
	dir := filepath.Join(t.TempDir(), "files")
	for _, j := range []job{
		{Work: listJob, Contender: ours, Size: 2000},
		{Work: listJob, Contender: sdk, Size: 2000},
		{Work: dirJob, Size: 20, Dir: dir},
		{Work: objectJob, Size: mib},
		{Work: handlesJob, Size: 10},
		{Work: poolJob, Size: 20, Sets: 2},
		{Work: poolJob, Size: 20, Small: 2, Sets: 1},
		{Work: callersJob, Size: 64, Small: 1},
	} {
		j.s3Addresses = st.s3Addresses
		c, err := runJob(t.Context(), j)
		switch {
		case err != nil:
			t.Error(err)
		case c.Peak < 1 || c.Peak > 1000, c.Seconds <= 0 && j.Work != callersJob:
			t.Errorf("%s: took %v s and %v MiB", j.Work, c.Seconds, c.Peak)
		case j.Work == handlesJob && (c.Each < 1<<10 || c.Each > mib):
			t.Errorf("a handle takes %v bytes", c.Each)
		case j.Small > 0 && c.Ratio[ours] <= 0:
			t.Errorf("%s: ratios %v", j.Work, c.Ratio)
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 20 {
		t.Errorf("%d files are in place, %v", len(files), err)
	}
}

// What a job cannot do is an error, not a figure.
func TestGrowthJobFails(t *testing.T) {
	for _, j := range []job{{Work: listJob, Contender: ours, Size: 10}, {Work: "nothing"}} {
		if c, err := runJob(t.Context(), j); err == nil {
			t.Errorf("%s: %+v without a store", j.Work, c)
		}
	}
}
