package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	minio "github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossrole/crossrole/credentials"
)

// The contenders of the session rows: how each builds a provider for the hub route.

const (
	region    = "us-east-1"
	homeHost  = "sts.us-east-1.amazonaws.com"
	nearby    = "us-west-2" // the fallback region, of the contender that can have one
	hubARN    = "arn:aws:iam::111122223333:role/hub"
	targetARN = "arn:aws:iam::444455556666:role/S3_Pics"
	stsURL    = "https://" + homeHost

	sessionName = "bench"
)

// The names of the contenders in the output.
const (
	ours      = "ours"
	sdk       = "sdk"
	sdkWindow = "sdk-window"
	minioGo   = "minio"
)

// pod is what a contender starts from.
type pod struct {
	client    *http.Client
	tokenFile string
	window    time.Duration // of sdk-window
	fallback  []string      // regions; only ours has such a setting

	agentToken string // the file of the node agent's token
}

// retriever gets credentials from a contender.
type retriever func(ctx context.Context) error

// contender builds a provider for the hub route.
type contender struct {
	name string
	make func(p pod) (retriever, error)
}

var contenders = []contender{
	{ours, func(p pod) (retriever, error) {
		chain, err := ourChain(p)
		return of(chain), err
	}},
	{sdk, func(p pod) (retriever, error) { return of(sdkChain(p, 0)), nil }},
	{sdkWindow, func(p pod) (retriever, error) { return of(sdkChain(p, p.window)), nil }},
	{minioGo, func(p pod) (retriever, error) {
		creds, err := minioChain(p)
		return func(ctx context.Context) error {
			_, err := creds.GetWithContext(&minio.CredContext{Client: p.client, Context: ctx})
			return err
		}, err
	}},
}

func of(p aws.CredentialsProvider) retriever {
	return func(ctx context.Context) error {
		_, err := p.Retrieve(ctx)
		return err
	}
}

func ourChain(p pod) (*credentials.Chain, error) {
	return credentials.New(aws.Config{Region: region, HTTPClient: p.client}, func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: p.tokenFile, SessionName: sessionName}
		o.Roles = []credentials.Role{{ARN: targetARN}}
		o.FallbackRegions = p.fallback
	})
}

func sdkChain(p pod, window time.Duration) *aws.CredentialsCache {
	return sdkChainTo(targetARN, p, window)
}

func sdkChainTo(role string, p pod, window time.Duration) *aws.CredentialsCache {
	early := func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = window }
	cfg := aws.Config{Region: region, HTTPClient: p.client, Credentials: aws.AnonymousCredentials{}}
	hub := stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), hubARN, stscreds.IdentityTokenFile(p.tokenFile),
		func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = sessionName })
	return sdkHopTo(role, cfg, aws.NewCredentialsCache(hub, early), early)
}

// sdkHopTo assumes a role with the session of hub.
func sdkHopTo(role string, cfg aws.Config, hub aws.CredentialsProvider, early func(*aws.CredentialsCacheOptions)) *aws.CredentialsCache {
	cfg.Credentials = hub
	target := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = sessionName
		o.Duration = time.Hour
	})
	return aws.NewCredentialsCache(target, early)
}

// minioHub assumes a role with the session of another provider.
type minioHub struct {
	hub *minio.Credentials
	minio.STSAssumeRole
}

// RetrieveWithCredContext implements minio's Provider.
func (m *minioHub) RetrieveWithCredContext(cc *minio.CredContext) (minio.Value, error) {
	v, err := m.hub.GetWithContext(cc)
	if err != nil {
		return minio.Value{}, err
	}
	m.Options.AccessKey, m.Options.SecretKey, m.Options.SessionToken = v.AccessKeyID, v.SecretAccessKey, v.SessionToken
	return m.STSAssumeRole.RetrieveWithCredContext(cc)
}

func minioChain(p pod) (*minio.Credentials, error) {
	hub, err := minio.NewSTSWebIdentity(stsURL, func() (*minio.WebIdentityToken, error) { return nil, nil },
		minio.WithWebIdentityTokenFile(p.tokenFile),
		func(i *minio.STSWebIdentity) { i.RoleARN, i.Client = hubARN, p.client })
	if err != nil {
		return nil, err
	}
	return minio.New(&minioHub{hub, minio.STSAssumeRole{
		Client: p.client, STSEndpoint: stsURL,
		Options: minio.STSAssumeRoleOptions{RoleARN: targetARN, RoleSessionName: sessionName, Location: region, DurationSeconds: 3600},
	}}), nil
}

// writeToken writes a service-account token that is valid for a day. Its signature is
// never verified here.
func writeToken(dir string) (string, error) {
	now := time.Now()
	part := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":"https://oidc.eks.us-east-1.amazonaws.com/id/BENCH","sub":"system:serviceaccount:default:bench","aud":["sts.amazonaws.com"],"iat":%d,"nbf":%[1]d,"exp":%d}`,
		now.Unix(), now.Add(24*time.Hour).Unix())
	token := part([]byte(`{"alg":"RS256"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
	path := filepath.Join(dir, "token")
	return path, os.WriteFile(path, []byte(token), 0o600)
}
