package awstest_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// TestWebIdentityRefusals is a table of requests that AWS refuses.
func TestWebIdentityRefusals(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(w *world)
		edits   []string // of a good request
		token   func(w *world) string

		status        int
		code, message string
	}{
		{name: "accepted", status: 200},

		{name: "no action", edits: []string{"Action", ""}, status: 400, code: "MissingAction"},
		{name: "unknown action", edits: []string{"Action", "AssumeRoot"}, status: 400, code: "InvalidAction", message: "Could not find operation AssumeRoot for version 2011-06-15"},
		{name: "no version", edits: []string{"Version", ""}, status: 400, code: "InvalidAction", message: "for version null"},
		{name: "old version", edits: []string{"Version", "2011-01-01"}, status: 400, code: "InvalidAction", message: "for version 2011-01-01"},
		{name: "GetCallerIdentity unsigned", edits: []string{"Action", "GetCallerIdentity"}, status: 403, code: "MissingAuthenticationToken"},
		{name: "AssumeRole unsigned", edits: []string{"Action", "AssumeRole"}, status: 403, code: "MissingAuthenticationToken"},

		{name: "no role", edits: []string{"RoleArn", ""}, status: 400, code: "ValidationError", message: "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"},
		{name: "short role", edits: []string{"RoleArn", "arn:aws:iam::1"}, status: 400, code: "ValidationError", message: "greater than or equal to 20"},
		{name: "role is no ARN", edits: []string{"RoleArn", "role/hub-reader-of-pictures"}, status: 400, code: "ValidationError", message: "role/hub-reader-of-pictures is invalid"},
		{name: "no session name", edits: []string{"RoleSessionName", ""}, status: 400, code: "ValidationError", message: "'roleSessionName'"},
		{name: "short session name", edits: []string{"RoleSessionName", "a"}, status: 400, code: "ValidationError", message: "1 validation error detected: Value 'a' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{name: "long session name", edits: []string{"RoleSessionName", strings.Repeat("x", 65)}, status: 400, code: "ValidationError", message: "less than or equal to 64"},
		{name: "slash in session name", edits: []string{"RoleSessionName", "team/app"}, status: 400, code: "ValidationError", message: `regular expression pattern: [\w+=,.@-]*`},
		{name: "umlaut in session name", edits: []string{"RoleSessionName", "käse"}, status: 400, code: "ValidationError", message: "regular expression"},
		{name: "two faults", edits: []string{"RoleSessionName", "/", "DurationSeconds", "1"}, status: 400, code: "ValidationError", message: "3 validation errors detected"},
		{name: "short duration", edits: []string{"DurationSeconds", "899"}, status: 400, code: "ValidationError", message: "greater than or equal to 900"},
		{name: "long duration", edits: []string{"DurationSeconds", "43201"}, status: 400, code: "ValidationError", message: "less than or equal to 43200"},
		{name: "duration is no number", edits: []string{"DurationSeconds", "1h"}, status: 400, code: "ValidationError", message: "'durationSeconds'"},
		{name: "longer than the role allows", edits: []string{"DurationSeconds", "3601"}, status: 400, code: "ValidationError", message: "exceeds the MaxSessionDuration set for this role"},
		{name: "as long as the role allows", prepare: func(w *world) { w.hub.SetMaxSessionDuration(12 * time.Hour) }, edits: []string{"DurationSeconds", "43200"}, status: 200},
		{name: "policy too long", edits: []string{"Policy", strings.Repeat(" ", 2049)}, status: 400, code: "ValidationError", message: "less than or equal to 2048"},
		{name: "policy is no JSON", edits: []string{"Policy", "{"}, status: 400, code: "MalformedPolicyDocument", message: "invalid Json"},
		{name: "policy is no policy", edits: []string{"Policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Permit"}]}`}, status: 400, code: "MalformedPolicyDocument", message: "Syntax errors in policy."},
		{name: "unknown managed policy", edits: []string{"PolicyArns.member.1.arn", "arn:aws:iam::111122223333:policy/none"}, status: 400, code: "ValidationError", message: "does not exist or is not attachable"},

		{name: "no token", edits: []string{"WebIdentityToken", ""}, status: 400, code: "ValidationError", message: "'webIdentityToken'"},
		{name: "short token", token: text("abc"), status: 400, code: "ValidationError", message: "Value at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4"},
		{name: "long token", token: text(strings.Repeat("x", 20001)), status: 400, code: "ValidationError", message: "less than or equal to 20000"},
		{name: "garbage token", token: text("not.a.token"), status: 400, code: "InvalidIdentityToken", message: "not a valid JWT"},
		{name: "trailing newline", token: func(w *world) string { return w.blue.Token("default", "app") + "\n" }, status: 400, code: "InvalidIdentityToken"},
		{name: "half a token", token: func(w *world) string { s := w.blue.Token("default", "app"); return s[:len(s)/2] }, status: 400, code: "InvalidIdentityToken"},
		{name: "claims changed", token: forge(`"alg":"RS256"`, `"alg":"RS256"`, "default", "kube-system"), status: 400, code: "InvalidIdentityToken", message: "could not be validated"},
		{name: "alg none", token: forge(`"alg":"RS256"`, `"alg":"none"`, "", ""), status: 400, code: "InvalidIdentityToken", message: "could not be validated"},
		{name: "alg HS256", token: forge(`"alg":"RS256"`, `"alg":"HS256"`, "", ""), status: 400, code: "InvalidIdentityToken", message: "could not be validated"},
		{name: "unknown kid", token: forge(`"kid":"`, `"kid":"x`, "", ""), status: 400, code: "InvalidIdentityToken", message: "could not be validated"},
		{name: "old key kept", token: rotated(false), status: 200},
		{name: "old key dropped", token: rotated(true), status: 400, code: "InvalidIdentityToken", message: "could not be validated"},
		{name: "another cloud's cluster", token: func(*world) string { return awstest.New().Cluster(blueIssuer).Token("default", "app") }, status: 400, code: "InvalidIdentityToken"},

		{name: "expired", token: claim(func(c *trust.Token) { c.Expires = time.Now().Add(-time.Second) }), status: 400, code: "ExpiredTokenException", message: "Token expired: current date/time"},
		{name: "not valid yet", token: claim(func(c *trust.Token) { c.NotBefore = time.Now().Add(time.Hour) }), status: 400, code: "ExpiredTokenException", message: "not valid yet"},
		{name: "no expiry", token: claim(func(c *trust.Token) { c.Expires = time.Time{} }), status: 400, code: "InvalidIdentityToken"},
		{name: "no subject", token: claim(func(c *trust.Token) { c.Subject = "" }), status: 400, code: "InvalidIdentityToken"},
		{name: "other audience", token: claim(func(c *trust.Token) { c.Audience = []string{"kubernetes.default.svc"} }), status: 400, code: "InvalidIdentityToken", message: "Incorrect token audience"},
		{name: "audience with a space", token: claim(func(c *trust.Token) { c.Audience = []string{"sts.amazonaws.com "} }), status: 400, code: "InvalidIdentityToken", message: "Incorrect token audience"},
		{name: "no audience", token: claim(func(c *trust.Token) { c.Audience = nil }), status: 400, code: "InvalidIdentityToken"},
		{name: "one audience of two", token: claim(func(c *trust.Token) { c.Audience = []string{"kubernetes.default.svc", "sts.amazonaws.com"} }), status: 200},
		{name: "client id not registered", prepare: func(w *world) { w.dev.AddOIDCProvider(w.blue, "elsewhere") }, status: 400, code: "InvalidIdentityToken", message: "Incorrect token audience"},

		{name: "issuer with a slash", token: claim(func(c *trust.Token) { c.Issuer += "/" }), status: 400, code: "InvalidIdentityToken", message: "No OpenIDConnect provider found in your account for " + blueIssuer + "/"},
		{name: "issuer in other case", token: claim(func(c *trust.Token) { c.Issuer = strings.ToLower(c.Issuer) }), status: 400, code: "InvalidIdentityToken", message: "No OpenIDConnect provider"},
		{name: "provider removed", prepare: func(w *world) { w.dev.RemoveOIDCProvider(w.blue) }, status: 400, code: "InvalidIdentityToken", message: "No OpenIDConnect provider found in your account for " + blueIssuer},
		{name: "provider in the cluster's account only", edits: []string{"RoleArn", targetARN}, status: 400, code: "InvalidIdentityToken", message: "No OpenIDConnect provider found in your account for " + blueIssuer},
		{name: "account unknown", edits: []string{"RoleArn", "arn:aws:iam::999999999999:role/hub"}, status: 400, code: "InvalidIdentityToken", message: "No OpenIDConnect provider"},
		{name: "green cluster not registered", token: func(w *world) string { return w.Cluster(greenIssuer).Token("default", "app") }, status: 400, code: "InvalidIdentityToken", message: greenIssuer},
		{name: "green cluster registered, not trusted", token: func(w *world) string {
			green := w.Cluster(greenIssuer)
			w.dev.AddOIDCProvider(green)
			return green.Token("default", "app")
		}, status: 403, code: "AccessDenied", message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"},

		{name: "role unknown", edits: []string{"RoleArn", "arn:aws:iam::111122223333:role/hubs"}, status: 403, code: "AccessDenied", message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{name: "role in other case", edits: []string{"RoleArn", "arn:aws:iam::111122223333:role/HUB"}, status: 403, code: "AccessDenied"},
		{name: "other namespace", token: func(w *world) string { return w.blue.Token("prod", "app") }, status: 403, code: "AccessDenied", message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{name: "other service account", token: func(w *world) string { return w.blue.Token("default", "app-2") }, status: 403, code: "AccessDenied"},
		{name: "wildcard under StringEquals", prepare: func(w *world) { w.hub.SetTrust(podTrust(devID, blueIssuer, "default", "*")) }, status: 403, code: "AccessDenied"},
		{name: "role trusts AWS principals only", prepare: func(w *world) { w.hub.SetTrust(roleTrust("*")) }, status: 403, code: "AccessDenied"},
		{name: "provider of another account trusted", prepare: func(w *world) { w.hub.SetTrust(podTrust(sharedID, blueIssuer, "default", "app")) }, status: 403, code: "AccessDenied"},
		{name: "session name prescribed", prepare: func(w *world) {
			w.hub.SetTrust(strings.Replace(podTrust(devID, blueIssuer, "default", "app"), `"StringEquals":{`, `"StringEquals":{"sts:RoleSessionName":"other",`, 1))
		}, status: 403, code: "AccessDenied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func(t *testing.T, w *world, client doer, endpoint string) {
				if test.prepare != nil {
					test.prepare(w)
				}
				form := webIdentityForm(w, test.edits...)
				if test.token != nil {
					form.Set("WebIdentityToken", test.token(w))
				}
				post(t, client, endpoint, form, nil).expect(t, w, test.status, test.code, test.message)
				switch last := w.Calls()[len(w.Calls())-1]; test.code {
				case "InvalidIdentityToken", "ExpiredTokenException", "AccessDenied":
					if last.Explain == "" || last.Explain == last.Code || last.Allowed != "" {
						t.Errorf("the refusal is explained by %q, and allowed by %q", last.Explain, last.Allowed)
					}
				}
				for _, call := range w.Calls() {
					if secret := form.Get("WebIdentityToken"); secret != "" && strings.Contains(fmt.Sprintf("%+v", call), secret) {
						t.Errorf("the token is in the record: %+v", call)
					}
				}
			})
		})
	}
}

func text(s string) func(*world) string { return func(*world) string { return s } }

// claim is a token of blue with a claim changed before it was signed.
func claim(edit func(*trust.Token)) func(*world) string {
	return func(w *world) string { return w.blue.Token("default", "app", edit) }
}

// forge is a token whose header and claims were changed after it was signed.
func forge(oldHeader, newHeader, oldClaim, newClaim string) func(*world) string {
	return func(w *world) string {
		parts := strings.Split(w.blue.Token("default", "app"), ".")
		for i, change := range [][2]string{{oldHeader, newHeader}, {oldClaim, newClaim}} {
			b, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err != nil || !strings.Contains(string(b), change[0]) {
				panic(fmt.Sprintf("no %s in %s", change[0], b))
			}
			if change[0] != "" {
				b = []byte(strings.ReplaceAll(string(b), change[0], change[1]))
			}
			parts[i] = base64.RawURLEncoding.EncodeToString(b)
		}
		return strings.Join(parts, ".")
	}
}

// rotated is a token signed before the cluster changed keys.
func rotated(drop bool) func(*world) string {
	return func(w *world) string {
		token := w.blue.Token("default", "app")
		w.blue.RotateKeys()
		if drop {
			w.blue.DropOldKeys()
		}
		return token
	}
}
