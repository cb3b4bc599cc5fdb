package credentials

import (
	"container/list"
	"runtime"
	"weak"
)

// keep is the chains that a pool holds on to: the most that it may, those that
// were asked for last. Its pool's lock guards it.
type keep struct {
	most int
	held map[roleKey]*list.Element

	// Chains that never had a session are apart, and have a quarter of the room
	// for certain: a long list of roles that refuse us pushes out one another,
	// and not the chains that work; a new one has the time to become one of those.
	proven, unproven list.List // of *entry, the one asked for last at the front

	// loose are chains that were let go and that somebody may still use.
	loose map[roleKey]weak.Pointer[Chain]
}

type entry struct {
	key   roleKey
	chain *Chain
	in    *list.List
}

func newKeep(most int) keep {
	return keep{most: most, held: map[roleKey]*list.Element{}, loose: map[roleKey]weak.Pointer[Chain]{}}
}

func (k *keep) len() int { return len(k.held) }

// get is the chain of key, which counts as asked for now; nil: there is none.
func (k *keep) get(key roleKey) *Chain {
	if e, ok := k.held[key]; ok {
		k.touch(e)
		return e.Value.(*entry).chain
	}
	c := k.loose[key].Value()
	if c != nil {
		k.put(key, c)
	}
	return c
}

// put holds a chain, and lets another one go if there are too many.
func (k *keep) put(key roleKey, c *Chain) {
	delete(k.loose, key)
	in := &k.unproven
	if c.end.granted() {
		in = &k.proven
	}
	k.held[key] = in.PushFront(&entry{key, c, in})
	for len(k.held) > k.most {
		k.letGo()
	}
}

// touch moves a chain to the front, of those that are proven if it is by now.
func (k *keep) touch(e *list.Element) {
	held := e.Value.(*entry)
	if held.in == &k.proven || !held.chain.end.granted() {
		held.in.MoveToFront(e)
		return
	}
	k.unproven.Remove(e)
	held.in = &k.proven
	k.held[held.key] = k.proven.PushFront(held)
}

// letGo has the pool no longer keep one chain alive.
func (k *keep) letGo() {
	for {
		e := k.unproven.Back()
		if e == nil || k.unproven.Len() <= max(1, k.most/4) && k.proven.Len() > 0 {
			k.drop(k.proven.Back())
			return
		}
		if !e.Value.(*entry).chain.end.granted() {
			k.drop(e)
			return
		}
		k.touch(e)
	}
}

func (k *keep) drop(e *list.Element) {
	gone := e.Value.(*entry)
	gone.in.Remove(e)
	delete(k.held, gone.key)
	k.loose[gone.key] = weak.Make(gone.chain)
}

// all are the chains that are held or still used.
func (k *keep) all() []*Chain {
	var chains []*Chain
	for _, e := range k.held {
		chains = append(chains, e.Value.(*entry).chain)
	}
	for _, w := range k.loose {
		if c := w.Value(); c != nil {
			chains = append(chains, c)
		}
	}
	return chains
}

// watch has the pool forget a chain that was let go when nobody uses it any
// more. The chain does not keep the pool alive.
func (p *Pool) watch(key roleKey, c *Chain) {
	pool, gone := weak.Make(p), weak.Make(c)
	runtime.AddCleanup(c, func(key roleKey) {
		p := pool.Value()
		if p == nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.kept.loose[key] == gone {
			delete(p.kept.loose, key)
		}
	}, key)
}
