package main

import (
	"context"
	"math/rand/v2"

	"github.com/crossrole/crossrole/s3reader"
)

const (
	randomRow   = "s3/random-requests"
	randomBytes = "s3/random-bytes-ratio"

	rangeARead = "range-a-read"
)

var s3Random = group{rows: []Row{lower(randomRow, "requests"), lower(randomBytes, "ratio")}, measure: withStore(measureRandom)}

// measureRandom reads like a Parquet reader: the footer's length, the
// footer, and 40 column chunks with gaps between them. The peer is a request
// for exactly the bytes of each ReadAt, which is computed and not sent.
func measureRandom(ctx context.Context, s settings, st *store, got figures) error {
	const size = 256 * mib
	type read struct{ off, n int64 }
	for round := range s.rounds(5, 15) {
		rng := rand.New(rand.NewPCG(uint64(round), 0))
		reads := []read{{size - 8, 8}, {size - 8 - 64<<10, 64 << 10}}
		asked := int64(8 + 64<<10)
		for off := int64(4 * mib); len(reads) < 42; {
			n := 200<<10 + rng.Int64N(824<<10)
			reads = append(reads, read{off, n})
			asked += n
			off += n + rng.Int64N(256<<10)
		}
		before, err := st.traffic(ctx)
		if err != nil {
			return err
		}
		r, err := st.reader(st.Plain, func(o *s3reader.Options) { o.Memory = 64 * mib })
		if err != nil {
			return err
		}
		o, err := r.Open(ctx, bytesKey(size))
		if err != nil {
			return err
		}
		for _, rd := range reads {
			if _, err := o.ReadAt(make([]byte, rd.n), rd.off); err != nil {
				return err
			}
		}
		if err := o.Close(); err != nil {
			return err
		}
		after, err := st.traffic(ctx)
		if err != nil {
			return err
		}
		got.add(randomRow, ours, float64(after.Requests-before.Requests))
		got.add(randomRow, rangeARead, float64(len(reads)))
		got.add(randomBytes, ours, float64(after.Bytes-before.Bytes)/float64(asked))
		got.add(randomBytes, rangeARead, 1)
	}
	return nil
}
