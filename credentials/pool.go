package credentials

import (
	"cmp"
	"container/list"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Pool is many chains that start from the same sessions: for a program that
// assumes a role in each of many accounts. Equal roles have the same chain, and
// each target costs one STS call, not one for every hop. Its methods may be called
// from many goroutines; there is nothing to close.
//
// # Roles that a tenant names
//
// A service that assumes whatever role its customers enter can be made to assume
// one customer's role on behalf of another ("confused deputy"). Give every tenant
// an ExternalID that the service chooses, never the tenant, and have the role's
// trust policy ask for it
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html). Chains
// of different external ids never share a session.
type Pool struct {
	base    aws.Config
	options PoolOptions
	prefix  *Chain

	mu    sync.Mutex // guards what follows
	held  map[roleKey]*list.Element
	order list.List // of *entry, the one asked for last at the front
	loose map[roleKey]weak.Pointer[Chain]
}

// entry is a chain that the pool holds.
type entry struct {
	key   roleKey
	chain *Chain
}

// PoolOptions are the settings of a [Pool]. Those of the embedded Options hold
// for all its chains: Options.Roles is the prefix that they share (a hub, say; or
// nothing), and OnEvent is called for each chain's events in order, but by
// several chains at once.
type PoolOptions struct {
	Options

	// MaxChains is how many chains the pool holds on to. Beyond that it lets go
	// of the one that was asked for longest ago; if somebody uses that one still,
	// it goes on working, and is the one that Chain returns. Zero: 10,000.
	MaxChains int

	// STSRate is how many requests the chains of this pool make together, a
	// second, at most. AWS allows 600 in an account and region by default, which
	// all its programs share. Zero: any number.
	STSRate float64

	// STSConcurrency is how many requests are under way at most. Zero: 64.
	STSConcurrency int
}

const (
	defaultMaxChains      = 10_000
	defaultSTSConcurrency = 64
)

// NewPool returns a pool without chains. It opens no file and makes no call;
// wrong settings are [ConfigInvalid], all in one error.
//
// Where more requests are wanted than STSRate and STSConcurrency let through, a
// session that all chains share goes first, then those that somebody waits for,
// then those that are renewed ahead of their end. The time in the queue is no
// part of Refresh.Timeout.
func NewPool(base aws.Config, optFns ...func(*PoolOptions)) (*Pool, error) {
	var (
		o PoolOptions
		f faults
	)
	for i, fn := range optFns {
		if fn == nil {
			f.addNilOption(i)
			continue
		}
		fn(&o)
	}
	if o.MaxChains < 0 {
		f.add("PoolOptions.MaxChains", "%d is negative; want a number of chains, or 0 for %d", o.MaxChains, defaultMaxChains)
	}
	if o.STSRate < 0 || math.IsNaN(o.STSRate) {
		f.add("PoolOptions.STSRate", "%v; want requests a second, or 0 for any number", o.STSRate)
	}
	if o.STSConcurrency < 0 {
		f.add("PoolOptions.STSConcurrency", "%d is negative; want a number of requests, or 0 for %d", o.STSConcurrency, defaultSTSConcurrency)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	o.MaxChains = cmp.Or(o.MaxChains, defaultMaxChains)
	o.STSConcurrency = cmp.Or(o.STSConcurrency, defaultSTSConcurrency)
	o.Roles = slices.Clone(o.Roles)
	for i, role := range o.Roles {
		o.Roles[i] = role.clone()
	}
	prefix, err := New(base, func(opts *Options) {
		*opts = o.Options
		opts.ExpectedAccount = "" // it is the targets'
	})
	if err != nil {
		return nil, err
	}
	prefix.more, prefix.gate = 1, newGate(o.STSRate, o.STSConcurrency)
	return &Pool{base: detached(base), options: o, prefix: prefix, held: map[roleKey]*list.Element{}, loose: map[roleKey]weak.Pointer[Chain]{}}, nil
}

// Chain is the chain that ends in role. Roles that are equal in every field
// (Tags by their content) have the same chain. A role that breaks a rule is
// [ConfigInvalid], and leaves nothing behind in the pool.
func (p *Pool) Chain(role Role) (*Chain, error) {
	key := keyOf(role)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.held[key]; ok {
		p.order.MoveToFront(e)
		return e.Value.(*entry).chain, nil
	}
	chain := p.loose[key].Value()
	if chain == nil {
		var err error
		if chain, err = p.extend(role); err != nil {
			return nil, err
		}
	}
	delete(p.loose, key)
	p.held[key] = p.order.PushFront(&entry{key, chain})
	if p.order.Len() > p.options.MaxChains {
		p.letGo(p.order.Back())
	}
	return chain, nil
}

// Config is Chain(role).Config(): base, signed by that chain.
func (p *Pool) Config(role Role) (aws.Config, error) {
	c, err := p.Chain(role)
	if err != nil {
		return aws.Config{}, err
	}
	return c.Config(), nil
}

// All yields the pool's chains and those that somebody uses still, in no
// particular order: for a page of their [Chain.Status].
func (p *Pool) All() iter.Seq[*Chain] {
	return func(yield func(*Chain) bool) {
		p.mu.Lock()
		var chains []*Chain
		for e := p.order.Front(); e != nil; e = e.Next() {
			chains = append(chains, e.Value.(*entry).chain)
		}
		for _, w := range p.loose {
			if c := w.Value(); c != nil {
				chains = append(chains, c)
			}
		}
		p.mu.Unlock()
		for _, c := range chains {
			if !yield(c) {
				return
			}
		}
	}
}

// extend makes the chain that goes on from the prefix to role.
func (p *Pool) extend(role Role) (*Chain, error) {
	o := p.options.Options
	o.Roles = append(slices.Clip(o.Roles), role)
	r := &resolver{base: p.base, options: o}
	_, roles := r.resolve()
	r.checkPartitions()
	if err := r.err(); err != nil {
		return nil, err
	}
	from := p.prefix
	c := &Chain{
		base: from.base, source: from.source, roles: append(slices.Clip(from.roles), roles[len(roles)-1]),
		sts: from.sts, gate: from.gate, prefix: from,
		window: from.window, timeout: from.timeout, failureCap: from.failureCap, deniedCap: deniedCap,
		expectedAccount: p.options.ExpectedAccount, logger: from.logger, onEvent: from.onEvent, draw: from.draw,
	}
	last := &session{chain: c, hop: len(from.hops) + 1, role: c.roles[len(c.roles)-1].ARN, parent: from.last()}
	last.exchange = c.assumeRole(c.roles[len(c.roles)-1])
	c.hops = append(slices.Clip(from.hops), last)
	return c, nil
}

// letGo has the pool no longer keep a chain alive. p.mu is held.
func (p *Pool) letGo(e *list.Element) {
	gone := p.order.Remove(e).(*entry)
	delete(p.held, gone.key)
	w := weak.Make(gone.chain)
	p.loose[gone.key] = w
	runtime.AddCleanup(gone.chain, func(key roleKey) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.loose[key] == w {
			delete(p.loose, key)
		}
	}, gone.key)
}
