package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// exchange makes one attempt to get a hop's session. What it learns beside the
// keys goes into rec, also when it fails.
type exchange func(ctx context.Context, rec *record) (aws.Credentials, error)

// webIdentity posts the token. stscreds builds the request; a new provider for
// each attempt, because the token may be a new one.
func (c *Chain) webIdentity(w WebIdentity) exchange {
	return func(ctx context.Context, rec *record) (aws.Credentials, error) {
		raw, token, failure := readToken(ctx, w.TokenFile)
		if failure != nil {
			failure.RoleARN = w.RoleARN
			return aws.Credentials{}, failure
		}
		rec.operation, rec.token, rec.raw = "AssumeRoleWithWebIdentity", &token, raw
		if failure := c.checkClaims(w, token); failure != nil {
			return aws.Credentials{}, failure
		}
		name := c.nameSession(w.SessionName, func() string { return podSessionName(token) })
		client := hopClient{stsClient: c.sts, rec: rec}
		return stscreds.NewWebIdentityRoleProvider(client, w.RoleARN, identityToken(raw), func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = name
			o.Duration = w.Duration
			o.PolicyARNs = policyARNs(w.PolicyARNs)
			if w.Policy != "" {
				o.Policy = aws.String(w.Policy)
			}
		}).Retrieve(ctx)
	}
}

// identityToken is a token that was read already.
type identityToken []byte

func (t identityToken) GetIdentityToken() ([]byte, error) { return t, nil }

// assumeRole asks for role as the session of the hop before.
func (c *Chain) assumeRole(role Role) exchange {
	return func(ctx context.Context, rec *record) (aws.Credentials, error) {
		rec.operation = "AssumeRole"
		name := c.nameSession(role.SessionName, hostSessionName)
		client := hopClient{stsClient: c.sts, rec: rec, signer: signer(rec.from.creds)}
		return stscreds.NewAssumeRoleProvider(client, role.ARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = name
			o.Duration = role.duration()
			o.PolicyARNs = policyARNs(role.PolicyARNs)
			o.TransitiveTagKeys = role.TransitiveTagKeys
			if role.Policy != "" {
				o.Policy = aws.String(role.Policy)
			}
			if role.ExternalID != "" {
				o.ExternalID = aws.String(role.ExternalID)
			}
			if role.SourceIdentity != "" {
				o.SourceIdentity = aws.String(role.SourceIdentity)
			}
			for _, key := range slices.Sorted(maps.Keys(role.Tags)) {
				o.Tags = append(o.Tags, types.Tag{Key: aws.String(key), Value: aws.String(role.Tags[key])})
			}
		}).Retrieve(ctx)
	}
}

// signer is the parent's session as the provider of one operation.
type signer aws.Credentials

func (s signer) Retrieve(context.Context) (aws.Credentials, error) { return aws.Credentials(s), nil }

func policyARNs(arns []string) []types.PolicyDescriptorType {
	var list []types.PolicyDescriptorType
	for _, a := range arns {
		list = append(list, types.PolicyDescriptorType{Arn: aws.String(a)})
	}
	return list
}

const agentOperation = "GetCredentials of the EKS Pod Identity agent"

// keepUnending is how long keys are kept that an agent gives without an expiry. Some
// endpoints that speak its protocol do: they are not asked at each use, and a change of
// the keys is noticed in time.
const keepUnending = 15 * time.Minute

// inspectKeys looks at the document that an agent or the metadata service sends, before
// the SDK does: a field that cannot be read is named, and is worth no further request.
// What is no JSON object at all is left to the SDK.
func inspectKeys(body []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var text string
		value := fields[name]
		switch strings.ToLower(name) {
		case "expiration":
			if string(value) != "null" && json.Unmarshal(value, new(time.Time)) != nil {
				return unusable("its field %s is %s; want a time such as 2006-01-02T15:04:05Z (RFC 3339)", name, brief(value))
			}
		case "accesskeyid", "secretaccesskey", "token", "accountid", "code", "message":
			if json.Unmarshal(value, &text) != nil {
				return unusable("its field %s is not a string", name)
			}
		}
	}
	return nil
}

func unusable(format string, args ...any) *Error {
	return &Error{Kind: WrongSession, Err: fmt.Errorf("the response is not usable: "+format, args...)}
}

// brief is a JSON value as far as it can be shown. One that is long may be a secret.
func brief(value json.RawMessage) string {
	const most = 32
	switch s := string(value); {
	case s == `""`:
		return "empty"
	case len(s) > most:
		return "not one"
	default:
		return s
	}
}

// podIdentity asks the EKS Pod Identity agent, with its token read anew.
func (c *Chain) podIdentity(p PodIdentity) exchange {
	client := directClient(*c.base)
	return func(ctx context.Context, rec *record) (aws.Credentials, error) {
		token, failure := readTokenFile(p.TokenFile, agentTokenSetting)
		if failure != nil {
			return aws.Credentials{}, failure
		}
		if bytes.ContainsAny(token, "\r\n") {
			return aws.Credentials{}, fileError(TokenMalformed, fmt.Errorf("%s%s has several lines", p.TokenFile, leadsTo(p.TokenFile)),
				"let "+agentTokenSetting+" name the projected token")
		}
		rec.operation, rec.raw = agentOperation, token
		rec.keep, rec.inspect = keepUnending, inspectKeys
		return endpointcreds.New(p.Endpoint, func(o *endpointcreds.Options) {
			o.HTTPClient = client
			o.Retryer = aws.NopRetryer{}
			o.AuthorizationToken = string(token)
		}).Retrieve(ctx)
	}
}

// nodeRole asks IMDSv2. The environment has no say: the source was chosen.
func (c *Chain) nodeRole(n NodeRole) exchange {
	client := imds.New(imds.Options{
		Endpoint:          n.Endpoint,
		ClientEnableState: imds.ClientEnabled,
		EnableFallback:    aws.FalseTernary,
		HTTPClient:        directClient(*c.base),
		Retryer:           aws.NopRetryer{},
	})
	provider := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client })
	return func(ctx context.Context, rec *record) (aws.Credentials, error) {
		rec.operation, rec.inspect = "GetCredentials of the instance metadata service", inspectKeys
		creds, err := provider.Retrieve(ctx)
		// The provider may have cut the life to an hour by the local clock.
		rec.date = time.Time{}
		return creds, err
	}
}
