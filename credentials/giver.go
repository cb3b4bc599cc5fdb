package credentials

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// giver is a provider of the user's own that a chain starts from.
type giver struct {
	name     string
	provider aws.CredentialsProvider
	refuse   func(key string) // nil: the provider keeps no session that could be given up
	telling  chan struct{}    // full while it is told, so that nobody gets the refused key again meanwhile
}

// newGiver finds out how the provider is told that a service refused its key:
// chains, the SDK's cache and whatever embeds one of them have a method for it.
func newGiver(name string, p aws.CredentialsProvider) *giver {
	g := &giver{name: name, provider: p, telling: make(chan struct{}, 1)}
	switch p := p.(type) {
	case *Chain:
		g.refuse = func(key string) {
			p.last().drop(key)
			// Its OnEvent may wait for the very flight that tells this.
			go p.deliver()
		}
	case interface{ Invalidate(accessKeyID string) }:
		g.refuse = p.Invalidate
	case interface{ Invalidate() }:
		g.refuse = func(string) { p.Invalidate() }
	}
	return g
}

// withdraw calls giveUp and, if that gave key up, has the provider do so too.
func (g *giver) withdraw(key string, giveUp func() bool) bool {
	if g == nil || g.refuse == nil {
		return giveUp()
	}
	g.telling <- struct{}{}
	defer func() { <-g.telling }()
	if !giveUp() {
		return false
	}
	g.refuse(key)
	return true
}

// exchange asks the provider, which knows best when to retry.
func (g *giver) exchange(ctx context.Context, rec *record) (aws.Credentials, error) {
	rec.operation = "Retrieve from " + g.name
	select {
	case g.telling <- struct{}{}:
		<-g.telling
	case <-ctx.Done():
		return aws.Credentials{}, ctx.Err()
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
