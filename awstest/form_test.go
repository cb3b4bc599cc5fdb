package awstest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// stsAnswer is what STS says to a form.
type stsAnswer struct {
	status                   int
	code, message, requestID string
	header                   http.Header
	body                     []byte
}

// doer is an HTTP client, in memory or real.
type doer interface {
	Do(*http.Request) (*http.Response, error)
}

// post sends a form to STS, signed if there are credentials.
func post(t *testing.T, client doer, endpoint string, form url.Values, credentials *aws.Credentials, edits ...func(*http.Request)) stsAnswer {
	t.Helper()
	r := formRequest(t, endpoint, form)
	if credentials != nil {
		sign(t, r, []byte(form.Encode()), *credentials, "sts", "us-east-1", time.Now())
	}
	for _, edit := range edits {
		edit(r)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := stsAnswer{status: resp.StatusCode, header: resp.Header, body: body}
	if resp.StatusCode == http.StatusOK {
		return a
	}
	var document struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Code      string   `xml:"Error>Code"`
		Message   string   `xml:"Error>Message"`
		RequestID string   `xml:"RequestId"`
	}
	if err := xml.Unmarshal(body, &document); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	a.code, a.message, a.requestID = document.Code, document.Message, document.RequestID
	return a
}

func formRequest(t testing.TB, endpoint string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

// sign signs a request as the SDK does.
func sign(t testing.TB, r *http.Request, body []byte, credentials aws.Credentials, service, region string, at time.Time) {
	t.Helper()
	sum := sha256.Sum256(body)
	err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(sum[:]), service, region, at)
	if err != nil {
		t.Fatal(err)
	}
}

// webIdentityForm is a good request of the hub role; edits are pairs of name
// and value, an empty value removes the parameter.
func webIdentityForm(w *world, edits ...string) url.Values {
	return edit(url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {hubARN}, "RoleSessionName": {"pod"}, "WebIdentityToken": {w.blue.Token("default", "app")},
	}, edits)
}

// assumeForm is a good request of the target role.
func assumeForm(edits ...string) url.Values {
	return edit(url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {targetARN}, "RoleSessionName": {"pod"},
	}, edits)
}

func edit(form url.Values, edits []string) url.Values {
	for i := 0; i < len(edits); i += 2 {
		if edits[i+1] == "" {
			form.Del(edits[i])
		} else {
			form.Set(edits[i], edits[i+1])
		}
	}
	return form
}

// explained matches what only Call.Explain may say.
var explained = regexp.MustCompile(`statement \d`)

// expect compares an answer with what AWS says.
func (a stsAnswer) expect(t *testing.T, w *world, status int, code, message string) {
	t.Helper()
	if a.status != status || a.code != code || !strings.Contains(a.message, message) {
		t.Errorf("got %d %s %q\nwant %d %s …%q…\n%v", a.status, a.code, a.message, status, code, message, w.Calls())
	}
	if id := a.header.Get("X-Amzn-Requestid"); id == "" || status != http.StatusOK && id != a.requestID {
		t.Errorf("request id is %q in the header, %q in the document", id, a.requestID)
	}
	if a.header.Get("Date") == "" {
		t.Error("no Date header")
	}
	calls := w.Calls()
	if last := calls[len(calls)-1]; last.Status != status || last.Code != code {
		t.Errorf("recorded as %v", last)
	}
	if code != "" && explained.Match(a.body) {
		t.Errorf("the answer explains the policy: %s", a.body)
	}
}

// eachTransport runs a test in memory and over a loopback listener.
func eachTransport(t *testing.T, run func(t *testing.T, w *world, client doer, endpoint string)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		w := newWorld()
		run(t, w, w.Config().HTTPClient, "https://sts.us-east-1.amazonaws.com")
	})
	t.Run("loopback", func(t *testing.T) {
		w := newWorld()
		run(t, w, http.DefaultClient, w.Serve(t))
	})
}
