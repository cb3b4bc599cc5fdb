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
		// What each of the three says; empty means nothing.
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
