package credentials

import (
	"fmt"
	"strings"

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
	}
	role, err := parseRoleARN(e.RoleARN)
	if err != nil {
		return nil
	}
	switch {
	case e.Token != nil && e.Kind == OIDCProviderMissing:
		return []string{
			fmt.Sprintf("register the issuer in account %s: aws iam create-open-id-connect-provider --url %s --client-id-list %s", role.account, e.Token.Issuer, strings.Join(e.Token.Audience, " ")),
			"go through a hub role of the cluster's own account, which knows the issuer: credentials.Assume(" + e.RoleARN + ")",
		}
	case e.Token != nil && e.Kind == AudienceMismatch:
		return []string{fmt.Sprintf("the token's audience is %q: compare it with the client ids of provider %s in account %s", e.Token.Audience, e.Token.ProviderARN(role.partition, role.account), role.account)}
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
		return []string{fmt.Sprintf("ask for less than %v, or raise MaxSessionDuration of %s (it does not lift the 1 hour of role chaining)", s.asked(), e.RoleARN)}
	case e.Kind == RegionNotEnabled:
		return []string{"enable the region in account " + role.account + " and activate STS there, or set another region for STS in Options.STS"}
	}
	return nil
}

const timeoutFix = "check that the pod can reach the endpoint: a proxy or firewall that drops packets looks like this (NO_PROXY, the security group of the STS interface endpoint)"

// asked is the duration that the hop asks for; zero leaves it to STS.
func (s *session) asked() any {
	if s.hop > 1 {
		return s.chain.roles[s.hop-2].duration()
	}
	if w, ok := s.chain.source.(WebIdentity); ok {
		return w.Duration
	}
	return "now"
}

// assumeFixes are the two sides of a refused AssumeRole. Tags come with the
// role's settings and, from the Pod Identity agent, with the session itself.
func (s *session) assumeFixes(e *Error, target roleARN) []string {
	asked := s.chain.roles[s.hop-2]
	_, tagged := s.chain.source.(PodIdentity)
	hub := roleOfSession(e.Caller)
	if hub == "" {
		return []string{"let the trust policy of " + e.RoleARN + " name the caller, and the caller's own policy allow the action on it"}
	}
	actions := "sts:AssumeRole"
	policy := trust.RolePolicy(hub, func(o *trust.PolicyOptions) {
		o.Partition = target.partition
		if o.TagSession = tagged || len(asked.Tags) > 0 || strings.Contains(e.Message, "sts:TagSession"); o.TagSession {
			actions += ", sts:TagSession"
		}
		if o.SetSourceIdentity = asked.SourceIdentity != "" || strings.Contains(e.Message, "sts:SetSourceIdentity"); o.SetSourceIdentity {
			actions += ", sts:SetSourceIdentity"
		}
	})
	return []string{
		fmt.Sprintf("give role %s of account %s this trust policy (with the role's path in the ARN, if it has one; with a sts:ExternalId condition, if Role.ExternalID is set): %s", target.name, target.account, policy),
		fmt.Sprintf("let the policy of %s allow %s on %s", hub, actions, e.RoleARN),
	}
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
