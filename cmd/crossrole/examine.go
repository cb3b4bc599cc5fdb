package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

// explainTrust says what the policy in the file says about the pod's token.
func explainTrust(ctx context.Context, file string, report *credentials.Report) (*finding, error) {
	document, err := readDocument(ctx, file)
	if err != nil {
		return nil, err
	}
	f := &finding{Name: file}
	policy, err := trust.ParsePolicy(document)
	if err == nil {
		err = policy.ValidateTrust()
	}
	if err != nil {
		f.Text = fmt.Sprintf("%s is not a trust policy: %v", file, err)
		return f, nil
	}
	if report.Token == nil || report.Token.Claims == nil {
		f.Text = "there is no token to compare the policy with"
		return f, nil
	}
	token, role := *report.Token.Claims, report.Hops[0].RoleARN
	a, err := arn.Parse(role)
	if err != nil {
		return nil, err
	}
	issuer := strings.TrimPrefix(token.Issuer, "https://")
	decision := policy.Explain(trust.Request{
		Action:    "sts:AssumeRoleWithWebIdentity",
		Principal: trust.Principals{"Federated": {token.ProviderARN(a.Partition, a.AccountID)}},
		Context:   map[string][]string{issuer + ":sub": {token.Subject}, issuer + ":aud": token.Audience},
	})
	f.OK = decision.Allowed
	f.Text = "the policy refuses the token for " + role
	if f.OK {
		f.Text = "the policy admits the token for " + role
	}
	for _, r := range decision.Reasons {
		name := fmt.Sprintf("statement %d", r.Statement)
		if r.SID != "" {
			name += " " + r.SID
		}
		f.Text += "\n" + name + ": " + r.Text
	}
	return f, nil
}

// maxDocument is far beyond the 6,144 characters that IAM allows a policy.
const maxDocument = 1 << 20

// readDocument reads a file, or standard input for "-", until ctx ends.
func readDocument(ctx context.Context, file string) ([]byte, error) {
	type result struct {
		document []byte
		err      error
	}
	done := make(chan result, 1)
	go func() { // to open or read a pipe may take forever
		in := os.Stdin
		if file != "-" {
			var err error
			if in, err = os.Open(file); err != nil {
				done <- result{nil, err}
				return
			}
			defer in.Close()
		}
		document, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
		if err == nil && len(document) > maxDocument {
			err = fmt.Errorf("%s is longer than any policy: give the document that aws iam get-role --query Role.AssumeRolePolicyDocument prints", shown(file))
		}
		done <- result{document, err}
	}()
	select {
	case r := <-done:
		return r.document, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkBucket reads one object or, without a key, the beginning of a listing.
func checkBucket(ctx context.Context, chain *credentials.Chain, bucket, key string, optFns ...func(*s3reader.Options)) *finding {
	f := &finding{Name: bucket}
	reader, err := s3reader.New(chain.Config(), bucket, optFns...)
	if err != nil {
		f.Text = err.Error()
		return f
	}
	if key != "" {
		object, err := reader.Open(ctx, key)
		if err != nil {
			f.Text = err.Error()
			return f
		}
		n, err := io.Copy(io.Discard, object)
		if err = errors.Join(err, object.Close()); err != nil {
			f.Text = err.Error()
			return f
		}
		f.OK, f.Text = true, fmt.Sprintf("read s3://%s/%s, %d bytes", bucket, key, n)
		return f
	}
	// A listing, and not HeadBucket: the reader follows the bucket to its region.
	for _, err = range reader.List(ctx, "") {
		break
	}
	switch {
	case err == nil:
		f.OK, f.Text = true, "s3://"+bucket+" may be listed"
	case errors.Is(err, s3reader.AccessDenied):
		f.OK, f.Text = true, "s3://"+bucket+" may not be listed"
		f.Notes = []string{"a role without s3:ListBucket gets that too; name an object with --key to see whether it can be read"}
	case errors.Is(err, s3reader.NoSuchBucket):
		f.Text = "there is no bucket " + bucket
	default:
		f.Text = err.Error()
	}
	return f
}
