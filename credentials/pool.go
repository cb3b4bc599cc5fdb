package credentials

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials/internal/limiter"
	"github.com/crossrole/crossrole/credentials/internal/weakcache"
)

// Pool is a set of chains that start from the same sessions, for a program that assumes a
// role in each of many accounts. Equal roles have the same chain, and each target costs
// one STS call, not one per hop. It is safe for concurrent use and needs no Close.
//
// # Roles that a tenant names
//
// A service that assumes any role that its customers enter can be made to assume one
// customer's role on behalf of another ("confused deputy"). Give every tenant an
// ExternalID that the service chooses, never the tenant, and require it in the role's
// trust policy (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
// Chains with different external IDs never share a session.
type Pool struct {
	options    *PoolOptions // by pointer, so that fmt stops before external IDs
	shared     *Chain       // the hops that all chains share
	partitions []origin     // of the shared hops
	callerARN  string       // the last shared role; empty: unknown
	chains     *weakcache.Cache[roleKey, Chain]
}

// PoolOptions are the settings of a [Pool]. The embedded Options apply to all its chains:
// Options.Roles are the hops that they share (a hub, for example; or none),
// ExpectedAccount is the account of all targets, and OnEvent is called for each chain's
// events in order, but for several chains at the same time. Apply an option of a chain to
// the embedded Options: credentials.Assume(hub)(&o.Options).
type PoolOptions struct {
	Options

	// MaxChains is how many chains the pool keeps. Beyond that it evicts the least
	// recently used; chains that never had a session go first while they make up more
	// than a quarter. An evicted chain that is still in use keeps working, and
	// Pool.Chain returns it. Zero: 10,000.
	MaxChains int

	// STSRate limits the STS requests of all chains of this pool together, per second.
	// By default AWS allows 600 per account and region, for all programs together.
	// Zero: no limit.
	STSRate float64

	// STSConcurrency limits the requests in flight. One that hangs frees its slot after
	// a third of Refresh.Timeout. Zero: 64.
	STSConcurrency int
}

const (
	defaultMaxChains      = 10_000
	defaultSTSConcurrency = 64
)

// NewPool returns a pool without chains. It opens no file and makes no call; one
// [ConfigInvalid] lists everything that is wrong with the settings.
//
// When STSRate and STSConcurrency make requests wait, a session that all chains share goes
// first, then those that a caller waits for (roles that worked before first), then
// renewals of sessions that are still valid. The time in the queue does not count toward
// Refresh.Timeout.
//
// A role that denies access is retried after 30 seconds, backing off to 15 minutes;
// meanwhile callers get the same error immediately. For other failures Refresh.FailureCap
// applies.
func NewPool(base aws.Config, optFns ...func(*PoolOptions)) (*Pool, error) {
	var (
		o PoolOptions
		f problems
	)
	for i, fn := range optFns {
		if fn == nil {
			f.addNilOption(i)
			continue
		}
		fn(&o)
	}
	if o.MaxChains < 0 {
		f.addf("PoolOptions.MaxChains", "%d is negative; want a number of chains, or 0 for %d", o.MaxChains, defaultMaxChains)
	}
	if o.STSRate < 0 || math.IsNaN(o.STSRate) {
		f.addf("PoolOptions.STSRate", "%v; want requests a second, or 0 for any number", o.STSRate)
	}
	if o.STSConcurrency < 0 {
		f.addf("PoolOptions.STSConcurrency", "%d is negative; want a number of requests, or 0 for %d", o.STSConcurrency, defaultSTSConcurrency)
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
	shared, err := New(base, func(opts *Options) {
		*opts = o.Options
		opts.ExpectedAccount = "" // it is for the targets
	})
	if err != nil {
		return nil, err
	}
	shared.shared, shared.limiter = true, limiter.New(o.STSRate, o.STSConcurrency)
	shared.facts.hops++
	r := &resolver{base: *shared.base, options: o.Options}
	p := &Pool{options: &o, shared: shared, callerARN: shared.RoleARN(), chains: weakcache.New[roleKey](o.MaxChains, hadSession)}
	if len(shared.hops) == 1 {
		p.callerARN = r.assumedBy(shared.facts.source)
	}
	if p.callerARN != "" {
		r.checkRoleARN("PoolOptions.Roles", p.callerARN)
	}
	r.partition(partitionOf(shared.base.Region), "region "+shared.base.Region)
	p.partitions = r.partitions
	return p, nil
}

// Chain returns the chain that ends in role. Roles that are equal in every field (Tags by
// their content) have the same chain. A role that breaks a rule is [ConfigInvalid] and is
// not added to the pool.
func (p *Pool) Chain(role Role) (*Chain, error) {
	key := keyOf(role)
	if c := p.chains.Get(key); c != nil {
		return c, nil
	}
	c, err := p.extend(role)
	if err != nil {
		return nil, err
	}
	return p.chains.Put(key, c), nil // another goroutine may have put one first
}

// hadSession reports whether the chain ever had a session. A pool evicts chains
// that never had one first.
func hadSession(c *Chain) bool { return c.last.everSucceeded() }

// Config returns Chain(role).Config(): base, signed by that chain.
func (p *Pool) Config(role Role) (aws.Config, error) {
	c, err := p.Chain(role)
	if err != nil {
		return aws.Config{}, err
	}
	return c.Config(), nil
}

// All yields the pool's chains and evicted ones that are still in use, in no particular
// order, for example to show their [Chain.Status].
func (p *Pool) All() iter.Seq[*Chain] {
	return func(yield func(*Chain) bool) {
		for _, c := range p.chains.All() {
			if !yield(c) {
				return
			}
		}
	}
}

// Format prints what [Options.Format] does.
func (o PoolOptions) Format(f fmt.State, _ rune) { fmt.Fprint(f, o.describe("PoolOptions")) }

// String describes the pool: "web identity → arn:…:role/hub → 12 roles".
func (p *Pool) String() string {
	return fmt.Sprintf("%v → %d roles", p.shared, p.chains.Len())
}

// Format prints String, which holds no secret, under every verb.
func (p *Pool) Format(f fmt.State, _ rune) { fmt.Fprint(f, p.String()) }

// MarshalText returns String, for JSON and slog.
func (p *Pool) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// check returns a copy of role after checking every rule.
func (p *Pool) check(role Role) (Role, error) {
	r := &resolver{options: p.options.Options, partitions: slices.Clip(p.partitions)}
	role = r.nextRole("Role", role, len(p.shared.hops) == 1, p.shared.facts.source, p.callerARN)
	r.checkPartitions()
	r.checkExpectedAccount(role.ARN)
	return role, r.err()
}

// extend returns a new chain from the shared hops to role.
func (p *Pool) extend(role Role) (*Chain, error) {
	role, err := p.check(role)
	if err != nil {
		return nil, err
	}
	from := p.shared
	c := &Chain{
		base: from.base, facts: from.facts, limiter: from.limiter,
		window: from.window, timeout: from.timeout, failureCap: from.failureCap, deniedCap: deniedCap,
		expectedAccount: p.options.ExpectedAccount, random: from.random,
		names: sessionNames{shared: &from.names},
	}
	c.notify.chain, c.notify.shared, c.notify.logger, c.notify.onEvent = c, &from.notify, from.notify.logger, from.notify.onEvent
	c.last.follow(c, &from.last, &role)
	c.hops = append(slices.Clip(from.hops), &c.last)
	return c, nil
}

// Warmed is the result of [Pool.Warm] for one role.
type Warmed struct {
	Role        Role
	Err         error // nil: it has a session
	Done, Total int   // number of roles so far, and of all
}

// Format prints the result without the role's external ID, under every verb.
func (w Warmed) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "credentials.Warmed{Role: %v, Err: %v, Done: %d, Total: %d}", w.Role, w.Err, w.Done, w.Total)
}

// Warm gets a session for each of the roles, so that their first use does not wait: for
// example after the start of a scanner. It returns when all roles are done or ctx has
// ended. progress, if not nil, is called after each role in Warm's goroutine, in no
// particular order. If it panics, that is Warm's error, and it is not called again.
//
// The error counts the roles that failed and wraps the first failure, an [*Error]; if ctx
// has ended, it wraps ctx's own error. The chains of roles that failed are in the pool,
// and the next caller that uses them retries; a role that breaks a rule is not added. More
// roles than MaxChains, not counting duplicates and those that break a rule, are
// [ConfigInvalid] before any call.
func (p *Pool) Warm(ctx context.Context, roles []Role, progress func(Warmed)) error {
	distinct := map[roleKey]bool{}
	for _, role := range roles {
		key := keyOf(role)
		if _, err := p.check(role); err != nil || distinct[key] {
			continue
		}
		distinct[key] = true
		if len(distinct) > p.options.MaxChains {
			return configError("Warm of more roles than PoolOptions.MaxChains, which is %d: the first of them would be evicted before the last is ready; raise MaxChains", p.options.MaxChains)
		}
	}
	results := make(chan Warmed)
	go func() {
		defer close(results)
		var (
			running sync.WaitGroup
			started atomic.Int64
		)
		// The limiter decides how many of them ask STS; twice as many keep its queue full.
		for range min(2*min(p.options.STSConcurrency, len(roles)), len(roles)) {
			running.Go(func() {
				for ctx.Err() == nil {
					i := int(started.Add(1)) - 1
					if i >= len(roles) {
						return
					}
					results <- Warmed{Role: roles[i], Err: p.warm(ctx, roles[i])}
				}
			})
		}
		running.Wait()
	}()
	var (
		done, failed int
		first        error
		broken       error // a panic in progress, which is then not called again
	)
	for w := range results {
		done++
		if w.Err != nil {
			if failed++; first == nil {
				first = w.Err
			}
		}
		if progress != nil && broken == nil {
			w.Done, w.Total = done, len(roles)
			broken = report(progress, w)
		}
	}
	if broken != nil {
		return broken
	}
	if err := ctx.Err(); err != nil && done-failed < len(roles) {
		return fmt.Errorf("credentials: warmed %d of %d roles: %w", done-failed, len(roles), err)
	}
	if failed > 0 {
		return fmt.Errorf("credentials: %d of %d roles have no session; the first failure: %w", failed, len(roles), first)
	}
	return nil
}

// report calls progress and returns a panic in it as an error.
func report(progress func(Warmed), w Warmed) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("credentials: panic in the progress function of Warm: %v", v)
		}
	}()
	progress(w)
	return nil
}

func (p *Pool) warm(ctx context.Context, role Role) error {
	c, err := p.Chain(role)
	if err != nil {
		return err
	}
	_, err = c.Retrieve(ctx)
	return err
}

// roleKey differs for roles that differ in any field. It is a hash, so that it reveals no
// external ID and takes little memory.
type roleKey [sha256.Size]byte

func keyOf(r Role) roleKey {
	var b []byte
	text := func(s string) { // with its length: "ab","c" is not "a","bc"
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	list := func(l []string) {
		b = binary.AppendUvarint(b, uint64(len(l)))
		for _, s := range l {
			text(s)
		}
	}
	text(r.ARN)
	text(r.SessionName)
	text(r.ExternalID)
	text(r.SourceIdentity)
	text(r.Policy)
	list(r.PolicyARNs)
	b = binary.AppendVarint(b, int64(r.Duration))
	keys := slices.Sorted(maps.Keys(r.Tags))
	list(keys)
	for _, k := range keys {
		text(r.Tags[k])
	}
	list(r.TransitiveTagKeys)
	return sha256.Sum256(b)
}
