package trust_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

const (
	hubRole    = "arn:aws:iam::111122223333:role/team/hub"
	hubSession = "arn:aws:sts::111122223333:assumed-role/hub/pod-1"
	hubRoot    = "arn:aws:iam::111122223333:root"
	provider   = "arn:aws:iam::444455556666:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"
)

// hub is a session of the hub role with all its names.
var hub = trust.Principals{"AWS": {hubSession, hubRole, hubRoot, "111122223333"}}

// IAM User Guide, "AWS JSON policy elements: Principal".
func TestExplainPrincipal(t *testing.T) {
	for name, test := range map[string]struct {
		element string
		caller  trust.Principals
		want    bool
	}{
		// "The account ARN and the shortened account ID behave the same way."
		"account id":                {`"Principal":{"AWS":"111122223333"}`, hub, true},
		"account root":              {`"Principal":{"AWS":"` + hubRoot + `"}`, hub, true},
		"id for a root's ARN":       {`"Principal":{"AWS":"111122223333"}`, trust.Principals{"AWS": {hubRoot}}, true},
		"a root's ARN for an id":    {`"Principal":{"AWS":"` + hubRoot + `"}`, trust.Principals{"AWS": {"111122223333"}}, true},
		"another account":           {`"Principal":{"AWS":"444455556666"}`, hub, false},
		"another partition's root":  {`"Principal":{"AWS":"arn:aws-cn:iam::111122223333:root"}`, trust.Principals{"AWS": {hubRoot}}, false},
		"role":                      {`"Principal":{"AWS":"` + hubRole + `"}`, hub, true},
		"role without its path":     {`"Principal":{"AWS":"arn:aws:iam::111122223333:role/hub"}`, hub, false},
		"role in other case":        {`"Principal":{"AWS":"arn:aws:iam::111122223333:role/team/Hub"}`, hub, false},
		"session":                   {`"Principal":{"AWS":"` + hubSession + `"}`, hub, true},
		"another session":           {`"Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/hub/pod-2"}`, hub, false},
		"no name is worked out":     {`"Principal":{"AWS":"111122223333"}`, trust.Principals{"AWS": {hubSession}}, false},
		"user":                      {`"Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"}`, trust.Principals{"AWS": {"arn:aws:iam::111122223333:user/bob"}}, true},
		"one of several":            {`"Principal":{"AWS":["444455556666","` + hubRole + `"]}`, hub, true},
		"id of a deleted principal": {`"Principal":{"AWS":"AROAEXAMPLE123456789"}`, hub, false},
		// "You can use a wildcard (*) to specify all principals"; the two forms
		// "are equivalent" for anonymous users.
		"everyone":                     {`"Principal":"*"`, hub, true},
		"everyone of AWS":              {`"Principal":{"AWS":"*"}`, hub, true},
		"everyone, anonymous":          {`"Principal":"*"`, nil, true},
		"everyone of AWS, anonymous":   {`"Principal":{"AWS":"*"}`, nil, true},
		"everyone, federated":          {`"Principal":"*"`, trust.Principals{"Federated": {provider}}, true},
		"everyone of AWS, federated":   {`"Principal":{"AWS":"*"}`, trust.Principals{"Federated": {provider}}, false},
		"anonymous":                    {`"Principal":{"AWS":"111122223333"}`, nil, false},
		"provider":                     {`"Principal":{"Federated":"` + provider + `"}`, trust.Principals{"Federated": {provider}}, true},
		"another issuer's provider":    {`"Principal":{"Federated":"` + provider + `"}`, trust.Principals{"Federated": {strings.Replace(provider, "BLUE0001", "GREEN0002", 1)}}, false},
		"another account's provider":   {`"Principal":{"Federated":"` + provider + `"}`, trust.Principals{"Federated": {strings.Replace(provider, "444455556666", "111122223333", 1)}}, false},
		"service":                      {`"Principal":{"Service":"ec2.amazonaws.com"}`, trust.Principals{"Service": {"ec2.amazonaws.com"}}, true},
		"another service":              {`"Principal":{"Service":"ec2.amazonaws.com"}`, trust.Principals{"Service": {"ecs.amazonaws.com"}}, false},
		"a name of another type":       {`"Principal":{"Service":"ec2.amazonaws.com"}`, trust.Principals{"AWS": {"ec2.amazonaws.com"}}, false},
		"Allow all but one":            {`"NotPrincipal":{"AWS":"444455556666"}`, hub, true},
		"Allow all but the account":    {`"NotPrincipal":{"AWS":"111122223333"}`, hub, false},
		"Allow all but one, anonymous": {`"NotPrincipal":{"AWS":"111122223333"}`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(of(`{"Effect":"Allow",` + test.element + `,"Action":"sts:AssumeRole"}`)))
			if err != nil {
				t.Fatal(err)
			}
			d := policy.Explain(trust.Request{Action: "sts:AssumeRole", Principal: test.caller})
			if d.Allowed != test.want || d.Denied {
				t.Errorf("got %+v", d)
			}
			if !d.Allowed && d.Reasons[0].Element != "Principal" {
				t.Errorf("refused by %s", d.Reasons[0].Element)
			}
		})
	}
}

// IAM User Guide, "NotPrincipal with Deny": the account, the role and the
// session must all be listed, or the caller "might" be denied.
func TestExplainDenyNotPrincipal(t *testing.T) {
	for listed, denied := range map[string]bool{
		`"` + hubSession + `"`:                                       true,
		`["` + hubRole + `","` + hubRoot + `"]`:                      true,
		`["` + hubSession + `","` + hubRole + `"]`:                   true,
		`["` + hubSession + `","` + hubRole + `","` + hubRoot + `"]`: false,
		`["` + hubSession + `","` + hubRole + `","111122223333"]`:    false,
		`["arn:aws:iam::444455556666:user/Bob","` + hubRoot + `"]`:   true,
		`"*"`: false,
		`["AROAEXAMPLE123456789","` + hubSession + `","111122223333"]`: true,
	} {
		policy, err := trust.ParsePolicy([]byte(of(`{"Effect":"Deny","NotPrincipal":{"AWS":` + listed + `},"Action":"s3:*","Resource":"*"}`)))
		if err != nil {
			t.Fatal(err)
		}
		d := policy.Explain(trust.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::pics/a", Principal: hub})
		if d.Denied != denied || d.Allowed {
			t.Errorf("NotPrincipal %s: %+v", listed, d)
		}
		if d := policy.Explain(trust.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::pics/a"}); d.Denied != (listed != `"*"`) {
			t.Errorf("NotPrincipal %s, anonymous: %+v", listed, d)
		}
	}
}

// IAM User Guide, "Policy evaluation logic": "an explicit deny … overrides".
func TestExplainDenyWins(t *testing.T) {
	policy, err := trust.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[
		{"Sid":"AllowAll","Effect":"Allow","Action":"s3:*","Resource":"*"},
		{"Sid":"DenyPlain","Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		action, secure  string
		allowed, denied bool
		matched         [2]bool
	}{
		{"s3:GetObject", "true", true, false, [2]bool{true, false}},
		{"s3:GetObject", "false", false, true, [2]bool{true, true}},
		{"ec2:RunInstances", "false", false, true, [2]bool{false, true}},
		{"ec2:RunInstances", "true", false, false, [2]bool{false, false}},
	} {
		d := policy.Explain(trust.Request{Action: test.action, Resource: "*", Context: context{"aws:SecureTransport": {test.secure}}})
		if d.Allowed != test.allowed || d.Denied != test.denied {
			t.Errorf("%s, %s: %+v", test.action, test.secure, d)
		}
		for i, reason := range d.Reasons {
			if reason.Statement != i || reason.SID != policy.Statements[i].SID || reason.Matched != test.matched[i] {
				t.Errorf("%s, %s: reason %+v", test.action, test.secure, reason)
			}
		}
	}
}

// A policy that AWS would refuse to store must not admit anyone.
func TestExplainMalformed(t *testing.T) {
	request := trust.Request{Action: "sts:AssumeRole", Principal: hub}
	for name, statement := range map[string]trust.Statement{
		"nothing at all":    {},
		"no Effect":         {Action: []string{"*"}},
		"Effect spelled":    {Effect: "allow", Action: []string{"*"}},
		"no Action":         {Effect: "Allow"},
		"empty Action":      {Effect: "Allow", Action: []string{}},
		"empty NotAction":   {Effect: "Allow", NotAction: []string{}},
		"empty Principal":   {Effect: "Allow", Action: []string{"*"}, Principal: trust.Principals{}},
		"empty Resource":    {Effect: "Allow", Action: []string{"*"}, Resource: []string{}},
		"empty NotResource": {Effect: "Allow", Action: []string{"*"}, NotResource: []string{}},
		"unknown operator":  {Effect: "Allow", Action: []string{"*"}, Condition: trust.Conditions{"stringlike": {"a:b": {"*"}}}},
		"no values":         {Effect: "Allow", Action: []string{"*"}, Condition: trust.Conditions{"StringEquals": {"a:b": nil}}},
		"role with a star":  {Effect: "Allow", Action: []string{"*"}, Principal: trust.Principals{"AWS": {"arn:aws:iam::111122223333:role/*"}}},
	} {
		policy := &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{statement}}
		if d := policy.Explain(request); d.Allowed || d.Denied || d.Reasons[0].Text == "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := (&trust.Policy{}).Explain(request); d.Allowed || d.Denied || len(d.Reasons) != 0 {
		t.Errorf("no statements: %+v", d)
	}
}

func TestExplainIsDeterministic(t *testing.T) {
	policy, err := trust.ParsePolicy([]byte(of(`{"Effect":"Allow","Principal":{"AWS":"444455556666","Service":"ec2.amazonaws.com","Federated":"accounts.google.com"},"Action":"sts:AssumeRole",
		"Condition":{"StringEquals":{"aws:a":"1","aws:b":"2","aws:c":"3"},"Bool":{"aws:d":"true"},"StringLike":{"aws:e":"x","aws:f":"y"}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	request := trust.Request{Action: "sts:AssumeRole", Principal: hub, Context: context{"aws:A": {"x"}, "aws:a": {"y"}, "AWS:a": {"z"}, "aws:B": {"q"}}}
	first := policy.Explain(request)
	for range 50 {
		if again := policy.Explain(request); !reflect.DeepEqual(again, first) {
			t.Fatalf("first %+v\nthen  %+v", first, again)
		}
	}
}
