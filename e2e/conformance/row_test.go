// Package conformance holds one table of requests with what AWS answers, and
// runs it on awstest, on Ceph's gateway and on versitygw. Where a server
// differs, the row says how, and which document of AWS decides. A difference
// that is listed and no longer there fails too, so that the table stays true.
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

// server names one of those that the table is run on.
type server string

const (
	double        server = "awstest"
	gateway       server = "ceph"
	versityServer server = "versitygw"
)

// row is one request and AWS's answer to it.
type row struct {
	name string
	ask  func(w *world) ask

	status int
	code   string            // of the error document; empty: none, or a HEAD
	header map[string]string // a regular expression each; "" wants the header absent
	body   string            // exactly; empty: not compared
	match  []string          // regular expressions that the body must match

	doc     string // the document of AWS that says so
	differs map[server]difference
}

// difference is how a server answers otherwise, or why it is not asked.
type difference struct {
	status int // 0: not asked
	code   string
	header map[string]string // instead of the row's; nil: the row's are not compared
	why    string
}

// skip says why a server is not asked.
func skip(why string) difference { return difference{why: why} }

// The documents that decide, as rows name them.
const (
	docWeb     = "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"
	docAssume  = "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"
	docCaller  = "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"
	docErrors  = "https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html"
	docCond    = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"
	docMulti   = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"
	docEval    = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"
	docChain   = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining"
	docSession = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session"
	docSign    = "https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html"
	docPresign = "https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"
	docS3Error = "https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
	docGet     = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"
	docHead    = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"
	docBucket  = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"
	docList    = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"
	docRFC     = "https://www.rfc-editor.org/rfc/rfc7232 (to which the GetObject reference refers)"
	docPut     = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"
)

// table is all rows.
func table() []row {
	rows := slices.Concat(webIdentityRows(), trustRows(), assumeRows(), signatureRows(), readRows(), conditionalRows(), listRows(), writeRows())
	for i, r := range rows {
		rows[i].differs = maps.Clone(r.differs)
		if rows[i].differs == nil {
			rows[i].differs = map[server]difference{}
		}
		maps.Copy(rows[i].differs, differences[r.name])
	}
	return rows
}

// run holds a server to the table and prints what came of it.
func run(t *testing.T, w *world) {
	t.Helper()
	w.t = t
	rows := table()
	if len(rows) < 80 {
		t.Errorf("the table has %d rows, want at least 80", len(rows))
	}
	agreed, skipped := 0, 0
	var different []string
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.name] || r.doc == "" {
			t.Fatalf("row %q stands twice, or names no document", r.name)
		}
		seen[r.name] = true
		d, listed := r.differs[w.server]
		if listed && d.status == 0 {
			skipped++
			different = append(different, fmt.Sprintf("  not asked: %s (%s)", r.name, d.why))
			continue
		}
		got := w.do(t, r.ask(w))
		asAWS := got.compare(r.status, r.code, r.header, r.body, r.match...)
		switch {
		case !listed && asAWS == "":
			agreed++
		case !listed:
			t.Errorf("%s: %s\n%s", r.name, asAWS, got)
		case asAWS == "":
			t.Errorf("%s: answers as AWS does; take the difference out of the table (%s)", r.name, d.why)
		default:
			if as := got.compare(d.status, d.code, d.header, ""); as != "" {
				t.Errorf("%s: neither as AWS nor as the table says of it: %s\n%s", r.name, as, got)
			}
			different = append(different, fmt.Sprintf("  differs: %s: %d %s, AWS: %d %s (%s; %s)", r.name, d.status, d.code, r.status, r.code, d.why, r.doc))
		}
	}
	t.Logf("%s: %d rows, %d as AWS, %d listed differences, %d not asked\n%s",
		w.server, len(rows), agreed, len(different)-skipped, skipped, strings.Join(different, "\n"))
	if w.server == double && len(different) > 1 {
		t.Error("awstest differs from AWS in more than its package documentation says")
	}
}

// answer is what came back.
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

// compare says in what the answer differs; nothing if it does not.
func (a answer) compare(status int, code string, header map[string]string, body string, match ...string) string {
	if a.status != status || a.code() != code {
		return fmt.Sprintf("got %d %q, want %d %q", a.status, a.code(), status, code)
	}
	for name, pattern := range header {
		values := a.header.Values(name)
		switch {
		case pattern == "" && len(values) > 0:
			return fmt.Sprintf("has %s %q, want none", name, values)
		case pattern != "" && (len(values) != 1 || !regexp.MustCompile("^(?:"+pattern+")$").MatchString(values[0])):
			return fmt.Sprintf("%s is %q, want %s", name, values, pattern)
		}
	}
	if body != "" && a.body != body {
		return fmt.Sprintf("body %q, want %q", a.body, body)
	}
	for _, pattern := range match {
		if !regexp.MustCompile(pattern).MatchString(a.body) {
			return fmt.Sprintf("the body does not match %s", pattern)
		}
	}
	return ""
}
