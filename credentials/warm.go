package credentials

import (
	"context"
	"fmt"
	"sync"
)

// Warmed is one role's turn in [Pool.Warm].
type Warmed struct {
	Role        Role
	Err         error // nil: its session is there
	Done, Total int   // roles so far, of how many
}

// Warm gets a session for each of the roles, so that their first use does not
// wait: after the start of a scanner, say. It returns when all have had their
// turn or ctx has ended. progress, if not nil, is called after each, one at a time
// and in no order.
//
// The error counts the roles that failed and holds the first failure, an [*Error]; if ctx has ended, it holds ctx's own.
// Their chains are in the pool all the same, and are asked for again by whoever
// uses them; a role that breaks a rule leaves nothing behind. More roles than
// MaxChains, duplicates and those that break a rule not counted, are
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
			return configError("Warm of more roles than PoolOptions.MaxChains, which is %d: the first of them would be let go before the last is there; raise MaxChains", p.options.MaxChains)
		}
	}
	var (
		mu     sync.Mutex
		done   int
		failed int
		first  error
	)
	turn := func(role Role) {
		err := p.warm(ctx, role)
		mu.Lock()
		defer mu.Unlock()
		done++
		if err != nil {
			if failed++; first == nil {
				first = err
			}
		}
		if progress != nil {
			progress(Warmed{Role: role, Err: err, Done: done, Total: len(roles)})
		}
	}
	next := make(chan Role)
	var running sync.WaitGroup
	// The limiter decides how many of them ask STS; those in the queue keep it busy.
	for range min(2*p.options.STSConcurrency, len(roles)) {
		running.Go(func() {
			for role := range next {
				turn(role)
			}
		})
	}
hand:
	for _, role := range roles {
		select {
		case next <- role:
		case <-ctx.Done():
			break hand
		}
	}
	close(next)
	running.Wait()
	if err := ctx.Err(); err != nil && done-failed < len(roles) {
		return fmt.Errorf("credentials: warmed %d of %d roles: %w", done-failed, len(roles), err)
	}
	if failed > 0 {
		return fmt.Errorf("credentials: %d of %d roles have no session; the first failure: %w", failed, len(roles), first)
	}
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
