package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// xmlReply matches the headers of every response of STS.
var xmlReply = map[string]string{"Content-Type": "text/xml.*", "X-Amzn-Requestid": ".+", "Www-Authenticate": ""}

// bare is the difference of Ceph in the headers of STS's responses.
func bare(status int, code string) map[server]difference {
	return map[server]difference{gateway: {
		status: status, code: code, header: map[string]string{"Content-Type": "application/xml", "X-Amzn-Requestid": "", "X-Amz-Request-Id": ".+"},
		why: "the document is S3's, the request id is in X-Amz-Request-Id",
	}}
}

// exchange returns an AssumeRoleWithWebIdentity request for role with the token of c,
// changed by edits ("Name", "value"; an empty value removes the parameter).
func exchange(role string, c claims, edits ...string) func(*world) ask {
	return func(w *world) ask {
		form := url.Values{
			"Version": {"2011-06-15"}, "Action": {"AssumeRoleWithWebIdentity"},
			"RoleArn": {strings.Replace(role, devAccount, w.account(devAccount), 1)}, "RoleSessionName": {"row"}, "WebIdentityToken": {w.token(c)},
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

// tampered returns the same request with a token that was changed after signing.
func tampered(role string, change func(parts []string) []string) func(*world) ask {
	return func(w *world) ask {
		token := strings.Join(change(strings.Split(w.token(claims{}), ".")), ".")
		return exchange(role, claims{}, "WebIdentityToken", token)(w)
	}
}

const noChain = "there is no AssumeRole"

// unreachable is the response of unmodified versitygw for a token that it would admit:
// it fetches no keys from loopback or private addresses.
const unreachable = "Couldn(.|&#39;)t retrieve verification key"

// onlyCeph returns a difference that only Ceph has.
func onlyCeph(status int, code, why string) map[server]difference {
	return map[server]difference{gateway: {status: status, code: code, why: why}}
}

func webIdentityRows() []row {
	hub := roleARN(devAccount, "hub")
	const denied = "every refused identity is AccessDenied"
	return []row{
		{name: "web identity: admitted", ask: exchange(hub, claims{}), status: 200, header: xmlReply, doc: docWeb, differs: bare(200, "")},
		{name: "web identity: fifteen minutes", ask: exchange(hub, claims{}, "DurationSeconds", "900"), status: 200, doc: docWeb},
		{name: "web identity: fourteen minutes", ask: exchange(hub, claims{}, "DurationSeconds", "899"), status: 400, code: "ValidationError", header: xmlReply, doc: docWeb,
			differs: onlyCeph(200, "", "rgw_sts_min_session_duration is set to 1 for short sessions")},
		{name: "web identity: more than the role's maximum", ask: exchange(hub, claims{}, "DurationSeconds", "7200"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: thirteen hours", ask: exchange(hub, claims{}, "DurationSeconds", "46800"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: another service account", ask: exchange(hub, claims{serviceAccount: "other"}), status: 403, code: "AccessDenied", header: xmlReply, doc: docWeb,
			differs: bare(403, "AccessDenied")},
		{name: "web identity: another audience", ask: exchange(hub, claims{audience: "elsewhere"}), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: expired", ask: exchange(hub, claims{issuedAgo: 3 * time.Hour}), status: 400, code: "ExpiredTokenException", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: issuer unknown", ask: exchange(hub, claims{cluster: "foreign"}), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no provider in the role's account", ask: exchange(roleARN(sharedAccount, "S3-Pics"), claims{}), status: 400, code: "InvalidIdentityToken", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no such role", ask: exchange(roleARN(devAccount, "missing"), claims{}), status: 403, code: "AccessDenied", doc: docWeb},
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
		{name: "web identity: keys unreachable", ask: exchange(roleARN(devAccount, "deaf"), claims{cluster: "silent"}), status: 400, code: "InvalidIdentityToken", match: []string{unreachable}, doc: docKeys,
			differs: map[server]difference{gateway: {status: 403, code: "AccessDenied", why: denied}, double: skip("fetches no keys, they are always there: package documentation")}},
		{name: "web identity: by GET", ask: with(exchange(hub, claims{}), func(_ *world, a *ask) { a.method = http.MethodGet }), status: 200, doc: docQuery},
		{name: "web identity: token of three characters", ask: exchange(hub, claims{}, "WebIdentityToken", "abc"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: token of 20,001 characters", ask: exchange(hub, claims{}, "WebIdentityToken", strings.Repeat("x", 20001)), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no token", ask: exchange(hub, claims{}, "WebIdentityToken", ""), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no role", ask: exchange("", claims{}, "RoleArn", ""), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: role without ARN", ask: exchange("hub", claims{}), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: no session name", ask: exchange(hub, claims{}, "RoleSessionName", ""), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(403, "AccessDenied", denied)},
		{name: "web identity: session name of one character", ask: exchange(hub, claims{}, "RoleSessionName", "x"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: session name with a slash", ask: exchange(hub, claims{}, "RoleSessionName", "team/app"), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: session name of 65 characters", ask: exchange(hub, claims{}, "RoleSessionName", strings.Repeat("x", 65)), status: 400, code: "ValidationError", doc: docWeb,
			differs: onlyCeph(400, "InvalidArgument", "another code")},
		{name: "web identity: session policy is no JSON", ask: exchange(hub, claims{}, "Policy", "{"), status: 400, code: "MalformedPolicyDocument", doc: docWeb},
		{name: "web identity: session policy with a principal", ask: exchange(hub, claims{}, "Policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`), status: 400, code: "MalformedPolicyDocument", doc: docWeb},
		{name: "no action", ask: exchange(hub, claims{}, "Action", ""), status: 400, code: "MissingAction", doc: docErrors},
		{name: "no such action", ask: exchange(hub, claims{}, "Action", "AssumeNothing"), status: 400, code: "InvalidAction", doc: docErrors,
			differs: onlyCeph(405, "MethodNotAllowed", "another code")},
		{name: "no version", ask: exchange(hub, claims{}, "Version", ""), status: 400, code: "InvalidAction", doc: docErrors,
			differs: onlyCeph(200, "", "the version is not asked for")},
	}
}
