package transfer

import (
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

// got makes n bytes of a segment arrive, now.
func (q *scheduler) got(t *testing.T, s *segment, n int64) {
	t.Helper()
	for n > 0 {
		m := q.claim(s, int(min(n, 1<<20)))
		if m == 0 {
			return
		}
		n -= int64(m)
	}
}

// Bytes that were read before another connection took over the rest of a segment
// are kept only as far as they still belong to it.
func TestClaimEndsWhereTheSegmentEnds(t *testing.T) {
	q := newScheduler([]Range{{0, 20 * mib}}, 0, false)
	a, _ := q.next(t.Context(), 0)
	b, _ := q.next(t.Context(), 0)
	if a.left != (Range{0, 10 * mib}) || b.left != (Range{10 * mib, 20 * mib}) {
		t.Fatalf("got %v and %v", a.left, b.left)
	}
	if n := q.claim(a, 12*mib); n != 10*mib {
		t.Errorf("claimed %d", n)
	}
	if n := q.claim(a, 1); n != 0 || a.ctx.Err() != nil {
		t.Errorf("claimed %d more, %v", n, a.ctx.Err())
	}
}

// The rest is divided so that both finish at the same time.
func TestSegmentsAreDividedByRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScheduler([]Range{{0, 100 * mib}, {100 * mib, 200 * mib}}, 0, false)
		slow, _ := q.next(t.Context(), 0)
		fast, _ := q.next(t.Context(), 0)
		time.Sleep(10 * time.Second)
		q.got(t, slow, 10*mib) // 1 MiB/s
		q.got(t, fast, 100*mib)
		rate := q.finish(fast)
		if rate != 10*mib {
			t.Fatalf("rate %v", rate)
		}
		more, _ := q.next(t.Context(), rate)
		// 90 MiB are left; at 1 and 10 MiB/s both take 8.2 s.
		if got := slow.left.Len(); got < 8*mib || got > 9*mib || more.left.End != 100*mib || more.left.Start != slow.left.End {
			t.Errorf("%v and %v", slow.left, more.left)
		}
		// What will be there within a second is left where it is.
		q.got(t, slow, slow.left.Len()-mib/2)
		q.got(t, more, more.left.Len()-7*mib)
		if s, still := q.next(t.Context(), rate); s != nil || !still {
			t.Errorf("got %v, %v", s, still)
		}
	})
}

// A segment that gets no bytes is taken over completely, but only so often.
func TestStalledSegmentIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newScheduler([]Range{{0, 10 * mib}}, 0, false)
		s, _ := q.next(t.Context(), 0)
		q.got(t, s, 9*mib)
		if got, more := q.next(t.Context(), mib); got != nil || !more {
			t.Errorf("taken over immediately: %v", got)
		}
		for i := range maxMoves {
			time.Sleep(tooLong + 1)
			next, _ := q.next(t.Context(), mib)
			if next == nil || next.left != (Range{9 * mib, 10 * mib}) || s.ctx.Err() == nil || s.left.Len() != 0 {
				t.Fatalf("move %d: %v, left %v", i, next, s.left)
			}
			q.finish(s)
			s = next
		}
		time.Sleep(tooLong + 1)
		if got, more := q.next(t.Context(), mib); got != nil || !more {
			t.Errorf("taken over once more: %v", got)
		}
		// A byte makes it worth trying again.
		q.got(t, s, 1)
		time.Sleep(tooLong + 1)
		if got, _ := q.next(t.Context(), mib); got == nil {
			t.Error("not taken over after a byte")
		}
	})
}

func TestFixedSegmentsStayWhole(t *testing.T) {
	q := newScheduler([]Range{{0, 100 * mib}}, 0, true)
	if s, _ := q.next(t.Context(), 0); s == nil {
		t.Fatal("there is one")
	}
	if s, more := q.next(t.Context(), 0); s != nil || more {
		t.Errorf("got %v, %v", s, more)
	}
}
