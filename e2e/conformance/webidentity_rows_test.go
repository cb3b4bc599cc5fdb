package conformance

import (
	"net/url"
	"strings"
	"time"
)

// xmlReply is what every answer of STS has.
var xmlReply = map[string]string{"Content-Type": "text/xml.*", "X-Amzn-Requestid": ".+"}

// bare is how Ceph differs in the headers of STS's answers.
const bare = "the document is a bare <Error>, the request id is in X-Amz-Request-Id"

// exchange is a call of AssumeRoleWithWebIdentity for role with the token of c,
// changed by edits ("Name", "value"; an empty value takes the parameter out).
func exchange(role string, c claims, edits ...string) func(*world) ask {
	return func(w *world) ask {
		form := url.Values{
			"Version": {"2011-06-15"}, "Action": {"AssumeRoleWithWebIdentity"},
			"RoleArn": {role}, "RoleSessionName": {"row"}, "WebIdentityToken": {w.token(c)},
		}
		return ask{form: edited(form, edits)}
	}
}

func edited(form url.Values, edits []string) url.Values {
	for i := 0; i < len(edits); i += 2 {
		form.Del(edits[i])
		if edits[i+1] != "" {
			form.Set(edits[i], edits[i+1])
		}
	}
	return form
}

// tampered is the exchange with a token that was changed after it was signed.
func tampered(role string, change func(parts []string) []string) func(*world) ask {
	return func(w *world) ask {
		token := strings.Join(change(strings.Split(w.token(claims{}), ".")), ".")
		return exchange(role, claims{}, "WebIdentityToken", token)(w)
	}
}

const (
	noOIDC  = "one account, and its IAM takes no issuer on loopback with a port"
	noChain = "there is no AssumeRole"
)

// onlyCeph are the differences of a row of STS: Ceph's, and that versitygw is
// not asked.
func onlyCeph(status int, code, why string) map[server]difference {
	return map[server]difference{gateway: {status: status, code: code, why: why}, versityServer: skip(noOIDC)}
}

// sameOnCeph is for rows that Ceph answers as AWS does.
func sameOnCeph() map[server]difference { return map[server]difference{versityServer: skip(noOIDC)} }

func webIdentityRows() []row {
	hub := roleARN(devAccount, "hub")
	const denied = "every refused identity is AccessDenied"
	return []row{
		{name: "web identity: admitted", ask: exchange(hub, claims{}), status: 200, header: xmlReply, doc: docWeb, differs: onlyCeph(200, "", bare)},
		{name: "web identity: fifteen minutes", ask: exchange(hub, claims{}, "DurationSeconds", "900"), status: 200, doc: docWeb, differs: sameOnCeph()},
		{name: "web identity: fourteen minutes", ask: exchange(hub, claims{}, "DurationSeconds", "899"), status: 400, code: "ValidationError", header: xmlReply, doc: docWeb,
			differs: onlyCeph(200, "", "rgw_sts_min_session_duration is set to 1 for short sessions")},
		{name: "web identity: more than the role's maximum", ask: exchange(hub, claims{}, "DurationSeconds", "7200"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: thirteen hours", ask: exchange(hub, claims{}, "DurationSeconds", "46800"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: another service account", ask: exchange(hub, claims{serviceAccount: "other"}), status: 403, code: "AccessDenied", header: xmlReply, doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", bare)},
		{name: "web identity: another audience", ask: exchange(hub, claims{audience: "elsewhere"}), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: expired", ask: exchange(hub, claims{issuedAgo: 3 * time.Hour}), status: 400, code: "ExpiredTokenException", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: issuer unknown", ask: exchange(hub, claims{foreign: true}), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no provider in the role's account", ask: exchange(roleARN(sharedAccount, "S3-Pics"), claims{}), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no such role", ask: exchange(roleARN(devAccount, "nobody"), claims{}), status: 403, code: "AccessDenied", doc: docWeb,
			differs: sameOnCeph()},
		{name: "web identity: signature of another token", ask: tampered(hub, func(p []string) []string { return []string{p[0], p[1], p[2][1:] + "A"} }), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no signature", ask: tampered(hub, func(p []string) []string { return []string{p[0], p[1], ""} }), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: algorithm none", ask: tampered(hub, func(p []string) []string { return []string{"eyJhbGciOiJub25lIn0", p[1], ""} }), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: two parts", ask: tampered(hub, func(p []string) []string { return p[:2] }), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: garbage", ask: exchange(hub, claims{}, "WebIdentityToken", "garbage"), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no token", ask: exchange(hub, claims{}, "WebIdentityToken", ""), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no role", ask: exchange("", claims{}, "RoleArn", ""), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: role without ARN", ask: exchange("hub", claims{}), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no session name", ask: exchange(hub, claims{}, "RoleSessionName", ""), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: session name with a slash", ask: exchange(hub, claims{}, "RoleSessionName", "team/app"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: session name of 65 characters", ask: exchange(hub, claims{}, "RoleSessionName", strings.Repeat("x", 65)), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: session policy is no JSON", ask: exchange(hub, claims{}, "Policy", "{"), status: 400, code: "MalformedPolicyDocument", doc: docWeb,
			differs: sameOnCeph()},
		{name: "no such action", ask: exchange(hub, claims{}, "Action", "AssumeNothing"), status: 400, code: "InvalidAction", doc: docErrors,
			differs: onlyCeph(405, "MethodNotAllowed", "another code")},
		{name: "no version", ask: exchange(hub, claims{}, "Version", ""), status: 400, code: "InvalidAction", doc: docErrors,
			differs: onlyCeph(200, "", "the version is not asked for")},
	}
}
