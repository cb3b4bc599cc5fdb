package crossrole

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/crossrole/crossrole/credentials"
)

// LoadConfig returns the SDK's shared configuration (region, endpoints, HTTP
// client, retries), signed as the last role of the chain that optFns describe.
// Without options the chain is direct: the pod's token becomes AWS_ROLE_ARN.
//
// It runs no search for credentials. The SDK's own search fails on half-set
// variables and may find the node's role. Only if optFns set the source
// [credentials.FromBase] does the SDK load its own credentials, and the chain
// starts from those.
//
// LoadConfig makes no call to AWS, except what the SDK itself needs for
// FromBase (a profile may name a provider that asks the network). ctx governs
// loading alone. Wrong settings are a [credentials.ConfigInvalid] that lists all
// of them; an unreadable configuration file is the SDK's own error.
//
// Each of optFns is called twice: to see the source, and to build the chain.
//
// For a configuration that the program has already, use [credentials.Wrap]. The
// chain that signs is [credentials.ChainOf] of the result.
func LoadConfig(ctx context.Context, optFns ...func(*credentials.Options)) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{config.WithCredentialsProvider(aws.AnonymousCredentials{})}
	if startsFromBase(optFns) {
		load = nil
	}
	base, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, err
	}
	return credentials.Wrap(base, optFns...)
}

// startsFromBase reports whether optFns choose the SDK's own credentials.
func startsFromBase(optFns []func(*credentials.Options)) bool {
	var o credentials.Options
	for _, fn := range optFns {
		if fn != nil { // Wrap reports a nil function
			fn(&o)
		}
	}
	switch o.Source.(type) {
	case credentials.FromBase, *credentials.FromBase:
		return true
	}
	return false
}
