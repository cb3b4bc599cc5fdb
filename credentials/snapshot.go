package credentials

import (
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// snapshot is one session, as all callers see it at once. It never changes.
type snapshot struct {
	issued time.Time     // when its request left; carries the monotonic clock
	wall   int64         // the same on the wall clock, in ns
	life   time.Duration // from issued on; 0: keys without an expiry, good for one use
	due    time.Duration // from issued on

	creds  aws.Credentials // Expires on the local clock
	caller string          // ARN that STS says we are; empty if the source does not tell
	took   time.Duration   // of the exchange that brought it
}

// phase is what a session's age asks of a caller.
type phase int

const (
	fresh   phase = iota // hand it out
	due                  // hand it out; somebody should renew it in the background
	ending               // wait a moment for a renewal, then hand it out
	expired              // wait for a new one
)

const (
	endingWait  = 2 * time.Second  // how long a caller waits for a renewal while the session is valid
	endingMost  = 10 * time.Second // the last stretch of a session's life: this, or a twentieth of it
	clockJump   = 60 * time.Second // wall clock ahead of monotonic: the machine slept, or the clock was set
	dateIsFloor = time.Second      // Date has whole seconds: the server's clock may be this much further
)

// phaseAt takes the session's age on the monotonic clock, which a wall clock
// that is wrong or set does not touch, and on the wall clock, which goes on
// while the machine sleeps.
func (s *snapshot) phaseAt(age, wallAge time.Duration) phase {
	switch {
	case s == nil || age >= s.life:
		return expired
	case age >= s.life-min(endingMost, s.life/20), wallAge-age > clockJump:
		return ending
	case age >= s.due:
		return due
	}
	return fresh
}

func (s *snapshot) phase(now time.Time) phase {
	if s == nil {
		return expired
	}
	return s.phaseAt(now.Sub(s.issued), time.Duration(now.UnixNano()-s.wall))
}

// left is how much longer the session is valid.
func (s *snapshot) left(now time.Time) time.Duration {
	if s == nil {
		return 0
	}
	return s.life - now.Sub(s.issued)
}

// sameKeys reports whether s holds the same keys without an end as other: a
// provider of long-lived keys is asked at each refresh of the hop after it.
func (s *snapshot) sameKeys(other *snapshot) bool {
	return other != nil && !s.creds.CanExpire && s.creds == other.creds
}

// newSnapshot dates a session. Its life is what the server's own clock says,
// counted from the moment the request left: a wrong local clock neither
// prolongs nor shortens it.
func newSnapshot(creds aws.Credentials, rec *record, window time.Duration, first bool, draw func() float64) *snapshot {
	s := &snapshot{creds: creds, caller: rec.assumed, issued: rec.sentAt, wall: rec.sentAt.UnixNano(), took: rec.took}
	if !creds.CanExpire {
		if s.life = rec.keep; s.life > 0 {
			s.due = dueAfter(s.life, window, first, draw)
		}
		return s
	}
	if rec.date.IsZero() {
		s.life = creds.Expires.Sub(rec.sentAt.Round(0))
	} else {
		s.life = creds.Expires.Sub(rec.date.Add(dateIsFloor))
	}
	s.creds.Expires = rec.sentAt.Round(0).Add(s.life)
	s.due = dueAfter(s.life, window, first, draw)
	return s
}

// dueAfter draws the instant at which a session of this life becomes due: at
// random in the first half of its window, so that pods that refreshed together
// once do not do so for ever. A chain's first session draws from nearly its
// whole life: a fleet that started in one minute spreads out at once.
func dueAfter(life, window time.Duration, first bool, draw func() float64) time.Duration {
	from, to := life/16, life-life/8
	if !first {
		w := windowOf(life, window)
		from, to = life-w, life-w/2
	}
	return from + time.Duration(draw()*float64(to-from))
}

// windowOf is how long before its end a session counts as due.
func windowOf(life, window time.Duration) time.Duration {
	if window == 0 {
		switch {
		case life <= 20*time.Minute:
			window = 5 * time.Minute
		case life < 90*time.Minute:
			window = 15 * time.Minute
		default:
			window = time.Hour
		}
	}
	return min(window, life/4)
}

var random = rand.Float64
