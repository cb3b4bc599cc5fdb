package awstest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	hubSessionARN = "arn:aws:sts::111122223333:assumed-role/hub/pod"

	tagKey, tagValue = "Tags.member.1.Key", "Tags.member.1.Value"
)

func refusedAction(action string) string {
	return "User: " + hubSessionARN + " is not authorized to perform: " + action + " on resource: " + targetARN
}

// TestAssumeRoleRefusals is a table of requests that the hub's session makes.
func TestAssumeRoleRefusals(t *testing.T) {
	const anyAction = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`
	trusting := func(principal, condition string) func(*world) {
		return func(w *world) {
			w.target.SetTrust(strings.Replace(roleTrust(principal), `]}]}`, `],"Condition":{`+condition+`}}]}`, 1))
		}
	}
	tests := []struct {
		name    string
		prepare func(w *world)
		edits   []string // of a good request

		status        int
		code, message string
	}{
		{name: "accepted", status: 200},
		{name: "short session name", edits: []string{"RoleSessionName", "a"}, status: 400, code: "ValidationError", message: "'roleSessionName'"},
		{name: "short external id", edits: []string{"ExternalId", "x"}, status: 400, code: "ValidationError", message: "'externalId' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{name: "long external id", edits: []string{"ExternalId", strings.Repeat("x", 1225)}, status: 400, code: "ValidationError", message: "less than or equal to 1224"},
		{name: "space in external id", edits: []string{"ExternalId", "a b"}, status: 400, code: "ValidationError", message: "regular expression"},
		{name: "short source identity", edits: []string{"SourceIdentity", "a"}, status: 400, code: "ValidationError", message: "'sourceIdentity'"},
		{name: "long tag key", edits: []string{tagKey, strings.Repeat("k", 129), tagValue, "v"}, status: 400, code: "ValidationError", message: "'tags.1.member.key'"},
		{name: "long tag value", edits: []string{tagKey, "k", tagValue, strings.Repeat("v", 257)}, status: 400, code: "ValidationError", message: "'tags.1.member.value'"},
		{name: "tag key with a bracket", edits: []string{tagKey, "k<", tagValue, "v"}, status: 400, code: "ValidationError", message: "regular expression"},
		{name: "reserved tag key", edits: []string{tagKey, "aws:x", tagValue, "v"}, status: 400, code: "ValidationError", message: "reserved"},
		{name: "51 tags", edits: manyTags(51, "k", "v"), status: 400, code: "ValidationError", message: "'tags' failed to satisfy constraint"},
		{name: "50 tags", edits: manyTags(50, "k", "v"), status: 200},
		{name: "50 large tags", edits: manyTags(50, strings.Repeat("k", 20), strings.Repeat("v", 30)), status: 400, code: "PackedPolicyTooLarge", message: "Packed policy consumes 127% of allotted space"},
		{name: "tag twice", edits: append(manyTags(1, "Team", "a"), "Tags.member.2.Key", "tEAM1", "Tags.member.2.Value", "b"), status: 400, code: "InvalidParameterValue", message: "Duplicate tag keys"},
		{name: "transitive key without tag", edits: []string{"TransitiveTagKeys.member.1", "team"}, status: 400, code: "InvalidParameterValue", message: "must be included in the requested tags"},
		{name: "11 policies", edits: manyPolicies(11), status: 400, code: "ValidationError", message: "'policyArns'"},
		{name: "two managed policies", edits: manyPolicies(2), status: 200},
		{name: "chained longer than an hour", prepare: func(w *world) { w.target.SetMaxSessionDuration(4 * time.Hour) }, edits: []string{"DurationSeconds", "3601"}, status: 400, code: "ValidationError", message: "exceeds the 1 hour session limit for roles assumed by role chaining"},

		{name: "session token as large as may be", edits: []string{"MinimumSessionTokenSize", "4096"}, status: 200, message: ""},
		{name: "session token too large", edits: []string{"MinimumSessionTokenSize", "4097"}, status: 400, code: "ValidationError", message: "'minimumSessionTokenSize'"},
		{name: "MFA", edits: []string{"SerialNumber", "arn:aws:iam::111122223333:mfa/ann"}, status: 501, code: "NotImplemented", message: "SerialNumber"},

		{name: "role unknown", edits: []string{"RoleArn", targetARN + "s"}, status: 403, code: "AccessDenied", message: "is not authorized to perform: sts:AssumeRole on resource: " + targetARN + "s"},
		{name: "role without its path", edits: []string{"RoleArn", "arn:aws:iam::444455556666:role/S3_Pics"}, status: 403, code: "AccessDenied"},
		{name: "other partition", edits: []string{"RoleArn", strings.Replace(targetARN, "arn:aws:", "arn:aws-cn:", 1)}, status: 403, code: "AccessDenied"},

		{name: "hub may assume nothing", prepare: func(w *world) { w.hub.SetPolicy("") }, status: 403, code: "AccessDenied", message: refusedAction("sts:AssumeRole")},
		{name: "hub may assume another role", prepare: func(w *world) {
			w.hub.SetPolicy(strings.Replace(allowAssume, `"Resource":"*"`, `"Resource":"`+targetARN+`2"`, 1))
		}, status: 403, code: "AccessDenied", message: refusedAction("sts:AssumeRole")},
		{name: "hub is denied", prepare: func(w *world) {
			w.hub.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}`)
		}, status: 403, code: "AccessDenied"},
		{name: "target trusts another role", prepare: func(w *world) {
			w.target.SetTrust(roleTrust(w.dev.CreateRole("other", podTrust(devID, blueIssuer, "x", "y"), "").ARN()))
		}, status: 403, code: "AccessDenied", message: refusedAction("sts:AssumeRole")},
		{name: "target trusts another account", prepare: func(w *world) { w.target.SetTrust(roleTrust("777788889999")) }, status: 403, code: "AccessDenied"},
		{name: "target trusts its own account", prepare: func(w *world) { w.target.SetTrust(roleTrust(sharedID)) }, status: 403, code: "AccessDenied"},
		{name: "target trusts the hub's account", prepare: func(w *world) { w.target.SetTrust(roleTrust("arn:aws:iam::111122223333:root")) }, status: 200},
		{name: "target trusts the hub's account by id", prepare: func(w *world) { w.target.SetTrust(roleTrust(devID)) }, status: 200},
		{name: "target trusts the hub's session", prepare: func(w *world) { w.target.SetTrust(roleTrust(hubSessionARN)) }, status: 200},
		{name: "target trusts another session", prepare: func(w *world) { w.target.SetTrust(roleTrust(hubSessionARN + "-2")) }, status: 403, code: "AccessDenied"},
		{name: "hub's account trusted, hub may nothing", prepare: func(w *world) {
			w.target.SetTrust(roleTrust(devID))
			w.hub.SetPolicy("")
		}, status: 403, code: "AccessDenied"},
		{name: "trust denies", prepare: func(w *world) {
			w.target.SetTrust(strings.Replace(roleTrust(hubARN), `"Statement":[`, `"Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"},`, 1))
		}, status: 403, code: "AccessDenied"},

		{name: "external id asked for", prepare: trusting(hubARN, `"StringEquals":{"sts:ExternalId":"e-1"}`), edits: []string{"ExternalId", "e-1"}, status: 200},
		{name: "external id missing", prepare: trusting(hubARN, `"StringEquals":{"sts:ExternalId":"e-1"}`), status: 403, code: "AccessDenied", message: refusedAction("sts:AssumeRole")},
		{name: "external id wrong", prepare: trusting(hubARN, `"StringEquals":{"sts:ExternalId":"e-1"}`), edits: []string{"ExternalId", "e-2"}, status: 403, code: "AccessDenied"},
		{name: "session name prescribed", prepare: trusting(hubARN, `"StringLike":{"sts:RoleSessionName":"x-*"}`), status: 403, code: "AccessDenied"},
		{name: "principal ARN asked for", prepare: trusting(devID, `"ArnEquals":{"aws:PrincipalArn":"`+hubARN+`"}`), status: 200},
		{name: "other principal ARN asked for", prepare: trusting(devID, `"ArnLike":{"aws:PrincipalArn":"`+hubARN+`/*"}`), status: 403, code: "AccessDenied"},
		{name: "principal account asked for", prepare: trusting("*", `"StringEquals":{"aws:PrincipalAccount":"111122223333"}`), status: 200},
		{name: "request tag asked for", prepare: trusting(hubARN, `"StringEquals":{"aws:RequestTag/team":"pics"}`), edits: []string{tagKey, "team", tagValue, "pics"}, status: 200},
		{name: "request tag wrong", prepare: trusting(hubARN, `"StringEquals":{"aws:RequestTag/team":"pics"}`), edits: []string{tagKey, "team", tagValue, "docs"}, status: 403, code: "AccessDenied"},
		{name: "tag keys limited", prepare: trusting(hubARN, `"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`), edits: []string{tagKey, "env", tagValue, "x"}, status: 403, code: "AccessDenied"},
		{name: "transitive keys limited", prepare: trusting(hubARN, `"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":["team"]}`), edits: []string{tagKey, "env", tagValue, "x", "TransitiveTagKeys.member.1", "env"}, status: 403, code: "AccessDenied"},
		{name: "source identity asked for", prepare: trusting(hubARN, `"StringEquals":{"sts:SourceIdentity":"ann"}`), edits: []string{"SourceIdentity", "bob"}, status: 403, code: "AccessDenied"},

		{name: "tags not trusted", prepare: func(w *world) {
			w.target.SetTrust(strings.Replace(roleTrust(hubARN), `"sts:TagSession",`, "", 1))
		}, edits: []string{tagKey, "k", tagValue, "v"}, status: 403, code: "AccessDenied", message: refusedAction("sts:TagSession")},
		{name: "hub may not tag", prepare: func(w *world) { w.hub.SetPolicy(strings.Replace(allowAssume, `"sts:TagSession",`, "", 1)) }, edits: []string{tagKey, "k", tagValue, "v"}, status: 403, code: "AccessDenied", message: refusedAction("sts:TagSession")},
		{name: "source identity not trusted", prepare: func(w *world) {
			w.target.SetTrust(strings.Replace(roleTrust(hubARN), `,"sts:SetSourceIdentity"`, "", 1))
		}, edits: []string{"SourceIdentity", "ann"}, status: 403, code: "AccessDenied", message: refusedAction("sts:SetSourceIdentity")},
		{name: "hub may not set a source identity", prepare: func(w *world) { w.hub.SetPolicy(strings.Replace(allowAssume, `,"sts:SetSourceIdentity"`, "", 1)) }, edits: []string{"SourceIdentity", "ann"}, status: 403, code: "AccessDenied", message: refusedAction("sts:SetSourceIdentity")},

		{name: "within an account, role trusted", prepare: func(w *world) {
			w.dev.CreateRole("next", roleTrust(hubARN), "")
			w.hub.SetPolicy("")
		}, edits: []string{"RoleArn", "arn:aws:iam::111122223333:role/next"}, status: 200},
		{name: "within an account, account trusted", prepare: func(w *world) {
			w.dev.CreateRole("next", roleTrust(devID), "")
			w.hub.SetPolicy("")
		}, edits: []string{"RoleArn", "arn:aws:iam::111122223333:role/next"}, status: 403, code: "AccessDenied"},
		{name: "within an account, account trusted, hub allowed", prepare: func(w *world) { w.dev.CreateRole("next", roleTrust(devID), ""); w.hub.SetPolicy(anyAction) }, edits: []string{"RoleArn", "arn:aws:iam::111122223333:role/next"}, status: 200},
		{name: "within an account, no one trusted", prepare: func(w *world) {
			w.dev.CreateRole("next", roleTrust(sharedID), "")
			w.hub.SetPolicy(anyAction)
		}, edits: []string{"RoleArn", "arn:aws:iam::111122223333:role/next"}, status: 403, code: "AccessDenied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func(t *testing.T, w *world, client doer, endpoint string) {
				if test.prepare != nil {
					test.prepare(w)
				}
				post(t, client, endpoint, assumeForm(test.edits...), new(w.hubSession(t))).expect(t, w, test.status, test.code, test.message)
			})
		})
	}
}

func manyTags(n int, key, value string) []string {
	var edits []string
	for i := 1; i <= n; i++ {
		edits = append(edits, fmt.Sprintf("Tags.member.%d.Key", i), fmt.Sprint(key, i), fmt.Sprintf("Tags.member.%d.Value", i), value)
	}
	return edits
}

func manyPolicies(n int) []string {
	var edits []string
	for i := 1; i <= n; i++ {
		edits = append(edits, fmt.Sprintf("PolicyArns.member.%d.arn", i), "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
	}
	return edits
}

// TestUserAssumesLongSession shows that the one-hour cap is for roles' sessions
// only.
func TestUserAssumesLongSession(t *testing.T) {
	w := newWorld()
	w.target.SetMaxSessionDuration(4 * time.Hour)
	ann := w.dev.UserCredentials("ann", allowAssume)
	w.target.SetTrust(roleTrust("arn:aws:iam::111122223333:user/ann"))
	client, endpoint := w.Config().HTTPClient, "https://sts.us-east-1.amazonaws.com"
	post(t, client, endpoint, assumeForm("DurationSeconds", "14400"), &ann).expect(t, w, 200, "", "")
	post(t, client, endpoint, assumeForm("DurationSeconds", "14401"), &ann).expect(t, w, 400, "ValidationError", "MaxSessionDuration")
	bob := w.dev.UserCredentials("bob", allowAssume)
	post(t, client, endpoint, assumeForm(), &bob).expect(t, w, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/bob is not authorized")
}

// TestRecreatedRole shows that a trust policy means the role that it named, not
// a later one of the same name.
func TestRecreatedRole(t *testing.T) {
	w := newWorld()
	client, endpoint := w.Config().HTTPClient, "https://sts.us-east-1.amazonaws.com"
	old := w.hubSession(t)
	w.dev.DeleteRole(w.hub)
	post(t, client, endpoint, assumeForm(), &old).expect(t, w, 403, "InvalidClientTokenId", "")

	w.hub = w.dev.CreateRole("hub", podTrust(devID, blueIssuer, "default", "app"), allowAssume)
	session := w.hubSession(t)
	post(t, client, endpoint, assumeForm(), &session).expect(t, w, 403, "AccessDenied", refusedAction("sts:AssumeRole"))
	w.target.SetTrust(roleTrust(hubARN))
	post(t, client, endpoint, assumeForm(), &session).expect(t, w, 200, "", "")
}
