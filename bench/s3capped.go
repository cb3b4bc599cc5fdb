package main

import (
	"context"
	"fmt"
)

// cappedSizes are chosen so that no part size is ideal for all of them.
var cappedSizes = []int64{256, 300, 1024} // MiB

func cappedRow(mib int64) string { return fmt.Sprintf("s3/capped-mbps-%d", mib) }

var s3Capped = group{
	rows:    []Row{higher(cappedRow(256), "MB/s"), higher(cappedRow(300), "MB/s"), higher(cappedRow(1024), "MB/s")},
	measure: withStore(measureCapped),
}

// measureCapped fetches objects over slow connections. A quick run uses a quarter of the
// sizes. Contenders with one connection run once, in the first row: what they reach is the
// limit of the connection.
func measureCapped(ctx context.Context, s settings, st *store, got figures) error {
	for i, size := range cappedSizes {
		r := race{row: cappedRow(size), endpoint: st.Capped, size: size * mib, rounds: s.rounds(2, 5), names: fetchersOfMany}
		if s.quick {
			r.size /= 4
		}
		if i == 0 {
			one := r
			one.rounds, one.names = 1, fetchersOfOne
			if err := one.run(ctx, st.s3Addresses, got); err != nil {
				return err
			}
		}
		if err := r.run(ctx, st.s3Addresses, got); err != nil {
			return err
		}
	}
	return nil
}
