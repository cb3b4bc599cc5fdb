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

// Format prints the turn without the role's external id, under every verb.
func (w Warmed) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "credentials.Warmed{Role: %v, Err: %v, Done: %d, Total: %d}", w.Role, w.Err, w.Done, w.Total)
}

// Warm gets a session for each of the roles, so that their first use does not
// wait: after the start of a scanner, say. It returns when all have had their
// turn or ctx has ended. progress, if not nil, is called after each from Warm's own
// goroutine, one at a time and in no order; Warm waits for it. A panic in it is
// Warm's error, and it is not called again.
//
// The error counts the roles that failed and holds the first failure, an [*Error];
// if ctx has ended, it holds ctx's own error.
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
	next, results := make(chan Role), make(chan Warmed)
	go func() {
		defer close(next)
		for _, role := range roles {
			select {
			case next <- role:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		defer close(results)
		var running sync.WaitGroup
		// The limiter decides how many of them ask STS; those in the queue keep it busy.
		for range min(2*min(p.options.STSConcurrency, len(roles)), len(roles)) {
			running.Go(func() {
				for role := range next {
					results <- Warmed{Role: role, Err: p.warm(ctx, role)}
				}
			})
		}
		running.Wait()
	}()
	var (
		done, failed int
		first        error
		broken       error // a panic in progress; it is called no more
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

// report calls progress. A panic in it is an error.
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
