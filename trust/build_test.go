package trust_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

func TestWebIdentityPolicyAdmits(t *testing.T) {
	policy := trust.WebIdentityPolicy("444455556666", []string{blue, green},
		[]string{"system:serviceaccount:apps:reader", "system:serviceaccount:batch:*", "system:serviceaccount:jobs:run-?"})
	if err := policy.ValidateTrust(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		issuer, subject, audience string
		want                      bool
	}{
		{blue, "system:serviceaccount:apps:reader", "sts.amazonaws.com", true},
		{green, "system:serviceaccount:apps:reader", "sts.amazonaws.com", true},
		{blue, "system:serviceaccount:batch:anything", "sts.amazonaws.com", true},
		{green, "system:serviceaccount:jobs:run-7", "sts.amazonaws.com", true},
		{green, "system:serviceaccount:jobs:run-77", "sts.amazonaws.com", false},
		{blue, "system:serviceaccount:apps:writer", "sts.amazonaws.com", false},
		{blue, "system:serviceaccount:apps:reader2", "sts.amazonaws.com", false},
		{blue, "system:serviceaccount:apps:reader", "sts", false},
		{blue + "X", "system:serviceaccount:apps:reader", "sts.amazonaws.com", false},
		{blue + "/", "system:serviceaccount:apps:reader", "sts.amazonaws.com", false},
	} {
		k := trust.Token{Issuer: test.issuer}
		path := strings.TrimPrefix(test.issuer, "https://")
		d := policy.Explain(trust.Request{
			Action:    "sts:AssumeRoleWithWebIdentity",
			Principal: trust.Principals{"Federated": {k.ProviderARN("", "444455556666")}},
			Context:   context{path + ":sub": {test.subject}, path + ":aud": {test.audience}},
		})
		if d.Allowed != test.want {
			t.Errorf("%s %s %s: %+v", test.issuer, test.subject, test.audience, d)
		}
	}
}

func TestWebIdentityPolicyShape(t *testing.T) {
	for name, test := range map[string]struct {
		issuers, subjects []string
		options           trust.PolicyOptions
		statements        int
		has, hasNot       string
		invalid           string // what ValidateTrust reports
	}{
		"one":              {[]string{blue}, []string{"a:b"}, trust.PolicyOptions{}, 1, `"sts.amazonaws.com"`, "StringLike", ""},
		"blue and green":   {[]string{blue, green}, []string{"a", "b"}, trust.PolicyOptions{}, 2, "GREEN0002:sub", "StringLike", ""},
		"wildcards only":   {[]string{blue}, []string{"a*", "b?"}, trust.PolicyOptions{}, 1, "StringLike", "", ""},
		"both kinds":       {[]string{blue, green}, []string{"a*", "b"}, trust.PolicyOptions{}, 4, "StringLike", "", ""},
		"partition":        {[]string{blue}, []string{"a"}, trust.PolicyOptions{Partition: "aws-cn"}, 1, "arn:aws-cn:iam", "arn:aws:", ""},
		"audience":         {[]string{blue}, []string{"a"}, trust.PolicyOptions{Audience: "mine"}, 1, `:aud": "mine"`, "sts.amazonaws.com", ""},
		"slash at the end": {[]string{blue + "/"}, []string{"a"}, trust.PolicyOptions{}, 1, `BLUE0001/:aud"`, "https", ""},
		"plain http":       {[]string{"http://10.0.0.1:8080/x"}, []string{"a"}, trust.PolicyOptions{}, 1, `oidc-provider/10.0.0.1:8080/x"`, "http:", ""},
		"no issuer":        {nil, []string{"a"}, trust.PolicyOptions{}, 0, "", "", "no statements"},
		"no subject":       {[]string{blue}, nil, trust.PolicyOptions{}, 1, `:sub": []`, "", `BLUE0001:sub" has no values`},
	} {
		t.Run(name, func(t *testing.T) {
			policy := trust.WebIdentityPolicy("444455556666", test.issuers, test.subjects, func(o *trust.PolicyOptions) { *o = test.options })
			if len(policy.Statements) != test.statements {
				t.Errorf("%d statements", len(policy.Statements))
			}
			written := policy.String()
			if !strings.Contains(written, test.has) || test.hasNot != "" && strings.Contains(written, test.hasNot) {
				t.Errorf("want %q and not %q:\n%s", test.has, test.hasNot, written)
			}
			err := policy.ValidateTrust()
			if test.invalid == "" && err != nil || test.invalid != "" && (err == nil || !strings.Contains(err.Error(), test.invalid)) {
				t.Errorf("ValidateTrust: %v", err)
			}
		})
	}
}

// An empty list of subjects must not admit the whole cluster.
func TestWebIdentityPolicyWithoutSubjectsAdmitsNobody(t *testing.T) {
	policy := trust.WebIdentityPolicy("444455556666", []string{blue}, nil)
	for _, subject := range [][]string{nil, {""}, {"system:serviceaccount:apps:reader"}} {
		d := policy.Explain(token(func(r *trust.Request) { r.Context[bluePath+":sub"] = subject }))
		if d.Allowed {
			t.Errorf("admits %q", subject)
		}
	}
}

func TestWritersKeepNoReference(t *testing.T) {
	subjects, targets, keys := []string{"a"}, []string{"arn:aws:iam::444455556666:role/x"}, []string{"arn:aws:kms:eu-west-1:444455556666:key/k"}
	policies := []*trust.Policy{
		trust.WebIdentityPolicy("444455556666", []string{blue}, subjects),
		trust.AssumePolicy(targets),
		trust.ReadBucketPolicy("pics", "", func(o *trust.PolicyOptions) { o.KMSKeyARNs = keys }),
	}
	subjects[0], targets[0], keys[0] = "changed", "changed", "changed"
	for _, p := range policies {
		if strings.Contains(p.String(), "changed") {
			t.Errorf("follows its argument:\n%s", p)
		}
	}
}

func TestRolePolicy(t *testing.T) {
	tagged := func(o *trust.PolicyOptions) { o.TagSession, o.SetSourceIdentity = true, true }
	external := func(o *trust.PolicyOptions) { o.ExternalID = "pictures-2026" }
	for name, test := range map[string]struct {
		options []func(*trust.PolicyOptions)
		action  string
		id      []string
		want    bool
	}{
		"plain":                    {nil, "sts:AssumeRole", nil, true},
		"no tags":                  {nil, "sts:TagSession", nil, false},
		"tags":                     {[]func(*trust.PolicyOptions){tagged}, "sts:TagSession", nil, true},
		"source identity":          {[]func(*trust.PolicyOptions){tagged}, "sts:SetSourceIdentity", nil, true},
		"external id":              {[]func(*trust.PolicyOptions){external}, "sts:AssumeRole", []string{"pictures-2026"}, true},
		"wrong external id":        {[]func(*trust.PolicyOptions){external}, "sts:AssumeRole", []string{"pictures"}, false},
		"no external id":           {[]func(*trust.PolicyOptions){external}, "sts:AssumeRole", nil, false},
		"external id and tags":     {[]func(*trust.PolicyOptions){external, tagged}, "sts:AssumeRole", nil, false},
		"tags carry no such id":    {[]func(*trust.PolicyOptions){external, tagged}, "sts:TagSession", nil, true},
		"another action of sts":    {[]func(*trust.PolicyOptions){tagged}, "sts:AssumeRoleWithWebIdentity", nil, false},
		"external id, no tags yet": {[]func(*trust.PolicyOptions){external}, "sts:TagSession", []string{"pictures-2026"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			policy := trust.RolePolicy(hubRole, test.options...)
			if err := policy.ValidateTrust(); err != nil {
				t.Fatal(err)
			}
			request := trust.Request{Action: test.action, Principal: hub, Context: context{"sts:ExternalId": test.id}}
			if d := policy.Explain(request); d.Allowed != test.want {
				t.Errorf("got %+v", d)
			}
			request.Principal = trust.Principals{"AWS": {"arn:aws:iam::111122223333:role/other", hubRoot}}
			if d := policy.Explain(request); d.Allowed {
				t.Errorf("admits another role: %+v", d)
			}
		})
	}
}

// A statement that requires an external ID would refuse sts:TagSession.
func TestRolePolicyAsksOnlyAssumeRoleForTheExternalID(t *testing.T) {
	policy := trust.RolePolicy(hubRole, func(o *trust.PolicyOptions) {
		o.ExternalID, o.TagSession, o.SetSourceIdentity = "pictures-2026", true, true
	})
	if len(policy.Statements) != 2 {
		t.Fatalf("got\n%s", policy)
	}
	assume, session := policy.Statements[0], policy.Statements[1]
	if got := strings.Join(assume.Action, " "); got != "sts:AssumeRole" || len(assume.Condition) != 1 {
		t.Errorf("%s under %v", got, assume.Condition)
	}
	if got := strings.Join(session.Action, " "); got != "sts:TagSession sts:SetSourceIdentity" || session.Condition != nil {
		t.Errorf("%s under %v", got, session.Condition)
	}
}

// A pattern of hub roles is bounded by an account or an organization in every
// statement.
func TestRolePolicyOfAPattern(t *testing.T) {
	const (
		pattern = "arn:aws:iam::111122223333:role/hub-*"
		anyHub  = "arn:aws:iam::*:role/hub-*"
		org     = "o-a1b2c3d4e5"
	)
	caller := func(role, organization, action string) trust.Request {
		account := strings.Split(role, ":")[4]
		r := trust.Request{
			Action:    action,
			Principal: trust.Principals{"AWS": {role, "arn:aws:iam::" + account + ":root"}},
			Context:   context{"aws:PrincipalArn": {role}, "sts:ExternalId": {"pictures-2026"}},
		}
		if organization != "" {
			r.Context["aws:PrincipalOrgID"] = []string{organization}
		}
		return r
	}
	one := trust.RolePolicy(pattern, func(o *trust.PolicyOptions) { o.HubPattern = true })
	all := trust.RolePolicy(anyHub, func(o *trust.PolicyOptions) { o.HubPattern, o.OrganizationID = true, org })
	external := trust.RolePolicy(pattern, func(o *trust.PolicyOptions) {
		o.HubPattern, o.ExternalID, o.TagSession = true, "pictures-2026", true
	})
	for name, test := range map[string]struct {
		policy  *trust.Policy
		request trust.Request
		want    bool
	}{
		"blue":                        {one, caller("arn:aws:iam::111122223333:role/hub-blue", "", "sts:AssumeRole"), true},
		"another role":                {one, caller("arn:aws:iam::111122223333:role/admin", "", "sts:AssumeRole"), false},
		"another account":             {one, caller("arn:aws:iam::999999999999:role/hub-blue", "", "sts:AssumeRole"), false},
		"no tags":                     {one, caller("arn:aws:iam::111122223333:role/hub-blue", "", "sts:TagSession"), false},
		"in the organization":         {all, caller("arn:aws:iam::999999999999:role/hub-blue", org, "sts:AssumeRole"), true},
		"another role of it":          {all, caller("arn:aws:iam::999999999999:role/admin", org, "sts:AssumeRole"), false},
		"another organization":        {all, caller("arn:aws:iam::999999999999:role/hub-blue", "o-0000000000", "sts:AssumeRole"), false},
		"in no organization":          {all, caller("arn:aws:iam::999999999999:role/hub-blue", "", "sts:AssumeRole"), false},
		"external id":                 {external, caller("arn:aws:iam::111122223333:role/hub-blue", "", "sts:AssumeRole"), true},
		"external id, tags":           {external, caller("arn:aws:iam::111122223333:role/hub-blue", "", "sts:TagSession"), true},
		"external id, other's tags":   {external, caller("arn:aws:iam::111122223333:role/admin", "", "sts:TagSession"), false},
		"external id, other's assume": {external, caller("arn:aws:iam::111122223333:role/admin", "", "sts:AssumeRole"), false},
	} {
		if err := test.policy.ValidateTrust(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := test.policy.Explain(test.request); d.Allowed != test.want {
			t.Errorf("%s: got %+v\n%s", name, d, test.policy)
		}
	}
	for pattern, want := range map[string]string{
		anyHub:                                    "roles of every AWS account",
		"*":                                       "not a pattern of roles",
		"arn:aws:iam::111122223333:role/*":        "every role",
		"arn:aws:iam::111122223333:role/**?":      "every role",
		"arn:aws:iam::111122223333:root":          "not a pattern of roles",
		"arn:aws:iam::111122223333:*":             "not a pattern of roles",
		"arn:aws:iam::11112222333*:role/hub-*":    "not 12 digits",
		"arn:*:iam::111122223333:role/hub-*":      "not a pattern of roles",
		"arn:aws:sts::111122223333:role/hub-*":    "not a pattern of roles",
		"arn:aws-cn:iam::111122223333:role/hub-*": "do not cross partitions",
	} {
		policy := trust.RolePolicy(pattern, func(o *trust.PolicyOptions) { o.HubPattern, o.Partition = true, "aws" })
		if err := policy.ValidateTrust(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
	for _, id := range []string{"*", "o-", "o-*", "r-a1b2c3d4e5"} {
		policy := trust.RolePolicy(anyHub, func(o *trust.PolicyOptions) { o.HubPattern, o.OrganizationID = true, id })
		if err := policy.ValidateTrust(); err == nil || !strings.Contains(err.Error(), "organization") {
			t.Errorf("organization %q: %v", id, err)
		}
	}
}

func TestAssumePolicy(t *testing.T) {
	policy := trust.AssumePolicy([]string{"arn:aws:iam::444455556666:role/S3_Pics"}, func(o *trust.PolicyOptions) { o.TagSession = true })
	if err := policy.ValidateIdentity(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		action, role string
		want         bool
	}{
		{"sts:AssumeRole", "arn:aws:iam::444455556666:role/S3_Pics", true},
		{"sts:TagSession", "arn:aws:iam::444455556666:role/S3_Pics", true},
		{"sts:SetSourceIdentity", "arn:aws:iam::444455556666:role/S3_Pics", false},
		{"sts:AssumeRole", "arn:aws:iam::444455556666:role/S3_Pics2", false},
	} {
		if d := policy.Explain(trust.Request{Action: test.action, Resource: test.role}); d.Allowed != test.want {
			t.Errorf("%s %s: %+v", test.action, test.role, d)
		}
	}
	if err := trust.AssumePolicy(nil).ValidateIdentity(); err == nil || !strings.Contains(err.Error(), "Resource: it has no values") {
		t.Errorf("no targets: %v", err)
	}
	if d := trust.AssumePolicy(nil).Explain(trust.Request{Action: "sts:AssumeRole", Resource: "arn:aws:iam::444455556666:role/x"}); d.Allowed {
		t.Error("no targets: allows one")
	}
}

func TestReadBucketPolicy(t *testing.T) {
	key := "arn:aws:kms:eu-west-1:444455556666:key/k"
	for _, test := range []struct {
		prefix, action, resource string
		listed                   []string
		want                     bool
	}{
		{"", "s3:GetObject", "arn:aws:s3:::pics/a.jpg", nil, true},
		{"", "s3:GetObjectVersion", "arn:aws:s3:::pics/a.jpg", nil, true},
		{"", "s3:PutObject", "arn:aws:s3:::pics/a.jpg", nil, false},
		{"", "s3:GetObject", "arn:aws:s3:::pics2/a.jpg", nil, false},
		{"", "s3:ListBucket", "arn:aws:s3:::pics", nil, true},
		{"", "kms:Decrypt", key, nil, true},
		{"", "kms:Encrypt", key, nil, false},
		{"", "kms:Decrypt", key + "2", nil, false},
		{"in/", "s3:GetObject", "arn:aws:s3:::pics/in/cat.jpg", nil, true},
		{"in/", "s3:GetObject", "arn:aws:s3:::pics/out/cat.jpg", nil, false},
		{"in/", "s3:ListBucket", "arn:aws:s3:::pics", []string{"in/"}, true},
		{"in/", "s3:ListBucket", "arn:aws:s3:::pics", []string{"in/2026/"}, true},
		{"in/", "s3:ListBucket", "arn:aws:s3:::pics", []string{"i"}, false},
		{"in/", "s3:ListBucket", "arn:aws:s3:::pics", nil, false},
		// A prefix is always literal.
		{"a*/", "s3:GetObject", "arn:aws:s3:::pics/a*/x", nil, true},
		{"a*/", "s3:GetObject", "arn:aws:s3:::pics/abc/x", nil, false},
		{"a?${aws:username}", "s3:GetObject", "arn:aws:s3:::pics/a?${aws:username}x", nil, true},
		{"a?${aws:username}", "s3:ListBucket", "arn:aws:s3:::pics", []string{"ab"}, false},
	} {
		policy := trust.ReadBucketPolicy("pics", test.prefix, func(o *trust.PolicyOptions) { o.KMSKeyARNs = []string{key} })
		if err := policy.ValidateIdentity(); err != nil {
			t.Fatal(err)
		}
		d := policy.Explain(trust.Request{Action: test.action, Resource: test.resource, Context: context{"s3:prefix": test.listed}})
		if d.Allowed != test.want {
			t.Errorf("prefix %q, %s %s %q: %+v", test.prefix, test.action, test.resource, test.listed, d)
		}
	}
	if got := trust.ReadBucketPolicy("pics", "", func(o *trust.PolicyOptions) { o.Partition = "aws-us-gov" }).String(); strings.Contains(got, "arn:aws:") {
		t.Errorf("partition:\n%s", got)
	}
}

// Arguments are literal, unless documented to be patterns: written unescaped, each of
// these would admit someone who is not meant to be admitted.
func TestWritersAdmitNoMoreThanTheyWereGiven(t *testing.T) {
	const key = "arn:aws:kms:eu-west-1:444455556666:key/"
	read := func(bucket, prefix string, keys ...string) *trust.Policy {
		return trust.ReadBucketPolicy(bucket, prefix, func(o *trust.PolicyOptions) { o.KMSKeyARNs = keys })
	}
	object := func(resource string) trust.Request {
		return trust.Request{Action: "s3:GetObject", Resource: resource, Context: context{"aws:username": {"eve"}}}
	}
	decrypt := trust.Request{Action: "kms:Decrypt", Resource: key + "other", Context: context{"aws:username": {"other"}}}
	assume := func(role string) trust.Request {
		return trust.Request{Action: "sts:AssumeRole", Resource: role, Context: context{"aws:username": {"eve"}}}
	}
	stranger := trust.Request{Action: "sts:AssumeRole", Principal: trust.Principals{"AWS": {"arn:aws:iam::999999999999:role/eve", "arn:aws:iam::999999999999:root"}}}
	withToken := func(subject, audience string) trust.Request {
		return token(func(r *trust.Request) {
			r.Context[bluePath+":sub"], r.Context[bluePath+":aud"] = []string{subject}, []string{audience}
			r.Context["aws:username"] = []string{"eve"}
		})
	}
	web := func(subject, audience string) *trust.Policy {
		return trust.WebIdentityPolicy("444455556666", []string{blue}, []string{subject}, func(o *trust.PolicyOptions) { o.Audience = audience })
	}
	in := func(partition string) func(*trust.PolicyOptions) {
		return func(o *trust.PolicyOptions) { o.Partition = partition }
	}
	for name, test := range map[string]struct {
		policy  *trust.Policy
		request trust.Request
		refused string // what ValidateIdentity or ValidateTrust reports; empty: the policy is valid
	}{
		"bucket p*":             {read("p*", ""), object("arn:aws:s3:::private/x"), `bucket "p*"`},
		"bucket ?":              {read("pic?", ""), object("arn:aws:s3:::pics/x"), `bucket "pic?"`},
		"bucket variable":       {read("${aws:username}", ""), object("arn:aws:s3:::eve/x"), `bucket "${aws:username}"`},
		"bucket with a key":     {read("pics/private", ""), object("arn:aws:s3:::pics/private/x"), "by prefix"},
		"bucket ARN p*":         {read("arn:aws:s3:::p*", ""), object("arn:aws:s3:::private/x"), `bucket "p*"`},
		"partition of bucket":   {read("arn:*:s3:::pics", ""), object("arn:aws:s3:::pics/x"), "not the ARN of a bucket"},
		"an access point":       {read("arn:aws:s3:eu-west-1:444455556666:accesspoint/pics", ""), object("arn:aws:s3:::pics/x"), "not the ARN of a bucket"},
		"prefix *":              {read("pics", "*"), object("arn:aws:s3:::pics/x"), ""},
		"prefix variable":       {read("pics", "${aws:username}/"), object("arn:aws:s3:::pics/eve/x"), ""},
		"half a variable":       {read("pics", "$"), object("arn:aws:s3:::pics/x"), ""},
		"key *":                 {read("pics", "", key+"*"), decrypt, "wildcard"},
		"key variable":          {read("pics", "", key+"${aws:username}"), decrypt, ""},
		"any key":               {read("pics", "", "*"), decrypt, `KMS key "*" is not a complete ARN`},
		"key without its end":   {read("pics", "", "arn:aws:kms"), decrypt, "not a complete ARN"},
		"key in any region":     {read("pics", "", "arn:aws:kms:*:444455556666:key/other"), decrypt, "wildcard"},
		"key of any partition":  {read("pics", "", "arn:aws*:kms:eu-west-1:444455556666:key/other"), decrypt, "one partition"},
		"partition *":           {trust.ReadBucketPolicy("pics", "", in("*")), object("arn:aws:s3:::pics/x"), `partition "*"`},
		"target of any kind":    {trust.AssumePolicy([]string{"*"}), assume("arn:aws:iam::444455556666:role/x"), "not a complete ARN"},
		"target without end":    {trust.AssumePolicy([]string{"arn:aws:iam::444455556666"}), assume("arn:aws:iam::444455556666:role/x"), "not a complete ARN"},
		"target variable":       {trust.AssumePolicy([]string{"arn:aws:iam::444455556666:role/${aws:username}"}), assume("arn:aws:iam::444455556666:role/eve"), ""},
		"account variable":      {trust.AssumePolicy([]string{"arn:aws:iam::${aws:username}:role/x"}), assume("arn:aws:iam::eve:role/x"), "no escape"},
		"target's partition":    {trust.AssumePolicy([]string{"arn:*:iam::444455556666:role/x"}), assume("arn:aws:iam::444455556666:role/x"), "one partition"},
		"hub *":                 {trust.RolePolicy("*"), stranger, `hubRoleARN "*" has a wildcard`},
		"hub of any account":    {trust.RolePolicy("arn:aws:iam::*:root"), stranger, "wildcard"},
		"external id variable":  {trust.RolePolicy(hubRole, func(o *trust.PolicyOptions) { o.ExternalID = "${aws:username}" }), trust.Request{Action: "sts:AssumeRole", Principal: hub, Context: context{"sts:ExternalId": {"eve"}, "aws:username": {"eve"}}}, "external id (not shown)"},
		"subject variable":      {web("${aws:username}", ""), withToken("eve", "sts.amazonaws.com"), ""},
		"pattern with variable": {web("*:${aws:username}", ""), withToken("a:eve", "sts.amazonaws.com"), ""},
		"audience variable":     {web("a", "${aws:username}"), withToken("a", "eve"), ""},
		"audience *":            {web("a", "*"), withToken("a", "eve"), ""},
		"issuer *":              {trust.WebIdentityPolicy("444455556666", []string{"https://*"}, []string{"a"}), withToken("a", "sts.amazonaws.com"), "issuer"},
		"account *":             {trust.WebIdentityPolicy("*", []string{blue}, []string{"a"}), withToken("a", "sts.amazonaws.com"), `account "*"`},
	} {
		t.Run(name, func(t *testing.T) {
			if d := test.policy.Explain(test.request); d.Allowed {
				t.Errorf("admits %+v:\n%s", test.request, test.policy)
			}
			err := test.policy.ValidateIdentity()
			if test.request.Principal != nil {
				err = test.policy.ValidateTrust()
			}
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Errorf("it says %v, want %q", err, test.refused)
			}
			written, err := trust.ParsePolicy([]byte(test.policy.String()))
			if err != nil && test.refused == "" {
				t.Fatalf("%v in\n%s", err, test.policy)
			}
			if err == nil && written.Explain(test.request).Allowed {
				t.Errorf("what it prints admits %+v:\n%s", test.request, test.policy)
			}
		})
	}
}

// A policy that could not be written is not printed as one.
func TestRefusedPolicyIsNoDocument(t *testing.T) {
	policy := trust.ReadBucketPolicy("p*", "")
	if got := policy.String(); strings.HasPrefix(got, "{") || !strings.Contains(got, `bucket "p*"`) {
		t.Errorf("String: %s", got)
	}
	if document, err := json.Marshal(policy); err == nil {
		t.Errorf("marshals to %s", document)
	}
	if policy.Size() != 0 {
		t.Errorf("Size %d", policy.Size())
	}
}

// JSON would replace the bytes, and the policy would be about other objects.
func TestPolicyOfInvalidUTF8IsNoDocument(t *testing.T) {
	const bad = "in/\xc1"
	for name, policy := range map[string]*trust.Policy{
		"prefix":      trust.ReadBucketPolicy("pics", bad),
		"subject":     trust.WebIdentityPolicy("444455556666", []string{blue}, []string{bad}),
		"external ID": trust.RolePolicy("arn:aws:iam::111122223333:role/hub", func(o *trust.PolicyOptions) { o.ExternalID = bad }),
	} {
		t.Run(name, func(t *testing.T) {
			text := policy.String()
			if strings.HasPrefix(text, "{") || !strings.Contains(text, "not UTF-8") && !strings.Contains(text, "external ID") || policy.Size() != 0 {
				t.Errorf("String (size %d): %s", policy.Size(), text)
			}
			if name == "external ID" && strings.Contains(text, "xc1") {
				t.Errorf("String shows the external ID: %s", text)
			}
			if document, err := json.Marshal(policy); err == nil {
				t.Errorf("marshals to %s", document)
			}
			if err := errors.Join(policy.ValidateTrust(), policy.ValidateIdentity()); !strings.Contains(err.Error(), "UTF-8") && name != "external ID" {
				t.Errorf("validates as %v", err)
			}
		})
	}
	allows := trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{{Effect: "Allow", Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::pics/\xc1*"}}}}
	for resource, want := range map[string]bool{"\xc1x": true, "\x94x": false, "\ufffdx": false} {
		if got := allows.Explain(trust.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::pics/" + resource}).Allowed; got != want {
			t.Errorf("%q is allowed: %v, want %v", resource, got, want)
		}
	}
	if err := allows.ValidateResource(); err == nil || !strings.Contains(err.Error(), `Resource: "arn:aws:s3:::pics/\xc1*" is not UTF-8`) {
		t.Errorf("ValidateResource: %v", err)
	}
}

func TestWritersTakeThePartition(t *testing.T) {
	in := func(partition string) func(*trust.PolicyOptions) {
		return func(o *trust.PolicyOptions) { o.Partition = partition }
	}
	for name, test := range map[string]struct {
		policy  *trust.Policy
		has     string
		refused string
	}{
		"China's issuer":          {trust.WebIdentityPolicy("444455556666", []string{"https://oidc.eks.cn-north-1.amazonaws.com.cn/id/X"}, []string{"a"}), "arn:aws-cn:iam::444455556666:oidc-provider/", ""},
		"GovCloud's issuer":       {trust.WebIdentityPolicy("444455556666", []string{"https://oidc.eks.us-gov-west-1.amazonaws.com/id/X"}, []string{"a"}), "arn:aws-us-gov:iam::", ""},
		"EU Sovereign's issuer":   {trust.WebIdentityPolicy("444455556666", []string{"https://oidc.eks.eusc-de-east-1.amazonaws.eu/id/X"}, []string{"a"}), "arn:aws-eusc:iam::", ""},
		"a private issuer":        {trust.WebIdentityPolicy("444455556666", []string{"https://oidc.example.com"}, []string{"a"}, in("aws-us-gov")), "arn:aws-us-gov:iam::", ""},
		"an issuer in China":      {trust.WebIdentityPolicy("444455556666", []string{"https://oidc.eks.cn-north-1.amazonaws.com.cn/id/X"}, []string{"a"}, in("aws")), "arn:aws:iam::", ""},
		"issuers that differ":     {trust.WebIdentityPolicy("444455556666", []string{blue, "https://oidc.eks.cn-north-1.amazonaws.com.cn/id/X"}, []string{"a"}), "", "do not cross partitions"},
		"hub":                     {trust.RolePolicy("arn:aws-cn:iam::111122223333:role/hub", in("aws-cn")), "arn:aws-cn:iam::111122223333:role/hub", ""},
		"hub of another":          {trust.RolePolicy("arn:aws-cn:iam::111122223333:role/hub", in("aws-us-gov")), "", "aws-us-gov, but hubRoleARN arn:aws-cn:iam::111122223333:role/hub is of aws-cn"},
		"target of another":       {trust.AssumePolicy([]string{"arn:aws-cn:iam::444455556666:role/x"}, in("aws")), "", "do not cross partitions"},
		"targets that differ":     {trust.AssumePolicy([]string{"arn:aws:iam::444455556666:role/x", "arn:aws-cn:iam::444455556666:role/x"}), "", "do not cross partitions"},
		"bucket":                  {trust.ReadBucketPolicy("pics", "", in("aws-iso-b")), `"arn:aws-iso-b:s3:::pics"`, ""},
		"bucket's ARN":            {trust.ReadBucketPolicy("arn:aws-us-gov:s3:::pics", ""), `"arn:aws-us-gov:s3:::pics/*"`, ""},
		"bucket's ARN of another": {trust.ReadBucketPolicy("arn:aws-us-gov:s3:::pics", "", in("aws")), "", "do not cross partitions"},
		"key's ARN": {trust.ReadBucketPolicy("pics", "", func(o *trust.PolicyOptions) {
			o.KMSKeyARNs = []string{"arn:aws-cn:kms:cn-north-1:444455556666:key/k"}
		}), `"arn:aws-cn:s3:::pics"`, ""},
		"key's ARN of another": {trust.ReadBucketPolicy("pics", "", in("aws-us-gov"), func(o *trust.PolicyOptions) {
			o.KMSKeyARNs = []string{"arn:aws-cn:kms:cn-north-1:444455556666:key/k"}
		}), "", "do not cross partitions"},
	} {
		t.Run(name, func(t *testing.T) {
			validate := test.policy.ValidateIdentity
			if test.policy.Statements[0].Principal != nil {
				validate = test.policy.ValidateTrust
			}
			err := validate()
			if test.refused == "" && (err != nil || !strings.Contains(test.policy.String(), test.has)) {
				t.Errorf("%v, want %s in\n%s", err, test.has, test.policy)
			}
			if test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Errorf("it says %v, want %q", err, test.refused)
			}
		})
	}
}

// Size counts as IAM does: white space inside strings, not outside.
func TestPolicySize(t *testing.T) {
	policy, err := trust.ParsePolicy([]byte(`{
		"Version": "2012-10-17",
		"Statement": [ { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pics/é a/*" } ]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	compact := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/é a/*"}]}`
	if want := len([]rune(compact)); policy.Size() != want {
		t.Errorf("got %d, want %d", policy.Size(), want)
	}
	if got := (*trust.Policy)(nil).Size(); got != 0 {
		t.Errorf("nil: %d", got)
	}
}

// No format verb and no logger prints the external ID; the policy contains it.
func TestPolicyOptionsPrintNoExternalID(t *testing.T) {
	const secret = "external-id-0815"
	o := trust.PolicyOptions{Partition: "aws-cn", ExternalID: secret, KMSKeyARNs: []string{"arn:aws-cn:kms:x"}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "options", o, "pointer", &o)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "options", o, "pointer", &o)
	for _, v := range []any{o, &o, []trust.PolicyOptions{o}, struct{ Options trust.PolicyOptions }{o}} {
		if text, err := json.Marshal(v); err != nil {
			t.Error(err)
		} else {
			log.Write(text)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
	}
	if got := log.String(); strings.Contains(got, secret) || strings.Contains(got, hex.EncodeToString([]byte(secret))) {
		t.Errorf("printed %s", got)
	}
	if got := fmt.Sprintf("%+v", o); !strings.Contains(got, `ExternalID: "[redacted]"`) || !strings.Contains(got, "aws-cn") {
		t.Errorf("printed %s", got)
	}
	if got := fmt.Sprint(trust.PolicyOptions{}); !strings.Contains(got, `ExternalID: ""`) {
		t.Errorf("printed %s", got)
	}
	if policy := trust.RolePolicy("arn:aws-cn:iam::111122223333:role/hub", func(p *trust.PolicyOptions) { *p = o }).String(); !strings.Contains(policy, secret) {
		t.Errorf("the policy is %s", policy)
	}
}
