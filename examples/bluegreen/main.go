// Bluegreen moves a running process from a blue cluster to a green one, in memory. The
// token file switches to tokens from another issuer, as it may in a disaster-recovery
// exercise, and the process keeps reading over the hub route without a restart.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

func main() {
	dir, err := os.MkdirTemp("", "bluegreen-")
	if err == nil {
		err = errors.Join(run(context.Background(), os.Stdout, dir), os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bluegreen:", err)
		os.Exit(1)
	}
}

const target = "arn:aws:iam::444455556666:role/S3_Pics"

func run(ctx context.Context, out io.Writer, dir string) error {
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	green := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
	subject := awstest.Subject("default", "s3-shared-content")
	trusts := func(issuers ...string) string {
		return trust.WebIdentityPolicy(dev.ID(), issuers, []string{subject}).String()
	}
	dev.AddOIDCProvider(blue)
	hub := dev.CreateRole("hub", trusts(blue.Issuer()), trust.AssumePolicy([]string{target}).String())
	shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))
	pod := blue.Pod(dir, "default", "s3-shared-content", hub.ARN())

	// The process uses the same chain and the same reader all the time.
	moved := make(chan credentials.Event, 1)
	cfg, err := credentials.Wrap(cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
		o.Roles = []credentials.Role{{ARN: target}}
		o.OnEvent = func(e credentials.Event) {
			if e.Type == credentials.IssuerChanged {
				moved <- e
			}
		}
	})
	if err != nil {
		return err
	}
	pics, err := s3reader.New(cfg, "pics")
	if err != nil {
		return err
	}
	chain, _ := credentials.ChainOf(cfg)
	read := func(when string) error {
		data, err := pics.Get(ctx, "indoor-cat.jpg")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: read %q\n", when, data)
		return nil
	}
	// later simulates the hours in which both sessions expire.
	later := func() error {
		hub.RevokeSessions()
		creds, err := chain.Retrieve(ctx)
		chain.Invalidate(creds.AccessKeyID)
		return err
	}

	if err := read("on blue"); err != nil {
		return err
	}
	dev.AddOIDCProvider(green)
	hub.SetTrust(trusts(blue.Issuer(), green.Issuer()))
	fmt.Fprintln(out, "the hub's account registers green and adds it to the hub's trust policy")

	pod.Move(green)
	if err := read("moved, sessions still valid"); err != nil {
		return err
	}
	if err := later(); err != nil {
		return err
	}
	if err := read("on green"); err != nil {
		return err
	}
	fmt.Fprintf(out, "event: %s\n", (<-moved).Type)

	hub.SetTrust(trusts(green.Issuer()))
	dev.RemoveOIDCProvider(blue)
	fmt.Fprintln(out, "blue is removed from the hub's account")
	if err := later(); err != nil {
		return err
	}
	if err := read("without blue"); err != nil {
		return err
	}
	fmt.Fprintln(out, "ok: one process, two clusters, no change in the shared account")
	return nil
}
