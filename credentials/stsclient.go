package credentials

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// stsClient is the one STS client of a chain, as stscreds wants it. It notes
// what stscreds drops (who STS says we are) and does without the SDK's retries:
// the session retries by its own table, with the token read anew.
//
// It is one client for all hops, because the client learns the clock's skew.
type stsClient struct {
	client   *sts.Client
	region   string
	fips     bool
	endpoint string // an endpoint of the user's own; empty: the region's
}

// newSTSClient takes of base what belongs to the transport, and nothing that
// was set for another service: no BaseEndpoint, ConfigSources, APIOptions,
// ServiceOptions or Retryer. ClientLogMode would dump tokens.
func newSTSClient(r *resolver) *stsClient {
	o := sts.Options{
		Region:     r.region,
		HTTPClient: httpClient(r.base),
		Logger:     r.base.Logger,
		AppID:      r.base.AppID,
	}
	o.EndpointOptions.UseFIPSEndpoint = fipsOf(r.base)
	o.EndpointOptions.UseDualStackEndpoint = dualStackOf(r.base)
	if r.stsEndpoint != "" {
		o.BaseEndpoint = aws.String(r.stsEndpoint)
	}
	if r.options.STS != nil {
		r.options.STS(&o)
		// A client set there records too.
		if _, ok := o.HTTPClient.(recorder); !ok && o.HTTPClient != nil {
			o.HTTPClient = recorder{o.HTTPClient}
		}
	}
	o.ClientLogMode = 0
	o.Credentials = nil
	o.Retryer = aws.NopRetryer{}
	c := &stsClient{
		region:   o.Region,
		fips:     o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled,
		endpoint: aws.ToString(o.BaseEndpoint),
	}
	if c.endpoint != "" && c.endpoint != r.stsEndpoint {
		r.checkEndpoint("BaseEndpoint of Options.STS", c.endpoint)
	}
	if o.Region != r.region && !isRegion(o.Region) {
		r.add("Region of Options.STS", "%q is not the name of a region; want one like us-east-1, of which %s is the closest", o.Region, closestRegion(o.Region))
	} else if o.Region != r.region {
		r.partition(partitionOf(o.Region), "Region "+o.Region+" of Options.STS")
	}
	if c.fips && c.endpoint != "" {
		r.add("STS endpoint", "FIPS is on and an endpoint is set, which the SDK refuses; give the endpoint's FIPS host and switch FIPS off in Options.STS")
	}
	c.client = sts.New(o)
	return c
}

// hopClient is the STS client as one attempt of one hop sees it.
type hopClient struct {
	*stsClient
	rec    *record
	signer aws.CredentialsProvider // nil: unsigned
}

func (c hopClient) settings(o *sts.Options) {
	o.Credentials = c.signer
	o.Retryer = aws.NopRetryer{}
}

func (c hopClient) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, optFns ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	out, err := c.client.AssumeRoleWithWebIdentity(ctx, in, append(optFns, c.settings)...)
	if err == nil {
		c.rec.assumed = assumedARN(out.AssumedRoleUser)
	}
	return out, err
}

func (c hopClient) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, optFns ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	out, err := c.client.AssumeRole(ctx, in, append(optFns, c.settings)...)
	if err == nil {
		c.rec.assumed = assumedARN(out.AssumedRoleUser)
	}
	return out, err
}

func assumedARN(u *types.AssumedRoleUser) string {
	if u == nil {
		return ""
	}
	return aws.ToString(u.Arn)
}

// fipsOf and dualStackOf ask the sources that base was loaded from, through the
// methods that the SDK's own clients ask.
func fipsOf(base aws.Config) aws.FIPSEndpointState {
	for _, source := range base.ConfigSources {
		if s, ok := source.(interface {
			GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
		}); ok {
			if v, found, err := s.GetUseFIPSEndpoint(context.Background()); err == nil && found {
				return v
			}
		}
	}
	return aws.FIPSEndpointStateUnset
}

func dualStackOf(base aws.Config) aws.DualStackEndpointState {
	for _, source := range base.ConfigSources {
		if s, ok := source.(interface {
			GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
		}); ok {
			if v, found, err := s.GetUseDualStackEndpoint(context.Background()); err == nil && found {
				return v
			}
		}
	}
	return aws.DualStackEndpointStateUnset
}
