package awstest_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzSTSForm posts anything to STS: it answers every form with a document of
// its own, and never with success unless the form holds a good token.
func FuzzSTSForm(f *testing.F) {
	w := newWorld()
	f.Add(webIdentityForm(w).Encode())
	f.Add(webIdentityForm(w, "DurationSeconds", "x", "Policy", "{}").Encode())
	f.Add(assumeForm("Tags.member.1.Key", "k", "TransitiveTagKeys.member.1", "k").Encode())
	f.Add("Action=%zz;&Version=2011-06-15&Action=AssumeRole")
	f.Add("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&Tags.member.99999999999999999999.Key=1&PolicyArns.member.-1.arn=")
	f.Fuzz(func(t *testing.T, form string) {
		w := newWorld()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://sts.us-east-1.amazonaws.com/", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := w.Config().HTTPClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		// Every fuzzed form is of another cloud, whose keys are unknown here.
		if resp.StatusCode < 400 {
			t.Errorf("%q was answered %d %s", form, resp.StatusCode, body)
		}
		var document struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Code    string   `xml:"Error>Code"`
		}
		if err := xml.Unmarshal(body, &document); err != nil || document.Code == "" {
			t.Errorf("%q was answered %q: %v", form, body, err)
		}
	})
}

// FuzzSignature replaces the Authorization header and the query of a request to
// either service: only the true signature is accepted.
func FuzzSignature(f *testing.F) {
	w := newWorld()
	hub := w.hubSession(f)
	r := formRequest(f, "https://sts.us-east-1.amazonaws.com", identityForm)
	sign(f, r, []byte(identityForm.Encode()), hub, "sts", "us-east-1", time.Now())
	good := r.Header.Clone()
	f.Add(good.Get("Authorization"), "")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=;;host, Signature=", "X-Amz-Expires=1")
	f.Add("AWS4-HMAC-SHA256 ", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=////&X-Amz-Signature=0&X-Amz-Date=x&X-Amz-SignedHeaders=host&X-Amz-Expires=99999999999999999999")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20260101/us-east-1/s3/aws4_request&X-Amz-Signature=0&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host;content-length&X-Amz-Expires=1")
	f.Fuzz(func(t *testing.T, authorization, query string) {
		for _, endpoint := range []string{"https://sts.us-east-1.amazonaws.com", "https://s3.us-east-1.amazonaws.com"} {
			r := formRequest(t, endpoint, identityForm)
			r.Header = good.Clone()
			r.Header.Set("Authorization", authorization)
			r.URL.RawQuery = query
			resp, err := w.Config().HTTPClient.Do(r)
			if err != nil {
				continue // a query that no server could be asked
			}
			resp.Body.Close()
			unchanged := authorization == good.Get("Authorization") && query == ""
			if resp.StatusCode < 400 && !(unchanged && endpoint == "https://sts.us-east-1.amazonaws.com") {
				t.Errorf("%q with query %q was answered %d", authorization, query, resp.StatusCode)
			}
		}
	})
}
