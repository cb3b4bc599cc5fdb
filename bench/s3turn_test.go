package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		work := func(name string, seconds int) way {
			return way{
				name: name,
				do: func() error {
					order = append(order, name)
					time.Sleep(time.Duration(seconds) * time.Second) // in synctest's time
					return nil
				},
				after: func() error {
					time.Sleep(time.Hour) // in synctest's time
					return nil
				},
			}
		}
		got := figures{}
		if err := takeTurns(got, "a/b", 10, 2, []way{work(ours, 1), work(sdk, 2), work(minioGo, 5)}); err != nil {
			t.Fatal(err)
		}
		if want := []string{ours, sdk, minioGo, sdk, minioGo, ours}; !slices.Equal(order, want) {
			t.Errorf("the order is %q, want %q", order, want)
		}
		for name, want := range map[string]float64{ours: 10, sdk: 5, minioGo: 2} {
			if !slices.Equal(got["a/b"][name], []float64{want, want}) {
				t.Errorf("%s: %v, want twice %v", name, got["a/b"][name], want)
			}
		}
	})
	fails := errors.New("fails")
	for _, w := range []way{
		{name: sdk, do: func() error { return fails }},
		{name: sdk, do: func() error { return nil }, after: func() error { return fails }},
	} {
		got := figures{}
		err := takeTurns(got, "a/b", 1, 1, []way{w})
		if !errors.Is(err, fails) || !strings.HasPrefix(err.Error(), sdk) || len(got) > 0 {
			t.Errorf("%v, %v", err, got)
		}
	}
}

// A Parquet reader sends half as many requests as it reads ranges,
// on any machine.
func TestRandomRequests(t *testing.T) {
	st := newStore(t)
	got := figures{}
	if err := measureRandom(t.Context(), settings{quick: true}, st, got); err != nil {
		t.Fatal(err)
	}
	if o, peer := median(got[randomRow][ours]), median(got[randomRow][rangeARead]); o > peer/2 || o < 2 {
		t.Errorf("%v requests for %v reads", o, peer)
	}
	if o := median(got[randomBytes][ours]); o < 1 {
		t.Errorf("%v of the bytes asked for", o)
	}
}
