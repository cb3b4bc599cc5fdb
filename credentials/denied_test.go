package credentials_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// Some denials name the policy that denied. The fix speaks of that one and of no other,
// says whose it is, and has a statement only if that helps.
func TestFixForTheNamedPolicy(t *testing.T) {
	const (
		hubRole, target = "arn:aws:iam::111122223333:role/hub", "arn:aws:iam::444455556666:role/S3_Pics"
		scp             = "arn:aws:organizations::999999999999:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd"
		boundary        = "arn:aws:iam::111122223333:policy/hub-boundary"
	)
	for _, tt := range []struct {
		reason  string // ACTION stands for the action
		want    []string
		verdict string
		on      string // the policy to add a statement to; empty: none
		web     bool   // also for web identity, whose caller has no account and no policy of its own
	}{
		{
			reason:  "with an explicit deny in a service control policy",
			want:    []string{"a service control policy denies ACTION on ROLE", "an administrator of the organization of ", "must exempt the caller", "an explicit deny overrides every allow"},
			verdict: "denied by a service control policy of the organization: neither account can fix it", web: true,
		},
		{
			reason:  "with an explicit deny in a service control policy: " + scp,
			want:    []string{"a service control policy (" + scp + ") denies ACTION on ROLE"},
			verdict: "denied by a service control policy of the organization: neither account can fix it", web: true,
		},
		{
			reason:  "because no service control policy allows the ACTION action",
			want:    []string{"let a service control policy at each level, from the root to the account, allow ACTION on ROLE", "an administrator of the organization of "},
			verdict: "no service control policy of the organization allows it: neither account can fix it", web: true,
		},
		{
			reason:  "with an explicit deny in a resource control policy",
			want:    []string{"a resource control policy denies ACTION on ROLE", "an administrator of the organization of account OWNER (the role's)"},
			verdict: "denied by a resource control policy of the organization: neither account can fix it", web: true,
		},
		{
			reason:  "with an explicit deny in a VPC endpoint policy",
			want:    []string{"a VPC endpoint policy denies ACTION", "the owner of the VPC endpoint"},
			verdict: "denied by a VPC endpoint policy: only the owner of the VPC endpoint", web: true,
		},
		{
			reason:  "because no VPC endpoint policy allows the ACTION action",
			want:    []string{"let the VPC endpoint policy allow ACTION", "the owner of the VPC endpoint"},
			verdict: "no VPC endpoint policy allows it", web: true,
		},
		{
			reason:  "with an explicit deny in a VPC endpoint policy transitively through a service control policy",
			want:    []string{"a service control policy denies ACTION"},
			verdict: "denied by a service control policy of the organization", web: true,
		},
		{
			reason:  "with an explicit deny in the role trust policy",
			want:    []string{"the role trust policy denies ACTION on ROLE", "account OWNER (the role's) must exempt the caller"},
			verdict: "denied by the role trust policy: only account OWNER (the role's) can fix it", web: true,
		},
		{
			reason:  "because no role trust policy allows the ACTION action",
			verdict: "no role trust policy allows it: only account OWNER (the role's) can fix it",
			on:      "the trust policy of role ", web: true,
		},
		{
			reason:  "because no resource-based policy allows the ACTION action",
			verdict: "no resource-based policy of the role allows it: only account OWNER",
			on:      "the trust policy of role ", web: true,
		},
		{
			reason:  "with an explicit deny in an identity-based policy",
			want:    []string{"an identity-based policy denies ACTION on ROLE", "account 111122223333 (the caller's) must exempt the caller"},
			verdict: "denied by an identity-based policy of the caller: only account 111122223333 (the caller's) can fix it",
		},
		{
			reason:  "because no identity-based policy allows the ACTION action",
			verdict: "no identity-based policy of the caller allows it: only account 111122223333 (the caller's) can fix it",
			on:      "the policy of " + hubRole,
		},
		{
			reason:  "with an explicit deny in a permissions boundary: " + boundary,
			want:    []string{"a permissions boundary (" + boundary + ") denies ACTION", "account 111122223333 (the caller's)"},
			verdict: "denied by a permissions boundary of the caller: only account 111122223333",
		},
		{
			reason:  "because no permissions boundary allows the ACTION action",
			want:    []string{"let the permissions boundary allow ACTION on ROLE", "account 111122223333 (the caller's) can change it"},
			verdict: "no permissions boundary of the caller allows it: only account 111122223333",
		},
		{
			reason:  "because no session policy allows the ACTION action",
			want:    []string{"let the session policy allow ACTION on ROLE", "the Policy or PolicyARNs with which the caller's session was requested"},
			verdict: "no session policy allows it: neither account can fix it",
		},
		{
			reason:  "with an explicit deny in a data perimeter policy", // of a later year
			want:    []string{"a data perimeter policy denies ACTION", "its owner must exempt the caller"},
			verdict: "denied by a data perimeter policy: only its owner can fix it",
		},
		{
			reason:  "with an explicit deny",
			want:    []string{"a policy denies ACTION on ROLE", "an explicit deny overrides every allow"},
			verdict: "denied by a policy: only its owner can fix it",
		},
	} {
		for _, at := range []struct {
			operation, role, owner string
			kind                   credentials.Kind
		}{
			{"AssumeRole", target, "444455556666", credentials.AssumeDenied},
			{"AssumeRoleWithWebIdentity", hubRole, "111122223333", credentials.TrustDenied},
		} {
			if at.kind == credentials.TrustDenied && !tt.web {
				continue
			}
			fill := strings.NewReplacer("ACTION", "sts:"+at.operation, "ROLE", at.role, "OWNER", at.owner).Replace
			s := newScene(t)
			message := "User: arn:aws:sts::111122223333:assumed-role/hub/x is not authorized to perform: sts:AssumeRole on resource: " + target + " " + fill(tt.reason)
			if at.kind == credentials.TrustDenied {
				message = "Not authorized to perform sts:AssumeRoleWithWebIdentity " + fill(tt.reason)
			}
			s.cloud.Fault(awstest.Fault{Operation: at.operation, Status: 403, Code: "AccessDenied", Message: message})
			chain := s.hubChain(t)
			_, err := chain.Retrieve(t.Context())
			var want []string
			for _, part := range tt.want {
				want = append(want, fill(part))
			}
			says(t, err, at.kind, want...)
			e, _ := errors.AsType[*credentials.Error](err)
			fixes := strings.Join(e.Fixes, "\n")
			switch statements := strings.Count(fixes, `"Effect"`); {
			case tt.on == "" && (len(e.Fixes) != 1 || statements > 0):
				t.Errorf("%s: the fixes of another policy: %q", message, e.Fixes)
			case tt.on != "" && (statements != 1 || !strings.Contains(fixes, "add this statement to "+tt.on)):
				t.Errorf("%s: want one statement, for %s: %q", message, tt.on, e.Fixes)
			}
			if text := err.Error(); strings.Contains(text, "Both sides must agree") || strings.Contains(text, "does not say which condition") {
				t.Errorf("the text guesses: %s", text)
			}
			if got := chain.Check(t.Context()).Verdict(); !strings.Contains(got, fill(tt.verdict)) {
				t.Errorf("verdict %q, want %q", got, fill(tt.verdict))
			}
		}
	}
}

// Policies of the organization, a boundary and a session policy deny the hub, and each
// message names its policy and its owner. Without the policy, the chain works.
func TestDeniedByAPolicyThatAWSNames(t *testing.T) {
	const noAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}`
	for _, tt := range []struct {
		name    string
		deny    func(s *scene, org *awstest.Organization) (policyARN string, allow func())
		session string
		verdict string
		want    string
	}{
		{
			name: "service control policy",
			deny: func(s *scene, org *awstest.Organization) (string, func()) {
				return org.AttachSCP("NoRoles", noAssume, s.dev), func() { org.DetachSCP("NoRoles", s.dev) }
			},
			verdict: "denied by a service control policy of the organization: neither account can fix it",
			want:    "an administrator of the organization of account 111122223333 (the caller's) must exempt the caller",
		},
		{
			name: "service control policy that allows nothing",
			deny: func(s *scene, org *awstest.Organization) (string, func()) {
				ou := org.CreateOU("restricted", s.dev)
				org.AttachSCP("OnlyS3", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`, ou)
				org.DetachSCP("FullAWSAccess", ou)
				return "", func() { org.Add(s.dev) }
			},
			verdict: "no service control policy of the organization allows it: neither account can fix it",
			want:    "at each level, from the root to the account",
		},
		{
			name: "resource control policy",
			deny: func(s *scene, org *awstest.Organization) (string, func()) {
				return org.AttachRCP("NoRoles", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}`, s.shared),
					func() { org.DetachRCP("NoRoles", s.shared) }
			},
			verdict: "denied by a resource control policy of the organization: neither account can fix it",
			want:    "an administrator of the organization of account 444455556666 (the role's) must exempt the caller",
		},
		{
			name: "permissions boundary",
			deny: func(s *scene, _ *awstest.Organization) (string, func()) {
				s.hub.SetPermissionsBoundary(noAssume)
				return "arn:aws:iam::111122223333:policy/hub-boundary", func() { s.hub.SetPermissionsBoundary("") }
			},
			verdict: "denied by a permissions boundary of the caller: only account 111122223333 (the caller's) can fix it",
			want:    "account 111122223333 (the caller's) must exempt the caller",
		},
		{
			name:    "session policy",
			session: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`,
			verdict: "no session policy allows it: neither account can fix it, only the program that requested the session",
			want:    "the Policy or PolicyARNs with which the caller's session was requested",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			org := s.cloud.Organization()
			org.Add(s.dev, s.shared)
			policyARN, allow := "", func() {}
			if tt.deny != nil {
				policyARN, allow = tt.deny(s, org)
			}
			chain := func(session string) *credentials.Chain {
				return s.hubChain(t, func(o *credentials.Options) {
					w := s.web()
					w.Policy = session
					o.Source = w
				})
			}
			denied := chain(tt.session)
			_, err := denied.Retrieve(t.Context())
			says(t, err, credentials.AssumeDenied, tt.want, policyARN)
			if e, _ := errors.AsType[*credentials.Error](err); len(e.Fixes) != 1 || strings.Contains(e.Fixes[0], `"Effect"`) {
				t.Errorf("fixes %q", e.Fixes)
			}
			report := denied.Check(t.Context())
			if got := report.Verdict(); !strings.HasSuffix(got, tt.verdict) {
				t.Errorf("verdict %q, want %q", got, tt.verdict)
			}
			allow()
			if report := chain("").Check(t.Context()); !report.Healthy() {
				t.Errorf("without the policy:\n%s", report)
			}
		})
	}
}

// A message of another form leaves open which side denies: the advice is for both.
func TestFixForAMessageThatNamesNoPolicy(t *testing.T) {
	s := newScene(t)
	s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied",
		Message: "User: arn:aws:sts::111122223333:assumed-role/hub/x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::444455556666:role/S3_Pics because of a new rule"})
	chain := s.hubChain(t)
	_, err := chain.Retrieve(t.Context())
	says(t, err, credentials.AssumeDenied, "Both sides must agree", "the trust policy of role S3_Pics in account 444455556666", "the policy of arn:aws:iam::111122223333:role/hub")
	if got := chain.Check(t.Context()).Verdict(); got != "hop 2 of 2 fails: AssumeDenied" {
		t.Errorf("verdict %q", got)
	}
}
