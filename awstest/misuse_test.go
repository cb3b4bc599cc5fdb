package awstest_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
)

func TestMisuse(t *testing.T) {
	const allow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
	for name, test := range map[string]struct {
		misuse func(w *world)
		says   []string
	}{
		"account id":          {func(w *world) { w.Account("1234") }, []string{`Account("1234")`, "12 digits"}},
		"http issuer":         {func(w *world) { w.Cluster("http://x") }, []string{`Cluster("http://x")`, "https"}},
		"issuer with slash":   {func(w *world) { w.Cluster(blueIssuer + "/") }, []string{"trailing slash"}},
		"issuer with a port":  {func(w *world) { w.Cluster("https://oidc.example.com:8443/x") }, []string{"Cluster(\"https://oidc.example.com:8443/x\")", "port number"}},
		"issuer with a user":  {func(w *world) { w.Cluster("https://me@oidc.example.com") }, []string{"user name"}},
		"issuer with a query": {func(w *world) { w.Cluster("https://oidc.example.com/?x") }, []string{"query"}},
		"issuer with a hash":  {func(w *world) { w.Cluster("https://oidc.example.com/#x") }, []string{"fragment"}},
		"issuer without host": {func(w *world) { w.Cluster("https:///x") }, []string{"host"}},
		"long issuer": {func(w *world) { w.Cluster("https://oidc.example.com/" + strings.Repeat("x", 231)) }, []string{
			"Value at 'url' failed to satisfy constraint: Member must have length less than or equal to 255",
		}},
		"long trust policy": {func(w *world) { w.dev.CreateRole("x", longTrust(2049), "") }, []string{
			`CreateRole("x")`, "Cannot exceed quota for ACLSizePerRole: 2048", "2049 characters", "SetTrustPolicyLimit",
		}},
		"longest trust policy": {func(w *world) {
			w.dev.SetTrustPolicyLimit(8192)
			w.dev.CreateRole("x", longTrust(8192), "")
			w.hub.SetTrust(longTrust(8193))
		}, []string{"SetTrust of " + hubARN, "ACLSizePerRole: 8192"}},
		"limit too high":       {func(w *world) { w.dev.SetTrustPolicyLimit(8193) }, []string{"8193", "2048 to 8192"}},
		"long identity policy": {func(w *world) { w.dev.CreateRole("x", roleTrust(devID), longIdentity(10241)) }, []string{"Maximum policy size of 10240 bytes exceeded for role x"}},
		"longer by SetPolicy":  {func(w *world) { w.hub.SetPolicy(longIdentity(10240)); w.hub.SetPolicy(longIdentity(10241)) }, []string{"Maximum policy size of 10240 bytes exceeded for role hub"}},
		"long policy of a user": {func(w *world) {
			w.dev.UserCredentials("a", longIdentity(2048))
			w.dev.UserCredentials("b", longIdentity(2049))
		}, []string{"Maximum policy size of 2048 bytes exceeded for user b"}},
		"101 client ids": {func(w *world) { w.dev.AddOIDCProvider(w.blue, slices.Repeat([]string{"a"}, 101)...) }, []string{"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"}},
		"101 providers": {func(w *world) {
			for i := range 101 {
				w.Account("777788889999").AddOIDCProvider(w.Cluster(fmt.Sprintf("https://oidc.example.com/%d", i)))
			}
		}, []string{"https://oidc.example.com/100", "Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100"}},
		"role twice":          {func(w *world) { w.dev.CreateRole("HUB", roleTrust(devID), "") }, []string{`CreateRole("HUB")`, "already", "SetTrust"}},
		"role name":           {func(w *world) { w.dev.CreateRole("a b", roleTrust(devID), "") }, []string{`CreateRole("a b")`, "letters"}},
		"role path":           {func(w *world) { w.dev.CreateRole("a//b", roleTrust(devID), "") }, []string{"path"}},
		"trust is no JSON":    {func(w *world) { w.dev.CreateRole("x", "{", "") }, []string{`CreateRole("x")`, "trust policy"}},
		"trust is empty":      {func(w *world) { w.dev.CreateRole("x", "", "") }, []string{"trust policy"}},
		"trust with resource": {func(w *world) { w.dev.CreateRole("x", allow, "") }, []string{"trust policy", "Principal", "Resource"}},
		"identity is a trust": {func(w *world) { w.hub.SetPolicy(roleTrust(devID)) }, []string{"SetPolicy of " + hubARN, "identity policy", "Principal"}},
		"unknown principal":   {func(w *world) { w.hub.SetTrust(roleTrust("arn:aws:iam::444455556666:role/none")) }, []string{"Invalid principal in policy", "role/none", "create it first"}},
		"unknown user":        {func(w *world) { w.hub.SetTrust(roleTrust("arn:aws:iam::444455556666:user/none")) }, []string{"Invalid principal in policy", "UserCredentials"}},
		"all but a principal": {func(w *world) {
			w.hub.SetTrust(strings.Replace(roleTrust(devID), `"Principal"`, `"NotPrincipal"`, 1))
		}, []string{"trust policy", "statement 0", "NotPrincipal", "aws:PrincipalArn"}},
		"wildcard principal":      {func(w *world) { w.hub.SetTrust(roleTrust("arn:aws:iam::444455556666:role/*")) }, []string{"wildcard"}},
		"session of half an hour": {func(w *world) { w.hub.SetMaxSessionDuration(30 * time.Minute) }, []string{"30m0s", "1h to 12h"}},
		"user twice":              {func(w *world) { w.dev.UserCredentials("a", ""); w.dev.UserCredentials("a", "") }, []string{`UserCredentials("a")`, "already"}},
		"admin's name taken":      {func(w *world) { w.dev.UserCredentials("awstest-admin", ""); w.dev.AdminKey() }, []string{"AdminKey", "awstest-admin already exists"}},
		"foreign cluster":         {func(w *world) { w.dev.AddOIDCProvider(awstest.New().Cluster(greenIssuer)) }, []string{greenIssuer, "another cloud"}},
		"empty client id":         {func(w *world) { w.dev.AddOIDCProvider(w.blue, "") }, []string{"client id", "1 to 255"}},
		"misspelt operation":      {func(w *world) { w.Fault(awstest.Fault{Operation: "AssumeRoles"}) }, []string{"AssumeRoles", "AssumeRoleWithWebIdentity"}},
		"misspelt region":         {func(w *world) { w.Fault(awstest.Fault{Region: "Ireland"}) }, []string{"Ireland", "eu-west-1"}},
		"STS in no region":        {func(w *world) { w.dev.DisableSTSRegion("Ireland") }, []string{"Ireland", "111122223333", "eu-west-1"}},
		"STS in us-east-1":        {func(w *world) { w.dev.DisableSTSRegion("us-east-1") }, []string{"cannot be deactivated"}},
		"part of a second":        {func(w *world) { w.Fault(awstest.Fault{SessionLife: 1500 * time.Millisecond}) }, []string{"1.5s", "whole seconds"}},
		"code without status":     {func(w *world) { w.Fault(awstest.Fault{Code: "Throttling"}) }, []string{"Throttling", "Status"}},
		"end before the start":    {func(w *world) { w.Fault(awstest.Fault{EndAfter: new(int64(-1))}) }, []string{"EndAfter", "negative"}},
		"volume of another pod": {func(w *world) {
			dir := t.TempDir()
			w.blue.Pod(dir, "a", "b", hubARN)
			w.blue.Pod(dir, "a", "c", hubARN)
		}, []string{"directory of its own"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			defer func() {
				message := fmt.Sprint(recover())
				for _, want := range append(test.says, "awstest: ") {
					if !strings.Contains(message, want) {
						t.Errorf("panic %q does not say %q", message, want)
					}
				}
				w.Calls() // the cloud is not left locked
			}()
			test.misuse(w)
		})
	}
}

// longTrust returns a trust policy of that many characters, and white space that
// does not count.
func longTrust(characters int) string {
	document := roleTrust(devID)
	missing := characters - len(document)
	return strings.Replace(document, `"Effect"`, `"Condition":{"StringNotEquals":{"aws:username":"`+strings.Repeat(" ", missing-len(`"Condition":{"StringNotEquals":{"aws:username":""}},`))+`"}},  "Effect"`, 1)
}

// longIdentity returns an identity policy of that many characters, and white space
// that does not count.
func longIdentity(characters int) string {
	const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/"}]}`
	return strings.Replace(document, `pics/"`, "pics/"+strings.Repeat("x", characters-len(document))+"\"\n\t ", 1)
}

func decodeSegment(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lookUp walks a JSON document along names and indexes joined by dots; the name
// kubernetes.io has a dot of its own.
func lookUp(v any, path string) string {
	for name := range strings.SplitSeq(strings.ReplaceAll(path, "kubernetes.io", "kubernetes\x00io"), ".") {
		switch node := v.(type) {
		case map[string]any:
			v = node[strings.ReplaceAll(name, "\x00", ".")]
		case []any:
			v = node[name[0]-'0']
		}
	}
	s, _ := v.(string)
	return s
}
