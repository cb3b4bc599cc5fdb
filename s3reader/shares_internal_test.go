package s3reader

import (
	"testing"
	"testing/synctest"
	"time"
)

// got has n bytes of a share arrive, now.
func (q *shares) got(t *testing.T, s *share, n int64) {
	t.Helper()
	for n > 0 {
		m := q.claim(s, int(min(n, 1<<20)))
		if m == 0 {
			return
		}
		n -= int64(m)
	}
}

// Bytes that were read before the rest of the share was given away are kept only
// as far as they are still the share's.
func TestClaimEndsWhereTheShareEnds(t *testing.T) {
	q := &shares{free: []extent{{0, 20 * mib}}}
	a, _ := q.take(t.Context(), 0)
	b, _ := q.take(t.Context(), 0)
	if a.left != (extent{0, 10 * mib}) || b.left != (extent{10 * mib, 20 * mib}) {
		t.Fatalf("got %v and %v", a.left, b.left)
	}
	if n := q.claim(a, 12*mib); n != 10*mib {
		t.Errorf("claimed %d", n)
	}
	if n := q.claim(a, 1); n != 0 || a.ctx.Err() != nil {
		t.Errorf("claimed %d more, %v", n, a.ctx.Err())
	}
}

// The rest is divided so that both end at the same time.
func TestSharesAreDividedByRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &shares{free: []extent{{0, 100 * mib}, {100 * mib, 200 * mib}}}
		slow, _ := q.take(t.Context(), 0)
		fast, _ := q.take(t.Context(), 0)
		time.Sleep(10 * time.Second)
		q.got(t, slow, 10*mib) // 1 MiB/s
		q.got(t, fast, 100*mib)
		rate := q.done(fast)
		if rate != 10*mib {
			t.Fatalf("rate %v", rate)
		}
		more, _ := q.take(t.Context(), rate)
		// 90 MiB are left; at 1 and 10 MiB/s both take 8.2 s.
		if got := slow.left.len(); got < 8*mib || got > 9*mib || more.left.end != 100*mib || more.left.start != slow.left.end {
			t.Errorf("%v and %v", slow.left, more.left)
		}
		// What will be there within a second is left where it is.
		q.got(t, slow, slow.left.len()-mib/2)
		q.got(t, more, more.left.len()-7*mib)
		if s, still := q.take(t.Context(), rate); s != nil || !still {
			t.Errorf("got %v, %v", s, still)
		}
	})
}

// A share that gets no bytes is taken over whole, but not for ever.
func TestStalledShareIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &shares{free: []extent{{0, 10 * mib}}}
		s, _ := q.take(t.Context(), 0)
		q.got(t, s, 9*mib)
		if got, more := q.take(t.Context(), mib); got != nil || !more {
			t.Errorf("taken over at once: %v", got)
		}
		for i := range maxMoves {
			time.Sleep(tooLong + 1)
			next, _ := q.take(t.Context(), mib)
			if next == nil || next.left != (extent{9 * mib, 10 * mib}) || s.ctx.Err() == nil || s.left.len() != 0 {
				t.Fatalf("move %d: %v, left %v", i, next, s.left)
			}
			q.done(s)
			s = next
		}
		time.Sleep(tooLong + 1)
		if got, more := q.take(t.Context(), mib); got != nil || !more {
			t.Errorf("taken over without end: %v", got)
		}
		// A byte makes it worth trying again.
		q.got(t, s, 1)
		time.Sleep(tooLong + 1)
		if got, _ := q.take(t.Context(), mib); got == nil {
			t.Error("not taken over after a byte")
		}
	})
}

func TestFixedSharesStayWhole(t *testing.T) {
	q := &shares{fixed: true, free: []extent{{0, 100 * mib}}}
	if s, _ := q.take(t.Context(), 0); s == nil {
		t.Fatal("there is one")
	}
	if s, more := q.take(t.Context(), 0); s != nil || more {
		t.Errorf("got %v, %v", s, more)
	}
}
