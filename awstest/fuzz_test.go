package awstest_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
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
		form("GetSessionToken", "DurationSeconds", "900"),
		form("GetAccessKeyInfo", "AccessKeyId", "AKIAAAAAAAAAAAAAAAAA"),
		form("DecodeAuthorizationMessage", "EncodedMessage", "x"),
		form("GetWebIdentityToken", "Audience.member.1", "https://api.example.com", "SigningAlgorithm", "ES384", "DurationSeconds", "60", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"),
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

// FuzzHandle changes a signed request to a service that has a handler: the handler
// is asked about the true one only, and every response names a code.
func FuzzHandle(f *testing.F) {
	const body, target, kind = `{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/444455556666/jobs","MessageBody":"hello"}`, "AmazonSQS.SendMessage", "application/x-amz-json-1.0"
	w := newWorld()
	w.hub.SetPolicy(maySend)
	asked := 0
	q := &queue{policy: devMaySend, needs: func(*awstest.ServiceRequest) ([]awstest.Permission, error) {
		asked++
		return []awstest.Permission{{Action: "sqs:SendMessage", Resource: jobs, Policy: devMaySend}}, nil
	}}
	w.Handle("sqs", q.handler())
	request := func(t testing.TB, method, query, body string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), method, "https://sqs.us-east-1.amazonaws.com/", strings.NewReader(body))
		if err != nil {
			t.Skip() // no method
		}
		r.URL.RawQuery = query
		return r
	}
	signed := request(f, http.MethodPost, "", body)
	signed.Header.Set("X-Amz-Target", target)
	signed.Header.Set("Content-Type", kind)
	sign(f, signed, []byte(body), w.hubSession(f), "sqs", "us-east-1", time.Now())
	authorization := signed.Header.Get("Authorization")
	f.Add("POST", "", authorization, target, kind, body)
	f.Add("POST", "", authorization, "AmazonSQS.DeleteQueue", kind, body)
	f.Add("POST", "", authorization, target, kind, `{"MessageBody":"other"}`)
	f.Add("POST", "", "", target, kind, body)
	f.Add("GET", "Action=SendMessage", authorization, "", "", "")
	f.Add("POST", "", strings.Replace(authorization, "sqs", "sts", 1), "", "application/x-www-form-urlencoded", "Action=%zz;")
	f.Fuzz(func(t *testing.T, method, query, authorization2, target2, kind2, body2 string) {
		r := request(t, method, query, body2)
		r.Header = signed.Header.Clone()
		r.Header.Set("Authorization", authorization2)
		r.Header.Set("X-Amz-Target", target2)
		r.Header.Set("Content-Type", kind2)
		before := asked
		resp, err := w.Config().HTTPClient.Do(r)
		if err != nil {
			return // a request that no server could be asked
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		unchanged := method == "POST" && query == "" && authorization2 == authorization && target2 == target && kind2 == kind && body2 == body
		// Space around a header's value is not signed.
		alike := strings.TrimSpace(authorization2) == authorization && strings.Join(strings.Fields(target2), " ") == target && strings.Join(strings.Fields(kind2), " ") == kind && method == "POST" && query == "" && body2 == body
		switch {
		case unchanged && (resp.StatusCode != 200 || asked != before+1):
			t.Errorf("the true request was answered %d %s", resp.StatusCode, answer)
		case !alike && (resp.StatusCode < 400 || asked != before):
			t.Errorf("%s ?%s %q %q %q %q was answered %d %s", method, query, authorization2, target2, kind2, body2, resp.StatusCode, answer)
		case resp.StatusCode >= 400 && !strings.Contains(string(answer), "__type") && !strings.Contains(string(answer), "<Code>"):
			t.Errorf("answered %d %q", resp.StatusCode, answer)
		}
	})
}

// FuzzEvaluation compares the decision with AWS's rules in one formula, for a
// session and all that its policies can say of a request.
func FuzzEvaluation(f *testing.F) {
	const absent, silent, allows, denies = 0, 1, 2, 3 // a policy
	for _, seed := range [][8]byte{
		{absent, absent, allows, absent, absent, absent, 0, 0},
		{allows, silent, silent, silent, silent, allows, 1, 0},
		{allows, silent, silent, allows, allows, allows, 2, 0},
		{silent, silent, allows, allows, allows, allows, 1, 1},
		{allows, denies, allows, allows, allows, allows, 1, 1},
		{allows, silent, allows, denies, allows, allows, 1, 0},
		{allows, silent, allows, allows, allows, allows, 3, 1},
		{allows, silent, allows, allows, silent, allows, 4, 0},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7])
	}
	f.Fuzz(func(t *testing.T, scp, rcp, identity, boundary, session, resource, named, across byte) {
		scp, rcp, identity, boundary, session, resource, named, across = scp%4, rcp%4, identity%4, boundary%4, session%4, resource%4, named%5, across%2
		says := func(what byte) statements {
			switch what {
			case silent:
				return statements{json.RawMessage(`{"Effect":"Allow","Action":"sqs:ReceiveMessage","Resource":"*"}`)}
			case allows:
				return statements{json.RawMessage(`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}`)}
			case denies:
				return statements{json.RawMessage(`{"Effect":"Allow","Action":"*","Resource":"*"}`), json.RawMessage(`{"Effect":"Deny","Action":"sqs:SendMessage","Resource":"*"}`)}
			}
			return nil
		}
		row := evaluation{
			Caller: "role", Members: []string{devID, sharedID}, Identity: says(identity), Boundary: says(boundary), Session: says(session),
			Action: "sqs:SendMessage", Resource: "arn:aws:sqs:us-east-1:" + []string{devID, sharedID}[across] + ":jobs",
		}
		if scp != absent {
			row.SCPs, row.Detached = []attachment{{"Limit", "account", says(scp)}}, []string{"account"}
		}
		if rcp == denies {
			row.RCPs = []attachment{{"Limit", "account", statements{json.RawMessage(`{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*"}`)}}}
		}
		principal := []string{
			`{"AWS":"` + devID + `"}`, `{"AWS":"arn:aws:sts::` + devID + `:assumed-role/app/s1"}`, `{"AWS":"arn:aws:iam::` + devID + `:role/app"}`,
			`{"AWS":"777788889999"}`, `"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/app"}}`,
		}[named]
		for _, statement := range says(resource) {
			row.Policy = append(row.Policy, json.RawMessage(strings.Replace(string(statement), `{`, `{"Principal":`+principal+`,`, 1)))
		}

		const account, caller, role, stranger, byARN = 0, 1, 2, 3, 4
		may := func(policy byte) bool { return policy == absent || policy == allows }
		denied := scp == denies || rcp == denies || identity == denies || boundary == denies || session == denies || resource == denies && named != stranger
		policyAllows := resource == allows && named != stranger
		own := identity == allows && may(boundary) && may(session)
		granted := own
		switch {
		case across == 1:
			granted = own && policyAllows
		case policyAllows && (named == caller || named == byARN):
			granted = true
		case policyAllows && named == role:
			granted = may(boundary) && may(session)
		}
		want := !denied && may(scp) && granted
		if call, err := row.try(t); want && err != nil || !want && !isDenial(err) {
			t.Errorf("scp %d, rcp %d, identity %d, boundary %d, session %d, resource %d for %d, across %d: got %v, want %v\n%v", scp, rcp, identity, boundary, session, resource, named, across, err, want, call)
		}
	})
}
