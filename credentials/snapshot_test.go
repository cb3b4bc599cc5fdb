package credentials

import (
	"math"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
)

// A bubble of testing/synctest has one clock, so that what the wall clock and
// the monotonic clock make of each other is a table.
func TestPhase(t *testing.T) {
	hour := &snapshot{life: time.Hour, due: 45 * time.Minute}
	brief := &snapshot{life: 3 * time.Second, due: 2500 * time.Millisecond}
	tests := []struct {
		name      string
		s         *snapshot
		age, wall time.Duration
		want      phase
	}{
		{"new", hour, 0, 0, fresh},
		{"just before due", hour, 45*time.Minute - 1, 45 * time.Minute, fresh},
		{"due", hour, 45 * time.Minute, 45 * time.Minute, due},
		{"just before the last stretch", hour, time.Hour - 10*time.Second - 1, time.Hour - 10*time.Second, due},
		{"last stretch", hour, time.Hour - 10*time.Second, time.Hour - 10*time.Second, expiring},
		{"over", hour, time.Hour, time.Hour, expired},
		{"none", nil, 0, 0, expired},
		{"no end given", &snapshot{}, 0, 0, expired},
		{"brief, last stretch is a twentieth", brief, 2849 * time.Millisecond, 2849 * time.Millisecond, due},
		{"brief, in it", brief, 2850 * time.Millisecond, 2850 * time.Millisecond, expiring},

		{"the machine slept two hours", hour, time.Minute, 2 * time.Hour, expiring},
		{"the clock was set a minute ahead", hour, time.Minute, 2 * time.Minute, fresh},
		{"and a moment more", hour, time.Minute, 2*time.Minute + 1, expiring},
		{"the clock was set back two hours", hour, time.Minute, -2 * time.Hour, fresh},
		{"set back, and over all the same", hour, time.Hour, -time.Hour, expired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.phaseAt(tt.age, tt.wall); got != tt.want {
				t.Errorf("phase %d, want %d", got, tt.want)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	tests := []struct{ life, window, want time.Duration }{
		{3 * time.Second, 0, 750 * time.Millisecond},
		{15 * time.Minute, 0, 225 * time.Second},
		{20 * time.Minute, 0, 5 * time.Minute},
		{time.Hour, 0, 15 * time.Minute},
		{89 * time.Minute, 0, 15 * time.Minute},
		{90 * time.Minute, 0, 22*time.Minute + 30*time.Second},
		{6 * time.Hour, 0, time.Hour},
		{12 * time.Hour, 0, time.Hour},
		{time.Hour, 2 * time.Minute, 2 * time.Minute},
		{time.Hour, time.Hour, 15 * time.Minute},
	}
	for _, tt := range tests {
		if got := windowOf(tt.life, tt.window); got != tt.want {
			t.Errorf("window of %v, set to %v: %v, want %v", tt.life, tt.window, got, tt.want)
		}
	}
}

func TestDueIsDrawn(t *testing.T) {
	low, high := func() float64 { return 0 }, func() float64 { return 1 }
	tests := []struct {
		first    bool
		from, to time.Duration
	}{
		{true, 225 * time.Second, 52*time.Minute + 30*time.Second},
		{false, 45 * time.Minute, 52*time.Minute + 30*time.Second},
	}
	for _, tt := range tests {
		if got := dueAfter(time.Hour, 0, tt.first, low); got != tt.from {
			t.Errorf("first %v: earliest %v, want %v", tt.first, got, tt.from)
		}
		if got := dueAfter(time.Hour, 0, tt.first, high); got != tt.to {
			t.Errorf("first %v: latest %v, want %v", tt.first, got, tt.to)
		}
	}
}

// Sessions may outlast any calendar: the due instant is never before their
// beginning, and never after their end.
func TestDueOfAVeryLongSession(t *testing.T) {
	for _, first := range []bool{true, false} {
		for _, draw := range []float64{0, 0.5, 1 - 1e-16} {
			const life = time.Duration(math.MaxInt64)
			if got := dueAfter(life, 0, first, func() float64 { return draw }); got < life/16 || got > life {
				t.Errorf("first %v, drawn %v: due after %v", first, draw, got)
			}
		}
	}
}

func TestPausesAreMonotoneAndBounded(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	for _, limit := range []time.Duration{1, time.Second, time.Minute, 15 * time.Minute, longest} {
		for _, draw := range []float64{0, 1 - 1e-16} {
			last := time.Duration(0)
			for _, streak := range []int{1, 2, 3, 10, 30, 31, 32, 62, 63, 64, 65, 1000, 1100, math.MaxInt} {
				got := backoff(time.Second, streak, limit, 0, func() float64 { return draw })
				if got < last || got > limit || got < min(time.Second, limit)*4/5 {
					t.Errorf("limit %v, drawn %v: pause %d is %v after %v", limit, draw, streak, got, last)
				}
				last = got
			}
		}
	}
}

// The life is Expiration less the server's own Date: the local clock, 40 minutes
// off either way, has no say in it.
func TestLifeIsCountedByTheServersClock(t *testing.T) {
	for _, off := range []time.Duration{-40 * time.Minute, 0, 40 * time.Minute} {
		sent := time.Now()
		server := sent.Round(0).Add(off)
		s := newSnapshot(aws.Credentials{CanExpire: true, Expires: server.Add(time.Hour)},
			&attempt{Trace: stsclient.Trace{SentAt: sent, Date: server}}, 0, false, random)
		if want := time.Hour - dateIsFloor; s.life != want {
			t.Errorf("server %v ahead: life %v, want %v", off, s.life, want)
		}
		if want := sent.Round(0).Add(s.life); !s.creds.Expires.Equal(want) {
			t.Errorf("server %v ahead: Expires %v, want %v by the local clock", off, s.creds.Expires, want)
		}
	}
	sent := time.Now()
	s := newSnapshot(aws.Credentials{CanExpire: true, Expires: sent.Round(0).Add(time.Hour)}, &attempt{Trace: stsclient.Trace{SentAt: sent}}, 0, false, random)
	if s.life != time.Hour {
		t.Errorf("without a Date: life %v, want an hour by the local clock", s.life)
	}
}

func TestPauseNeverOutlastsTheSession(t *testing.T) {
	draw := func() float64 { return 1 }
	if got := backoff(time.Second, 10, time.Minute, 7*time.Second, draw); got != 7*time.Second {
		t.Errorf("pause %v with 7s left, want 7s", got)
	}
	if got := backoff(time.Second, 1<<30, time.Minute, 0, draw); got != time.Minute {
		t.Errorf("pause %v after very many failures, want the cap", got)
	}
}
