package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	minio "github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossrole/crossrole/credentials"
)

// Provider is a chain as a provider for minio-go, which signs every request with what
// it returns:
//
//	minio.New("s3.us-east-1.amazonaws.com", &minio.Options{Creds: credentials.New(Provider{chain}), …})
//
// The chain keeps the session and renews it in the background. It is safe for concurrent
// use.
type Provider struct{ Chain *credentials.Chain }

var _ minio.Provider = Provider{}

// IsExpired returns true, so that minio-go keeps no copy of the session but asks the
// chain for every request. For a valid session, the chain responds in less than a
// microsecond.
func (p Provider) IsExpired() bool { return true }

// RetrieveWithCredContext returns the chain's session. It waits only if there is none, or
// if it is about to expire, for Refresh.Timeout at most; minio-go returns earlier to a
// caller whose context is done. The chain uses its own HTTP client, not that of cc.
func (p Provider) RetrieveWithCredContext(cc *minio.CredContext) (minio.Value, error) {
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	session, err := p.Chain.Retrieve(ctx)
	if err != nil {
		return minio.Value{}, err
	}
	return value(session), nil
}

// Retrieve is what older versions of minio-go call.
func (p Provider) Retrieve() (minio.Value, error) { return p.RetrieveWithCredContext(nil) }

func value(session aws.Credentials) minio.Value {
	return minio.Value{
		AccessKeyID:     session.AccessKeyID,
		SecretAccessKey: session.SecretAccessKey,
		SessionToken:    session.SessionToken,
		Expiration:      session.Expires,
		SignerType:      minio.SignatureV4,
	}
}
