package trust_test

import (
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

func TestValidate(t *testing.T) {
	const (
		trustPolicy    = `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`
		identityPolicy = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`
		resourcePolicy = `{"Sid":"with spaces","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`
	)
	for name, test := range map[string]struct {
		statement string
		// What each of the three reports; empty: nothing.
		trust, identity, resource string
	}{
		"trust":    {trustPolicy, "", "must not have it: its principal", "Resource: it is missing"},
		"identity": {identityPolicy, "Principal: it is missing", "", "Principal: it is missing"},
		"resource": {resourcePolicy, "must not have it: its resource is the role", "must not have it: its principal", ""},
		"a Sid that only services with resource policies take": {resourcePolicy, "only A-Z", "only A-Z", ""},
		"not an sts action":  {strings.Replace(trustPolicy, "sts:AssumeRole", "s3:GetObject", 1), "not an sts action", "Principal", "Resource"},
		"all actions":        {strings.Replace(trustPolicy, "sts:AssumeRole", "*", 1), `"*" is not <service>`, "Principal", "Resource"},
		"all of sts":         {strings.Replace(trustPolicy, "sts:AssumeRole", "STS:*", 1), "", "Principal", "Resource"},
		"a canonical user":   {`{"Effect":"Allow","Principal":{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},"Action":"sts:AssumeRole"}`, "must not have CanonicalUser", "Principal", "Resource"},
		"NotPrincipal":       {`{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`, "statement 0, NotPrincipal: a trust policy must not have it", "Principal", "Resource"},
		"NotResource":        {`{"Effect":"Deny","NotAction":"s3:*","NotResource":"*"}`, "Principal", "", "Principal"},
		"resource, one Sid":  {resourcePolicy + "," + resourcePolicy, "has the same", "has the same", ""},
		"resource, NotThese": {`{"Effect":"Deny","NotPrincipal":"*","NotAction":"s3:*","NotResource":"*"}`, "NotPrincipal", "Principal", ""},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(of(test.statement)))
			if err != nil {
				t.Fatal(err)
			}
			for _, use := range []struct {
				name string
				err  error
				want string
			}{
				{"trust", policy.ValidateTrust(), test.trust},
				{"identity", policy.ValidateIdentity(), test.identity},
				{"resource", policy.ValidateResource(), test.resource},
			} {
				if use.want == "" && use.err != nil || use.want != "" && (use.err == nil || !strings.Contains(use.err.Error(), use.want)) {
					t.Errorf("%s: got %v, want %q", use.name, use.err, use.want)
				}
			}
		})
	}
}

func TestValidateIdentityRefusesAnID(t *testing.T) {
	policy, err := trust.ParsePolicy([]byte(`{"Id":"x","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.ValidateIdentity(); err == nil || !strings.Contains(err.Error(), "has an Id") {
		t.Errorf("got %v", err)
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	policy := &trust.Policy{Version: "2013", Statements: []trust.Statement{
		{Effect: "allow", Principal: trust.Principals{"AWS": {"x"}}, Action: []string{"AssumeRole"}},
		{SID: "B", Effect: "Deny", Principal: trust.Principals{"AWS": {"*"}}, Action: []string{"sts:*"}, Resource: []string{"*"}},
	}}
	err := policy.ValidateTrust()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`Version is "2013"`, `statement 0, Effect: "allow"`, `statement 0, Principal: AWS "x"`,
		`statement 0, Action: "AssumeRole"`, `statement 1 (Sid "B"), Resource`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

// IAM allows only characters up to U+00FF in a policy; S3 allows all.
func TestValidateCharacters(t *testing.T) {
	for name, test := range map[string]struct {
		resource, key, value string
		refused              string
	}{
		"Latin-1":        {"arn:aws:s3:::pics/é\u00ff/*", "s3:prefix", "\u00a0\t", ""},
		"beyond":         {"arn:aws:s3:::pics/\u5199\u771f/*", "s3:prefix", "", `Resource: "arn:aws:s3:::pics/\u5199\u771f/*" has the character U+5199`},
		"U+0100":         {"arn:aws:s3:::pics/*", "s3:prefix", "\u0100", "Condition: \"\\u0100\" has the character U+0100"},
		"a control":      {"arn:aws:s3:::pics/\x07/*", "s3:prefix", "", "U+0007"},
		"in a key":       {"arn:aws:s3:::pics/*", "s3:\u2028", "", "U+2028"},
		"an external id": {"arn:aws:s3:::pics/*", "sts:ExternalId", "\u5199", ""},
	} {
		policy := &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{{
			Effect: "Allow", Action: []string{"s3:GetObject"}, Resource: []string{test.resource},
			Condition: trust.Conditions{"StringEquals": {test.key: {test.value}}},
		}}}
		err := policy.ValidateIdentity()
		if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
			t.Errorf("%s: got %v, want %q", name, err, test.refused)
		}
		policy.Statements[0].Principal = trust.Principals{"AWS": {"111122223333"}}
		if err := policy.ValidateResource(); err != nil {
			t.Errorf("%s: for a bucket: %v", name, err)
		}
	}
	written := trust.ReadBucketPolicy("pics", "\u5199\u771f/")
	if err := written.ValidateIdentity(); err == nil {
		t.Errorf("IAM refuses\n%s", written)
	}
}

// IAM requires a condition on the claim that distinguishes the customers of a shared issuer.
func TestValidateSharedIssuer(t *testing.T) {
	const arn = "arn:aws:iam::111122223333:oidc-provider/"
	for name, tt := range map[string]struct{ effect, principal, action, condition, want string }{
		"GitHub, no condition":    {"Allow", arn + "token.actions.githubusercontent.com", "sts:AssumeRoleWithWebIdentity", `{}`, "token.actions.githubusercontent.com:sub"},
		"GitHub, audience only":   {"Allow", arn + "token.actions.githubusercontent.com", "sts:AssumeRoleWithWebIdentity", `{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`, "token.actions.githubusercontent.com:sub"},
		"GitHub, presence only":   {"Allow", arn + "token.actions.githubusercontent.com", "sts:AssumeRoleWithWebIdentity", `{"Null":{"token.actions.githubusercontent.com:sub":"false"}}`, "token.actions.githubusercontent.com:sub"},
		"GitHub, all of sts":      {"Allow", arn + "token.actions.githubusercontent.com", "sts:*", `{}`, "token.actions.githubusercontent.com:sub"},
		"GitHub, subject":         {"Allow", arn + "token.actions.githubusercontent.com", "sts:AssumeRoleWithWebIdentity", `{"StringLike":{"Token.Actions.githubusercontent.com:sub":"repo:acme/app:*"}}`, ""},
		"GitLab's own service":    {"Allow", arn + "gitlab.com", "sts:AssumeRoleWithWebIdentity", `{}`, "gitlab.com:sub"},
		"GitLab, self-managed":    {"Allow", arn + "gitlab.acme.example", "sts:AssumeRoleWithWebIdentity", `{}`, ""},
		"a path that looks alike": {"Allow", arn + "acme.example/gitlab.com", "sts:AssumeRoleWithWebIdentity", `{}`, ""},
		"Cognito":                 {"Allow", "cognito-identity.amazonaws.com", "sts:AssumeRoleWithWebIdentity", `{}`, "cognito-identity.amazonaws.com:aud"},
		"EKS":                     {"Allow", arn + "oidc.eks.us-east-1.amazonaws.com/id/BLUE", "sts:AssumeRoleWithWebIdentity", `{}`, ""},
		"a Deny":                  {"Deny", arn + "gitlab.com", "sts:AssumeRoleWithWebIdentity", `{}`, ""},
		"another action":          {"Allow", arn + "gitlab.com", "sts:TagSession", `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(of(`{"Effect":"` + tt.effect + `","Principal":{"Federated":"` + tt.principal + `"},"Action":"` + tt.action + `","Condition":` + tt.condition + `}`)))
			if err != nil {
				t.Fatal(err)
			}
			err = policy.ValidateTrust()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), "statement 0, Condition") || !strings.Contains(err.Error(), `the key "`+tt.want+`"`)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
