package awstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/crossrole/crossrole/trust"
)

// Outbound identity federation: STS as an OIDC issuer of its own, which issues
// tokens to the callers of an account, for external services to verify (IAM User
// Guide, "Federating AWS identities to external services").

// outboundDomains are the domains of issuers by partition. AWS's guide shows that
// of partition aws only; the others follow its dual-stack endpoints.
var outboundDomains = map[string]string{
	"aws":        "tokens.sts.global.api.aws",
	"aws-cn":     "tokens.sts.global.api.amazonwebservices.com.cn",
	"aws-us-gov": "tokens.sts.us-gov.api.aws",
	"aws-eusc":   "tokens.sts.global.api.amazonwebservices.eu",
}

// newOutboundIssuer makes an account's issuer, with a key for each algorithm. The
// cloud's mutex must be held.
func newOutboundIssuer(c *Cloud) *Cluster {
	cl := &Cluster{cloud: c, issuer: "https://" + newUUID() + "." + outboundDomains[c.partition.name], outbound: true}
	cl.addKey()
	cl.keys = append(cl.keys, clusterKey{id: newID("", 40), algorithm: "ES384", key: sync.OnceValue(func() crypto.Signer {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			panic("awstest: ECDSA key: " + err.Error()) // only without randomness
		}
		return key
	})})
	c.clusters[cl.issuer] = cl
	return cl
}

// checkOutbound refuses tokens of GetWebIdentityToken within their own partition,
// and those for more than one audience (IAM User Guide, "Federating AWS identities
// across AWS partitions").
func checkOutbound(c *Cloud, issuer *Cluster, token *trust.Token) *refusal {
	switch {
	case !issuer.outbound:
		return nil
	case issuer.cloud.partition.name == c.partition.name:
		refused := invalidToken("The ID Token provided could not be validated")
		refused.why = "a token of GetWebIdentityToken is not exchanged in the partition that issued it; use AssumeRole"
		return refused
	case len(token.Audience) != 1:
		refused := invalidToken("The ID Token provided could not be validated")
		refused.why = fmt.Sprintf("a token of GetWebIdentityToken for %d audiences is not exchanged; ask for one", len(token.Audience))
		return refused
	}
	return nil
}

// Bounds of GetWebIdentityToken (STS API reference).
const (
	minTokenLife     = 60 * time.Second
	maxTokenLife     = time.Hour
	defaultTokenLife = 5 * time.Minute
	maxAudiences     = 10
	maxAudience      = 1000 // characters
)

// getWebIdentityToken issues a signed token that names the caller.
func getWebIdentityToken(c *Cloud, req *request) (*response, *refusal) {
	grant, refused := grantToken(c, req)
	if refused != nil {
		return nil, refused
	}
	var b strings.Builder
	element(&b, "WebIdentityToken", signJWT(grant.key, grant.claims))
	element(&b, "Expiration", grant.expires.UTC().Format(time.RFC3339))
	return stsResponse(req, b.String()), nil
}

// tokenGrant is a token that is to be signed, which takes too long for the cloud's
// mutex.
type tokenGrant struct {
	key     clusterKey
	claims  map[string]any
	expires time.Time
}

func grantToken(c *Cloud, req *request) (*tokenGrant, *refusal) {
	if hostName(req.Host) == "sts.amazonaws.com" {
		return nil, noSuchAction(req) // not on the global endpoint
	}
	seconds, faults := req.number("DurationSeconds", "durationSeconds", int(minTokenLife.Seconds()), int(maxTokenLife.Seconds()), nil)
	audiences := req.params(req.list("Audience"), "")
	if len(audiences) < 1 || len(audiences) > maxAudiences {
		faults = append(faults, fmt.Sprintf("Value at 'audience' failed to satisfy constraint: Member must have length between 1 and %d", maxAudiences))
	}
	for _, a := range audiences {
		if n := utf8.RuneCountInString(a); n < 1 || n > maxAudience {
			faults = append(faults, fmt.Sprintf("Value at 'audience' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to %d, Member must have length greater than or equal to 1]", maxAudience))
		}
	}
	algorithm := req.param("SigningAlgorithm")
	if algorithm != "RS256" && algorithm != "ES384" {
		faults = append(faults, "Value at 'signingAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [RS256, ES384]")
	}
	if refused := validationError(checkTags(req, faults)); refused != nil {
		return nil, refused
	}
	tags, refused := tagsOf(req)
	if refused != nil {
		return nil, refused
	}
	life := time.Duration(seconds) * time.Second
	if life == 0 {
		life = defaultTokenLife
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	keys := requestTagKeys(tags)
	keys["sts:IdentityTokenAudience"] = audiences
	keys["sts:SigningAlgorithm"] = []string{algorithm}
	keys.setDuration(life)
	if refused := permitAction(req, "sts:GetWebIdentityToken", "*", "*", keys); refused != nil {
		return nil, refused
	}
	if len(tags) > 0 {
		if refused := permitAction(req, "sts:TagGetWebIdentityToken", "*", "*", keys); refused != nil {
			return nil, refused
		}
	}
	account := req.caller.account
	if !account.federates {
		return nil, &refusal{
			status: http.StatusForbidden, code: "OutboundWebIdentityFederationDisabledException", message: "The outbound web identity federation feature is not enabled for this account.",
			why: "enable it by iam:EnableOutboundWebIdentityFederation or Account.OutboundIssuer",
		}
	}
	now := req.trueNow.Truncate(time.Second)
	if s := req.caller.state; s != nil && now.Add(life).After(s.expires) {
		return nil, &refusal{
			status: http.StatusForbidden, code: "SessionDurationEscalationException", message: "The requested token duration would extend the session beyond its original expiration time.",
			why: "the caller's session expires at " + s.expires.UTC().Format(time.RFC3339) + "; ask for less",
		}
	}
	return &tokenGrant{account.issuer.signing(algorithm), outboundClaims(req, audiences, tags, now, now.Add(life)), now.Add(life)}, nil
}

// outboundClaims are the claims of a token: the caller's ARN as its subject, that of
// the role if it has one, and what STS says of it below a name of its own (IAM User
// Guide, "Understanding token claims").
func outboundClaims(req *request, audiences []string, tags []tag, issued, expires time.Time) map[string]any {
	p := req.caller
	says := map[string]any{"aws_account": p.account.id, "source_region": req.region}
	principalTags, requestTags := map[string]string{}, map[string]string{}
	for key, values := range p.keys {
		if name, ok := strings.CutPrefix(key, "aws:PrincipalTag/"); ok {
			principalTags[name] = values[0]
		}
	}
	for _, t := range tags {
		requestTags[t.key] = t.value
	}
	if len(principalTags) > 0 {
		says["principal_tags"] = principalTags
	}
	if len(requestTags) > 0 {
		says["request_tags"] = requestTags
	}
	var audience any = audiences
	if len(audiences) == 1 {
		audience = audiences[0]
	}
	return map[string]any{
		"iss": p.account.issuer.issuer, "aud": audience, "sub": p.keys["aws:PrincipalArn"][0],
		"iat": issued.Unix(), "exp": expires.Unix(), "jti": newUUID(), "https://sts.amazonaws.com/": says,
	}
}

func enableOutboundFederation(_ *Cloud, req *request) (string, *refusal) {
	if refused := permit(req, "*", "*", nil); refused != nil {
		return "", refused
	}
	a := req.caller.account
	if a.federates {
		return "", &refusal{status: http.StatusConflict, code: "FeatureEnabled", message: "Outbound web identity federation is already enabled for this account."}
	}
	var b strings.Builder
	element(&b, "IssuerIdentifier", a.enableFederation().issuer)
	return b.String(), nil
}

func disableOutboundFederation(_ *Cloud, req *request) (string, *refusal) {
	if refused := permit(req, "*", "*", nil); refused != nil {
		return "", refused
	}
	if a := req.caller.account; !a.federates {
		return "", federationDisabled()
	}
	req.caller.account.federates = false
	return "", nil
}

func getOutboundFederationInfo(_ *Cloud, req *request) (string, *refusal) {
	if refused := permit(req, "*", "*", nil); refused != nil {
		return "", refused
	}
	a := req.caller.account
	if !a.federates {
		return "", federationDisabled()
	}
	var b strings.Builder
	element(&b, "IssuerIdentifier", a.issuer.issuer)
	element(&b, "JwtVendingEnabled", "true")
	return b.String(), nil
}

func federationDisabled() *refusal {
	return &refusal{status: http.StatusNotFound, code: "FeatureDisabled", message: "Outbound web identity federation is not enabled for this account."}
}
