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

// FuzzQuery posts any form to IAM and STS, signed by a key without permissions and
// by an administrator's: each is answered with a well-formed document of the
// service, and a key without permissions gets nothing.
func FuzzQuery(f *testing.F) {
	for _, form := range iamForms() {
		f.Add("iam", form.Encode())
	}
	for _, form := range stsForms() {
		f.Add("sts", form.Encode())
	}
	f.Add("iam", "Action=CreateRole&Version=2010-05-08&RoleName=x&AssumeRolePolicyDocument=%7B%22Statement%22%3A%5B%7B%7D%5D%7D&Tags.member.1.Key=%00")
	f.Add("iam", "Action=ListRoles&Version=2010-05-08&Marker=aHVi&MaxItems=-1")
	f.Add("sts", "Action=GetRole&Version=2010-05-08&RoleName=hub")
	f.Fuzz(func(t *testing.T, service, form string) {
		if service != "iam" && service != "sts" {
			return
		}
		w := newWorld()
		w.dev.AddOIDCProvider(w.Cluster("https://oidc.example.com/id"))
		w.dev.CreateRole("x/r", roleTrust(devID), readPics).SetPermissionsBoundary(readPics)
		w.dev.UserCredentials("u", readPics)
		endpoint := map[string]string{"iam": "https://iam.amazonaws.com", "sts": "https://sts.us-east-1.amazonaws.com"}[service]
		for _, signer := range []struct {
			name string
			keys aws.Credentials
		}{{"nothing", w.dev.UserCredentials("nothing", "")}, {"admin", w.dev.AdminKey()}} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/", strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			sign(t, r, []byte(form), signer.keys, service, "us-east-1", time.Now())
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
				XMLName  xml.Name
				Code     string `xml:"Error>Code"`
				Response string `xml:"ResponseMetadata>RequestId"`
			}
			if err := xml.Unmarshal(body, &document); err != nil || (document.Code == "") != (resp.StatusCode == http.StatusOK) || (document.Response == "") == (resp.StatusCode == http.StatusOK) {
				t.Errorf("%q to %s by %s was answered %d %q: %v", form, service, signer.name, resp.StatusCode, body, err)
			}
			if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented {
				t.Errorf("%q to %s by %s was answered %d", form, service, signer.name, resp.StatusCode)
			}
			free := document.XMLName.Local == "GetCallerIdentityResponse" || document.XMLName.Local == "GetSessionTokenResponse"
			if signer.name == "nothing" && resp.StatusCode == http.StatusOK && !free {
				t.Errorf("%q to %s is answered to a key without permissions: %s", form, service, body)
			}
		}
	})
}

// stsForms has a request of each signed action of STS.
func stsForms() []url.Values {
	form := func(action string, edits ...string) url.Values {
		return edit(url.Values{"Action": {action}, "Version": {"2011-06-15"}}, edits)
	}
	return []url.Values{
		assumeForm(),
		form("GetCallerIdentity"),
	}
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
