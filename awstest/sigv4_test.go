package awstest_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

var identityForm = url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}

// TestSTSSignature changes requests after they were signed, and keys.
func TestSTSSignature(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			before := r.Header.Get("Authorization")
			after := strings.Replace(before, old, new, 1)
			if before == after {
				panic("no " + old + " in " + before)
			}
			r.Header.Set("Authorization", after)
		}
	}
	tests := []struct {
		name          string
		credentials   func(c *aws.Credentials)
		at            time.Duration // signing time, from now
		service       string
		region        string
		edit          func(*http.Request)
		status        int
		code, message string
	}{
		{name: "good", status: 200},
		{name: "14 minutes early", at: 14 * time.Minute, status: 200},
		{name: "14 minutes late", at: -14 * time.Minute, status: 200},
		{name: "16 minutes early", at: 16 * time.Minute, status: 403, code: "SignatureDoesNotMatch", message: "Signature not yet current"},
		{name: "16 minutes late", at: -16 * time.Minute, status: 403, code: "SignatureDoesNotMatch", message: "Signature expired: "},
		{name: "wrong secret", credentials: func(c *aws.Credentials) { c.SecretAccessKey += "x" }, status: 403, code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match"},
		{name: "unknown key", credentials: func(c *aws.Credentials) { c.AccessKeyID = "ASIAUNKNOWNUNKNOWN00" }, status: 403, code: "InvalidClientTokenId", message: "The security token included in the request is invalid"},
		{name: "no session token", credentials: func(c *aws.Credentials) { c.SessionToken = "" }, status: 403, code: "InvalidClientTokenId"},
		{name: "wrong session token", credentials: func(c *aws.Credentials) { c.SessionToken += "x" }, status: 403, code: "InvalidClientTokenId"},
		{name: "session token changed after signing", edit: header("X-Amz-Security-Token", "x"), status: 403, code: "InvalidClientTokenId"},
		{name: "other service", service: "s3", status: 403, code: "SignatureDoesNotMatch", message: "Credential should be scoped to correct service: 'sts'"},
		{name: "another header after signing", edit: header("X-Amz-Trick", "1"), status: 403, code: "SignatureDoesNotMatch"},
		{name: "date changed after signing", edit: otherSecond, status: 403, code: "SignatureDoesNotMatch"},
		{name: "date of another day", edit: header("X-Amz-Date", time.Now().UTC().Add(24*time.Hour).Format("20060102T150405Z")), status: 403, code: "IncompleteSignature", message: "Date in Credential scope does not match"},
		{name: "no date", edit: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, status: 403, code: "IncompleteSignature", message: "'X-Amz-Date'"},
		{name: "content type changed", edit: header("Content-Type", "application/x-www-form-urlencoded"), status: 403, code: "SignatureDoesNotMatch"},
		{name: "body changed", edit: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(identityForm.Encode() + "&"))
			r.ContentLength++
		}, status: 403, code: "SignatureDoesNotMatch"},
		{name: "query added", edit: func(r *http.Request) { r.URL.RawQuery = "a=b" }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "signature cut", edit: func(r *http.Request) { h := r.Header.Get("Authorization"); r.Header.Set("Authorization", h[:len(h)-1]) }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "no signature", edit: replace("Signature=", "Sign="), status: 403, code: "IncompleteSignature", message: "'Signature'"},
		{name: "no signed headers", edit: replace("SignedHeaders=", "Signed="), status: 403, code: "IncompleteSignature", message: "'SignedHeaders'"},
		{name: "host not signed", edit: replace(";host", ""), status: 403, code: "IncompleteSignature", message: "'Host'"},
		{name: "no terminator", edit: replace("/aws4_request", "/aws5_request"), status: 403, code: "IncompleteSignature"},
		{name: "short scope", edit: replace("/aws4_request", ""), status: 403, code: "IncompleteSignature"},
		{name: "basic authentication", edit: header("Authorization", "Basic YTpi"), status: 403, code: "IncompleteSignature"},
		{name: "no authentication", edit: func(r *http.Request) { r.Header.Del("Authorization") }, status: 403, code: "MissingAuthenticationToken"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachTransport(t, func(t *testing.T, w *world, client doer, endpoint string) {
				credentials := w.hubSession(t)
				if test.credentials != nil {
					test.credentials(&credentials)
				}
				service := "sts"
				if test.service != "" {
					service = test.service
				}
				post(t, client, endpoint, identityForm, nil, func(r *http.Request) {
					sign(t, r, []byte(identityForm.Encode()), credentials, service, "us-east-1", time.Now().Add(test.at))
					if test.edit != nil {
						test.edit(r)
					}
				}).expect(t, w, test.status, test.code, test.message)
			})
		})
	}
}

// otherSecond changes the signing time within its minute.
func otherSecond(r *http.Request) {
	date := []byte(r.Header.Get("X-Amz-Date"))
	second := &date[len(date)-2]
	*second = '0' + (*second-'0'+1)%10
	r.Header.Set("X-Amz-Date", string(date))
}

// TestScope shows that a regional endpoint wants its region in the signature.
func TestScope(t *testing.T) {
	w := newWorld()
	credentials := w.hubSession(t)
	for _, test := range []struct{ host, region, code string }{
		{"sts.eu-west-1.amazonaws.com", "eu-west-1", ""},
		{"sts-fips.us-east-2.amazonaws.com", "us-east-2", ""},
		{"sts.amazonaws.com", "us-east-1", ""},
		{"sts.cn-north-1.amazonaws.com.cn", "cn-north-1", ""},
		{"sts.eu-west-1.amazonaws.com", "us-east-1", "SignatureDoesNotMatch"},
		{"sts.amazonaws.com", "eu-west-1", "SignatureDoesNotMatch"},
	} {
		status := http.StatusOK
		if test.code != "" {
			status = http.StatusForbidden
		}
		post(t, w.Config().HTTPClient, "https://"+test.host, identityForm, nil, func(r *http.Request) {
			sign(t, r, []byte(identityForm.Encode()), credentials, "sts", test.region, time.Now())
		}).expect(t, w, status, test.code, "")
	}
}

// TestS3Signature shows S3's answers, which differ from those of STS.
func TestS3Signature(t *testing.T) {
	tests := []struct {
		name        string
		credentials func(c *aws.Credentials)
		at          time.Duration
		service     string
		region      string
		query       string
		hash        string
		edit        func(*http.Request)
		status      int
		code        string
	}{
		{name: "good", status: 200},
		{name: "unsigned payload", hash: "UNSIGNED-PAYLOAD", status: 200},
		{name: "a key to escape", edit: nil, query: "?prefix=a%2Fb%20c+d", status: 200},
		{name: "late", at: -16 * time.Minute, status: 403, code: "RequestTimeTooSkewed"},
		{name: "early", at: 16 * time.Minute, status: 403, code: "RequestTimeTooSkewed"},
		{name: "wrong secret", credentials: func(c *aws.Credentials) { c.SecretAccessKey += "x" }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "unknown key", credentials: func(c *aws.Credentials) { c.AccessKeyID = "ASIAUNKNOWNUNKNOWN00" }, status: 403, code: "InvalidAccessKeyId"},
		{name: "no session token", credentials: func(c *aws.Credentials) { c.SessionToken = "" }, status: 403, code: "InvalidAccessKeyId"},
		{name: "wrong session token", credentials: func(c *aws.Credentials) { c.SessionToken += "x" }, status: 400, code: "InvalidToken"},
		{name: "other service", service: "sts", status: 400, code: "AuthorizationHeaderMalformed"},
		{name: "other region", region: "eu-west-1", status: 400, code: "AuthorizationHeaderMalformed"},
		{name: "no hash", edit: func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, status: 400, code: "InvalidRequest"},
		{name: "hash of another body", hash: strings.Repeat("0", 64), status: 400, code: "XAmzContentSHA256Mismatch"},
		{name: "hash is no hash", hash: "x", status: 400, code: "InvalidArgument"},
		{name: "header not signed", edit: func(r *http.Request) { r.Header.Set("X-Amz-Request-Payer", "requester") }, status: 403, code: "AccessDenied"},
		{name: "path changed", edit: func(r *http.Request) { r.URL.Path = "/other" }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "two signatures", edit: func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256" }, status: 400, code: "InvalidArgument"},
		{name: "version 2", edit: func(r *http.Request) { r.Header.Set("Authorization", "AWS AKIA:sig") }, status: 400, code: "InvalidArgument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, credentials := newPics(t)
			if test.credentials != nil {
				test.credentials(&credentials)
			}
			or := func(s, otherwise string) string {
				if s == "" {
					return otherwise
				}
				return s
			}
			r := getRequest(t, "https://pics.s3.us-east-1.amazonaws.com/"+or(test.query, "?list-type=2"))
			r.Header.Set("X-Amz-Content-Sha256", or(test.hash, emptyHash))
			q := r.URL.Query()
			q.Set("list-type", "2")
			r.URL.RawQuery = q.Encode()
			s3Sign(t, r, credentials, or(test.hash, emptyHash), or(test.service, "s3"), or(test.region, "us-east-1"), time.Now().Add(test.at))
			if test.edit != nil {
				test.edit(r)
			}
			expectS3(t, w, r, test.status, test.code)
		})
	}
}

// TestPresigned shows what a presigned URL must have to be accepted.
func TestPresigned(t *testing.T) {
	tests := []struct {
		name    string
		at      time.Duration
		expires string
		edit    func(q url.Values)
		status  int
		code    string
	}{
		{name: "good", expires: "900", status: 200},
		{name: "a week", expires: "604800", status: 200},
		{name: "still good", at: -14 * time.Minute, expires: "900", status: 200},
		{name: "more than a week", expires: "604801", status: 400, code: "AuthorizationQueryParametersError"},
		{name: "no number", expires: "soon", status: 400, code: "AuthorizationQueryParametersError"},
		{name: "negative", expires: "-1", status: 400, code: "AuthorizationQueryParametersError"},
		{name: "no expiry", status: 400, code: "AuthorizationQueryParametersError"},
		{name: "over", at: -16 * time.Minute, expires: "900", status: 403, code: "AccessDenied"},
		{name: "not yet", at: 16 * time.Minute, expires: "900", status: 403, code: "AccessDenied"},
		{name: "longer than signed for", expires: "900", edit: func(q url.Values) { q.Set("X-Amz-Expires", "9000") }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "another parameter", expires: "900", edit: func(q url.Values) { q.Set("prefix", "x") }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "no signature", expires: "900", edit: func(q url.Values) { q.Del("X-Amz-Signature") }, status: 400, code: "AuthorizationQueryParametersError"},
		{name: "other algorithm", expires: "900", edit: func(q url.Values) { q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA1") }, status: 400, code: "AuthorizationQueryParametersError"},
		{name: "no session token", expires: "900", edit: func(q url.Values) { q.Del("X-Amz-Security-Token") }, status: 403, code: "InvalidAccessKeyId"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, credentials := newPics(t)
			r := getRequest(t, "https://pics.s3.us-east-1.amazonaws.com/?list-type=2")
			if test.expires != "" {
				r.URL.RawQuery += "&X-Amz-Expires=" + test.expires
			}
			signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), credentials, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now().Add(test.at), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
			if err != nil {
				t.Fatal(err)
			}
			r = getRequest(t, signed)
			if test.edit != nil {
				q := r.URL.Query()
				test.edit(q)
				r.URL.RawQuery = q.Encode()
			}
			expectS3(t, w, r, test.status, test.code)
		})
	}
}

// newPics is a world with a bucket that the hub's session may list.
func newPics(t *testing.T) (*world, aws.Credentials) {
	t.Helper()
	w := newWorld()
	w.dev.CreateBucket("pics")
	w.hub.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	return w, w.hubSession(t)
}

func getRequest(t *testing.T, address string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func s3Sign(t *testing.T, r *http.Request, credentials aws.Credentials, hash, service, region string, at time.Time) {
	t.Helper()
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hash, service, region, at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }); err != nil {
		t.Fatal(err)
	}
}

// expectS3 sends a request and compares S3's answer.
func expectS3(t *testing.T, w *world, r *http.Request, status int, code string) {
	t.Helper()
	resp, err := w.Config().HTTPClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Code      string
		RequestID string `xml:"RequestId"`
	}
	if err := xml.Unmarshal(body, &document); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	if resp.StatusCode != status || document.Code != code {
		t.Errorf("got %d %s, want %d %s\n%s\n%v", resp.StatusCode, document.Code, status, code, body, w.Calls())
	}
	if id := resp.Header.Get("X-Amz-Request-Id"); id == "" || code != "" && id != document.RequestID {
		t.Errorf("request id %q in the header, %q in the document", id, document.RequestID)
	}
}

// A link that would be valid for longer than a week is refused, whatever the
// number of its seconds.
func TestPresignedExpiry(t *testing.T) {
	w := newWorld()
	w.dev.CreateBucket("pics")
	for expires, want := range map[string]string{
		"604801": "less than a week", "9223372037": "less than a week", "18446744074": "less than a week",
		"-1": "non-negative", "9223372036854775808": "should be a number", "1e3": "should be a number",
	} {
		r := getRequest(t, "https://pics.s3.us-east-1.amazonaws.com/cat?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"+
			"&X-Amz-Signature=00&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Expires="+expires)
		resp, err := w.Config().HTTPClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) {
			t.Errorf("X-Amz-Expires=%s: %d %s, want %q", expires, resp.StatusCode, body, want)
		}
	}
}
