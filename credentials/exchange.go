package credentials

// The five ways to get a hop's session, one exchange each; the check of the response
// (accept); the names that sessions have in CloudTrail; and upstream, the user's own
// provider.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
	"github.com/crossrole/crossrole/internal/redact"
	"github.com/crossrole/crossrole/trust"
)

// attempt records what one attempt of an exchange shows in addition to the keys.
type attempt struct {
	stsclient.Trace
	operation string
	tries     *tries        // that the attempt belongs to; nil: a check
	region    *stsRegion    // to ask, if the hop asks STS
	timeout   time.Duration // of the request
	token     *trust.Token  // web identity
	raw       []byte        // the token itself, to detect a change; never printed
	signedBy  *snapshot     // the session that signs; nil at hop 1
	keepFor   time.Duration // how long keys without an expiry are kept; 0: for one use

	redactor *redact.Redactor // of the secrets that were sent; nil: not needed yet
}

// exchange makes one attempt to get a hop's session. It fills in att also when it
// fails.
type exchange func(ctx context.Context, att *attempt) (aws.Credentials, error)

// exchange sends the token, which it gets anew for each attempt.
func (w WebIdentity) exchange(c *Chain) (exchange, *upstream) {
	return func(ctx context.Context, att *attempt) (aws.Credentials, error) {
		raw, token, failure := w.readToken(ctx, &c.notify)
		if failure != nil {
			failure.RoleARN = w.RoleARN
			return aws.Credentials{}, failure
		}
		att.operation, att.token, att.raw = "AssumeRoleWithWebIdentity", &token, raw
		if failure := att.tries.refusedBefore(raw); failure != nil {
			return aws.Credentials{}, failure
		}
		if failure := w.checkClaims(token, &c.clock, &c.notify); failure != nil {
			return aws.Credentials{}, failure
		}
		name := c.names.choose(w.SessionName, func() string { return podSessionName(token) })
		return att.region.AssumeRoleWithWebIdentity(ctx, w.RoleARN, raw, func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = name
			o.Duration = w.Duration
			o.Policy, o.PolicyARNs = optional(w.Policy), policyARNs(w.PolicyARNs)
		})
	}, nil
}

// exchange assumes the role, signed by the session of the previous hop.
func (r *Role) exchange(c *Chain) exchange {
	return func(ctx context.Context, att *attempt) (aws.Credentials, error) {
		att.operation = "AssumeRole"
		name := c.names.choose(r.SessionName, hostSessionName)
		return att.region.AssumeRole(ctx, att.signedBy.creds, r.ARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = name
			o.Duration = r.duration()
			o.Policy, o.PolicyARNs = optional(r.Policy), policyARNs(r.PolicyARNs)
			o.ExternalID, o.SourceIdentity = optional(r.ExternalID), optional(r.SourceIdentity)
			o.TransitiveTagKeys = r.TransitiveTagKeys
			for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
				o.Tags = append(o.Tags, types.Tag{Key: aws.String(key), Value: aws.String(r.Tags[key])})
			}
		})
	}
}

// optional leaves an empty parameter out of a request.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func policyARNs(arns []string) []types.PolicyDescriptorType {
	var list []types.PolicyDescriptorType
	for _, a := range arns {
		list = append(list, types.PolicyDescriptorType{Arn: aws.String(a)})
	}
	return list
}

const agentOperation = "GetCredentials of the EKS Pod Identity agent"

// permanentKeysLife is how long keys without an expiry are kept. Some endpoints that speak
// the agent's protocol return such keys: they need not be asked at each use, and yet a
// change of the keys is noticed.
const permanentKeysLife = 15 * time.Minute

// inspectKeys checks the document of an agent or of the metadata service before the SDK
// parses it: its error names a field that cannot be read, and is not retried. A body that
// is no JSON object is left to the SDK.
func inspectKeys(body []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var text string
		value := fields[name]
		switch strings.ToLower(name) {
		case "expiration":
			if string(value) != "null" && json.Unmarshal(value, new(time.Time)) != nil {
				return unusable("its field %s is %s; want a time such as 2006-01-02T15:04:05Z (RFC 3339)", name, brief(value))
			}
		case "accesskeyid", "secretaccesskey", "token", "accountid", "code", "message":
			if json.Unmarshal(value, &text) != nil {
				return unusable("its field %s is not a string", name)
			}
		}
	}
	return nil
}

func unusable(format string, args ...any) *Error {
	return &Error{Kind: WrongSession, Err: fmt.Errorf("the response is not usable: "+format, args...)}
}

// brief describes a JSON value. A long one may be a secret and is not shown.
func brief(value json.RawMessage) string {
	switch s := string(value); {
	case s == `""`:
		return "empty"
	case len(s) > 32:
		return "not one"
	default:
		return s
	}
}

// exchange asks the EKS Pod Identity agent, with a token that it reads for each attempt.
func (p PodIdentity) exchange(c *Chain) (exchange, *upstream) {
	client := stsclient.Direct(*c.base, inspectKeys)
	return func(ctx context.Context, att *attempt) (aws.Credentials, error) {
		token, failure := readTokenFile(p.TokenFile, agentTokenSetting)
		if failure != nil {
			return aws.Credentials{}, failure
		}
		if bytes.ContainsAny(token, "\r\n") {
			return aws.Credentials{}, fileError(TokenMalformed, fmt.Errorf("%s%s has several lines", p.TokenFile, leadsTo(p.TokenFile)),
				"let "+agentTokenSetting+" name the projected token")
		}
		att.operation, att.raw = agentOperation, token
		att.keepFor = permanentKeysLife
		return endpointcreds.New(p.Endpoint, func(o *endpointcreds.Options) {
			o.HTTPClient = client
			o.Retryer = aws.NopRetryer{}
			o.AuthorizationToken = string(token)
		}).Retrieve(ctx)
	}, nil
}

// exchange asks IMDSv2, whatever AWS_EC2_METADATA_* say.
func (n NodeRole) exchange(c *Chain) (exchange, *upstream) {
	client := imds.New(imds.Options{
		Endpoint:          n.Endpoint,
		ClientEnableState: imds.ClientEnabled,
		EnableFallback:    aws.FalseTernary,
		HTTPClient:        stsclient.Direct(*c.base, inspectKeys),
		Retryer:           aws.NopRetryer{},
	})
	provider := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client })
	return func(ctx context.Context, att *attempt) (aws.Credentials, error) {
		att.operation = "GetCredentials of the instance metadata service"
		creds, err := provider.Retrieve(ctx)
		// The provider may have shortened the life to an hour by the local clock.
		att.Date = time.Time{}
		return creds, err
	}, nil
}

// accept checks that the response is a usable session of the requested role.
func (s *session) accept(creds aws.Credentials, att *attempt) (*snapshot, error) {
	switch {
	case creds.AccessKeyID == "" || creds.SecretAccessKey == "":
		return nil, errors.New("the response holds no keys")
	case creds.CanExpire && creds.Expires.IsZero():
		return nil, errors.New("the response has no Expiration")
	}
	if err := s.checkAssumed(att); err != nil {
		return nil, err
	}
	if err := s.checkAccount(creds, att); err != nil {
		return nil, err
	}
	s.mu.Lock()
	first := s.successes == 0
	s.mu.Unlock()
	snap := newSnapshot(creds, att, s.chain.window, first, s.chain.random)
	if creds.CanExpire && snap.life <= 0 {
		now, clock := att.Date, "the same clock"
		if now.IsZero() {
			now, clock = att.SentAt, "the local clock, and the response has no Date"
		}
		return nil, fmt.Errorf("the response's Expiration %s is past: the session was requested at %s by %s",
			creds.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), clock)
	}
	return snap, nil
}

// checkAssumed compares the session's role, as STS reports it, with the requested one.
// Role names are unique in an account regardless of case.
func (s *session) checkAssumed(att *attempt) error {
	if s.role == "" {
		return nil
	}
	if att.AssumedARN == "" {
		s.chain.notify.warnOnce("assumed", "STS does not report the role of the session (no AssumedRoleUser)", "hop", s.n, "role", s.role, "endpoint", att.Endpoint)
		return nil
	}
	want, err := parseRoleARN(s.role)
	if err != nil {
		return err
	}
	got, err := arn.Parse(att.AssumedARN)
	parts := strings.Split(got.Resource, "/")
	if err != nil || len(parts) != 3 || parts[0] != "assumed-role" || got.AccountID != want.account || !strings.EqualFold(parts[1], want.name) {
		return fmt.Errorf("requested a session of %s, STS returned one of %s", s.role, att.AssumedARN)
	}
	return nil
}

// checkAccount compares the last hop's account with Options.ExpectedAccount.
func (s *session) checkAccount(creds aws.Credentials, att *attempt) error {
	want := s.chain.expectedAccount
	if want == "" || s.n != s.facts.hops {
		return nil
	}
	account := creds.AccountID
	if a, err := arn.Parse(att.AssumedARN); err == nil {
		account = a.AccountID
	}
	if account == "" {
		return fmt.Errorf("expected a session of account %s, but %s does not report its account; assume a role of that account", want, s.facts.source)
	}
	if account != want {
		return fmt.Errorf("expected a session of account %s, got one of %s", want, account)
	}
	return nil
}

// Limits of a role session name:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const (
	minSessionName = 2
	maxSessionName = 64
)

// isSessionName also applies to a source identity.
func isSessionName(s string) bool {
	return len(s) >= minSessionName && len(s) <= maxSessionName && madeOf(s, sessionNameRunes)
}

// podSessionName returns namespace.serviceaccount@pod. A namespace has no dot and no
// Kubernetes name has an @, so the parts can be separated. If the token is not bound to a
// pod, the host's name is used, which is the pod's.
func podSessionName(t trust.Token) string {
	pod := t.Pod
	if pod == "" {
		pod = hostname()
	}
	if t.Namespace == "" && t.ServiceAccount == "" {
		return cleanSessionName(t.Subject + "@" + pod)
	}
	return cleanSessionName(t.Namespace + "." + t.ServiceAccount + "@" + pod)
}

// hostSessionName returns the default where no token names the pod.
func hostSessionName() string { return cleanSessionName("crossrole@" + hostname()) }

func hostname() string {
	h, err := os.Hostname()
	if err != nil || h == "" {
		return "unknown-host"
	}
	return h
}

// cleanSessionName replaces the characters that STS refuses, and shortens the name to 64
// characters with a hash of the complete name at the end, so that two long names stay
// different.
func cleanSessionName(s string) string {
	clean := strings.Map(func(c rune) rune {
		if strings.ContainsRune(sessionNameRunes, c) {
			return c
		}
		return '-'
	}, s)
	if len(clean) <= maxSessionName {
		return clean
	}
	sum := sha256.Sum256([]byte(s))
	hash := "-" + hex.EncodeToString(sum[:5])
	return clean[:maxSessionName-len(hash)] + hash
}

// sessionNames chooses the session names of one chain: one name for all sessions of this
// process, decided by the first hop, so that CloudTrail shows in every account which pod
// called.
type sessionNames struct {
	shared *sessionNames // of the hops that all chains of a pool share; nil: none

	mu   sync.Mutex // guards name
	name string     // empty: not decided yet
}

// choose returns explicit, or if that is empty the process's name, which is derived on
// first use.
func (n *sessionNames) choose(explicit string, derive func() string) string {
	if n.shared != nil {
		if explicit != "" {
			return explicit
		}
		return n.shared.choose("", derive)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.name == "" {
		if n.name = explicit; explicit == "" {
			n.name = derive()
		}
	}
	return cmp.Or(explicit, n.name)
}

// exchange asks the base configuration's own provider.
func (f FromBase) exchange(c *Chain) (exchange, *upstream) {
	u := newUpstream(f.String(), c.base.Credentials)
	return u.exchange, u
}

// exchange asks the provider.
func (p Provider) exchange(*Chain) (exchange, *upstream) {
	u := newUpstream(p.String(), p.Credentials)
	return u.exchange, u
}

// upstream wraps the user's own credentials provider that a chain starts from.
type upstream struct {
	name     string
	provider aws.CredentialsProvider
	notify   func(key string) // has the provider discard key; nil: it has no method for that
	isChain  bool             // it is a chain, whose methods do not block

	mu   sync.Mutex    // guards what follows
	busy chan struct{} // closed when the provider has discarded the refused key; nil: no key was refused
}

// newUpstream returns an upstream that notifies the provider of refused keys if it has a
// method for that, as chains, the SDK's cache and types that embed one of them do.
func newUpstream(name string, p aws.CredentialsProvider) *upstream {
	u := &upstream{name: name, provider: p}
	switch p := p.(type) {
	case *Chain:
		u.notify, u.isChain = p.Invalidate, true
	case interface{ Invalidate(accessKeyID string) }:
		u.notify = p.Invalidate
	case interface{ Invalidate() }:
		u.notify = func(string) { p.Invalidate() }
	}
	return u
}

// invalidate calls discard and, if that discarded key, has the provider discard it too.
// The provider's method is user code: it runs in its own goroutine, and the next
// exchange waits for it.
func (u *upstream) invalidate(key string, discard func() bool) bool {
	if u == nil || u.notify == nil {
		return discard()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !discard():
		return false
	case u.isChain:
		u.notify(key)
		return true
	}
	previous, done := u.busy, make(chan struct{})
	u.busy = done
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // the provider's next error says more
		if previous != nil {
			<-previous
		}
		u.notify(key)
	}()
	return true
}

// exchange asks the provider, which does its own retries, once it has discarded the refused
// keys: it might return one of them again.
func (u *upstream) exchange(ctx context.Context, att *attempt) (aws.Credentials, error) {
	att.operation = "Retrieve from " + u.name
	u.mu.Lock()
	busy := u.busy
	u.mu.Unlock()
	if busy != nil {
		select {
		case <-busy:
		case <-ctx.Done():
			return aws.Credentials{}, ctx.Err()
		}
	}
	asked := time.Now()
	creds, err := u.provider.Retrieve(ctx)
	att.Took = time.Since(asked)
	if err == nil {
		return creds, nil
	}
	failure := &Error{Operation: att.operation, Kind: Unknown, Err: err}
	if inner, ok := errors.AsType[*Error](err); ok {
		failure.Kind = inner.Kind
	} else {
		// The SDK's process provider quotes the output of the process.
		failure.Err = &cause{text: withoutKeys(err.Error(), redact.New()), err: err}
	}
	return creds, failure
}
