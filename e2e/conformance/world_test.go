package conformance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

const (
	devAccount    = "111122223333"
	sharedAccount = "444455556666"
	region        = "us-east-1"
	bucket        = "pics"
	digits        = "0123456789" // the content of key "digits"
	audience      = "sts.amazonaws.com"
	subject       = "system:serviceaccount:default:app"
	externalID    = "table-external-id"
)

// contents maps the bucket's keys to their content.
var contents = map[string]string{
	"digits": digits, "empty": "", "dir/a": "a", "dir/b": "b", "dir/sub/c": "c",
	"odd/a b+c%20é": "odd", "odd/x//y": "slashes",
}

// world is a server with two accounts, roles and a bucket.
type world struct {
	server  server
	sts, s3 string // endpoints
	issuer  string // without its scheme, as condition keys have it

	hub    aws.Credentials // session of the hub role, by web identity
	mute   aws.Credentials // session, by web identity, of a role without permissions
	reader aws.Credentials // session of S3-Pics: reads and lists
	blind  aws.Credentials // session of a role that may get and put objects only
	writer aws.Credentials // session of a role that may do everything with the buckets

	short  aws.Credentials // session of S3-Pics-short, which lasts for life
	life   *int32          // in seconds; nil: the default
	ends   time.Time       // expiry of that session
	revoke func()          // makes it expire earlier; nil: the test waits

	only   string // the account, if the server has only one
	silent string // an issuer that does not respond; empty: there is none
	token  func(c claims) string
	create func(account, name, trust, policy string) error
	roles  int
	t      *testing.T // of the row
}

// claims are a row's changes to a token.
type claims struct {
	serviceAccount string        // empty: app
	audience       string        // empty: STS's
	issuedAgo      time.Duration // the lifetime is one hour
	cluster        string        // "foreign": its issuer is not registered; "silent": it does not respond
}

// account returns the server's ID for an account of the rows.
func (w *world) account(id string) string { return cmp.Or(w.only, id) }

// expired returns a session that has expired.
func (w *world) expired(t *testing.T) *aws.Credentials {
	t.Helper()
	if w.revoke != nil {
		w.revoke()
	} else {
		time.Sleep(time.Until(w.ends.Add(time.Second)))
	}
	return &w.short
}

// provider returns the ARN of an issuer's OIDC provider in an account.
func (w *world) provider(account, issuer string) string {
	return "arn:aws:iam::" + w.account(account) + ":oidc-provider/" + issuer
}

func roleARN(account, name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// trusting creates a role of the developer account with this trust policy, in which
// PROVIDER and KEY are replaced with the provider's ARN and the prefix of its condition
// keys.
func (w *world) trusting(t *testing.T, policy string) string {
	t.Helper()
	w.roles++
	name := "row-" + string(rune('a'+w.roles/26)) + string(rune('a'+w.roles%26))
	policy = strings.NewReplacer("PROVIDER", w.provider(devAccount, w.issuer), "KEY", w.issuer).Replace(policy)
	if err := w.create(devAccount, name, policy, ""); err != nil {
		t.Fatalf("role %s: %v", name, err)
	}
	return roleARN(devAccount, name)
}

// Trust policies of the roles that all rows share.
func (w *world) trustsToken(account, issuer string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRoleWithWebIdentity"],"Principal":{"Federated":["` + w.provider(account, issuer) + `"]},
		"Condition":{"StringEquals":{"` + issuer + `:aud":"` + audience + `","` + issuer + `:sub":"` + subject + `"}}}]}`
}

func trustsRole(arn, condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole"],"Principal":{"AWS":["` + arn + `"]}` + condition + `}]}`
}

const (
	mayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/*"}]}`
	mayGet    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::pics/*"]}]}`
	mayList   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:PutObject","s3:ListBucket"],"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"]}]}`
)

// mayAll also lets the role make buckets and list those of its account.
const mayAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}`

type role struct{ account, name, trust, policy string }

// standing returns the roles that all rows share.
func (w *world) standing() []role {
	hub := roleARN(devAccount, "hub")
	return []role{
		{devAccount, "hub", w.trustsToken(devAccount, w.issuer), mayAssume},
		{devAccount, "mute", w.trustsToken(devAccount, w.issuer), ""}, // may assume nothing
		{devAccount, "deaf", w.trustsToken(devAccount, cmp.Or(w.silent, w.issuer)), ""},
		{sharedAccount, "S3-Pics", trustsRole(hub, ""), mayList},
		{sharedAccount, "S3-Pics-blind", trustsRole(hub, ""), mayGet},
		{sharedAccount, "S3-Pics-writer", trustsRole(hub, ""), mayAll},
		{sharedAccount, "S3-Pics-short", trustsRole(hub, ""), mayList},
		{sharedAccount, "S3-Pics-closed", trustsRole(roleARN(devAccount, "mute"), ""), mayList},
		{sharedAccount, "S3-Pics-external", trustsRole(hub, `,"Condition":{"StringEquals":{"sts:ExternalId":"`+externalID+`"}}`), mayList},
	}
}

// furnish creates the shared roles and their sessions. A server with one account gets
// only the roles of the developer account.
func (w *world) furnish(ctx context.Context) error {
	for _, r := range w.standing() {
		if w.only != "" && r.account != devAccount {
			continue
		}
		if err := w.create(r.account, r.name, r.trust, r.policy); err != nil {
			return err
		}
	}
	if w.only != "" {
		return nil
	}
	client := sts.New(sts.Options{Region: region, BaseEndpoint: &w.sts})
	keys := func(c *types.Credentials) aws.Credentials {
		return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
	}
	for name, into := range map[string]*aws.Credentials{"hub": &w.hub, "mute": &w.mute} {
		out, err := client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: aws.String(roleARN(devAccount, name)), RoleSessionName: aws.String("row"), WebIdentityToken: aws.String(w.token(claims{})),
		})
		if err != nil {
			return err
		}
		*into = keys(out.Credentials)
	}
	for name, into := range map[string]*aws.Credentials{"S3-Pics": &w.reader, "S3-Pics-blind": &w.blind, "S3-Pics-writer": &w.writer, "S3-Pics-short": &w.short} {
		in := &sts.AssumeRoleInput{RoleArn: aws.String(roleARN(sharedAccount, name)), RoleSessionName: aws.String("row")}
		if into == &w.short {
			in.DurationSeconds = w.life
		}
		out, err := client.AssumeRole(ctx, in, func(o *sts.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return w.hub, nil })
		})
		if err != nil {
			return err
		}
		*into = keys(out.Credentials)
		if into == &w.short {
			w.ends = *out.Credentials.Expiration
		}
	}
	return nil
}

// ask is a request that is not signed yet.
type ask struct {
	method, path, query string // of S3; path as it goes over the wire
	form                url.Values
	header              map[string]string
	body                string
	signer              *aws.Credentials
	region, service     string              // to sign for, if not the right ones
	signedAgo           time.Duration       // how far back the signing time is
	presign             string              // X-Amz-Expires
	lengthless          bool                // without Content-Length
	after               func(*http.Request) // changes the signed request
}

// do signs and sends the request.
func (w *world) do(t *testing.T, a ask) answer {
	t.Helper()
	endpoint, service := w.s3, "s3"
	switch {
	case a.form != nil && a.method == http.MethodGet:
		endpoint, service, a.path, a.query = w.sts, "sts", "/", a.form.Encode()
	case a.form != nil:
		endpoint, service = w.sts, "sts"
		a.method, a.path, a.body = http.MethodPost, "/", a.form.Encode()
	}
	if a.service != "" {
		service = a.service
	}
	target := endpoint + a.path
	if a.query != "" {
		target += "?" + a.query
	}
	req, err := http.NewRequestWithContext(t.Context(), a.method, target, bytes.NewReader([]byte(a.body)))
	if err != nil {
		t.Fatal(err)
	}
	if a.form != nil && a.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	if a.lengthless {
		req.ContentLength = -1
	}
	if a.signer != nil {
		w.sign(t, req, a, service)
	}
	if a.after != nil {
		a.after(req)
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req) // does not follow redirects
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (w *world) sign(t *testing.T, req *http.Request, a ask, service string) {
	t.Helper()
	at := time.Now().Add(-a.signedAgo)
	signedRegion := region
	if a.region != "" {
		signedRegion = a.region
	}
	sum := sha256.Sum256([]byte(a.body))
	hash := hex.EncodeToString(sum[:])
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if a.presign != "" {
		payload := hash
		if service == "s3" {
			payload = "UNSIGNED-PAYLOAD"
		}
		q := req.URL.Query()
		q.Set("X-Amz-Expires", a.presign)
		req.URL.RawQuery = q.Encode()
		signed, _, err := signer.PresignHTTP(t.Context(), *a.signer, req, payload, service, signedRegion, at)
		if err != nil {
			t.Fatal(err)
		}
		if req.URL, err = url.Parse(signed); err != nil {
			t.Fatal(err)
		}
		return
	}
	if service == "s3" {
		if h := req.Header.Get("X-Amz-Content-Sha256"); h != "" {
			hash = h
		}
		req.Header.Set("X-Amz-Content-Sha256", hash)
	}
	if err := signer.SignHTTP(t.Context(), *a.signer, req, hash, service, signedRegion, at); err != nil {
		t.Fatal(err)
	}
}
