package credentials

// Error.Fixes: the sentences, commands and policy statements that fix a failure, by its
// Kind.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/internal/settings"
	"github.com/crossrole/crossrole/trust"
)

// fixes returns what a person can apply, made of facts: the token's claims, the requested
// role and the caller.
//
// A statement is to be added to a policy and never replaces one: a policy may hold
// conditions, such as an external ID, that the caller cannot know.
func (h *hop) fixes(e *Error) []string {
	switch {
	case h.agent():
		return h.agentFixes(e)
	case e.Kind == RefreshTimeout:
		return h.timeoutFixes(e)
	case e.Kind == STSUnreachable:
		return h.unreachableFixes(e)
	case h.prev != nil && unknownKey[e.Code]:
		return h.unknownKeyFixes(e)
	}
	role, err := parseRoleARN(e.RoleARN)
	if err != nil {
		return nil
	}
	switch {
	case e.Token != nil && e.Kind == OIDCProviderMissing:
		return h.providerFixes(e, role)
	case e.Token != nil && e.Kind == AudienceMismatch:
		return h.audienceFixes(e.Token, role)
	case e.Token != nil && e.Kind == TrustDenied:
		return h.trustFixes(e, role)
	case e.Kind == TokenExpired && e.Operation == "AssumeRoleWithWebIdentity":
		return []string{h.webIdentity().expiredFix()}
	case e.Kind == AssumeDenied:
		return h.assumeFixes(e, role)
	case e.Kind == DurationTooLong:
		return h.durationFixes(role)
	case e.Kind == TagsTooLarge:
		return []string{fmt.Sprintf("leave out or shorten %s: they are packed into one space, and STS's message says how much of it they take. Tags that the previous session passes on (transitive ones, or those of EKS Pod Identity) count too",
			settings.Name("Role.Tags, Role.Policy or Role.PolicyARNs", "the tags of --role"))}
	case e.Kind == RegionNotEnabled:
		return []string{regionFix("account " + role.account)}
	}
	return nil
}

func regionFix(where string) string {
	return "enable the region in " + where + " and activate STS there, or set another region for STS in " + settings.Name("Options.STS", "AWS_REGION")
}

// addStatement returns the fix that adds a statement to a policy.
func addStatement(policy string, statement trust.Statement) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(statement) // strings, slices and maps of strings cannot fail
	return "add this statement to " + policy + statementFollows + strings.TrimSpace(b.String())
}

// statementFollows separates the sentence of a fix from its document.
const statementFollows = ": "

// summary returns a fix without its document.
func summary(fix string) string {
	if sentence, _, ok := strings.Cut(fix, statementFollows+"{"); ok {
		return sentence + " (the statement is in Error.Fixes; crossrole doctor prints it)"
	}
	return fix
}

// unknownKey are STS's codes for a caller whose key it does not know, for whatever reason.
var unknownKey = map[string]bool{"InvalidClientTokenId": true, "UnrecognizedClientException": true}

// unknownKeyFixes returns the fix of the more likely cause first.
func (h *hop) unknownKeyFixes(e *Error) []string {
	region := regionFix("the caller's account")
	if e.Kind == Unknown { // a key without a session token
		return []string{
			fmt.Sprintf("check the access key that the %s gives: it may be mistyped, inactive, deleted or of another partition (aws iam list-access-keys shows a user's)", h.prev.describe()),
			"if the key is right, " + region,
		}
	}
	session := "the caller's session"
	if h.prev.provider() {
		session += " from the " + h.prev.describe()
	}
	return []string{region, "or else " + session + " was revoked, or its role deleted: get a new one"}
}

// timeoutFix is the fix for an endpoint that does not respond in time.
const timeoutFix = "check that the pod can reach the endpoint: a proxy or firewall that drops packets looks like this (NO_PROXY, the security group of the STS interface endpoint)"

// timeoutFixes name the endpoint.
func (h *hop) timeoutFixes(e *Error) []string {
	return append(h.regionTypo(), strings.Replace(timeoutFix, "the endpoint", cmp.Or(e.Endpoint, "the endpoint"), 1))
}

// stsAudience is the audience of EKS's tokens for AWS, in all partitions.
const stsAudience = "sts.amazonaws.com"

// wantedAudience returns the audience that the token should have.
func (h *hop) wantedAudience() string {
	return cmp.Or(h.webIdentity().Audience, stsAudience)
}

// registrable returns the token's audiences that may become client IDs of an OIDC provider.
// That of the API server may not: every pod has such a token, and anyone who obtains a
// token for AWS could use it against the cluster.
func registrable(t *trust.Token) []string {
	var audiences []string
	for _, a := range t.Audience {
		if a == strings.TrimSpace(a) && a != "" && !isServerAudience(a, t.Issuer) {
			audiences = append(audiences, a)
		}
	}
	return audiences
}

// isServerAudience reports whether an audience is that of a Kubernetes API server: the
// issuer, which is the default, or a usual name of its service.
func isServerAudience(audience, issuer string) bool {
	name := strings.TrimSuffix(strings.ToLower(audience), "/")
	if name == strings.TrimSuffix(strings.ToLower(issuer), "/") {
		return true
	}
	_, host, hasScheme := strings.Cut(name, "://")
	if !hasScheme {
		host = name
	}
	host, _, _ = strings.Cut(host, ":")
	return slices.Contains([]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "api", "k3s", "rke2"}, host) ||
		strings.HasPrefix(host, "kubernetes.default.svc.")
}

// olderCLIFix goes with create-open-id-connect-provider. The API requires no thumbprint
// since April 2024 (aws-sdk-go-v2, service/iam v1.32.0), but older versions of the CLI do.
// A thumbprint that no certificate has admits no issuer that IAM would refuse without it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
const olderCLIFix = "versions of the aws CLI from before April 2024 also need --thumbprint-list 0000000000000000000000000000000000000000 there: IAM uses it only if no public authority signed the issuer's certificate, and then crossrole issuer prints the right one"

// providerFixes returns the fixes for an issuer that the role's account does not know.
func (h *hop) providerFixes(e *Error, role roleARN) []string {
	provider := shellWords(e.Token.ProviderARN(role.partition, role.account))
	if strings.Contains(strings.ToLower(e.Message), "thumbprint") {
		return []string{fmt.Sprintf("set the provider's thumbprint in account %s: aws iam update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn %s --thumbprint-list THUMBPRINT; crossrole issuer %s prints the THUMBPRINT",
			role.account, provider, shellWords(e.Token.Issuer))}
	}
	audiences := registrable(e.Token)
	if len(audiences) == 0 {
		audiences = []string{h.wantedAudience()}
	}
	whose := "account " + role.account
	if h.facts.hops > 1 {
		whose = "the hub's account " + role.account
	}
	fixes := []string{fmt.Sprintf("register the issuer in %s: aws iam create-open-id-connect-provider %s %s", whose, shellFlag("--url", e.Token.Issuer), shellFlag("--client-id-list", audiences...))}
	fixes = append(fixes, olderCLIFix)
	if h.facts.hops == 1 {
		fixes = append(fixes, fmt.Sprintf("or go through a hub role in an account that knows the issuer, such as the cluster's own: make that %s and add %s", h.webIdentity().roleName(),
			settings.Name(fmt.Sprintf("credentials.Assume(%q)", e.RoleARN), "--role "+shellWords(e.RoleARN))))
	}
	return fixes
}

// audienceFixes returns one fix for each place that must agree. The token comes first: every
// pod of the cluster gets the same audience.
func (h *hop) audienceFixes(t *trust.Token, role roleARN) []string {
	provider := shellWords(t.ProviderARN(role.partition, role.account))
	var fixes []string
	if wanted := h.wantedAudience(); !slices.Contains(t.Audience, wanted) {
		fixes = append(fixes, h.webIdentity().projectFix(wanted))
	}
	for _, a := range registrable(t) {
		fixes = append(fixes, fmt.Sprintf("register the audience in account %s: aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn %s %s", role.account, provider, shellFlag("--client-id", a)))
	}
	return append(fixes, fmt.Sprintf("compare the token's audience %q with the client ids of the provider in account %s, byte for byte: aws iam get-open-id-connect-provider --open-id-connect-provider-arn %s", t.Audience, role.account, provider))
}

// trustFixes returns the fixes for a token that the role's trust policy refuses.
func (h *hop) trustFixes(e *Error, role roleARN) []string {
	t := e.Token
	if d, named := e.denial(); named && !d.OfResource() {
		return []string{d.Fix()}
	}
	audiences := registrable(t)
	if len(audiences) == 0 {
		return []string{h.webIdentity().projectFix(h.wantedAudience())}
	}
	audience := audiences[0]
	if wanted := h.wantedAudience(); slices.Contains(audiences, wanted) {
		audience = wanted
	}
	where := fmt.Sprintf("the trust policy of role %s in account %s", role.name, role.account)
	check := fmt.Sprintf("check that role %s exists in account %s, and ", role.name, role.account)
	if strings.ContainsAny(t.Subject+audience, "*?$") {
		// No service account's token has such a subject, and a policy might treat the
		// characters as wildcards.
		return []string{check + fmt.Sprintf("let its trust policy admit the subject %q and the audience %q, compared by StringEquals", t.Subject, audience)}
	}
	issuer := strings.TrimPrefix(t.Issuer, "https://")
	conditions := trust.Conditions{"StringEquals": {issuer + ":sub": {t.Subject}}}
	operator := "StringEquals"
	if len(t.Audience) > 1 {
		operator = "ForAnyValue:StringEquals" // the token has several; one must match
		conditions[operator] = map[string][]string{}
	}
	conditions[operator][issuer+":aud"] = []string{audience}
	return []string{check + addStatement(where, trust.Statement{
		Effect:    "Allow",
		Principal: trust.Principals{"Federated": {t.ProviderARN(role.partition, role.account)}},
		Action:    []string{"sts:AssumeRoleWithWebIdentity"},
		Condition: conditions,
	})}
}

// shellWords quotes words for a POSIX shell. Some come from a token, which anyone may have
// written.
func shellWords(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; !madeOf(w, wordRunes+"@%+=:,./-") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// shellFlag returns a flag of the AWS CLI with its values. A value that begins with a hyphen
// follows an equals sign; several of them as a JSON list.
func shellFlag(flag string, values ...string) string {
	if !slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "-") }) {
		return flag + " " + shellWords(values...)
	}
	value := values[0]
	if len(values) > 1 {
		list, _ := json.Marshal(values) // strings cannot fail
		value = string(list)
	}
	return shellWords(flag + "=" + value)
}

// durationFixes returns the fixes for a duration that exceeds a limit.
func (h *hop) durationFixes(role roleARN) []string {
	var asked time.Duration
	name := settings.Name("WebIdentity.Duration", "the duration of --role own")
	if h.n > 1 {
		asked = h.settings.duration()
		name = settings.Name("Role.Duration", "the duration of --role")
	} else if w, ok := h.facts.source.(WebIdentity); ok {
		asked = w.Duration
	}
	if asked == 0 { // STS chose
		return []string{"set " + name + " to an hour or less: every role allows 3600 seconds"}
	}
	seconds := int64(asked / time.Second)
	fixes := []string{fmt.Sprintf("set %s to less than %d seconds; every role allows 3600", name, seconds)}
	if h.n == 1 || !h.facts.source.chained() {
		fixes = append(fixes, fmt.Sprintf("let the sessions of role %s in account %s last %d seconds: aws iam update-role %s --max-session-duration %d", role.name, role.account, seconds, shellFlag("--role-name", role.name), seconds))
	}
	return fixes
}

// externalIDPlaceholder stands in a fix for an external ID, which is never printed. Its
// characters are not allowed in one, so a policy with the placeholder admits no caller.
const externalIDPlaceholder = "<the external id>"

// assumeFixes returns the fixes for both sides of a refused AssumeRole. Tags come from the
// role's settings and, with the Pod Identity agent, from the session itself.
func (h *hop) assumeFixes(e *Error, target roleARN) []string {
	asked := *h.settings
	caller := e.Caller
	if m := refusedCaller().FindStringSubmatch(e.Message); caller == "" && m != nil {
		caller = m[1] // the source did not report it; STS does
	}
	principal := h.principal(caller)
	denied, named := e.denial()
	if named && (principal == "" || !denied.OfResource() && !denied.OfCaller()) {
		return []string{denied.Fix()}
	}
	where := fmt.Sprintf("the trust policy of role %s in account %s", target.name, target.account)
	externalID := settings.Name("Role.ExternalID", "external-id of --role")
	if principal == "" {
		return []string{"let " + where + " name the caller, and the caller's own policy allow the action on " + e.RoleARN}
	}
	actions := h.actions(asked, e.Message)

	var fixes []string
	if !named || denied.OfResource() {
		admit := func(actions []string, condition trust.Conditions) trust.Statement {
			return trust.Statement{Effect: "Allow", Principal: trust.Principals{"AWS": {principal}}, Action: actions, Condition: condition}
		}
		if len(actions) > 1 && (asked.ExternalID != "" || deniedAction(e.Message) != actions[0]) {
			// Only sts:AssumeRole carries an external id.
			fixes = append(fixes, addStatement(where, admit(actions[1:], nil)))
		}
		if asked.ExternalID != "" {
			condition := trust.Conditions{"StringEquals": {"sts:ExternalId": {externalIDPlaceholder}}}
			fix := fmt.Sprintf("with the value of %s in place of %q, %s", externalID, externalIDPlaceholder, addStatement(where, admit(actions[:1], condition)))
			if deniedAction(e.Message) == actions[0] {
				fixes = slices.Insert(fixes, 0, fix)
			} else {
				fixes = append(fixes, fix)
			}
		} else {
			fixes = append(fixes,
				"if it does not name "+principal+" yet, "+addStatement(where, admit(actions, nil)),
				"if it does, under a condition on sts:ExternalId, keep the condition and set "+externalID+" to the value that the role's owner gave you")
		}
	}
	if !named || denied.OfCaller() {
		policy := "the policy of " + principal
		if strings.Contains(principal, ":role/") && (h.prev == nil || h.prev.role != principal) {
			policy += " (its ARN has a path, if the role has one)"
		}
		// IAM would treat some characters of a role's path as wildcards.
		resource := strings.NewReplacer("$", "${$}", "*", "${*}", "?", "${?}").Replace(e.RoleARN)
		fixes = append(fixes, addStatement(policy, trust.Statement{Effect: "Allow", Action: actions, Resource: []string{resource}}))
	}
	if (!named || denied.OfResource()) && strings.Contains(principal, ":role/") {
		fixes = append(fixes, "if "+principal+" was deleted and created again, "+where+" holds the id of the old one (AROA…): put the ARN in its place and save the policy again")
	}
	return fixes
}

// actions returns the actions that the caller must be allowed, sts:AssumeRole first.
func (h *hop) actions(asked Role, message string) []string {
	actions := []string{"sts:AssumeRole"}
	_, tagged := h.facts.source.(PodIdentity)
	if tagged || len(asked.Tags) > 0 || strings.Contains(message, "sts:TagSession") {
		actions = append(actions, "sts:TagSession")
	}
	if asked.SourceIdentity != "" || strings.Contains(message, "sts:SetSourceIdentity") {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	return actions
}

// deniedAction returns the action that a refusal names.
func deniedAction(message string) string {
	for _, action := range []string{"sts:TagSession", "sts:SetSourceIdentity"} {
		if strings.Contains(message, action) {
			return action
		}
	}
	return "sts:AssumeRole"
}

var refusedCaller = lazyregexp.New(`^User: (arn:\S+) is not authorized to perform: sts:`)

// principal returns the ARN that a policy must name to admit the caller: the role of a
// session, or a user. A session's ARN lacks its role's path; the settings of the previous
// hop have it, if they name that role.
func (h *hop) principal(caller string) string {
	a, err := arn.Parse(caller)
	if err != nil || !isAccount(a.AccountID) {
		return ""
	}
	if kind, name, _ := strings.Cut(a.Resource, "/"); a.Service == "iam" && kind == "user" && printable(name) && !strings.ContainsAny(name, "*?$") {
		return caller
	}
	parts := strings.Split(a.Resource, "/")
	if a.Service != "sts" || len(parts) != 3 || parts[0] != "assumed-role" || !isRoleName(parts[1]) {
		return ""
	}
	if h.prev != nil {
		if known, err := parseRoleARN(h.prev.role); err == nil && known.account == a.AccountID && strings.EqualFold(known.name, parts[1]) {
			return h.prev.role
		}
	}
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", a.Partition, a.AccountID, parts[1])
}

const (
	associationFix = "check that the service account has a pod identity association (aws eks list-pod-identity-associations), and that its role trusts pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession"
	agentFix       = "check that the EKS Pod Identity agent runs on the node (kubectl -n kube-system get daemonset eks-pod-identity-agent) and that no network policy keeps the pod from reaching its address; the agent does not exist on Fargate"
	hopLimitFix    = "let pods reach the metadata service, which is one network hop farther from them than from the node's own processes: aws ec2 modify-instance-metadata-options --instance-id <the node's> --http-put-response-hop-limit 2 (HttpPutResponseHopLimit=2), and no network policy against 169.254.169.254"
	profileFix     = "attach an instance profile with a role to the node"
	otherFix       = "check what responds there: the STS endpoint comes from AWS_ENDPOINT_URL_STS, Options.STS or the region, and must not be another service's or a proxy's page (NO_PROXY)"
)

// regionTypo returns the fix for an unknown region, if the endpoint follows from it;
// otherwise none.
func (h *hop) regionTypo() []string {
	region := h.facts.sts.own().Region()
	if h.facts.sts.own().Endpoint() != "" || slices.Contains(regions, region) {
		return nil
	}
	return []string{fmt.Sprintf("%q is not a region of AWS, as far as this version knows; the closest one is %s: set AWS_REGION or %s", region, closestRegion(region),
		settings.Name("aws.Config.Region", "AWS_DEFAULT_REGION"))}
}

// agentFixes returns the fixes for a hop that asks a service on the node.
func (h *hop) agentFixes(e *Error) []string {
	if e.Kind == TokenUnreadable || e.Kind == TokenMalformed {
		return nil
	}
	unreachable := e.Kind == RefreshTimeout || e.Kind == STSUnreachable && statusOf(e.Err) == 0
	_, node := h.facts.source.(NodeRole)
	switch {
	case e.Kind == TokenExpired:
		return []string{rotationFix}
	case node && unreachable:
		return []string{hopLimitFix}
	case node:
		return []string{profileFix}
	case unreachable:
		return []string{agentFix}
	}
	return []string{associationFix}
}

// unreachableFixes returns the fixes for an STS endpoint without a usable response.
func (h *hop) unreachableFixes(e *Error) []string {
	status := statusOf(e.Err)
	noHost, ok := errors.AsType[*net.DNSError](e.Err)
	fixes := h.regionTypo()
	switch {
	case status >= 500:
		return fixes // only STS can fix it
	case status != 0:
		return append(fixes, otherFix)
	case ok && noHost.IsNotFound && h.facts.sts.own().FIPS():
		fixes = append(fixes, "there may be no FIPS endpoint of STS in this region: switch it off for STS alone: "+
			settings.Name("in Options.STS, o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateDisabled", "AWS_USE_FIPS_ENDPOINT=false"))
	}
	return append(fixes, "check that the pod can reach "+cmp.Or(e.Endpoint, "the STS endpoint")+": its name (DNS), the security group of the STS interface endpoint, HTTPS_PROXY and NO_PROXY")
}
