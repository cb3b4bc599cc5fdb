package conformance

import (
	"encoding/xml"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// within signs the request with a session of the role that is restricted by a session
// policy with the given statements.
func within(role, statements string, build func(*world) ask) func(*world) ask {
	return with(build, func(w *world, a *ask) {
		w.t.Helper()
		policy := `{"Version":"2012-10-17","Statement":[` + statements + `]}`
		got := w.do(w.t, assume(roleARN(sharedAccount, role), "Policy", policy)(w))
		var reply struct {
			AccessKeyID     string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
			SecretAccessKey string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
			SessionToken    string `xml:"AssumeRoleResult>Credentials>SessionToken"`
		}
		if err := xml.Unmarshal([]byte(got.body), &reply); err != nil || reply.SessionToken == "" {
			w.t.Fatalf("no session: %v\n%s", err, got)
		}
		a.signer = &aws.Credentials{AccessKeyID: reply.AccessKeyID, SecretAccessKey: reply.SecretAccessKey, SessionToken: reply.SessionToken}
	})
}

// sessionRows tests how session policies restrict a role's permissions.
func sessionRows() []row {
	const (
		all    = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
		dir    = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/dir/*"}`
		noDir  = `{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/dir/*"}`
		reads  = `{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"]}`
		inside = `{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::pics","Condition":{"StringLike":{"s3:prefix":"dir/*"}}}`
	)
	rows := []row{
		{name: "session policy: both allow", ask: within("S3-Pics", dir, get("dir/a")), status: 200, body: "a"},
		{name: "session policy: only the role allows", ask: within("S3-Pics", dir, get("digits")), status: 403, code: "AccessDenied"},
		{name: "session policy: only the role allows, HEAD", ask: within("S3-Pics", dir, head("digits")), status: 403},
		{name: "session policy: only the role allows listing", ask: within("S3-Pics", dir, list("")), status: 403, code: "AccessDenied"},
		{name: "session policy: a missing key reveals nothing", ask: within("S3-Pics", dir, get("dir/nothing")), status: 403, code: "AccessDenied"},
		{name: "session policy: only it allows listing", ask: within("S3-Pics-blind", all, list("")), status: 403, code: "AccessDenied"},
		{name: "session policy: everything is what the role may", ask: within("S3-Pics-blind", all, get("digits")), status: 200, body: digits},
		{name: "session policy: Deny", ask: within("S3-Pics", all+","+noDir, get("dir/a")), status: 403, code: "AccessDenied"},
		{name: "session policy: Deny of something else", ask: within("S3-Pics", all+","+noDir, get("digits")), status: 200, body: digits},
		{name: "session policy: read-only, put", ask: within("S3-Pics", reads, put("new/p", digits)), status: 403, code: "AccessDenied"},
		{name: "session policy: read-only, list", ask: within("S3-Pics", reads, list("")), status: 200},
		{name: "session policy: the listing's prefix", ask: within("S3-Pics", inside, list("prefix=dir%2F")), status: 200},
		{name: "session policy: another prefix", ask: within("S3-Pics", inside, list("prefix=odd%2F")), status: 403, code: "AccessDenied"},
		{name: "session policy: no prefix", ask: within("S3-Pics", inside, list("")), status: 403, code: "AccessDenied"},
		{name: "session policy: head bucket", ask: within("S3-Pics", dir, bucketRequest(http.MethodHead, "")), status: 403},
	}
	for i := range rows {
		rows[i].doc = docSession
		rows[i].differs = map[server]difference{versityServer: skip(noChain)}
	}
	return rows
}
