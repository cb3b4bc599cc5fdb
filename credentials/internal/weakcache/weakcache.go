// Package weakcache is an LRU cache whose evicted values stay reachable for as
// long as the program uses them.
//
// # How it works
//
// The cache holds at most max values strongly. What it evicts it remembers by a
// weak pointer: Get still finds the value while anything else refers to it, and
// moves it back to the front. A cleanup on the value removes the weak pointer once
// the value is garbage, so that evicted keys cost nothing for long. The cleanup
// refers to the cache weakly, so a value does not keep its cache alive.
//
// Values are kept in two lists, proven and unproven. Unproven values go first
// while they fill more than a quarter of the cache: a long list of values that
// never prove themselves evicts one another, not the proven ones; and a new value
// has time to prove itself. A value changes lists when it is asked for.
package weakcache

import (
	"container/list"
	"runtime"
	"sync"
	"weak"
)

// Cache maps keys to values. Its methods may be called concurrently.
type Cache[K comparable, V any] struct {
	max    int
	proven func(*V) bool

	mu      sync.Mutex // guards what follows
	held    map[K]*list.Element
	evicted map[K]weak.Pointer[V]

	// Both lists have their most recently used entry in front.
	provenList, unprovenList list.List // of *entry[K, V]
}

type entry[K comparable, V any] struct {
	key   K
	value *V
	in    *list.List
}

// New returns a cache that holds at most max values, at least 1. It calls proven
// with its lock held: proven must not call the cache.
func New[K comparable, V any](max int, proven func(*V) bool) *Cache[K, V] {
	return &Cache[K, V]{max: max, proven: proven, held: map[K]*list.Element{}, evicted: map[K]weak.Pointer[V]{}}
}

// Get returns the value of key, which is now the most recently used, or nil.
func (c *Cache[K, V]) Get(key K) *V {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(key)
}

// Put adds a value, evicts others if there are too many, and returns it. If the
// key has a value already, Put changes nothing and returns that one.
func (c *Cache[K, V]) Put(key K, value *V) *V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there := c.get(key); there != nil {
		return there
	}
	c.hold(key, value)
	c.forgetAfter(key, value)
	return value
}

// Len returns how many values the cache holds strongly.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

// All returns the values that are held or still used, in no particular order.
func (c *Cache[K, V]) All() []*V {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*V
	for _, e := range c.held {
		all = append(all, e.Value.(*entry[K, V]).value)
	}
	for _, w := range c.evicted {
		if v := w.Value(); v != nil {
			all = append(all, v)
		}
	}
	return all
}

// get is Get with c.mu held.
func (c *Cache[K, V]) get(key K) *V {
	if e, ok := c.held[key]; ok {
		c.promote(e)
		return e.Value.(*entry[K, V]).value
	}
	v := c.evicted[key].Value()
	if v != nil {
		c.hold(key, v)
	}
	return v
}

// hold holds a value strongly and evicts what is too much; c.mu is held.
func (c *Cache[K, V]) hold(key K, value *V) {
	delete(c.evicted, key)
	in := &c.unprovenList
	if c.proven(value) {
		in = &c.provenList
	}
	c.held[key] = in.PushFront(&entry[K, V]{key, value, in})
	for len(c.held) > c.max {
		c.evict()
	}
}

// promote moves an entry to the front, of the proven ones if it is one by now;
// c.mu is held.
func (c *Cache[K, V]) promote(e *list.Element) {
	held := e.Value.(*entry[K, V])
	if held.in == &c.provenList || !c.proven(held.value) {
		held.in.MoveToFront(e)
		return
	}
	c.unprovenList.Remove(e)
	held.in = &c.provenList
	c.held[held.key] = c.provenList.PushFront(held)
}

// evict releases one value; c.mu is held.
func (c *Cache[K, V]) evict() {
	for {
		e := c.unprovenList.Back()
		if e == nil || c.unprovenList.Len() <= max(1, c.max/4) && c.provenList.Len() > 0 {
			c.release(c.provenList.Back())
			return
		}
		if !c.proven(e.Value.(*entry[K, V]).value) {
			c.release(e)
			return
		}
		c.promote(e) // it has proved itself since it was last asked for
	}
}

// release keeps only a weak pointer to an entry's value; c.mu is held.
func (c *Cache[K, V]) release(e *list.Element) {
	gone := e.Value.(*entry[K, V])
	gone.in.Remove(e)
	delete(c.held, gone.key)
	c.evicted[gone.key] = weak.Make(gone.value)
}

// forgetAfter removes the weak pointer to a value once the value is garbage.
func (c *Cache[K, V]) forgetAfter(key K, value *V) {
	cache, gone := weak.Make(c), weak.Make(value)
	runtime.AddCleanup(value, func(key K) {
		c := cache.Value()
		if c == nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.evicted[key] == gone {
			delete(c.evicted, key)
		}
	}, key)
}
