package ceph

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Region is the region that requests to the gateway are signed for. It accepts any.
const Region = "us-east-1"

// Account is a tenant of the gateway. With a name of twelve digits it represents an AWS
// account: ARNs, trust policies and bucket names treat it as one.
type Account struct {
	ID     string
	Config aws.Config // signs as the account's administrator; the endpoint is the gateway
}

// CreateAccount creates a tenant with an administrator who may create roles, OIDC
// providers and buckets in it.
func (c *Cluster) CreateAccount(ctx context.Context, id string) (*Account, error) {
	access, secret := rand.Text(), rand.Text()
	err := c.run(ctx, "radosgw-admin", "-n", gateway, "user", "create",
		"--tenant", id, "--uid", "admin", "--display-name", "admin",
		"--access-key", access, "--secret-key", secret, "--caps", "roles=*;oidc-provider=*")
	if err != nil {
		return nil, fmt.Errorf("ceph: account %s: %w", id, err)
	}
	return &Account{ID: id, Config: aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(c.URL),
		HTTPClient:   wholeReplies{awshttp.NewBuildableClient()},
		Credentials:  credentials.NewStaticCredentialsProvider(access, secret, ""),
		// Ceph 16 does not support the checksum trailers of 2025.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}}, nil
}
