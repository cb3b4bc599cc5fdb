package s3reader

import (
	"fmt"
	"testing"
)

const mib = 1 << 20

// All connections have the same to do, or nearly.
func TestPlanIsEven(t *testing.T) {
	for _, c := range []struct {
		opts        Options
		etag        string
		size        int64
		connections int
		parts       int
		largest     int64
	}{
		{Options{}, `"e"`, 0, 1, 0, 0},
		{Options{}, `"e"`, 8 * mib, 1, 1, 8 * mib},
		{Options{}, `"e"`, 8*mib + 1, 2, 2, 4*mib + shareStep},
		{Options{}, `"e"`, 256 * mib, 32, 32, 8 * mib},
		{Options{}, `"e"`, 300 * mib, 32, 32, 300 * mib / 32},
		{Options{}, `"e"`, 1024 * mib, 32, 32, 32 * mib},
		{Options{}, `"e"`, 8192 * mib, 32, 32, 256 * mib},
		// Stored in parts of 16, 8 and 64 MiB.
		{Options{}, `"e-64"`, 1024 * mib, 32, 32, 32 * mib},
		{Options{}, `"e-38"`, 300 * mib, 32, 19, 16 * mib},
		{Options{}, `"e-16"`, 1024 * mib, 32, 32, 32 * mib},
		{Options{Concurrency: 4}, `"e"`, 300 * mib, 4, 4, 75 * mib},
		{Options{Concurrency: 100}, `"e"`, 8192 * mib, 100, 100, 8192*mib/100 + shareStep},
		{Options{PartSize: mib}, `"e-64"`, 64*mib + 1, 32, 65, mib},
		{Options{PartSize: 100, Concurrency: 3}, `"e"`, 250, 3, 3, 100},
		{Options{Memory: 1}, `"e"`, 300 * mib, 1, 1, 300 * mib},
		{Options{Memory: 8 * minBufferSize}, `"e"`, 300 * mib, 8, 8, 300*mib/8 + shareStep},
	} {
		t.Run(fmt.Sprintf("%+v of %d, %s", c.opts, c.size, c.etag), func(t *testing.T) {
			r := &Reader{opts: c.opts}
			d := r.newDownload("k")
			p := r.plan(&Info{ETag: c.etag, Size: c.size}, c.size, d.gate.most)
			parts := cutAll([]extent{{0, c.size}}, p.step)
			var largest, sum int64
			for _, e := range parts {
				if e.start != sum {
					t.Errorf("a part begins at %d, not %d", e.start, sum)
				}
				sum += e.len()
				largest = max(largest, e.len())
			}
			if p.connections != c.connections || len(parts) != c.parts || largest > c.largest || sum != c.size {
				t.Errorf("%d connections, %d parts of at most %d, together %d", p.connections, len(parts), largest, sum)
			}
			if need := int64(p.connections) * d.buffer; need > max(r.memory(), minBufferSize) {
				t.Errorf("%d bytes of memory", need)
			}
		})
	}
}

func TestStoredPart(t *testing.T) {
	for _, c := range []struct {
		etag string
		size int64
		want int64
	}{
		{`"0123"`, 100 * mib, 0}, {`"0123-1"`, 100 * mib, 0}, {`"0123-x"`, 100 * mib, 0}, {`"0123-10001"`, 100_000 * mib, 0}, {"", 5, 0},
		{`"0123-20"`, 100 * mib, 5 * mib}, {`"0123-13"`, 100 * mib, 8 * mib}, {`"0123-2"`, 100 * mib, 50 * mib}, {"0123-7", 100 * mib, 15 * mib},
		{`"0123-50"`, 100, 0},
	} {
		if got := storedPart(c.etag, c.size); got != c.want {
			t.Errorf("%s of %d: got %d, want %d", c.etag, c.size, got, c.want)
		}
	}
}

func TestGaps(t *testing.T) {
	got := gaps([]piece{{extent: extent{50, 60}}, {extent: extent{0, 10}}, {extent: extent{10, 20}}}, 100)
	if fmt.Sprint(got) != "[{20 50} {60 100}]" || total(got) != 70 {
		t.Errorf("got %v", got)
	}
	if got := cutAll(got, 25); fmt.Sprint(got) != "[{20 25} {25 50} {60 75} {75 100}]" {
		t.Errorf("got %v", got)
	}
	if got := gaps([]piece{{extent: extent{0, 100}}}, 100); got != nil {
		t.Errorf("got %v", got)
	}
}

// cutAll is what take does to what is free.
func cutAll(es []extent, step int64) (parts []extent) {
	for _, rest := range es {
		for rest.len() > 0 {
			var first extent
			first, rest = rest.cut(step)
			parts = append(parts, first)
		}
	}
	return parts
}
