package awstest

import (
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Cluster is a Kubernetes cluster as far as AWS sees it: an issuer and a key
// that signs service-account tokens with RS256.
type Cluster struct{}

// Issuer is the cluster's issuer URL.
func (c *Cluster) Issuer() string { return "" }

// Subject is the "sub" of a service account's token.
func Subject(namespace, serviceAccount string) string { return "" }

// Token signs a token for a service account as the API server would: audience
// sts.amazonaws.com, valid for 24 hours from now. The edits, if any, change the
// claims before they are signed.
func (c *Cluster) Token(namespace, serviceAccount string, edits ...func(*trust.Token)) string {
	return ""
}

// RotateKeys makes the cluster sign with a new key. Tokens signed with the old
// one stay valid until DropOldKeys.
func (c *Cluster) RotateKeys() {}

// DropOldKeys removes every key but the current one from the cluster's JWKS.
func (c *Cluster) DropOldKeys() {}

// JWKS is the JSON key set that the issuer publishes.
func (c *Cluster) JWKS() []byte { return nil }

// Pod makes a pod of the service account whose annotation names roleARN: it
// writes a projected token volume below dir, laid out as kubelet does (token →
// ..data/token, ..data → ..<timestamp>). It panics if it cannot write there.
func (c *Cluster) Pod(dir, namespace, serviceAccount, roleARN string) *Pod { return &Pod{} }

// Pod is a running pod with its mounted token.
type Pod struct{}

// Env is what the webhook injects: AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE,
// AWS_REGION, AWS_DEFAULT_REGION and AWS_STS_REGIONAL_ENDPOINTS, as KEY=value.
func (p *Pod) Env() []string { return nil }

// RoleARN is the role of the service account's annotation.
func (p *Pod) RoleARN() string { return "" }

// TokenFile is the path of the mounted token.
func (p *Pod) TokenFile() string { return "" }

// Rotate writes a fresh token by swapping the ..data symlink, as kubelet does.
func (p *Pod) Rotate(edits ...func(*trust.Token)) {}

// Mount writes these bytes as the token, by the same swap: for tests with an
// empty, foreign or damaged token.
func (p *Pod) Mount(token []byte) {}

// Move lets the pod go on with the tokens of another cluster, as a restart on
// the green cluster would.
func (p *Pod) Move(to *Cluster) {}

var _ time.Duration
