package credentials

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// giver is a provider of the user's own that a chain starts from.
type giver struct {
	name     string
	provider aws.CredentialsProvider
	refuse   func(key string) // nil: the provider keeps no session that could be discarded
	own      bool             // it is a chain, whose methods do not block

	mu      sync.Mutex    // guards what follows
	telling chan struct{} // closed when the provider has discarded the refused key; nil: none was
}

// newGiver finds out how the provider is told that a service refused its key:
// chains, the SDK's cache and whatever embeds one of them have a method for it.
func newGiver(name string, p aws.CredentialsProvider) *giver {
	g := &giver{name: name, provider: p}
	switch p := p.(type) {
	case *Chain:
		g.refuse, g.own = p.Invalidate, true
	case interface{ Invalidate(accessKeyID string) }:
		g.refuse = p.Invalidate
	case interface{ Invalidate() }:
		g.refuse = func(string) { p.Invalidate() }
	}
	return g
}

// withdraw calls giveUp and, if that discarded key, has the provider discard it too.
// A method of the user's runs in a goroutine of its own, and the next
// exchange waits for it.
func (g *giver) withdraw(key string, giveUp func() bool) bool {
	if g == nil || g.refuse == nil {
		return giveUp()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !giveUp():
		return false
	case g.own:
		g.refuse(key)
		return true
	}
	before, told := g.telling, make(chan struct{})
	g.telling = told
	go func() {
		defer close(told)
		defer func() { _ = recover() }() // the provider's next error says more
		if before != nil {
			<-before
		}
		g.refuse(key)
	}()
	return true
}

// told waits until the provider has discarded the keys that were refused, so that it
// does not return one of them again.
func (g *giver) told(ctx context.Context) error {
	g.mu.Lock()
	telling := g.telling
	g.mu.Unlock()
	if telling == nil {
		return nil
	}
	select {
	case <-telling:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exchange asks the provider, which knows best when to retry.
func (g *giver) exchange(ctx context.Context, rec *record) (aws.Credentials, error) {
	rec.operation = "Retrieve from " + g.name
	if err := g.told(ctx); err != nil {
		return aws.Credentials{}, err
	}
	asked := time.Now()
	creds, err := g.provider.Retrieve(ctx)
	rec.took = time.Since(asked)
	if err == nil {
		return creds, nil
	}
	failure := &Error{Operation: rec.operation, Kind: Unknown, Err: err}
	if inner, ok := errors.AsType[*Error](err); ok {
		failure.Kind = inner.Kind
	} else {
		// The SDK's own process provider quotes what the process printed.
		failure.Err = &cause{text: withoutKeys(err.Error()), err: err}
	}
	return creds, failure
}
