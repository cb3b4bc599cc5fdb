package credentials

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Source is where a chain's first session comes from: [WebIdentity],
// [PodIdentity], [NodeRole], [FromBase] or [Provider]. The list is closed: a
// chain uses the source it was given and never another.
type Source interface {
	// String names the source in messages.
	String() string
	// check reports the faults of the settings, filled in from env.
	check(r *resolver) Source
	// assumes is the role whose session the source yields; empty if unknown.
	assumes() string
	// chained is true if STS holds the next role to the one-hour limit of role
	// chaining for certain.
	chained() bool
	credentialSource() aws.CredentialSource
}

// WebIdentity exchanges the pod's service-account token (IRSA) for a session of
// a role, by sts:AssumeRoleWithWebIdentity. It is the default source.
//
// Empty fields are filled, one by one, from AWS_ROLE_ARN,
// AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_SESSION_NAME. A variable set to the
// empty string counts as unset.
type WebIdentity struct {
	RoleARN     string
	TokenFile   string // opened anew for every attempt; kubelet replaces it
	SessionName string // 2–64 of [\w+=,.@-]; empty: namespace, service account and pod

	// Audience and Issuer, where set, are compared with the token's claims
	// before any call: AudienceMismatch, TokenRejected.
	Audience, Issuer string

	Policy     string        // inline session policy, JSON of at most 2,048 characters
	PolicyARNs []string      // managed session policies, at most 10
	Duration   time.Duration // 15 minutes to 12 hours; zero: STS decides (1 hour)
}

// PodIdentity asks the EKS Pod Identity agent. Empty fields are filled from
// AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE.
// The agent is reached without a proxy. Endpoint is a URL; without https it must
// lead to loopback or to an address of the agent.
type PodIdentity struct{ Endpoint, TokenFile string }

// NodeRole asks the instance metadata service (IMDSv2) for the EC2 node's role.
// Every pod of the node has that role's rights: it is used by explicit choice
// only.
//
// Endpoint is the service's URL, without a path. Empty: http://169.254.169.254. On a
// node with IPv6 only, set http://[fd00:ec2::254]; the instance's metadata options
// must enable it (HttpProtocolIpv6). Without https, Endpoint must lead to one of these
// two addresses or to loopback, else it is [ConfigInvalid]. The SDK's variables
// AWS_EC2_METADATA_* are not read. The service is reached without a proxy.
type NodeRole struct{ Endpoint string }

// FromBase starts from the base configuration's own Credentials: a laptop's
// profile, or another provider's configuration.
type FromBase struct{}

// Provider starts from any provider of credentials. Name stands for it in
// messages; empty: "provider".
//
// When its session is refused as expired, the provider is told, if it has one of
// the methods for that: Invalidate(accessKeyID string), as a [Chain] has, or
// Invalidate(), as an aws.CredentialsCache. The same holds for FromBase.
type Provider struct {
	Name        string
	Credentials aws.CredentialsProvider
}

func (WebIdentity) String() string { return "web identity" }
func (PodIdentity) String() string { return "EKS Pod Identity" }
func (NodeRole) String() string    { return "EC2 node role" }
func (FromBase) String() string    { return "base configuration" }
func (p Provider) String() string {
	if p.Name == "" {
		return "provider"
	}
	return p.Name
}

// Format keeps the provider, which may be a value that holds keys, out of every
// output.
func (p Provider) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "credentials.Provider{%s}", p.String()) }

// MarshalText keeps the provider out of JSON and slog.
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

// Whether STS applies the chaining cap after an instance role is contested in
// public reports, and a provider's or a profile's keys may be a user's: STS
// decides there.
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

// ParseSource returns the source that a flag or a setting names: "web-identity",
// "pod-identity", "node-role" or "base". The source has no settings of its own
// yet: the environment fills them in, as it does for a literal. Any other name is
// a [ConfigInvalid] that lists the four.
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
