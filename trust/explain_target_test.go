package trust_test

import (
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

// IAM User Guide, "Action", "NotAction", "Resource", "NotResource" and
// "Variables and tags".
func TestExplainTarget(t *testing.T) {
	user := context{"aws:username": {"bob"}, "aws:PrincipalTag/team": {"a*"}, "aws:many": {"x", "y"}}
	for name, test := range map[string]struct {
		elements, action, resource string
		want                       string // the element that does not match; empty: allowed
	}{
		"same action": {`"Action":"s3:GetObject","Resource":"*"`, "s3:GetObject", "arn:aws:s3:::p/a", ""},
		// "The prefix and the action name are case insensitive."
		"action in other case":      {`"Action":"S3:getobject","Resource":"*"`, "s3:GetObject", "arn:aws:s3:::p/a", ""},
		"star in an action":         {`"Action":"s3:Get*","Resource":"*"`, "s3:GetObject", "arn:aws:s3:::p/a", ""},
		"question mark":             {`"Action":"s3:?etObject","Resource":"*"`, "s3:GetObject", "arn:aws:s3:::p/a", ""},
		"part of an action":         {`"Action":"s3:GetObject","Resource":"*"`, "s3:GetObjectVersion", "arn:aws:s3:::p/a", "Action"},
		"another service":           {`"Action":"s3:*","Resource":"*"`, "sts:AssumeRole", "*", "Action"},
		"every action":              {`"Action":"*","Resource":"*"`, "sts:AssumeRole", "*", ""},
		"one of several":            {`"Action":["s3:ListBucket","s3:GetObject"],"Resource":"*"`, "s3:GetObject", "arn:aws:s3:::p/a", ""},
		"NotAction":                 {`"NotAction":"iam:*","Resource":"*"`, "s3:GetObject", "arn:aws:s3:::p/a", ""},
		"NotAction of this":         {`"NotAction":"S3:*","Resource":"*"`, "s3:GetObject", "arn:aws:s3:::p/a", "Action"},
		"same resource":             {`"Action":"*","Resource":"arn:aws:s3:::pics"`, "s3:ListBucket", "arn:aws:s3:::pics", ""},
		"bucket isn't its objects":  {`"Action":"*","Resource":"arn:aws:s3:::pics"`, "s3:GetObject", "arn:aws:s3:::pics/a", "Resource"},
		"objects aren't the bucket": {`"Action":"*","Resource":"arn:aws:s3:::pics/*"`, "s3:ListBucket", "arn:aws:s3:::pics", "Resource"},
		"resource in other case":    {`"Action":"*","Resource":"arn:aws:s3:::pics/A"`, "s3:GetObject", "arn:aws:s3:::pics/a", "Resource"},
		// "The asterisk (*) character can expand to replace everything within a
		// segment, including characters like a forward slash"
		"star over slashes":         {`"Action":"*","Resource":"arn:aws:s3:::pics/*/test/*"`, "s3:GetObject", "arn:aws:s3:::pics/1/2/test/3/o.jpg", ""},
		"star over nothing":         {`"Action":"*","Resource":"arn:aws:s3:::pics/*/test/*"`, "s3:GetObject", "arn:aws:s3:::pics/1/test/", ""},
		"guide's non-match":         {`"Action":"*","Resource":"arn:aws:s3:::pics/*/test/*"`, "s3:GetObject", "arn:aws:s3:::pics/1-test/o.jpg", "Resource"},
		"question mark in resource": {`"Action":"*","Resource":"arn:aws:s3:::pics/?"`, "s3:GetObject", "arn:aws:s3:::pics/ab", "Resource"},
		// "If the * wildcard is the last character of a resource ARN segment, it
		// can expand to match beyond the colon boundaries."
		"star at the end of a segment": {`"Action":"*","Resource":"arn:aws:sqs:*:111122223333:q"`, "sqs:SendMessage", "arn:aws:sqs:a:b:111122223333:q", ""},
		"star within a segment":        {`"Action":"*","Resource":"arn:aws:sqs:a*b:111122223333:q"`, "sqs:SendMessage", "arn:aws:sqs:a:b:111122223333:q", "Resource"},
		"star before a colon in a key": {`"Action":"*","Resource":"arn:aws:s3:::pics/a*c"`, "s3:GetObject", "arn:aws:s3:::pics/a:b:c", ""},
		// "specifying arn:aws:sqs is equivalent to arn:aws:sqs:*:*:*"
		"incomplete ARN":               {`"Action":"*","Resource":"arn:aws:sqs"`, "sqs:SendMessage", "arn:aws:sqs:eu-west-1:111122223333:q", ""},
		"incomplete, another service":  {`"Action":"*","Resource":"arn:aws:sqs"`, "sns:Publish", "arn:aws:sns:eu-west-1:111122223333:q", "Resource"},
		"no resource":                  {`"Action":"*","Resource":"*"`, "s3:ListAllMyBuckets", "", ""},
		"no resource, a bucket wanted": {`"Action":"*","Resource":"arn:aws:s3:::*"`, "s3:ListAllMyBuckets", "", "Resource"},
		"NotResource":                  {`"Action":"*","NotResource":"arn:aws:s3:::pics/*"`, "s3:GetObject", "arn:aws:s3:::docs/a", ""},
		"NotResource of this":          {`"Action":"*","NotResource":"arn:aws:s3:::pics/*"`, "s3:GetObject", "arn:aws:s3:::pics/a", "Resource"},
		// Variables, replaced "with values that come from the context".
		"variable":                 {`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:username}/*"`, "s3:GetObject", "arn:aws:s3:::pics/bob/a", ""},
		"variable in other case":   {`"Action":"*","Resource":"arn:aws:s3:::pics/${AWS:UserName}/*"`, "s3:GetObject", "arn:aws:s3:::pics/bob/a", ""},
		"variable, another's":      {`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:username}/*"`, "s3:GetObject", "arn:aws:s3:::pics/eve/a", "Resource"},
		"variable without a value": {`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:userid}"`, "s3:GetObject", "arn:aws:s3:::pics/${aws:userid}", "Resource"},
		"multivalued key":          {`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:many}"`, "s3:GetObject", "arn:aws:s3:::pics/x", "Resource"},
		"a value's star is no wildcard": {
			`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:PrincipalTag/team}/*"`, "s3:GetObject", "arn:aws:s3:::pics/abc/x", "Resource",
		},
		// "surround the default value with single quotes"
		"default":                {`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:userid, 'anonymous'}"`, "s3:GetObject", "arn:aws:s3:::pics/anonymous", ""},
		"default not needed":     {`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:username, 'x'}"`, "s3:GetObject", "arn:aws:s3:::pics/bob", ""},
		"default without quotes": {`"Action":"*","Resource":"arn:aws:s3:::pics/${aws:userid, x}"`, "s3:GetObject", "arn:aws:s3:::pics/x", "Resource"},
		// "${*} - use where you need an * (asterisk) character"
		"literal star":                         {`"Action":"*","Resource":"arn:aws:s3:::pics/${*}"`, "s3:GetObject", "arn:aws:s3:::pics/*", ""},
		"literal star only":                    {`"Action":"*","Resource":"arn:aws:s3:::pics/${*}"`, "s3:GetObject", "arn:aws:s3:::pics/a", "Resource"},
		"literal question mark":                {`"Action":"*","Resource":"arn:aws:s3:::pics/${?}*"`, "s3:GetObject", "arn:aws:s3:::pics/?x", ""},
		"literal dollar":                       {`"Action":"*","Resource":"arn:aws:s3:::pics/${$}{a}"`, "s3:GetObject", "arn:aws:s3:::pics/${a}", ""},
		"dollar without brace":                 {`"Action":"*","Resource":"arn:aws:s3:::pics/$a"`, "s3:GetObject", "arn:aws:s3:::pics/$a", ""},
		"brace never closed":                   {`"Action":"*","Resource":"arn:aws:s3:::pics/${a"`, "s3:GetObject", "arn:aws:s3:::pics/${a", ""},
		"NotResource with a variable unsolved": {`"Action":"*","NotResource":"arn:aws:s3:::pics/${aws:userid}"`, "s3:GetObject", "arn:aws:s3:::docs/a", "Resource"},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(of(`{"Effect":"Allow",` + test.elements + `}`)))
			if err != nil {
				t.Fatal(err)
			}
			d := policy.Explain(trust.Request{Action: test.action, Resource: test.resource, Context: user})
			if d.Allowed != (test.want == "") || d.Reasons[0].Element != test.want {
				t.Errorf("got %+v, want refused by %q", d, test.want)
			}
		})
	}
}

func TestExplainVariablesInConditions(t *testing.T) {
	user := context{"aws:username": {"bob"}, "s3:prefix": {"home/bob/"}, "aws:star": {"*"}, "aws:n": {"5"}}
	runConditions(t, []conditionCase{
		{`{"StringLike":{"s3:prefix":["","home/","home/${aws:username}/*"]}}`, user, true},
		{`{"StringEquals":{"s3:prefix":"home/${aws:username}/"}}`, user, true},
		// A value whose variable is missing matches nothing; the others still count.
		{`{"StringEquals":{"s3:prefix":["home/${aws:userid}/","home/bob/"]}}`, user, true},
		{`{"StringEquals":{"s3:prefix":"home/${aws:userid}/"}}`, user, false},
		// "any attempt to match it fails and causes the statement to be invalid"
		{`{"StringNotEquals":{"s3:prefix":"home/${aws:userid}/"}}`, user, false},
		{`{"StringEquals":{"s3:prefix":"${*}"}}`, context{"s3:prefix": {"*"}}, true},
		{`{"StringLike":{"s3:prefix":"${*}"}}`, user, false},
		{`{"StringLike":{"aws:username":"${aws:star}"}}`, user, false},
		{`{"ArnLike":{"aws:a":"arn:aws:iam::111122223333:user/${aws:username}"}}`, context{"aws:a": {"arn:aws:iam::111122223333:user/bob"}, "aws:username": {"bob"}}, true},
		// "You can't use a policy variable with other operators"
		{`{"NumericEquals":{"aws:n":"${aws:n}"}}`, user, false},
	})
	// "Earlier versions of the policy language don't support policy variables."
	for _, version := range []string{`"Version":"2008-10-17",`, ""} {
		policy, err := trust.ParsePolicy([]byte(`{` + version + `"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::pics/${aws:username}"}}`))
		if err != nil {
			t.Fatal(err)
		}
		for resource, want := range map[string]bool{"arn:aws:s3:::pics/bob": false, "arn:aws:s3:::pics/${aws:username}": true} {
			if d := policy.Explain(trust.Request{Action: "s3:GetObject", Resource: resource, Context: user}); d.Allowed != want {
				t.Errorf("%s%s: %+v", version, resource, d)
			}
		}
	}
}

// Policies are untrusted input: many stars, which would keep a backtracking matcher
// busy for ages, cost no more than the policy's length times the value's.
func TestExplainManyStars(t *testing.T) {
	policy := &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{{
		Effect: "Allow", Action: []string{strings.Repeat("*a", 1000) + "b"},
	}}}
	if d := policy.Explain(trust.Request{Action: strings.Repeat("a", 2000)}); d.Allowed {
		t.Errorf("got %+v", d)
	}
}
