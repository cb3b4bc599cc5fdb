package credentials

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Source is where a chain's first session comes from: [WebIdentity], [PodIdentity],
// [NodeRole], [FromBase] or [Provider]. No other type implements it. A chain never falls
// back to another source.
type Source interface {
	// String names the source in messages.
	String() string
	// check returns the source, filled in from the environment, and adds its problems.
	check(r *resolver) Source
	// assumes returns the role of the source's session; empty if unknown.
	assumes() string
	// chained reports whether the one-hour limit of role chaining certainly applies to
	// the next role.
	chained() bool
	// exchange returns the first hop's exchange, and the user's own provider, if it asks
	// one.
	exchange(c *Chain) (exchange, *upstream)
	credentialSource() aws.CredentialSource
}

// WebIdentity exchanges a token, by default the pod's service-account token (IRSA), for a
// session of a role, by sts:AssumeRoleWithWebIdentity. It is the default source.
//
// Each empty field is filled in from AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE (unless
// Token is set) or AWS_ROLE_SESSION_NAME. A variable set to the empty string counts as
// unset.
type WebIdentity struct {
	RoleARN     string
	TokenFile   string // opened for every attempt, because kubelet replaces it
	SessionName string // 2–64 of [\w+=,.@-]; empty: namespace, service account and pod, or the token's subject

	// Token returns the token, for example from the Kubernetes TokenRequest API. If it is
	// set, TokenFile must be empty, or it is [ConfigInvalid]. Any issuer that STS accepts
	// will do. The signature is not verified.
	//
	// Token is called once for each attempt at a session, with that attempt's context. It
	// must be safe for concurrent use. Its error is [TokenUnreadable], which wraps it; so
	// is a panic, and a call that has not returned when the attempt's deadline passes (a
	// third of Refresh.Timeout): it is abandoned. A failed call is not repeated within the
	// same refresh, except for an fs.ErrNotExist in a chain's first session. If STS
	// refuses the token as expired, Token is called once more.
	Token func(context.Context) ([]byte, error) `json:"-"`

	// Audience and Issuer, if set, are compared with the token's claims before any
	// call: AudienceMismatch, TokenRejected.
	Audience, Issuer string

	Policy     string        // inline session policy, JSON of at most 2,048 characters
	PolicyARNs []string      // managed session policies, at most 10
	Duration   time.Duration // 15 minutes to 12 hours; zero: STS decides (1 hour)
}

// PodIdentity asks the EKS Pod Identity agent. Empty fields are filled in from
// AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE. The
// requests use no proxy. Endpoint is a URL; without https its host must be loopback or an
// address of the agent.
type PodIdentity struct{ Endpoint, TokenFile string }

// NodeRole asks the instance metadata service (IMDSv2) for the EC2 node's role. Every pod
// on the node has that role's rights, so it is never the default.
//
// Endpoint is the service's URL, without a path. Empty: http://169.254.169.254. On a node
// with IPv6 only, set http://[fd00:ec2::254]; the instance's metadata options must enable
// it (HttpProtocolIpv6). Without https, its host must be one of these two addresses or
// loopback, or it is [ConfigInvalid]. The SDK's variables AWS_EC2_METADATA_* are not read.
// The requests use no proxy.
type NodeRole struct{ Endpoint string }

// FromBase starts from the base configuration's Credentials, such as a profile on a
// laptop.
type FromBase struct{}

// Provider starts from any credentials provider. Messages call it Name; empty:
// "provider".
//
// When a service refuses its session as expired, the chain calls the provider's method
// Invalidate(accessKeyID string), as a [Chain] has, or Invalidate(), as an
// aws.CredentialsCache has, if there is one. The same holds for FromBase.
type Provider struct {
	Name        string
	Credentials aws.CredentialsProvider
}

func (w WebIdentity) String() string {
	if w.Token != nil {
		return "token function"
	}
	return "web identity"
}
func (PodIdentity) String() string { return "EKS Pod Identity" }
func (NodeRole) String() string    { return "EC2 node role" }
func (FromBase) String() string    { return "base configuration" }
func (p Provider) String() string {
	if p.Name == "" {
		return "provider"
	}
	return p.Name
}

// Format prints the name only, under every verb: the provider may hold keys.
func (p Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "credentials.Provider{%s}", p.String()) }

// MarshalText returns the name, for JSON and slog.
func (p Provider) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (w WebIdentity) assumes() string { return w.RoleARN }
func (PodIdentity) assumes() string   { return "" }
func (NodeRole) assumes() string      { return "" }
func (FromBase) assumes() string      { return "" }
func (p Provider) assumes() string {
	if c, ok := p.Credentials.(*Chain); ok && c != nil {
		return c.RoleARN()
	}
	return ""
}

// Public reports disagree on whether STS applies the chaining limit after an instance
// role, and a provider's or a profile's keys may be a user's: there STS decides.
func (WebIdentity) chained() bool { return true }
func (PodIdentity) chained() bool { return true }
func (NodeRole) chained() bool    { return false }
func (FromBase) chained() bool    { return false }
func (Provider) chained() bool    { return false }

func (WebIdentity) credentialSource() aws.CredentialSource {
	return aws.CredentialSourceSTSAssumeRoleWebID
}
func (PodIdentity) credentialSource() aws.CredentialSource { return aws.CredentialSourceHTTP }
func (NodeRole) credentialSource() aws.CredentialSource    { return aws.CredentialSourceIMDS }
func (FromBase) credentialSource() aws.CredentialSource    { return aws.CredentialSourceCode }
func (Provider) credentialSource() aws.CredentialSource    { return aws.CredentialSourceCode }

// ParseSource returns the source with the name "web-identity", "pod-identity",
// "node-role" or "base", for a flag or a setting. Its fields are empty, so the
// environment fills them in. Any other name is a [ConfigInvalid] that lists the four.
func ParseSource(name string) (Source, error) {
	switch name {
	case "web-identity":
		return WebIdentity{}, nil
	case "pod-identity":
		return PodIdentity{}, nil
	case "node-role":
		return NodeRole{}, nil
	case "base":
		return FromBase{}, nil
	}
	return nil, configError("source %q; want web-identity, pod-identity, node-role or base", name)
}

func (w WebIdentity) check(r *resolver) Source {
	role := fill(strings.TrimSpace(w.RoleARN), "WebIdentity.RoleARN", envRoleARN)
	name := fill(w.SessionName, "WebIdentity.SessionName", envSessionName)
	w.RoleARN, w.SessionName = strings.TrimSpace(role.value), name.value
	if w.Token == nil {
		w.TokenFile = fill(w.TokenFile, "WebIdentity.TokenFile", envTokenFile).value
		r.checkIdentity(w)
	} else if w.RoleARN == "" {
		r.addf("WebIdentity.RoleARN", "empty, nor is %s set: set the role that the function's token is exchanged for", envRoleARN)
	}
	if w.Token != nil && w.TokenFile != "" {
		r.addf("WebIdentity.TokenFile", "set, as is WebIdentity.Token; set one of them")
	}
	if w.RoleARN != "" {
		r.checkRoleARN(role.from, w.RoleARN)
	}
	r.checkSessionName(name.from, w.SessionName)
	r.checkPolicies("WebIdentity", w.Policy, w.PolicyARNs)
	w.PolicyARNs = slices.Clone(w.PolicyARNs)
	r.checkDuration("WebIdentity.Duration", w.Duration, maxDuration, maxDurationRule)
	return w
}

// checkIdentity adds what the pod lacks, and why nothing else is used instead.
func (r *resolver) checkIdentity(w WebIdentity) {
	const fix = "check the service account's eks.amazonaws.com/role-arn annotation and the webhook, and recreate the pod; the node's role (IMDS) is deliberately not used"
	if w.RoleARN == "" {
		r.addf(envRoleARN, "not set, nor is WebIdentity.RoleARN: %s", fix)
	}
	if w.TokenFile == "" {
		r.addf(envTokenFile, "not set, nor is WebIdentity.TokenFile: %s", fix)
	}
	if w.RoleARN == "" && w.TokenFile == "" && os.Getenv(envPodIdentityURL) != "" {
		r.addf(envPodIdentityURL, "set: this pod has EKS Pod Identity, which is never the default: set Options.Source to PodIdentity{}")
	}
}

// agentAddresses may be asked for credentials without TLS: those of the Pod Identity
// agent and of ECS, as in the SDKs' reference guide,
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
var agentAddresses = []string{"169.254.170.23", "fd00:ec2::23", "169.254.170.2"}

func (p PodIdentity) check(r *resolver) Source {
	const fix = "check the pod identity association of the service account and recreate the pod"
	endpoint := fill(p.Endpoint, "PodIdentity.Endpoint", envPodIdentityURL)
	p.Endpoint = endpoint.value
	p.TokenFile = fill(p.TokenFile, "PodIdentity.TokenFile", envPodIdentityFile).value
	if p.TokenFile == "" {
		r.addf(envPodIdentityFile, "not set, nor is PodIdentity.TokenFile: %s", fix)
	}
	if p.Endpoint == "" {
		r.addf(envPodIdentityURL, "not set, nor is PodIdentity.Endpoint: %s", fix)
		return p
	}
	u, err := url.Parse(p.Endpoint)
	if err != nil || u.Host == "" {
		r.addf(endpoint.from, "not a URL; want http://169.254.170.23/v1/credentials or the like")
		return p
	}
	if !mayAsk(u, agentAddresses) {
		r.addf(endpoint.from, "host %q; without https only loopback and the agents' addresses (169.254.170.23, fd00:ec2::23) may be asked for credentials", u.Host)
	}
	return p
}

// mayAsk reports whether the host of u may be asked for credentials: over https, or if it
// is loopback or one of the addresses.
func mayAsk(u *url.URL, addresses []string) bool {
	if u.Scheme == "https" {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && (addr.IsLoopback() || slices.Contains(addresses, addr.String())))
}

// metadataAddresses are those of the instance metadata service:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
var metadataAddresses = []string{"169.254.169.254", "fd00:ec2::254"}

const metadataEndpoint = "http://169.254.169.254"

func (n NodeRole) check(r *resolver) Source {
	const field = "NodeRole.Endpoint"
	if n.Endpoint == "" {
		n.Endpoint = metadataEndpoint
		return n
	}
	// The value may hold a password: print the host only.
	switch u, err := url.Parse(n.Endpoint); {
	case err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		r.addf(field, "not the URL of a host alone; want http://[fd00:ec2::254] for a node with IPv6 only, or nothing for %s", metadataEndpoint)
	case !mayAsk(u, metadataAddresses):
		r.addf(field, "host %q; without https only loopback and the metadata service's addresses (169.254.169.254, [fd00:ec2::254]) may be asked for credentials", u.Host)
	}
	n.Endpoint = strings.TrimRight(n.Endpoint, "/")
	return n
}

func (f FromBase) check(r *resolver) Source {
	c := r.base.Credentials
	if isNil(c) || aws.IsCredentialsProvider(c, (*aws.AnonymousCredentials)(nil)) {
		r.addf("aws.Config.Credentials", "nil or anonymous, but the source is FromBase: load the configuration with credentials, for example config.WithSharedConfigProfile")
	}
	return f
}

func (p Provider) check(r *resolver) Source {
	if p.Credentials == nil {
		r.addf("Provider.Credentials", "nil; set the provider that the chain starts from")
	} else if isNil(p.Credentials) {
		r.addf("Provider.Credentials", "a nil %T; set the provider that the chain starts from", p.Credentials)
		p.Credentials = nil
	}
	return p
}

// isNil also reports a nil inside an interface, which would panic at its first use.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}
