package awstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// OIDC providers and IAM's actions on them. A provider is trusted for the clusters
// of the cloud with its URL as their issuer: their keys are the issuer's.

// What IAM allows (IAM User Guide, "IAM and AWS STS quotas"; IAM API reference,
// CreateOpenIDConnectProvider).
const (
	maxProviders   = 100 // of an account
	maxClientIDs   = 100 // of a provider
	maxThumbprints = 5
)

// oidcProvider is an OIDC provider of an account. The cloud's mutex guards it.
type oidcProvider struct {
	account     *Account
	url         string // with https://
	arn         string
	clientIDs   []string // audiences
	thumbprints []string
	created     time.Time
	tags        []tag
	foreign     *Cluster // the issuer, if it is in another partition's cloud; nil: it is in this one, or none
}

// newOIDCProvider makes a provider that is not yet one of the account's.
func newOIDCProvider(a *Account, url string, clientIDs, thumbprints []string) (*oidcProvider, *refusal) {
	if rule := issuerRule(url); rule != "" {
		refused := invalid("Invalid Open ID Connect Provider URL")
		refused.why = rule
		return nil, refused
	}
	if len(clientIDs) > maxClientIDs {
		return nil, tooManyClientIDs(len(clientIDs))
	}
	for _, id := range clientIDs {
		if refused := checkClientID(id); refused != nil {
			return nil, refused
		}
	}
	if refused := checkThumbprints(thumbprints); refused != nil {
		return nil, refused
	}
	return &oidcProvider{
		account: a, url: url, arn: a.iamARN("oidc-provider/" + strings.TrimPrefix(url, "https://")),
		clientIDs: slices.Clone(clientIDs), thumbprints: slices.Clone(thumbprints), created: time.Now().UTC().Truncate(time.Millisecond),
	}, nil
}

func tooManyClientIDs(n int) *refusal {
	return limitExceeded(fmt.Sprintf("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs), fmt.Sprintf("%d client ids", n))
}

func checkClientID(id string) *refusal {
	if id != "" && len(id) <= 255 {
		return nil
	}
	refused := validationError([]string{"Value at 'clientIDList' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 1]"})
	refused.why = fmt.Sprintf("client id %q has %d characters; IAM takes 1 to 255", id, len(id))
	return refused
}

var hexThumbprint = lazyregexp.New(`^[0-9A-Fa-f]{40}$`)

func checkThumbprints(thumbprints []string) *refusal {
	if len(thumbprints) > maxThumbprints {
		return invalidInput("Thumbprint list must contain fewer than %d entries.", maxThumbprints)
	}
	for _, t := range thumbprints {
		if !hexThumbprint().MatchString(t) {
			return validationError([]string{"Value at 'thumbprintList' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 40, Member must have length greater than or equal to 40]"})
		}
	}
	return nil
}

var (
	providerURL = parameter{name: "Url", label: "url", required: true, min: 1, max: maxIssuer}
	providerARN = parameter{name: "OpenIDConnectProviderArn", label: "openIDConnectProviderArn", required: true, min: 20, max: 2048}
	clientID    = parameter{name: "ClientID", label: "clientID", required: true, min: 1, max: 255}
)

func createOIDCProvider(_ *Cloud, req *request) (string, *refusal) {
	a, url := req.caller.account, req.param("Url")
	p, refused := newOIDCProvider(a, url, req.params(req.list("ClientIDList"), ""), req.params(req.list("ThumbprintList"), ""))
	if refused != nil {
		return "", refused
	}
	if p.tags, refused = tagsOf(req); refused != nil {
		return "", refused
	}
	if refused := permit(req, p.arn, p.arn, requestTagKeys(p.tags)); refused != nil {
		return "", refused
	}
	if refused := permitTagging(req, "iam:TagOpenIDConnectProvider", p.arn, p.tags); refused != nil {
		return "", refused
	}
	if a.providers[url] != nil {
		return "", alreadyExists(fmt.Sprintf("Provider with url %s already exists.", url), "")
	}
	if refused := a.addProvider(p); refused != nil {
		return "", refused
	}
	var b strings.Builder
	element(&b, "OpenIDConnectProviderArn", p.arn)
	writeTags(&b, p.tags)
	return b.String(), nil
}

// requestedProvider finds the provider that a request names and checks that the
// caller's policies allow the action on it.
func requestedProvider(req *request) (*oidcProvider, *refusal) {
	a, arn := req.caller.account, req.param("OpenIDConnectProviderArn")
	account, path, ok := cutIAM(arn, "oidc-provider")
	if !ok {
		return nil, invalidInput("Invalid ARN: %s", arn)
	}
	var p *oidcProvider
	keys := conditionKeys{}
	if account == a.id {
		if p = a.providers["https://"+path]; p != nil && p.arn != arn {
			p = nil // of another partition
		}
	}
	if p != nil {
		keys.setResourceTags(p.tags)
	}
	if refused := permit(req, arn, arn, keys); refused != nil {
		return nil, refused
	}
	if p == nil {
		return nil, noSuchEntity("OpenIDConnect Provider not found for arn %s", arn)
	}
	return p, nil
}

func getOIDCProvider(_ *Cloud, req *request) (string, *refusal) {
	p, refused := requestedProvider(req)
	if refused != nil {
		return "", refused
	}
	var b strings.Builder
	element(&b, "Url", strings.TrimPrefix(p.url, "https://")) // IAM leaves the scheme out
	writeStrings(&b, "ClientIDList", p.clientIDs)
	writeStrings(&b, "ThumbprintList", p.thumbprints)
	element(&b, "CreateDate", p.created.Format("2006-01-02T15:04:05.000Z"))
	writeTags(&b, p.tags)
	return b.String(), nil
}

func writeStrings(b *strings.Builder, name string, values []string) {
	b.WriteString("<" + name + ">")
	for _, v := range values {
		element(b, "member", v)
	}
	b.WriteString("</" + name + ">")
}

func addClientID(_ *Cloud, req *request) (string, *refusal) {
	p, refused := requestedProvider(req)
	id := req.param("ClientID")
	switch {
	case refused != nil:
		return "", refused
	case slices.Contains(p.clientIDs, id):
		return "", nil // idempotent, as AWS documents it
	case len(p.clientIDs) >= maxClientIDs:
		return "", tooManyClientIDs(len(p.clientIDs) + 1)
	}
	changed := *p
	changed.clientIDs = append(slices.Clone(p.clientIDs), id)
	p.account.setProvider(p.url, &changed)
	return "", nil
}

func removeClientID(_ *Cloud, req *request) (string, *refusal) {
	p, refused := requestedProvider(req)
	if refused != nil {
		return "", refused
	}
	id := req.param("ClientID")
	changed := *p
	changed.clientIDs = slices.DeleteFunc(slices.Clone(p.clientIDs), func(o string) bool { return o == id })
	p.account.setProvider(p.url, &changed)
	return "", nil
}

func updateThumbprint(_ *Cloud, req *request) (string, *refusal) {
	thumbprints := req.params(req.list("ThumbprintList"), "")
	if len(thumbprints) == 0 {
		return "", validationError([]string{"Value null at 'thumbprintList' failed to satisfy constraint: Member must not be null"})
	}
	if refused := checkThumbprints(thumbprints); refused != nil {
		return "", refused
	}
	p, refused := requestedProvider(req)
	if refused != nil {
		return "", refused
	}
	p.thumbprints = thumbprints
	return "", nil
}

func deleteOIDCProvider(_ *Cloud, req *request) (string, *refusal) {
	p, refused := requestedProvider(req)
	if refused != nil && refused.code == "NoSuchEntity" {
		return "", nil // idempotent, as AWS documents it
	}
	if refused != nil {
		return "", refused
	}
	p.account.setProvider(p.url, nil)
	return "", nil
}

func listOIDCProviders(_ *Cloud, req *request) (string, *refusal) {
	a := req.caller.account
	all := a.iamARN("oidc-provider/*")
	if refused := permit(req, all, all, nil); refused != nil {
		return "", refused
	}
	var b strings.Builder
	b.WriteString("<OpenIDConnectProviderList>")
	for _, url := range slices.Sorted(maps.Keys(a.providers)) {
		b.WriteString("<member>")
		element(&b, "Arn", a.providers[url].arn)
		b.WriteString("</member>")
	}
	b.WriteString("</OpenIDConnectProviderList>")
	return b.String(), nil
}
