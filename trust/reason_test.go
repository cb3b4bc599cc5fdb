package trust_test

import (
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

const bluePath = "oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"

// token returns the request of a token from the blue cluster.
func token(edits ...func(*trust.Request)) trust.Request {
	request := trust.Request{
		Action:    "sts:AssumeRoleWithWebIdentity",
		Principal: trust.Principals{"Federated": {provider}},
		Context: context{
			bluePath + ":sub": {"system:serviceaccount:apps:reader"},
			bluePath + ":aud": {"sts.amazonaws.com"},
		},
	}
	for _, edit := range edits {
		edit(&request)
	}
	return request
}

func TestReasonOfATrustPolicy(t *testing.T) {
	good := trust.WebIdentityPolicy("444455556666", []string{blue}, []string{"system:serviceaccount:apps:reader"}).String()
	edit := func(old, new string) string { return strings.ReplaceAll(good, old, new) }
	for name, test := range map[string]struct {
		policy  string
		element string
		want    []string // the texts that must be there
		never   string
	}{
		"all is well": {good, "", []string{"this Allow matches"}, ""},
		"wildcard under StringEquals": {edit("apps:reader", "apps:*"), "Condition", []string{
			`StringEquals compares "*" literally: ` + bluePath + `:sub is "system:serviceaccount:apps:reader", the policy requires "system:serviceaccount:apps:*"; use StringLike for wildcards`,
		}, ""},
		"wildcard that wouldn't match either": {edit("apps:reader", "other:*"), "Condition", []string{
			`:sub is "system:serviceaccount:apps:reader", the policy requires "system:serviceaccount:other:*"`,
		}, "literally"},
		"case of the subject":         {edit("apps:reader", "apps:Reader"), "Condition", []string{"they differ only in upper and lower case"}, ""},
		"white space in the audience": {edit(`"sts.amazonaws.com"`, `"sts.amazonaws.com "`), "Condition", []string{`:aud is "sts.amazonaws.com", the policy requires "sts.amazonaws.com "`, "only in white space"}, ":sub is"},
		"another subject": {edit("apps:reader", "apps:writer"), "Condition", []string{
			`:sub is "system:serviceaccount:apps:reader", the policy requires "system:serviceaccount:apps:writer"`,
		}, "differ only"},
		"both conditions": {strings.NewReplacer("apps:reader", "apps:writer", `"sts.amazonaws.com"`, `"sts"`).Replace(good), "Condition", []string{
			`:aud is "sts.amazonaws.com", the policy requires "sts"; and StringEquals: ` + bluePath + `:sub is`,
		}, ""},
		"another cluster": {edit("BLUE0001", "GREEN0002"), "Principal", []string{
			`the caller is Federated "` + provider + `"`, "they are providers of different issuers",
			`the request has no value of "oidc.eks.eu-west-1.amazonaws.com/id/GREEN0002:sub"`, `the request has "` + bluePath + `:sub": another issuer`,
		}, "literally"},
		"a slash in the keys":    {edit("BLUE0001:", "BLUE0001/:"), "Condition", []string{`the request has "` + bluePath + `:aud": they differ only in a trailing slash`}, ""},
		"a slash in the ARN":     {edit(`BLUE0001"`, `BLUE0001/"`), "Principal", []string{"they differ only in a trailing slash"}, "sub"},
		"another account":        {edit("444455556666", "111122223333"), "Principal", []string{`they differ only in the account, "444455556666" and "111122223333"`}, ""},
		"another partition":      {edit("arn:aws:", "arn:aws-cn:"), "Principal", []string{`they differ only in the partition, "aws" and "aws-cn"`}, ""},
		"another action":         {edit("sts:AssumeRoleWithWebIdentity", "sts:AssumeRole"), "Action", []string{`the request's action is "sts:AssumeRoleWithWebIdentity", the Action is "sts:AssumeRole"`}, ""},
		"a condition of its own": {edit(`"StringEquals"`, `"StringNotEquals"`), "Condition", []string{`the policy excludes "sts.amazonaws.com"`}, ""},
		"a key that is not sent": {edit(bluePath+":aud", "aws:SourceIp"), "Condition", []string{`the request has no value of "aws:SourceIp", the policy requires "sts.amazonaws.com"`}, "another issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(test.policy))
			if err != nil {
				t.Fatal(err)
			}
			reason := policy.Explain(token()).Reasons[0]
			if reason.Element != test.element || reason.Matched != (test.element == "") {
				t.Errorf("refused by %q, want %q", reason.Element, test.element)
			}
			for _, want := range test.want {
				if !strings.Contains(reason.Text, want) {
					t.Errorf("got  %s\nwant %s", reason.Text, want)
				}
			}
			if test.never != "" && strings.Contains(reason.Text, test.never) {
				t.Errorf("%s\nmust not say %q", reason.Text, test.never)
			}
		})
	}
}

func TestReasonOfOtherPolicies(t *testing.T) {
	hubRequest := trust.Request{Action: "sts:AssumeRole", Principal: hub, Context: context{"aws:x": {"1", "2"}, "aws:n": {"7"}}}
	for name, test := range map[string]struct{ statement, want string }{
		"role's path":            {`"Principal":{"AWS":"arn:aws:iam::111122223333:role/hub"}`, "they differ only in the role's path"},
		"several principals":     {`"Principal":{"AWS":["444455556666"],"Service":"ec2.amazonaws.com"}`, `the Principal is AWS "444455556666" and Service "ec2.amazonaws.com"`},
		"left out":               {`"NotPrincipal":{"AWS":"111122223333"}`, `which the NotPrincipal AWS "111122223333" leaves out`},
		"absent key":             {`"Principal":"*","Condition":{"Null":{"aws:y":"false"}}`, `Null: the request has no "aws:y", the policy requires it present`},
		"present key":            {`"Principal":"*","Condition":{"Null":{"aws:x":"true"}}`, `Null: the request has "aws:x" ("1", "2"), the policy requires it absent`},
		"several values":         {`"Principal":"*","Condition":{"StringEquals":{"aws:x":["3","4"]}}`, `aws:x is "1" and "2", the policy requires "3" or "4"`},
		"every value":            {`"Principal":"*","Condition":{"ForAllValues:StringEquals":{"aws:x":["1","4"]}}`, `the policy requires every value to be "1" or "4"`},
		"several excluded":       {`"Principal":"*","Condition":{"StringNotEquals":{"aws:n":["7","8"]}}`, `aws:n is "7", the policy excludes each of "7" and "8"`},
		"a number":               {`"Principal":"*","Condition":{"NumericLessThan":{"aws:n":"5"}}`, `NumericLessThan: aws:n is "7", the policy requires "5"`},
		"a variable":             {`"Principal":"*","Condition":{"StringEquals":{"aws:n":"${aws:username}"}}`, `the variable ${aws:username} has no single value in this request`},
		"a line break in a key":  {`"Principal":"*","Condition":{"Bool":{"aws:n\nforged":"true"}}`, `"aws:n\nforged"`},
		"and in a variable":      {`"Principal":"*","Condition":{"StringEquals":{"aws:n":"${a:b\nc}"}}`, `the variable "${a:b\nc}" has`},
		"nine values":            {`"Principal":"*","Condition":{"StringEquals":{"aws:n":["a","b","c","d","e","f","g","h","i"]}}`, `"g" or "h" or 1 more`},
		"a question mark":        {`"Principal":"*","Condition":{"StringEquals":{"aws:n":"?"}}`, `StringEquals compares "?" literally`},
		"a scheme":               {`"Principal":"*","Condition":{"StringEquals":{"aws:url":"host/x"}}`, "they differ only in the scheme https://"},
		"a resource of another":  {`"Principal":"*","Resource":"arn:aws:s3:::Pics/a"`, `the request's resource is "", the Resource is "arn:aws:s3:::Pics/a"`},
		"an action left out":     {`"Principal":"*","NotAction":"sts:*"`, `which the NotAction "sts:*" leaves out`},
		"no anonymous principal": {`"Principal":{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`, `the caller is AWS "` + hubSession + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			action := `"Action":"sts:AssumeRole",`
			if strings.Contains(test.statement, "NotAction") {
				action = ""
			}
			policy, err := trust.ParsePolicy([]byte(of(`{"Effect":"Allow",` + action + test.statement + `}`)))
			if err != nil {
				t.Fatal(err)
			}
			request := hubRequest
			request.Context = context{"aws:x": {"1", "2"}, "aws:n": {"7"}, "aws:url": {"https://host/x"}}
			d := policy.Explain(request)
			if d.Allowed || !strings.Contains(d.Reasons[0].Text, test.want) {
				t.Errorf("got  %s\nwant %s", d.Reasons[0].Text, test.want)
			}
		})
	}
}

func TestReasonSaysAnonymous(t *testing.T) {
	policy := trust.RolePolicy(hubRole)
	d := policy.Explain(trust.Request{Action: "sts:AssumeRole"})
	if !strings.Contains(d.Reasons[0].Text, "the caller is anonymous") {
		t.Errorf("got %s", d.Reasons[0].Text)
	}
}

// An external ID works like a shared secret: no text may contain it, neither the
// request's nor the policy's.
func TestReasonHidesExternalIDs(t *testing.T) {
	for _, operator := range []string{"StringEquals", "StringLike", "StringNotEquals", "ForAnyValue:StringEquals", "Null"} {
		value := "wanted-secret"
		if operator == "Null" {
			value = "true"
		}
		policy := &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{{
			Effect: "Allow", Action: []string{"sts:AssumeRole"},
			Condition: trust.Conditions{operator: {"STS:externalid": {value, "${aws:absent}"}}},
		}}}
		for _, sent := range [][]string{nil, {"sent-secret"}, {"Wanted-Secret"}, {"wanted-secret"}} {
			d := policy.Explain(trust.Request{Action: "sts:AssumeRole", Context: context{"sts:ExternalId": sent}})
			for _, reason := range d.Reasons {
				if strings.Contains(strings.ToLower(reason.Text), "-secret") {
					t.Errorf("%s, sent %q: %s", operator, sent, reason.Text)
				}
				if !reason.Matched && !strings.Contains(strings.ToLower(reason.Text), "externalid") {
					t.Errorf("%s doesn't name the key", reason.Text)
				}
			}
		}
	}
}
