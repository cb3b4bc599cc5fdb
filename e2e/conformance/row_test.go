// Package conformance has a table of requests with AWS's responses, and runs it against
// awstest, Ceph's gateway and versitygw. If a server differs from AWS, the row says how,
// and cites AWS's document. If a listed difference no longer exists, the test fails too,
// so that the table stays correct.
package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/e2e/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// server is the name of a server that the table runs against.
type server string

const (
	double        server = "awstest"
	gateway       server = "ceph"
	versityServer server = "versitygw"
)

// row is one request and AWS's response to it.
type row struct {
	name string
	ask  func(w *world) ask

	status int
	code   string            // of the error document; empty: no document, or a HEAD
	header map[string]string // regular expressions; "": the header must be absent
	body   string            // the exact body; empty: not compared
	match  []string          // regular expressions that the body must match, or with "!" must not

	doc     string // the AWS document that specifies the response
	differs map[server]difference
}

// difference describes how a server's response differs, or why the row is skipped there.
// If status and code are the same as AWS's, header or match must show the difference.
type difference struct {
	status int // 0: skipped
	code   string
	header map[string]string // instead of the row's; nil: not compared
	match  []string          // the same
	why    string
}

// skip returns the reason why a row is skipped on a server.
func skip(why string) difference { return difference{why: why} }

// AWS's documents, as cited in the rows.
const (
	docWeb      = "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"
	docAssume   = "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"
	docCaller   = "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"
	docErrors   = "https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html"
	docCond     = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"
	docNames    = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html"
	docMulti    = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"
	docEval     = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"
	docChain    = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining"
	docSession  = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session"
	docSign     = "https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html"
	docPresign  = "https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"
	docS3Error  = "https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
	docGet      = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"
	docHead     = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"
	docBucket   = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"
	docList     = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"
	docRFC      = "https://www.rfc-editor.org/rfc/rfc7232" // to which the GetObject reference refers
	docAcross   = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html"
	docKeys     = "https://repost.aws/knowledge-center/iam-sts-invalididentitytoken"
	docQuery    = "https://docs.aws.amazon.com/STS/latest/APIReference/CommonParameters.html"
	docWrites   = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"
	docLocation = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html"
	docPut      = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"
)

// table returns all rows.
func table() []row {
	rows := slices.Concat(webIdentityRows(), trustRows(), assumeRows(), sessionRows(), signatureRows(), readRows(), conditionalRows(), listRows(), writeRows(),
		deleteRows(), copyRows(), multipartRows(), oldListRows(), versionRows(), bucketRows(), attributeRows(), readerRows())
	for i, r := range rows {
		rows[i].differs = maps.Clone(r.differs)
		if rows[i].differs == nil {
			rows[i].differs = map[server]difference{}
		}
		maps.Copy(rows[i].differs, differences[r.name])
		maps.Copy(rows[i].differs, writeDifferences[r.name])
	}
	return rows
}

// run runs the table against a server and prints the result.
func run(t *testing.T, w *world) {
	t.Helper()
	rows := table()
	agreed, differ, skipped, wrong := 0, 0, 0, 0
	var different []string
	for _, r := range rows {
		d, listed := r.differs[w.server]
		if listed && d.status == 0 {
			skipped++
			different = append(different, fmt.Sprintf("  not asked: %s (%s)", r.name, d.why))
			continue
		}
		right := t.Run(r.name, func(t *testing.T) {
			w.t = t
			got := w.do(t, r.ask(w))
			if fault := r.judge(w.server, got); fault != "" {
				t.Errorf("%s\n%s", fault, got)
			}
		})
		switch {
		case !right:
			wrong++
		case listed:
			differ++
			different = append(different, fmt.Sprintf("  differs: %s: %d %s, AWS: %d %s (%s; %s)", r.name, d.status, d.code, r.status, r.code, d.why, r.doc))
		default:
			agreed++
		}
	}
	t.Logf("%s: %d rows, %d as AWS, %d listed differences, %d not asked, %d wrong\n%s",
		w.server, len(rows), agreed, differ, skipped, wrong, strings.Join(different, "\n"))
}

// judge returns the faults of a response, or nothing if it is the expected one.
func (r row) judge(on server, got answer) string {
	d, listed := r.differs[on]
	asAWS := got.compare(r.status, r.code, r.header, r.body, r.match)
	if !listed {
		return asAWS
	}
	if asAWS == "" {
		return fmt.Sprintf("answers as AWS does; take the difference out of the table (%s)", d.why)
	}
	if asListed := got.compare(d.status, d.code, d.header, "", d.match); asListed != "" {
		return fmt.Sprintf("neither as AWS (%s) nor as the table says of it: %s", asAWS, asListed)
	}
	return ""
}

// answer is the response of a server.
type answer struct {
	status int
	header http.Header
	body   string
}

var codeElement = regexp.MustCompile(`<Code>([^<]*)</Code>`)

func (a answer) code() string {
	if m := codeElement.FindStringSubmatch(a.body); m != nil && a.status >= 300 {
		return m[1]
	}
	return ""
}

func (a answer) String() string {
	body := a.body
	if len(body) > 600 {
		body = body[:600] + "…"
	}
	return fmt.Sprintf("%d %v\n%s", a.status, a.header, body)
}

// compare returns how the response differs, or nothing if it does not.
func (a answer) compare(status int, code string, header map[string]string, body string, match []string) string {
	if a.status != status || a.code() != code {
		return fmt.Sprintf("got %d %q, want %d %q", a.status, a.code(), status, code)
	}
	for name, pattern := range header {
		values := a.header.Values(name)
		switch {
		case pattern == "" && len(values) > 0:
			return fmt.Sprintf("has %s %q, want none", name, values)
		// A header that is sent twice becomes two lines, so that a dot does not match it.
		case pattern != "" && (values == nil || !regexp.MustCompile("^(?:"+pattern+")$").MatchString(strings.Join(values, "\n"))):
			return fmt.Sprintf("%s is %q, want %s", name, values, pattern)
		}
	}
	if body != "" && a.body != body {
		return fmt.Sprintf("body %q, want %q", a.body, body)
	}
	for _, pattern := range match {
		pattern, not := strings.CutPrefix(pattern, "!")
		switch matches := regexp.MustCompile(pattern).MatchString(a.body); {
		case matches && not:
			return fmt.Sprintf("the body matches %s", pattern)
		case !matches && !not:
			return fmt.Sprintf("the body does not match %s", pattern)
		}
	}
	return ""
}
