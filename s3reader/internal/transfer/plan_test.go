package transfer

import (
	"fmt"
	"math"
	"runtime"
	"testing"
)

// segments returns the segments of ranges as the scheduler assigns them.
func segments(t *testing.T, p Plan, ranges ...Range) []Range {
	t.Helper()
	q := newScheduler(ranges, p.step, true)
	var got []Range
	for {
		s, _ := q.next(t.Context(), 0)
		if s == nil {
			return got
		}
		got = append(got, s.left)
		q.finish(s)
	}
}

// All connections have the same to do, or nearly.
func TestPlanIsEven(t *testing.T) {
	const buffer = 32 << 10
	for _, c := range []struct {
		most, memory int64
		part         int64
		etag         string
		size         int64
		connections  int
		parts        int
		largest      int64
	}{
		{32, 64 * mib, 0, `"e"`, 0, 1, 0, 0},
		{32, 64 * mib, 0, `"e"`, 8 * mib, 1, 1, 8 * mib},
		{32, 64 * mib, 0, `"e"`, 8*mib + 1, 2, 2, 4*mib + alignment},
		{32, 64 * mib, 0, `"e"`, 256 * mib, 32, 32, 8 * mib},
		{32, 64 * mib, 0, `"e"`, 300 * mib, 32, 32, 300 * mib / 32},
		{32, 64 * mib, 0, `"e"`, 1024 * mib, 32, 32, 32 * mib},
		{32, 64 * mib, 0, `"e"`, 8192 * mib, 32, 32, 256 * mib},
		// Stored in parts of 16, 8 and 64 MiB.
		{32, 64 * mib, 0, `"e-64"`, 1024 * mib, 32, 32, 32 * mib},
		{32, 64 * mib, 0, `"e-38"`, 300 * mib, 32, 19, 16 * mib},
		{32, 64 * mib, 0, `"e-16"`, 1024 * mib, 32, 32, 32 * mib},
		{4, 64 * mib, 0, `"e"`, 300 * mib, 4, 4, 75 * mib},
		{100, 64 * mib, 0, `"e"`, 8192 * mib, 100, 100, 8192*mib/100 + alignment},
		{32, 64 * mib, mib, `"e-64"`, 64*mib + 1, 32, 65, mib},
		{3, 64 * mib, 100, `"e"`, 250, 3, 3, 100},
		{32, 1, 0, `"e"`, 300 * mib, 1, 1, 300 * mib},
		{32, 8 * buffer, 0, `"e"`, 300 * mib, 8, 8, 300*mib/8 + alignment},
		{32, 64 * mib, 0, `"e"`, 1 << 50, 32, 32, 1 << 45},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			l := NewLimits(int(c.most), c.memory)
			p := NewPlan(c.size, l.Max(), c.part, StoredPart(c.etag, c.size))
			parts := segments(t, p, Range{0, c.size})
			if c.size == 0 {
				parts = nil // the scheduler has no empty ranges
			}
			var largest, sum int64
			for _, r := range parts {
				if r.Start != sum {
					t.Errorf("a part begins at %d, not %d", r.Start, sum)
				}
				sum += r.Len()
				largest = max(largest, r.Len())
			}
			if p.Connections != c.connections || len(parts) != c.parts || largest > c.largest || sum != c.size {
				t.Errorf("%d connections, %d parts of at most %d, together %d", p.Connections, len(parts), largest, sum)
			}
			if need := int64(p.Connections) * l.Buffer; need > max(c.memory, buffer) {
				t.Errorf("%d bytes of memory", need)
			}
		})
	}
}

// The size that a server claims costs nothing: segments are cut as they are taken.
func TestHugeObjectTakesNoMemory(t *testing.T) {
	for _, size := range []int64{1 << 50, math.MaxInt64} {
		p := NewPlan(size, 32, 1, 0)
		q := newScheduler([]Range{{0, size}}, p.step, p.fixed)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range int64(100) {
			if s, _ := q.next(t.Context(), 0); s.left != (Range{i, i + 1}) {
				t.Fatalf("segment %d is %v", i, s.left)
			}
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("100 segments of %d bytes took %d bytes", size, got)
		}
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
		{`"0123-50"`, 100, 0}, {`"0123-50"`, 0, 0}, {`"0123-2"`, math.MaxInt64, 1 << 62},
	} {
		if got := StoredPart(c.etag, c.size); got != c.want {
			t.Errorf("%s of %d: got %d, want %d", c.etag, c.size, got, c.want)
		}
	}
}

func TestMissing(t *testing.T) {
	parts := []Part{{Range: Range{50, 60}}, {Range: Range{0, 10}}, {Range: Range{10, 20}}}
	missing := Missing(parts, 100)
	if fmt.Sprint(missing) != "[{20 50} {60 100}]" || Length(missing) != 70 {
		t.Errorf("got %v", missing)
	}
	if got := segments(t, Plan{step: 25}, missing...); fmt.Sprint(got) != "[{20 25} {25 50} {60 75} {75 100}]" {
		t.Errorf("got %v", got)
	}
	if got := Missing([]Part{{Range: Range{0, 100}}}, 100); got != nil {
		t.Errorf("got %v", got)
	}
	if _, err := Sum(parts, 100, nil); err == nil {
		t.Error("parts with gaps were taken for the object")
	}
}
