package awstest_test

import (
	"encoding/base64"
	"fmt"
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
		"foreign cluster":         {func(w *world) { w.dev.AddOIDCProvider(awstest.New().Cluster(greenIssuer)) }, []string{greenIssuer, "another cloud"}},
		"empty client id":         {func(w *world) { w.dev.AddOIDCProvider(w.blue, "") }, []string{"client id", "1 to 255"}},
		"misspelt operation":      {func(w *world) { w.Fault(awstest.Fault{Operation: "AssumeRoles"}) }, []string{"AssumeRoles", "AssumeRoleWithWebIdentity"}},
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
