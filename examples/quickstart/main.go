// Quickstart runs the whole scenario in memory: a pod of the developer account
// reads a picture from the shared account's bucket, directly and through a hub
// role, and then its cluster is replaced by a new one. It needs only Go.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

const (
	developer      = "111122223333"
	sharedAccount  = "444455556666"
	blueIssuer     = "https://oidc.eks.us-east-1.amazonaws.com/id/B1D0E2A4C6F8091A2B3C4D5E6F708192"
	greenIssuer    = "https://oidc.eks.us-east-1.amazonaws.com/id/6E3E4A5B6C7D8E9FA0B1C2D3E4F50617"
	namespace      = "default"
	serviceAccount = "s3-shared-content"
	bucket         = "pics"
	key            = "indoor-cat.jpg"
	size           = 5556
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "quickstart-")
	if err == nil {
		err = errors.Join(scenario(ctx, os.Stdout, dir), os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// world holds the two accounts and what is in them.
type world struct {
	cloud          *awstest.Cloud
	dev, shared    *awstest.Account
	blue, green    *awstest.Cluster
	hub, target    *awstest.Role
	picture        []byte
	serviceAccount string // the token's subject
}

// build sets up the accounts as an administrator would.
func build() *world {
	w := &world{cloud: awstest.New(), serviceAccount: awstest.Subject(namespace, serviceAccount)}
	w.dev, w.shared = w.cloud.Account(developer), w.cloud.Account(sharedAccount)
	w.blue, w.green = w.cloud.Cluster(blueIssuer), w.cloud.Cluster(greenIssuer)

	// The developer account registers its own cluster's issuer; the hub role may assume
	// the shared account's role.
	w.dev.AddOIDCProvider(w.blue)
	target := "arn:aws:iam::" + sharedAccount + ":role/S3_Pics"
	w.hub = w.dev.CreateRole("hub", w.hubTrust(blueIssuer), trust.AssumePolicy([]string{target}).String())

	// The shared account trusts the hub and, for the direct route, the tokens of
	// the blue cluster.
	w.shared.AddOIDCProvider(w.blue)
	policy := trust.WebIdentityPolicy(sharedAccount, []string{blueIssuer}, []string{w.serviceAccount})
	policy.Statements = append(policy.Statements, trust.RolePolicy(w.hub.ARN()).Statements...)
	w.target = w.shared.CreateRole("S3_Pics", policy.String(), trust.ReadBucketPolicy(bucket, "").String())

	w.picture = make([]byte, size)
	rand.NewChaCha8([32]byte([]byte("an indoor cat, sleeping in a box"))).Read(w.picture)
	w.shared.CreateBucket(bucket).Put(key, w.picture, func(o *awstest.Object) { o.ContentType = "image/jpeg" })
	return w
}

// hubTrust returns the trust policy of the hub role. On the hub route, no other policy
// contains an issuer.
func (w *world) hubTrust(issuers ...string) string {
	return trust.WebIdentityPolicy(developer, issuers, []string{w.serviceAccount}).String()
}

// scenario runs both routes and the move to the green cluster, and prints each step.
func scenario(ctx context.Context, out io.Writer, dir string) error {
	w := build()
	fmt.Fprintf(out, "developer account %s: cluster blue, role %s\n", developer, w.hub.ARN())
	fmt.Fprintf(out, "shared account    %s: role %s, s3://%s/%s\n\n", sharedAccount, w.target.ARN(), bucket, key)

	pod := w.blue.Pod(dir+"/blue", namespace, serviceAccount, w.hub.ARN())
	raw, err := os.ReadFile(pod.TokenFile())
	if err != nil {
		return err
	}
	token, err := trust.ParseToken(raw)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "The pod's token claims")
	fmt.Fprintf(out, "  iss  %s\n  sub  %s\n  aud  %q\n  exp  %s\n\n", token.Issuer, token.Subject, token.Audience, when(token.Expires))

	fmt.Fprintln(out, "Direct: the pod exchanges its token for the shared account's role")
	if err := w.read(ctx, out, w.direct(pod)); err != nil {
		return err
	}
	fmt.Fprintln(out, "Hub: the pod exchanges its token for the developer account's role, which assumes the shared account's role")
	if err := w.read(ctx, out, w.throughHub(pod)); err != nil {
		return err
	}

	fmt.Fprintln(out, "Blue/green: the pod moves to a new cluster, whose issuer is")
	fmt.Fprintf(out, "  %s\n", greenIssuer)
	fmt.Fprintf(out, "The developer account registers it and adds it to the hub's trust policy; nothing changes in the shared account\n\n")
	w.dev.AddOIDCProvider(w.green)
	w.hub.SetTrust(w.hubTrust(blueIssuer, greenIssuer))
	pod = w.green.Pod(dir+"/green", namespace, serviceAccount, w.hub.ARN())

	fmt.Fprintln(out, "Hub, from green: works")
	if err := w.read(ctx, out, w.throughHub(pod)); err != nil {
		return err
	}
	fmt.Fprintln(out, "Direct, from green: refused, and the error says why")
	err = w.read(ctx, out, w.direct(pod))
	if !errors.Is(err, credentials.OIDCProviderMissing) {
		return fmt.Errorf("the direct route from green: got %w, want %w", err, credentials.OIDCProviderMissing)
	}
	refusal, _ := errors.AsType[*credentials.Error](err)
	fmt.Fprintf(out, "  %s\n\n", refusal)

	fmt.Fprintf(out, "ok: %s %d bytes, direct and hub\n", key, size)
	return nil
}

// direct sets up the direct route. A program in a real pod gets both fields from
// its environment and calls credentials.Wrap(base); for the hub route,
// credentials.Wrap(base, credentials.Assume(target)).
func (w *world) direct(pod *awstest.Pod) func(*credentials.Options) {
	return func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: w.target.ARN(), TokenFile: pod.TokenFile()}
	}
}

func (w *world) throughHub(pod *awstest.Pod) func(*credentials.Options) {
	return func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
		o.Roles = []credentials.Role{{ARN: w.target.ARN()}}
	}
}

// read fetches the picture over the route and prints the identity it used.
func (w *world) read(ctx context.Context, out io.Writer, route func(*credentials.Options)) error {
	cfg, err := credentials.Wrap(w.cloud.Config(), route)
	if err != nil {
		return err
	}
	pics, err := s3reader.New(cfg, bucket)
	if err != nil {
		return err
	}
	data, err := pics.Get(ctx, key)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if len(data) != size || sum != sha256.Sum256(w.picture) {
		return fmt.Errorf("%s arrived damaged: %d bytes, SHA-256 %x", key, len(data), sum)
	}
	chain, _ := credentials.ChainOf(cfg)
	hops := chain.Status().Hops
	session := hops[len(hops)-1]
	fmt.Fprintf(out, "  chain    %s\n  caller   %s\n  session  until %s\n  object   %d bytes, SHA-256 %x\n\n", chain, session.CallerARN, when(session.Expires), len(data), sum)
	return nil
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
