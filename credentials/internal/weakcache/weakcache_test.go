package weakcache_test

import (
	"runtime"
	"testing"

	"github.com/crossrole/crossrole/credentials/internal/weakcache"
)

type value struct {
	proven bool
	_      [64]byte // not a tiny object: those share their allocation, and their lifetime
}

func newCache(most int) *weakcache.Cache[int, value] {
	return weakcache.New[int](most, func(v *value) bool { return v.proven })
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	c := newCache(3)
	for key := range 3 {
		c.Put(key, &value{proven: true})
	}
	c.Get(0)
	c.Put(3, &value{proven: true})
	collect()
	for key, want := range []bool{true, false, true, true} {
		if got := c.Get(key) != nil; got != want {
			t.Errorf("key %d is there: %t, want %t", key, got, want)
		}
	}
	if n := c.Len(); n != 3 {
		t.Errorf("holds %d values, want 3", n)
	}
}

func TestPutKeepsTheFirst(t *testing.T) {
	c := newCache(2)
	first, second := new(value), new(value)
	if got := c.Put(1, first); got != first {
		t.Error("the first value was not taken")
	}
	if got := c.Put(1, second); got != first {
		t.Error("a second value replaced the first")
	}
}

// Values that never prove themselves evict one another, not the proven ones.
func TestUnprovenEvictOneAnother(t *testing.T) {
	c := newCache(8)
	for key := range 6 {
		c.Put(key, &value{proven: true})
	}
	for key := range 1000 {
		c.Put(100+key, new(value))
	}
	collect()
	for key := range 6 {
		if c.Get(key) == nil {
			t.Errorf("proven value %d was evicted", key)
		}
	}
}

// A new value finds room among proven ones, and stays when it proves itself.
func TestNewValueFindsRoom(t *testing.T) {
	for _, most := range []int{1, 2, 3, 8} {
		c := newCache(most)
		for key := range most {
			c.Put(key, &value{proven: true})
		}
		c.Put(-1, new(value))
		c.Get(-1).proven = true
		c.Put(-2, new(value))
		collect()
		if most > 1 && c.Get(-1) == nil {
			t.Errorf("max %d: the new value was evicted", most)
		}
		if n := c.Len(); n > most {
			t.Errorf("max %d: holds %d", most, n)
		}
	}
}

// An evicted value is found while it is used, and forgotten after.
func TestEvictedValuesLiveWhileUsed(t *testing.T) {
	c := newCache(1)
	used := new(value)
	c.Put(1, used)
	c.Put(2, new(value))
	collect()
	if len(c.All()) != 2 {
		t.Errorf("%d values, want the held one and the used one", len(c.All()))
	}
	if c.Get(1) != used {
		t.Error("the evicted value was not found although it is in use")
	}
	runtime.KeepAlive(used)
	used = nil
	c.Put(3, new(value))
	for range 100 {
		if collect(); len(c.All()) == 1 {
			return
		}
	}
	t.Errorf("%d values are left, want 1", len(c.All()))
}

func collect() {
	runtime.GC()
	runtime.GC()
}
