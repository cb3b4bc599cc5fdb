package trust_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

// goodPolicies lists policies that AWS accepts, most of them from its documentation,
// in the form in which String writes them, without white space.
var goodPolicies = map[string]string{
	"web identity": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001:aud":"sts.amazonaws.com","oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001:sub":"system:serviceaccount:default:my-service-account"}}}]}`,
	"service role": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["ecs.amazonaws.com","elasticloadbalancing.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`,
	// The IAM console writes an empty Condition into trust policies.
	"console":           `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole","Condition":{}}]}`,
	"without a Version": `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
	"everyone":          `{"Version":"2008-10-17","Id":"a policy","Statement":[{"Sid":"with spaces in S3","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`,
	"not everything":    `{"Version":"2012-10-17","Statement":[{"Sid":"1","Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::444455556666:root","arn:aws:iam::444455556666:user/Bob"]},"NotAction":["s3:Get*","s3:List?"],"NotResource":"arn:aws:s3:::a/${aws:username}/*"}]}`,
	"short ARN":         `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"arn:aws:sqs"}]}`,
	"all principals":    `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*","111122223333","AROAEXAMPLE123456789","arn:aws-cn:iam::111122223333:role/team/x","arn:aws:sts::111122223333:assumed-role/x/session","arn:aws:sts::111122223333:federated-user/bob"],"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be","Federated":["arn:aws:iam::111122223333:saml-provider/adfs","cognito-identity.amazonaws.com"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`,
	"origin access":     `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`,
	"set operators":     `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:CreateTags","Resource":"*","Condition":{"ForAllValues:StringLikeIfExists":{"aws:TagKeys":["a*","b"]},"ForAnyValue:StringEquals":{"aws:TagKeys":"x"},"Null":{"aws:TagKeys":"false"},"NumericLessThanEquals":{"aws:MultiFactorAuthAge":"3600"}}}]}`,
}

func compactJSON(t *testing.T, p *trust.Policy) string {
	t.Helper()
	written, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(written)
}

func TestParsePolicyRoundTrip(t *testing.T) {
	for name, document := range goodPolicies {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(document))
			if err != nil {
				t.Fatal(err)
			}
			if got := compactJSON(t, policy); got != document {
				t.Errorf("\ngot  %s\nwant %s", got, document)
			}
			again, err := trust.ParsePolicy([]byte(policy.String()))
			if err != nil || !reflect.DeepEqual(again, policy) {
				t.Errorf("String is not what was parsed (%v):\n%s", err, policy)
			}
		})
	}
}

func TestParsePolicyNormalizes(t *testing.T) {
	for name, test := range map[string]struct{ document, want string }{
		"order of elements": {
			`{"Statement":{"Resource":"*","Action":["s3:GetObject"],"Effect":"Allow","Sid":"A"},"Version":"2012-10-17"}`,
			`{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`,
		},
		"numbers and booleans": {
			`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true},"NumericEquals":{"s3:max-keys":[10,2.5]}}}]}`,
			`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"},"NumericEquals":{"s3:max-keys":["10","2.5"]}}}]}`,
		},
		"characters of HTML": {
			"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:PrincipalTag/a<b&\\u003e\":\"\\u003c\"}}}]}",
			`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/a<b&>":"<"}}}]}`,
		},
		"everyone of AWS stays as it is": {
			`{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"sts:AssumeRole"}]}`,
			`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`,
		},
		"an empty Sid": {
			`{"Statement":[{"Sid":"","Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"},{"Sid":"","Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}`,
			`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"},{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := trust.ParsePolicy([]byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(strings.Fields(policy.String()), "")
			if want := strings.ReplaceAll(test.want, " ", ""); got != want {
				t.Errorf("\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

func TestPolicyUnmarshalsAsAField(t *testing.T) {
	var role struct{ AssumeRolePolicyDocument trust.Policy }
	document := `{"AssumeRolePolicyDocument":` + goodPolicies["console"] + `}`
	if err := json.Unmarshal([]byte(document), &role); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(role)
	if err != nil || string(written) != document {
		t.Errorf("%v: %s", err, written)
	}
	err = json.Unmarshal([]byte(`{"AssumeRolePolicyDocument":{"Statement":[]}}`), &role)
	if err == nil || !strings.Contains(err.Error(), "no statements") {
		t.Errorf("got %v", err)
	}
	if len(role.AssumeRolePolicyDocument.Statements) != 1 {
		t.Error("a refused document has changed the policy")
	}
}

func TestPartsUnmarshal(t *testing.T) {
	for name, document := range goodPolicies {
		policy, err := trust.ParsePolicy([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range policy.Statements {
			written, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var got trust.Statement
			if err := json.Unmarshal(written, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
			}
			parts := struct {
				P trust.Principals
				C trust.Conditions
			}{want.Principal, want.Condition}
			if parts.P == nil || parts.C == nil {
				continue
			}
			again := parts
			again.P, again.C = nil, nil
			if written, err = json.Marshal(parts); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(written, &again); err != nil || !reflect.DeepEqual(again, parts) {
				t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, again, parts)
			}
		}
	}
	for document, to := range map[string]any{
		`{"sid":"x"}`:             new(trust.Statement),
		`{"AWS":1}`:               new(trust.Principals),
		`{"Bool":{"aws:x":null}}`: new(trust.Conditions),
	} {
		if err := json.Unmarshal([]byte(document), to); err == nil || !strings.HasPrefix(err.Error(), "trust: ") {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestStringOfNothing(t *testing.T) {
	if got := (*trust.Policy)(nil).String(); got != "<nil>" {
		t.Errorf("nil: %s", got)
	}
	if got := (&trust.Policy{}).String(); got != "{\n  \"Statement\": []\n}" {
		t.Errorf("empty: %s", got)
	}
}
