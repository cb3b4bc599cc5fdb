package credentials

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"github.com/crossrole/crossrole/credentials/internal/limiter"
)

// Chain is a source and its roles, in order, and provides credentials of the last role.
// It is safe for concurrent use. It runs no goroutine and no timer between refreshes and
// needs no Close.
//
// Do not wrap a Chain in aws.CredentialsCache: it would sign the retry of a request that
// was refused as expired with the expired key. Use [Chain.Config] or [Wrap].
type Chain struct {
	// The last hop's session is part of the chain's memory, its state first: with
	// thousands of chains, Retrieve spends its time on cache misses.
	last session

	base    *aws.Config // never changed; chains of a pool share it
	facts   *chainFacts
	hops    []*session
	limiter *limiter.Limiter // of the pool; nil: no limit
	shared  bool             // the chains of a pool share its hops

	window, timeout, failureCap time.Duration
	deniedCap                   time.Duration // failureCap after a denial; zero: failureCap
	expectedAccount             string
	random                      func() float64            // uniform in [0, 1)
	firstAttempt                atomic.Pointer[time.Time] // nil: none yet, or no denial is retried

	clock  serverClock
	notify notifier
	names  sessionNames
}

var (
	_ aws.CredentialsProvider      = (*Chain)(nil)
	_ aws.CredentialProviderSource = (*Chain)(nil)
)

const (
	defaultTimeout    = 30 * time.Second
	defaultFailureCap = 60 * time.Second
	maxTimeout        = time.Hour // so that no refresh goes on forever
)

// New returns a chain for base's region and HTTP client. base.Credentials is
// ignored unless the source is [FromBase].
//
// New opens no file and makes no call. One error of kind [ConfigInvalid] lists everything
// that is wrong with the settings and with the environment variables that fill them in.
func New(base aws.Config, optFns ...func(*Options)) (*Chain, error) {
	r := &resolver{base: base}
	for i, fn := range optFns {
		if fn == nil {
			r.addNilOption(i)
			continue
		}
		fn(&r.options)
	}
	o := r.options
	source, roles := r.resolve()
	own := detached(base)
	c := &Chain{
		base: &own, expectedAccount: o.ExpectedAccount, random: random,
		window:     o.Refresh.Window,
		timeout:    min(cmp.Or(o.Refresh.Timeout, defaultTimeout), maxTimeout),
		failureCap: cmp.Or(o.Refresh.FailureCap, defaultFailureCap),
	}
	c.facts = &chainFacts{source: source, roles: roles, hops: len(roles) + 1, sts: r.stsRegions(), retryDenied: o.Refresh.RetryDenied}
	c.notify.chain, c.notify.logger, c.notify.onEvent = c, o.Logger, o.OnEvent
	r.checkPartitions()
	if err := r.err(); err != nil {
		return nil, err
	}
	c.base.Region = r.region
	c.buildSessions()
	if o.Logger != nil {
		for _, notice := range r.notices {
			c.notify.write(line{time.Now(), slog.LevelWarn, notice, nil}, 0)
		}
	}
	return c, nil
}

// buildSessions creates the sessions, each with the previous one as its parent.
func (c *Chain) buildSessions() {
	hops := make([]*session, len(c.facts.roles)+1)
	for i := range hops[1:] {
		hops[i] = new(session)
	}
	hops[len(hops)-1] = &c.last
	first := hops[0]
	first.hop = hop{n: 1, role: c.facts.source.assumes(), facts: c.facts}
	first.chain = c
	first.exchange, first.upstream = c.facts.source.exchange(c)
	switch src := c.facts.source.(type) {
	case WebIdentity:
		first.web, first.tokenFile = true, src.TokenFile
	case PodIdentity:
		first.tokenFile = src.TokenFile
	case Provider:
		first.role = "" // the other chain checks its own role
	}
	for i, role := range c.facts.roles {
		hops[i+1].follow(c, hops[i], role)
	}
	c.hops = hops
}

// Retrieve returns credentials of the chain's last role. It waits only while there is no
// valid session; a valid one is renewed in the background. In a session's last ten
// seconds (or last twentieth, if that is less), or if the wall clock has jumped ahead by
// a minute as after a suspend, it waits up to two seconds for the renewal. Expires is on
// the local clock.
//
// A failure is an [*Error]. If ctx ends first, the failure wraps ctx's own error;
// errors.As then finds the [*Error] of the refresh's last attempt, if one has failed, and
// errors.Is its Kind. The refresh goes on, so that Kind need not be final: with
// Refresh.RetryDenied, not even TrustDenied is.
func (c *Chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	s, err := c.last.retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return s.creds, nil
}

// Invalidate discards the current session if accessKeyID is its key; a late report about
// an older key has no effect. The next Retrieve waits for a new session.
//
// It affects the last hop only: the new session comes from the current session of the
// hub. To discard that one too, create a new chain; crossrole serve does so on SIGHUP.
func (c *Chain) Invalidate(accessKeyID string) { c.last.invalidate(accessKeyID) }

// RoleARN returns the chain's last role; empty if it has none and its source names none.
func (c *Chain) RoleARN() string { return c.last.role }

// Status returns the state of every hop's session. It makes no call and opens no
// file.
func (c *Chain) Status() Status {
	st := Status{Source: c.facts.source.String()}
	for _, s := range c.hops {
		st.Hops = append(st.Hops, s.status())
	}
	return st
}

// String describes the chain: "web identity → arn:…:role/hub → arn:…:role/x".
func (c *Chain) String() string {
	var b strings.Builder
	b.WriteString(c.facts.source.String())
	for _, s := range c.hops {
		if s.role != "" {
			b.WriteString(" → " + s.role)
		}
	}
	return b.String()
}

// Format prints String, which holds no secret, under every verb.
func (c *Chain) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// MarshalText returns String, for JSON and slog.
func (c *Chain) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ProviderSources returns where the credentials come from, for the SDK's user agent.
func (c *Chain) ProviderSources() []aws.CredentialSource {
	sources := []aws.CredentialSource{c.facts.source.credentialSource()}
	func() {
		defer func() { _ = recover() }() // it is user code, called during a request
		if u := c.hops[0].upstream; u != nil {
			if p, ok := u.provider.(aws.CredentialProviderSource); ok {
				sources = slices.Clone(p.ProviderSources())
			}
		}
	}()
	for range c.hops[1:] {
		sources = append(sources, aws.CredentialSourceSTSAssumeRole)
	}
	return sources
}

// Wrap returns New(base, optFns...).Config(): base, signed by a new chain.
func Wrap(base aws.Config, optFns ...func(*Options)) (aws.Config, error) {
	c, err := New(base, optFns...)
	if err != nil {
		return aws.Config{}, err
	}
	return c.Config(), nil
}

// Config returns a copy of base with the chain as its credentials. When a service refuses
// the session as expired or unknown (ExpiredToken, InvalidAccessKeyId,
// InvalidClientTokenId, …), clients made from the copy renew it, once for all callers,
// and retry the request. If the new session is refused too, the error is
// [CredentialsExpired], and sessions are renewed at the pace of failed refreshes.
// AccessDenied renews nothing.
//
// Changes to base after New have no effect.
func (c *Chain) Config() aws.Config {
	cfg := c.base.Copy()
	cfg.Credentials = c
	cfg.APIOptions = append(slices.Clip(slices.Clone(c.base.APIOptions)), c.addRecovery)
	return cfg
}

// detached returns a copy of base that shares no slice with it.
func detached(base aws.Config) aws.Config {
	base.ConfigSources = slices.Clone(base.ConfigSources)
	base.APIOptions = slices.Clone(base.APIOptions)
	base.ServiceOptions = slices.Clone(base.ServiceOptions)
	base.AuthSchemePreference = slices.Clone(base.AuthSchemePreference)
	if base.BaseEndpoint != nil {
		base.BaseEndpoint = new(*base.BaseEndpoint)
	}
	return base
}

// ChainOf returns the chain that signs a wrapped configuration, for its Status or
// KeepFresh; false if something else signs cfg.
func ChainOf(cfg aws.Config) (*Chain, bool) {
	c, ok := cfg.Credentials.(*Chain)
	return c, ok && c != nil
}

// addRecovery puts the recovery inside the SDK's retry loop, so that it sees each
// attempt. A stack that only presigns has no such loop and gets no response.
func (c *Chain) addRecovery(stack *middleware.Stack) error {
	if _, ok := stack.Finalize.Get("Retry"); !ok {
		return nil
	}
	if _, ok := stack.Finalize.Get(recovery{}.ID()); ok {
		// base was wrapped before: this chain signs now.
		_, err := stack.Finalize.Swap(recovery{}.ID(), recovery{c})
		return err
	}
	if err := stack.Finalize.Insert(recovery{c}, "Retry", middleware.After); err != nil {
		return err
	}
	return stack.Finalize.Add(signedBy{}, middleware.After)
}

// Status is the state of a chain's sessions at one moment. It holds no secret and
// marshals to JSON.
type Status struct {
	Source string      `json:"source"`
	Hops   []HopStatus `json:"hops"`
}

// Healthy reports, for a readiness probe, whether the last hop has a session that has not
// expired, or keys without an expiry. Before the first Retrieve it is false. A refresh
// that fails while the session is valid does not change it; see HopStatus.Err.
func (s Status) Healthy() bool { return len(s.Hops) > 0 && s.Hops[len(s.Hops)-1].HasSession }

// HopStatus is the state of one hop's session.
type HopStatus struct {
	RoleARN     string    `json:"role,omitempty"`
	CallerARN   string    `json:"caller,omitempty"`      // as STS reports it; empty before the first session, and if the source reports none
	Endpoint    string    `json:"endpoint,omitempty"`    // host of the last refresh's last request; empty: no request, or a provider
	Region      string    `json:"region,omitempty"`      // of the STS at Endpoint; empty: no request, an agent, or a provider
	HasSession  bool      `json:"has_session"`           // a session that has not expired, or keys without an expiry
	Expires     time.Time `json:"expires,omitzero"`      // on the local clock; zero: no session yet, or keys without an expiry: see HasSession
	NextAttempt time.Time `json:"next_attempt,omitzero"` // zero: no failure is remembered
	Err         *Error    `json:"error,omitempty"`       // the last failure since the last success; its Hop shows whether a previous hop failed

	// FailingSince is when the first refresh since the last success failed; zero: none
	// has failed.
	FailingSince time.Time `json:"failing_since,omitzero"`

	// Waiting is the number of goroutines that wait for a session. A refresh of the next
	// hop counts as one.
	Waiting int `json:"waiting"`

	// Skew is the local clock less the server's, as the last response showed it:
	// positive if the local clock is ahead. Zero also means unknown. In JSON it is in
	// nanoseconds. S3 refuses requests at 15 minutes.
	Skew time.Duration `json:"skew_nanoseconds,omitzero"`
}
