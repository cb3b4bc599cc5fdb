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

// measureCapped fetches objects where each connection is slow. A quick run has an
// eighth of their sizes.
func measureCapped(ctx context.Context, s settings, st *store, got figures) error {
	for _, size := range cappedSizes {
		bytes := size * mib
		if s.quick {
			bytes /= 8
		}
		if err := fetchAll(ctx, st.s3Addresses, cappedRow(size), st.Capped, bytes, s.rounds(1, 5), got); err != nil {
			return err
		}
	}
	return nil
}
