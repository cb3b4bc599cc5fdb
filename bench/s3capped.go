package main

import (
	"context"
	"fmt"
)

// cappedSizes are such that no size suits one size of parts.
var cappedSizes = []int64{256, 300, 1024} // MiB

func cappedRow(mib int64) string { return fmt.Sprintf("s3/capped-mbps-%d", mib) }

var s3Capped = group{
	rows:    []Row{higher(cappedRow(256), "MB/s"), higher(cappedRow(300), "MB/s"), higher(cappedRow(1024), "MB/s")},
	measure: withStore(measureCapped),
}

// measureCapped fetches objects where each connection is slow. A quick run has a
// quarter of their sizes, and sees once what one connection alone delivers.
func measureCapped(ctx context.Context, s settings, st *store, got figures) error {
	for i, size := range cappedSizes {
		r := race{row: cappedRow(size), endpoint: st.Capped, size: size * mib, rounds: 5, names: fetcherNames}
		if s.quick {
			r.size /= 4
			r.rounds, r.names = 2, fetchersOfMany
			if i == 0 {
				one := r
				one.rounds, one.names = 1, fetchersOfOne
				if err := one.run(ctx, st.s3Addresses, got); err != nil {
					return err
				}
			}
		}
		if err := r.run(ctx, st.s3Addresses, got); err != nil {
			return err
		}
	}
	return nil
}
