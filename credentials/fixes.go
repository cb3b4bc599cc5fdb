package credentials

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/crossrole/crossrole/trust"
)

// fixes are what a person can apply for the error's kind, made of what is known
// for certain: the token's claims, the role asked for and the caller.
func (s *session) fixes(e *Error) []string {
	switch {
	case s.agent():
		return s.agentFixes(e)
	case e.Kind == RefreshTimeout:
		return []string{timeoutFix}
	case e.Kind == STSUnreachable:
		return s.unreachableFixes(e)
	case s.parent != nil && unknownKey[e.Code]:
		return s.unknownKeyFixes(e)
	}
	role, err := parseRoleARN(e.RoleARN)
	if err != nil {
		return nil
	}
	switch {
	case e.Token != nil && e.Kind == OIDCProviderMissing:
		return []string{
			fmt.Sprintf("register the issuer in account %s: aws iam create-open-id-connect-provider --url %s --client-id-list %s", role.account, shellWords(e.Token.Issuer), shellWords(e.Token.Audience...)),
			"go through a hub role of the cluster's own account, which knows the issuer: credentials.Assume(" + e.RoleARN + ")",
		}
	case e.Token != nil && e.Kind == AudienceMismatch:
		return audienceFixes(e.Token, role)
	case e.Token != nil && e.Kind == TrustDenied:
		policy := trust.WebIdentityPolicy(role.account, []string{e.Token.Issuer}, []string{e.Token.Subject}, func(o *trust.PolicyOptions) {
			o.Partition = role.partition
			if len(e.Token.Audience) > 0 {
				o.Audience = e.Token.Audience[0]
			}
		})
		return []string{fmt.Sprintf("check that role %s exists in account %s and that its trust policy has this statement: %s", role.name, role.account, policy)}
	case e.Kind == TokenExpired && e.Operation == "AssumeRoleWithWebIdentity":
		return []string{rotationFix}
	case e.Kind == AssumeDenied:
		return s.assumeFixes(e, role)
	case e.Kind == DurationTooLong:
		return s.durationFixes(role)
	case e.Kind == TagsTooLarge:
		return []string{"leave out or shorten Role.Tags, Role.Policy or Role.PolicyARNs: they are packed into one space; STS's message tells how much of it they take. Tags that the session before passes on (transitive ones, or those of EKS Pod Identity) count too"}
	case e.Kind == RegionNotEnabled:
		return []string{regionFix("account " + role.account)}
	}
	return nil
}

func regionFix(where string) string {
	return "enable the region in " + where + " and activate STS there, or set another region for STS in Options.STS"
}

// unknownKey are the codes by which STS says that it does not know the key of
// the caller. It does not say why.
var unknownKey = map[string]bool{"InvalidClientTokenId": true, "UnrecognizedClientException": true}

// unknownKeyFixes name the cause that is more likely first.
func (s *session) unknownKeyFixes(e *Error) []string {
	region := regionFix("the caller's account")
	if e.Kind == Unknown { // a key without a session token
		return []string{
			fmt.Sprintf("check the access key that the %s gives: it may be mistyped, inactive, deleted or of another partition (aws iam list-access-keys shows a user's)", s.parent.describe()),
			"if the key is right, " + region,
		}
	}
	who := "the session that asked"
	if s.parent.giver != nil {
		who += ", which the " + s.parent.describe() + " gave,"
	}
	return []string{region, "or else " + who + " was revoked, or its role deleted: get a new one"}
}

const timeoutFix = "check that the pod can reach the endpoint: a proxy or firewall that drops packets looks like this (NO_PROXY, the security group of the STS interface endpoint)"

// audienceFixes name the places that must agree, with the commands that show
// and mend the first.
func audienceFixes(t *trust.Token, role roleARN) []string {
	provider := t.ProviderARN(role.partition, role.account)
	fixes := []string{fmt.Sprintf("compare the token's audience %q with the client ids of the provider in account %s, byte for byte: aws iam get-open-id-connect-provider --open-id-connect-provider-arn %s", t.Audience, role.account, shellWords(provider))}
	for _, a := range t.Audience {
		fixes = append(fixes, fmt.Sprintf("register it: aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn %s --client-id %s", shellWords(provider), shellWords(a)))
	}
	return append(fixes, "project the token with an audience that is registered (on EKS by the service account's annotation eks.amazonaws.com/audience)")
}

// shellWords writes words for a POSIX shell. Some come out of a token, which
// anybody may have written.
func shellWords(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; !madeOf(w, wordRunes+"@%+=:,./-") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// durationFixes tell the limit that was met.
func (s *session) durationFixes(role roleARN) []string {
	var asked time.Duration
	if s.hop > 1 {
		asked = s.chain.roles[s.hop-2].duration()
	} else if w, ok := s.chain.source.(WebIdentity); ok {
		asked = w.Duration
	}
	if asked == 0 { // STS chose
		return []string{"set WebIdentity.Duration to an hour or less: 3600 seconds is what every role gives"}
	}
	seconds := int64(asked / time.Second)
	fixes := []string{fmt.Sprintf("ask for less than %d seconds; 3600 is what every role gives", seconds)}
	if s.hop == 1 || !s.chain.source.chained() {
		fixes = append(fixes, fmt.Sprintf("let the role give %d seconds: aws iam update-role --role-name %s --max-session-duration %d", seconds, shellWords(role.name), seconds))
	}
	return fixes
}

// assumeFixes are the two sides of a refused AssumeRole. Tags come with the
// role's settings and, from the Pod Identity agent, with the session itself.
func (s *session) assumeFixes(e *Error, target roleARN) []string {
	asked := s.chain.roles[s.hop-2]
	_, tagged := s.chain.source.(PodIdentity)
	caller := e.Caller
	if told := refusedCaller().FindStringSubmatch(e.Message); caller == "" && told != nil {
		caller = told[1] // the source did not tell who its session is; STS does
	}
	hub := s.callerRole(caller)
	if hub == "" {
		return []string{"let the trust policy of " + e.RoleARN + " name the caller, and the caller's own policy allow the action on it"}
	}
	options := func(o *trust.PolicyOptions) {
		o.Partition = target.partition
		o.TagSession = tagged || len(asked.Tags) > 0 || strings.Contains(e.Message, "sts:TagSession")
		o.SetSourceIdentity = asked.SourceIdentity != "" || strings.Contains(e.Message, "sts:SetSourceIdentity")
	}
	external := ""
	if asked.ExternalID != "" {
		external = ", with a condition StringEquals sts:ExternalId of the value in Role.ExternalID"
	}
	return []string{
		fmt.Sprintf("the trust policy of role %s in account %s must have this statement%s: %s", target.name, target.account, external, trust.RolePolicy(hub, options)),
		fmt.Sprintf("the policy of %s must have this statement: %s", hub, trust.AssumePolicy([]string{e.RoleARN}, options)),
	}
}

var refusedCaller = pattern(`^User: (arn:\S+) is not authorized to perform: sts:`)

// callerRole is the role behind the caller. A session does not tell its role's
// path; the settings of the hop before do, if they name that role.
func (s *session) callerRole(caller string) string {
	hub := roleOfSession(caller)
	if s.parent == nil || s.parent.role == "" {
		return hub
	}
	known, err := parseRoleARN(s.parent.role)
	told, toldErr := parseRoleARN(hub)
	if err == nil && toldErr == nil && known.account == told.account && strings.EqualFold(known.name, told.name) {
		return s.parent.role
	}
	return hub
}

// roleOfSession is the role behind a session's ARN. A session does not tell its
// role's path.
func roleOfSession(session string) string {
	a, err := arn.Parse(session)
	parts := strings.Split(a.Resource, "/")
	if err != nil || len(parts) != 3 || parts[0] != "assumed-role" {
		return ""
	}
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", a.Partition, a.AccountID, parts[1])
}
