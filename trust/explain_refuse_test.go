package trust_test

import (
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

// of writes a policy with one statement.
func of(statement string) string {
	return `{"Version":"2012-10-17","Statement":[` + statement + `]}`
}

// AWS refuses badPolicies as malformed (IAM User Guide, "Grammar of the
// IAM JSON policy language" and the element reference).
var badPolicies = map[string]struct{ document, want string }{
	"nothing":                   {``, "policy is empty"},
	"byte order mark":           {"\ufeff{}", "begins with a byte order mark"},
	"no JSON":                   {`{"Version"`, "is not valid JSON: its end is missing"},
	"comma at the end":          {"{\n\"Version\":\"2012-10-17\",\n}", "is not valid JSON (at byte 27, line 3)"},
	"trailing data":             {of(`{"Effect":"Allow","Action":"*","Resource":"*"}`) + "x", "is not valid JSON"},
	"two documents":             {of(`{}`) + of(`{}`), "is not valid JSON"},
	"an array":                  {`[]`, "policy is an array, not a JSON object"},
	"not UTF-8":                 {"{\"Id\":\"\xff\"}", "policy is not UTF-8"},
	"Version twice":             {`{"Version":"2012-10-17","Version":"2012-10-17"}`, `has "Version" twice`},
	"wrong Version":             {`{"Version":"2012-10-18","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`, `Version is "2012-10-18"`},
	"empty Version":             {`{"Version":"","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`, `"Version" is empty`},
	"Version a number":          {`{"Version":2012,"Statement":[]}`, `"Version" is a number, not a string`},
	"no Statement":              {`{"Version":"2012-10-17"}`, "has no Statement"},
	"no statements":             {`{"Statement":[]}`, "has no statements"},
	"Statement a string":        {`{"Statement":"x"}`, "Statement is a string"},
	"statement a string":        {`{"Statement":["x"]}`, "statement 0 is a string, not a JSON object"},
	"unknown element":           {`{"Statements":[]}`, `policy's "Statements" is unknown: the elements are Version, Id, Statement`},
	"element in small letters":  {`{"version":"2012-10-17"}`, `case-sensitive, write "Version"`},
	"unknown statement element": {of(`{"Sid":"A","Effect":"Allow","Actions":"*"}`), `statement 0 (Sid "A") has an element "Actions" that is unknown`},
	"element twice":             {of(`{"Effect":"Allow","Effect":"Deny"}`), `statement 0 has "Effect" twice`},
	"no Effect":                 {of(`{"Action":"*","Resource":"*"}`), "Effect: it is missing"},
	"Effect in small letters":   {of(`{"Effect":"allow","Action":"*","Resource":"*"}`), `"allow" must be spelled Allow or Deny`},
	"no Action":                 {of(`{"Effect":"Allow","Resource":"*"}`), "Action: it is missing"},
	"Action and NotAction":      {of(`{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}`), "Action or NotAction, not both"},
	"both principals":           {of(`{"Effect":"Allow","Action":"s3:*","Principal":"*","NotPrincipal":"*"}`), "Principal or NotPrincipal, not both"},
	"both resources":            {of(`{"Effect":"Allow","Action":"s3:*","Resource":"*","NotResource":"*"}`), "Resource or NotResource, not both"},
	"empty Action":              {of(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "Action: it has no values"},
	"Action a number":           {of(`{"Effect":"Allow","Action":1}`), `element "Action" that is a number, not a string`},
	"Action with a null":        {of(`{"Effect":"Allow","Action":["*",null]}`), `element "Action" that has a value 1 that is null`},
	"Action without service":    {of(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`), `"GetObject" is not <service>:<action>`},
	"Action with a blank":       {of(`{"Effect":"Allow","Action":"s3:GetObject ","Resource":"*"}`), `characters other than letters`},
	"service with a star":       {of(`{"Effect":"Allow","Action":"s*:GetObject","Resource":"*"}`), `"s*:GetObject" is not`},
	"empty Resource":            {of(`{"Effect":"Allow","Action":"*","Resource":[]}`), "Resource: it has no values"},
	"Resource a name":           {of(`{"Effect":"Allow","Action":"*","Resource":"pics/*"}`), `"pics/*" is neither "*" nor an ARN`},
	"Resource's partition":      {of(`{"Effect":"Allow","Action":"*","Resource":"arn:amazon:s3:::pics"}`), "partition is not one of AWS"},
	"Resource's service":        {of(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s*:::pics"}`), "without a plain service name"},
	"Resource's account":        {of(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:iam:111122223333:role/x"}`), "account, the fifth field, is not 12 digits"},
	"Resource without resource": {of(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::"}`), "ends before it names a resource"},
	"variable before the fifth": {of(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:sqs:${aws:RequestedRegion}:1:x"}`), "before the ARN's fifth colon"},
	"Sid with a dash":           {of(`{"Sid":"a-b","Effect":"Allow","Action":"*","Resource":"*"}`), "only A-Z, a-z and 0-9"},
	"Sid a number":              {of(`{"Sid":1,"Effect":"Allow","Action":"*","Resource":"*"}`), "Sid that is a number"},
	"Sid twice":                 {of(`{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"A","Effect":"Deny","Action":"*","Resource":"*"}`), `statement 1 (Sid "A"), Sid: statement 0 has the same`},

	"Principal a string":        {of(`{"Effect":"Allow","Principal":"111122223333","Action":"sts:AssumeRole"}`), `as a string it can only be "*"`},
	"Principal a list":          {of(`{"Effect":"Allow","Principal":["*"],"Action":"sts:AssumeRole"}`), `"Principal" that is an array`},
	"Principal empty":           {of(`{"Effect":"Allow","Principal":{},"Action":"sts:AssumeRole"}`), "Principal: it is empty"},
	"Principal without values":  {of(`{"Effect":"Allow","Principal":{"AWS":[]},"Action":"sts:AssumeRole"}`), "AWS has no values"},
	"Principal of type star":    {of(`{"Effect":"Allow","Principal":{"*":"*"},"Action":"sts:AssumeRole"}`), `type "*"`},
	"Principal of unknown type": {of(`{"Effect":"Allow","Principal":{"aws":"*"},"Action":"sts:AssumeRole"}`), `type "aws" is unknown`},
	"role with a star":          {of(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/*"},"Action":"sts:AssumeRole"}`), "has a wildcard"},
	"account too short":         {of(`{"Effect":"Allow","Principal":{"AWS":"1234567890"},"Action":"sts:AssumeRole"}`), "a 12-digit account id"},
	"account in ARN":            {of(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1234567890:root"},"Action":"sts:AssumeRole"}`), "account is not 12 digits"},
	"ARN with a colon too many": {of(`{"Effect":"Allow","Principal":{"AWS":"arn:aws::iam::111122223333:root"},"Action":"sts:AssumeRole"}`), "with a region"},
	"a group":                   {of(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:group/x"},"Action":"sts:AssumeRole"}`), "is a group"},
	"session without a name":    {of(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/x"},"Action":"sts:AssumeRole"}`), "assumed-role/<role name>/<session name>"},
	"role under sts":            {of(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111122223333:role/x"},"Action":"sts:AssumeRole"}`), "is not the ARN of"},
	"bare issuer":               {of(`{"Effect":"Allow","Principal":{"Federated":"oidc.eks.eu-west-1.amazonaws.com/id/X"},"Action":"sts:AssumeRoleWithWebIdentity"}`), "neither the ARN of an identity provider"},
	"provider with a scheme":    {of(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/https://host"},"Action":"sts:AssumeRoleWithWebIdentity"}`), "without https://"},
	"provider's account":        {of(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam:::oidc-provider/host"},"Action":"sts:AssumeRoleWithWebIdentity"}`), "account is not 12 digits"},
	"any provider":              {of(`{"Effect":"Allow","Principal":{"Federated":"*"},"Action":"sts:AssumeRoleWithWebIdentity"}`), "has a wildcard"},
	"any service":               {of(`{"Effect":"Allow","Principal":{"Service":"*"},"Action":"sts:AssumeRole"}`), "has a wildcard"},
	"service without a domain":  {of(`{"Effect":"Allow","Principal":{"Service":"ec2"},"Action":"sts:AssumeRole"}`), "like ec2.amazonaws.com"},

	"canonical user too short":     {of(`{"Effect":"Allow","Principal":{"CanonicalUser":"79a5"},"Action":"s3:*","Resource":"*"}`), "64 hexadecimal digits"},
	"a role as a provider":         {of(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:role/x"},"Action":"sts:AssumeRoleWithWebIdentity"}`), "an oidc-provider or a saml-provider"},
	"provider of no service":       {of(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:sts::111122223333:oidc-provider/x"},"Action":"sts:AssumeRoleWithWebIdentity"}`), "is not an ARN like"},
	"principal's partition":        {of(`{"Effect":"Allow","Principal":{"AWS":"arn:amazon:iam::111122223333:root"},"Action":"sts:AssumeRole"}`), "partition is not one of AWS"},
	"principal with a wrong value": {of(`{"Effect":"Allow","Principal":{"AWS":[1]},"Action":"sts:AssumeRole"}`), `type "AWS" that has a value 0 that is a number`},

	"unknown operator":             {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringMatches":{"aws:a":"b"}}}`), `operator "StringMatches" is unknown`},
	"operator in small letters":    {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"stringlike":{"aws:a":"b"}}}`), "write StringLike"},
	"set operator spelled wrong":   {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForEach:StringLike":{"aws:a":"b"}}}`), `"ForEach:StringLike" is unknown`},
	"Null with IfExists":           {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{"aws:a":"true"}}}`), "Null takes neither"},
	"Null with a value":            {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:a":"x"}}}`), "the two that Null takes"},
	"operator without keys":        {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{}}}`), `"StringEquals" has no keys`},
	"key without values":           {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:a":[]}}}`), `key "aws:a" has no values`},
	"key without prefix":           {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"username":"x"}}}`), `"username" is not <service>:<key>`},
	"key with a scheme":            {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"https://host/id/X:sub":"x"}}}`), "without https://"},
	"keys that differ by case":     {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:a":"x","AWS:a":"y"}}}`), "differ only by case"},
	"value an object":              {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:a":{}}}}`), "is an object, not a string, number or boolean"},
	"value null":                   {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:a":null}}}`), "is null"},
	"Condition a list":             {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":[]}`), `"Condition" that is an array`},
	"operator a string":            {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":"true"}}`), `operator "Bool" that is a string`},
	"operator twice":               {of(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:a":true},"Bool":{"aws:b":true}}}`), `has "Bool" twice`},
	"larger than any policy":       {of(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::` + strings.Repeat("x", 20_480) + `"}`), "the largest AWS policy has 20480"},
	"nested beyond what JSON does": {strings.Repeat("[", 20_000), "is not valid JSON"},
}

func TestParsePolicyRefuses(t *testing.T) {
	for name, test := range badPolicies {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(test.document))
			if err == nil {
				t.Fatalf("accepted as %s", policy)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "trust: ") {
				t.Errorf("got %q, want it to contain %q", err, test.want)
			}
		})
	}
}

func TestWhiteSpaceDoesNotCount(t *testing.T) {
	document := strings.Replace(goodPolicies["console"], ",", ","+strings.Repeat(" \n", 20_000), 1)
	if _, err := trust.ParsePolicy([]byte(document)); err != nil {
		t.Error(err)
	}
}
