package main

import (
	"errors"
	"fmt"
	"testing"
)

// Every key belongs to one shard, the same for ever, and none has much more than
// its part.
func TestShards(t *testing.T) {
	const keys = 20_000
	for _, n := range []int{1, 2, 3, 7, 64} {
		sizes := make([]int, n)
		for i := range keys {
			key := fmt.Sprintf("photos/2026/%06d.jpg", i)
			in := 0
			for s := range n {
				if (shard{s, n}).has(key) {
					sizes[s]++
					in++
				}
			}
			if in != 1 {
				t.Fatalf("%q is in %d of %d shards", key, in, n)
			}
		}
		for s, size := range sizes {
			if part := keys / n; size < part*8/10 || size > part*12/10 {
				t.Errorf("shard %d/%d has %d of %d keys", s, n, size, keys)
			}
		}
	}
	// sha256sum says so, and so will the next release.
	for key, want := range map[string]int{"": 2, "a": 0, "cats/indoor.jpg": 0, "é": 1} {
		for s := range 5 {
			if got := (shard{s, 5}).has(key); got != (s == want) {
				t.Errorf("%q in shard %d/5: %v", key, s, got)
			}
		}
	}
}

func TestShardFlag(t *testing.T) {
	for _, c := range []struct {
		flag, index, count string
		want               shard
		wrong              bool
	}{
		{"", "", "", shard{0, 1}, false},
		{"0/1", "", "", shard{0, 1}, false},
		{"3/4", "1", "2", shard{3, 4}, false},
		{"", "1", "2", shard{1, 2}, false},
		{"", "1", "", shard{}, true},
		{"", "", "2", shard{}, true},
		{"", "2", "2", shard{}, true},
		{"", "x", "2", shard{}, true},
		{"4/4", "", "", shard{}, true},
		{"-1/4", "", "", shard{}, true},
		{"0/0", "", "", shard{}, true},
		{"1", "", "", shard{}, true},
		{"1/2/3", "", "", shard{}, true},
		{"/", "", "", shard{}, true},
	} {
		got, err := parseShard(c.flag, func(name string) string { return map[string]string{jobIndex: c.index, jobCount: c.count}[name] })
		if got != c.want || errors.As(err, new(usageError)) != c.wrong {
			t.Errorf("%+v: got %+v, %v", c, got, err)
		}
	}
}
