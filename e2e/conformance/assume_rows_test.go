package conformance

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// assume returns an AssumeRole request signed by the hub's session.
func assume(role string, edits ...string) func(*world) ask {
	return func(w *world) ask {
		form := url.Values{"Version": {"2011-06-15"}, "Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {"row"}}
		return ask{form: edited(form, edits), signer: &w.hub}
	}
}

// with changes the request that build returns.
func with(build func(*world) ask, change func(w *world, a *ask)) func(*world) ask {
	return func(w *world) ask {
		a := build(w)
		change(w, &a)
		return a
	}
}

// by signs the request with changed keys.
func by(build func(*world) ask, change func(c *aws.Credentials)) func(*world) ask {
	return with(build, func(_ *world, a *ask) {
		c := *a.signer
		change(&c)
		a.signer = &c
	})
}

func assumeRows() []row {
	pics := roleARN(sharedAccount, "S3-Pics")
	bareOnCeph := func(status int, code string) map[server]difference {
		d := bare(status, code)
		d[versityServer] = skip(noChain)
		return d
	}
	onCeph := func(status int, code, why string) map[server]difference {
		return map[server]difference{gateway: {status: status, code: code, why: why}, versityServer: skip(noChain)}
	}
	same := map[server]difference{versityServer: skip(noChain)}
	identity := func(w *world) ask {
		return ask{form: url.Values{"Version": {"2011-06-15"}, "Action": {"GetCallerIdentity"}}, signer: &w.reader}
	}
	noIdentity := map[server]difference{gateway: {status: 405, code: "MethodNotAllowed", why: "there is no GetCallerIdentity"}, versityServer: skip("the owner's long-term keys have no session")}
	return []row{
		{name: "assume: across accounts", ask: assume(pics), status: 200, header: xmlReply, doc: docAssume, differs: bareOnCeph(200, "")},
		{name: "assume: an hour", ask: assume(pics, "DurationSeconds", "3600"), status: 200, doc: docChain, differs: same},
		{name: "assume: chained for two hours", ask: assume(pics, "DurationSeconds", "7200"), status: 400, code: "ValidationError", doc: docChain, differs: onCeph(400, "InvalidArgument", "another code")},
		{name: "assume: fourteen minutes", ask: assume(pics, "DurationSeconds", "899"), status: 400, code: "ValidationError", doc: docAssume,
			differs: onCeph(200, "", "rgw_sts_min_session_duration is set to 1 for short sessions")},
		{name: "assume: role trusts another", ask: assume(roleARN(sharedAccount, "S3-Pics-closed")), status: 403, code: "AccessDenied", header: xmlReply, doc: docAssume, differs: bareOnCeph(403, "AccessDenied")},
		{name: "assume: the caller's own policy does not allow", ask: with(assume(roleARN(sharedAccount, "S3-Pics-closed")), func(w *world, a *ask) { a.signer = &w.mute }), status: 403, code: "AccessDenied", doc: docAcross,
			differs: onCeph(200, "", "the caller's own policy is not asked")},
		{name: "assume: by an expired session", ask: with(assume(pics), func(w *world, a *ask) { a.signer = w.expired(w.t) }), status: 403, code: "ExpiredToken", doc: docErrors,
			differs: onCeph(403, "AccessDenied", "another code")},
		{name: "assume: source identity without sts:SetSourceIdentity", ask: assume(pics, "SourceIdentity", "alice"), status: 403, code: "AccessDenied", doc: docAssume,
			differs: onCeph(200, "", "Ceph 16 knows no source identity")},
		{name: "assume: session policy is no JSON", ask: assume(pics, "Policy", "{"), status: 400, code: "MalformedPolicyDocument", doc: docAssume, differs: same},
		{name: "assume: no such role", ask: assume(roleARN(sharedAccount, "missing")), status: 403, code: "AccessDenied", doc: docAssume, differs: onCeph(404, "NoSuchEntity", "a missing role is told")},
		{name: "assume: external id right", ask: assume(roleARN(sharedAccount, "S3-Pics-external"), "ExternalId", externalID), status: 200, doc: docAssume, differs: onCeph(403, "AccessDenied", "Ceph 16 does not know sts:ExternalId")},
		{name: "assume: external id wrong", ask: assume(roleARN(sharedAccount, "S3-Pics-external"), "ExternalId", "another"), status: 403, code: "AccessDenied", doc: docAssume, differs: same},
		{name: "assume: external id missing", ask: assume(roleARN(sharedAccount, "S3-Pics-external")), status: 403, code: "AccessDenied", doc: docAssume, differs: same},
		{name: "assume: external id of one character", ask: assume(pics, "ExternalId", "x"), status: 400, code: "ValidationError", doc: docAssume, differs: onCeph(400, "InvalidArgument", "another code")},
		{name: "assume: tags without sts:TagSession", ask: assume(pics, "Tags.member.1.Key", "team", "Tags.member.1.Value", "cats"), status: 403, code: "AccessDenied", doc: docAssume,
			differs: onCeph(200, "", "Ceph 16 knows no session tags at AssumeRole")},
		{name: "assume: session name with a space", ask: assume(pics, "RoleSessionName", "a b"), status: 400, code: "ValidationError", doc: docAssume, differs: onCeph(400, "InvalidArgument", "another code")},
		{name: "assume: no session name", ask: assume(pics, "RoleSessionName", ""), status: 400, code: "ValidationError", doc: docAssume, differs: onCeph(400, "InvalidArgument", "another code")},
		{name: "assume: session policy too long", ask: assume(pics, "Policy", `{"Version":"2012-10-17","Statement":[{"Sid":"`+strings.Repeat("x", 2100)+`","Effect":"Allow","Action":"*","Resource":"*"}]}`), status: 400, code: "ValidationError", doc: docAssume,
			differs: onCeph(400, "PackedPolicyTooLarge", "another code")},
		{name: "assume: unsigned", ask: with(assume(pics), func(_ *world, a *ask) { a.signer = nil }), status: 403, code: "MissingAuthenticationToken", doc: docErrors, differs: onCeph(403, "AccessDenied", "another code")},
		{name: "assume: unknown key", ask: by(assume(pics), func(c *aws.Credentials) { c.AccessKeyID = "ASIAUNKNOWNUNKNOWN00" }), status: 403, code: "InvalidClientTokenId", doc: docErrors,
			differs: onCeph(403, "AccessDenied", "another code")},
		{name: "assume: wrong secret", ask: by(assume(pics), func(c *aws.Credentials) { c.SecretAccessKey += "x" }), status: 403, code: "SignatureDoesNotMatch", doc: docErrors, differs: same},
		{name: "assume: no session token", ask: by(assume(pics), func(c *aws.Credentials) { c.SessionToken = "" }), status: 403, code: "InvalidClientTokenId", doc: docErrors, differs: onCeph(403, "AccessDenied", "another code")},
		{name: "assume: garbage session token", ask: by(assume(pics), func(c *aws.Credentials) { c.SessionToken = "garbage" }), status: 403, code: "InvalidClientTokenId", doc: docErrors, differs: onCeph(403, "AccessDenied", "another code")},
		{name: "assume: signed an hour ago", ask: with(assume(pics), func(_ *world, a *ask) { a.signedAgo = hour }), status: 403, code: "SignatureDoesNotMatch", doc: docErrors, differs: onCeph(403, "RequestTimeTooSkewed", "S3's code")},
		{name: "assume: signed for S3", ask: with(assume(pics), func(_ *world, a *ask) { a.service = "s3" }), status: 403, code: "SignatureDoesNotMatch", doc: docErrors, differs: same},
		{name: "assume: form changed after signing", ask: with(assume(pics), func(_ *world, a *ask) {
			a.after = func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(a.form.Encode()+"&x=y")), r.ContentLength+4
			}
		}), status: 403, code: "SignatureDoesNotMatch", doc: docErrors, differs: same},
		{name: "caller identity", ask: identity, status: 200, header: xmlReply, match: []string{`<Arn>arn:aws:sts::` + sharedAccount + `:assumed-role/S3-Pics/row</Arn>`, `<Account>` + sharedAccount + `</Account>`}, doc: docCaller, differs: noIdentity},
		{name: "caller identity: by a presigned URL", ask: with(identity, func(_ *world, a *ask) { a.method, a.presign = http.MethodGet, "60" }), status: 200, doc: docCaller, differs: noIdentity},
		{name: "caller identity: by a session that may nothing", ask: with(identity, func(w *world, a *ask) { a.signer = &w.mute }), status: 200, doc: docCaller, differs: noIdentity},
		{name: "caller identity: unsigned", ask: with(identity, func(_ *world, a *ask) { a.signer = nil }), status: 403, code: "MissingAuthenticationToken", doc: docErrors, differs: noIdentity},
		{name: "caller identity: wrong secret", ask: by(identity, func(c *aws.Credentials) { c.SecretAccessKey += "x" }), status: 403, code: "SignatureDoesNotMatch", doc: docCaller,
			differs: noIdentity},
	}
}
