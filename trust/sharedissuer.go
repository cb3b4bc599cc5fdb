package trust

import (
	"fmt"
	"slices"
	"strings"
)

// sharedIssuers are the issuers that many customers of a service share, with the condition
// key that distinguishes them. IAM refuses a trust policy that admits their tokens
// without a condition on that key when a role is created or its trust policy is changed
// (IAM User Guide, "Identity-provider controls for shared OIDC providers",
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html).
// AWS also lists six issuers of IBM Turbonomic, which are not here.
var sharedIssuers = map[string]string{
	"agent.buildkite.com":            "agent.buildkite.com:sub",
	"api.pulumi.com/oidc":            "api.pulumi.com/oidc:aud",
	"app.terraform.io":               "app.terraform.io:sub",
	"cognito-identity.amazonaws.com": "cognito-identity.amazonaws.com:aud",
	"gitlab.com":                     "gitlab.com:sub",
	"oidc-configuration.audit-log.githubusercontent.com": "oidc-configuration.audit-log.githubusercontent.com:sub",
	"oidc.codefresh.io":                     "oidc.codefresh.io:sub",
	"oidc.vercel.com":                       "oidc.vercel.com:aud",
	"proidc.upbound.io":                     "proidc.upbound.io:sub",
	"sandboxes.cloud":                       "sandboxes.cloud:aud",
	"scalr.io":                              "scalr.io:sub",
	"studio.datachain.ai/api":               "studio.datachain.ai/api:sub",
	"token.actions.githubusercontent.com":   "token.actions.githubusercontent.com:sub",
	"tokens.cloud.shisho.dev":               "tokens.cloud.shisho.dev:sub",
	"vstoken.actions.githubusercontent.com": "vstoken.actions.githubusercontent.com:sub",
	"sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d": "sts:RoleSessionName",
}

// checkSharedIssuers reports a statement of a trust policy that admits the tokens of all
// customers of an issuer. It reports only the lack of the key: whether IAM accepts a value
// is not documented.
func checkSharedIssuers(s *Statement, fault func(element string, err error)) {
	if s.Effect != "Allow" || !matchActions(s.Action, "sts:AssumeRoleWithWebIdentity") {
		return
	}
	for _, provider := range s.Principal["Federated"] {
		issuer := provider
		if _, after, isARN := strings.Cut(provider, ":oidc-provider/"); isARN {
			issuer = after
		}
		key, shared := sharedIssuers[strings.ToLower(issuer)]
		if shared && !slices.ContainsFunc(evaluatedKeys(s.Condition), func(k string) bool { return strings.EqualFold(k, key) }) {
			fault("Condition", fmt.Errorf("it lacks the key %q, which IAM requires: the customers of %s share this issuer, and without the condition each of them could assume the role", key, issuer))
		}
	}
}

// evaluatedKeys returns the keys whose values a Condition compares.
func evaluatedKeys(c Conditions) []string {
	var keys []string
	c.lines(func(operator, key string, _ []string) {
		if !strings.EqualFold(operator, "Null") {
			keys = append(keys, key)
		}
	})
	return keys
}
