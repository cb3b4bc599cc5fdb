package awstest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// TestHostHeaderChangesNothing shows that a client reaches the host that it
// connects to, whatever Host it claims.
func TestHostHeaderChangesNothing(t *testing.T) {
	w := newWorld()
	r := getRequest(t, "http://169.254.169.254/latest/meta-data/")
	r.Host = "sts.us-east-1.amazonaws.com"
	resp, err := w.Config().HTTPClient.Do(r)
	if err == nil {
		resp.Body.Close()
		t.Fatalf("answered %d", resp.StatusCode)
	}
	if calls := w.Calls(); len(calls) != 1 || calls[0].Host != "169.254.169.254" || calls[0].Operation != "" {
		t.Errorf("recorded as %v", calls)
	}
}

// TestEndedContextSendsNothing shows that a request whose context has ended is
// no call.
func TestEndedContextSendsNothing(t *testing.T) {
	w := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := formRequest(t, "https://sts.us-east-1.amazonaws.com", webIdentityForm(w)).WithContext(ctx)
	resp, err := w.Config().HTTPClient.Do(r)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || len(w.Calls()) != 0 {
		t.Errorf("%v, %v", err, w.Calls())
	}
}

// TestTokenExchangeIgnoresCredentials shows that dead credentials neither help
// nor hinder the exchange of a token.
func TestTokenExchangeIgnoresCredentials(t *testing.T) {
	w := newWorld()
	dead := aws.Credentials{AccessKeyID: "ASIADEADDEADDEADDEAD", SecretAccessKey: "x", SessionToken: "x"}
	client, endpoint := w.Config().HTTPClient, "https://sts.us-east-1.amazonaws.com"
	post(t, client, endpoint, webIdentityForm(w), &dead).expect(t, w, 200, "", "")
	hub := w.hubSession(t)
	post(t, client, endpoint, webIdentityForm(w, "WebIdentityToken", "not.a.token"), &hub).expect(t, w, 400, "InvalidIdentityToken", "")
}

// TestPresignedIdentity sends GetCallerIdentity as a presigned URL, as the
// authenticator of EKS does.
func TestPresignedIdentity(t *testing.T) {
	w := newWorld()
	signed, err := sts.NewPresignClient(w.as(w.hubSession(t))).PresignGetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url    string
		status int
	}{
		{signed.URL, http.StatusOK},
		{strings.Replace(signed.URL, "GetCallerIdentity", "AssumeRole", 1), http.StatusForbidden},
	} {
		resp, err := w.Config().HTTPClient.Do(getRequest(t, test.url))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.status || test.status == http.StatusOK && !strings.Contains(string(body), hubSessionARN) {
			t.Errorf("got %d %s, %v", resp.StatusCode, body, err)
		}
	}
}

// TestSessionPoliciesAreAUnion shows that what one session policy allows need
// not be allowed by the others, and that none gives what the role has not.
func TestSessionPoliciesAreAUnion(t *testing.T) {
	w := newWorld()
	narrowed := func(policy string, arns ...string) error {
		input := &sts.AssumeRoleWithWebIdentityInput{RoleArn: new(hubARN), RoleSessionName: new("pod"), WebIdentityToken: new(w.blue.Token("default", "app"))}
		if policy != "" {
			input.Policy = &policy
		}
		for _, arn := range arns {
			input.PolicyArns = append(input.PolicyArns, types.PolicyDescriptorType{Arn: &arn})
		}
		out, err := w.as(aws.Credentials{}).AssumeRoleWithWebIdentity(t.Context(), input)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.assume(t, credentialsOf(out.Credentials), targetARN)
		return err
	}
	const readOnly, admin = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "arn:aws:iam::aws:policy/AdministratorAccess"
	if err := narrowed("", readOnly); code(err) != "AccessDenied" {
		t.Errorf("S3 only: %v", err)
	}
	if err := narrowed(allowAssume, readOnly); err != nil {
		t.Errorf("one of two allows: %v", err)
	}
	denied := strings.Replace(allowAssume, `"Allow"`, `"Deny"`, 1)
	if err := narrowed(denied, admin); code(err) != "AccessDenied" {
		t.Errorf("one of two denies: %v", err)
	}
	w.hub.SetPolicy("")
	if err := narrowed("", admin); code(err) != "AccessDenied" {
		t.Errorf("more than the role has: %v", err)
	}
}

// TestAnonymousWithoutTLS shows that the keys which every request has bind
// anonymous callers too.
func TestAnonymousWithoutTLS(t *testing.T) {
	w := newWorld()
	bucket := w.dev.CreateBucket("public")
	bucket.Put("cat", []byte("meow"))
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::public/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::public/*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`)
	for scheme, status := range map[string]int{"https": http.StatusOK, "http": http.StatusForbidden} {
		resp, err := w.Config().HTTPClient.Do(getRequest(t, scheme+"://public.s3.us-east-1.amazonaws.com/cat"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("over %s: %d, want %d", scheme, resp.StatusCode, status)
		}
	}
}
