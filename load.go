package crossrole

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/crossrole/crossrole/credentials"
)

// LoadConfig loads the SDK's shared configuration (region, endpoints, HTTP client,
// retries) and returns it with the credentials of the last role in the chain that
// optFns describe. Without options the chain is direct: the pod's token is exchanged
// for a session of AWS_ROLE_ARN.
//
// LoadConfig skips the SDK's own search for credentials, which fails if only some of
// the variables are set and may find the node's role. The SDK loads its own
// credentials only if optFns set the source to [credentials.FromBase]; the chain then
// starts from those.
//
// LoadConfig does not call AWS, except for what the SDK itself needs for FromBase (a
// profile may use a provider that needs the network). ctx applies to the loading only.
// If settings are invalid, the error is a [credentials.ConfigInvalid] that lists all of
// them. If a configuration file cannot be read, it is the SDK's own error.
//
// Each of optFns is called twice: once to find the source, once to build the chain.
//
// If the program already has a configuration, use [credentials.Wrap]. To get the chain,
// pass the result to [credentials.ChainOf].
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

// startsFromBase reports whether optFns set the source to FromBase.
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
