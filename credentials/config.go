package credentials

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
)

// Wrap is New(base, optFns...).Config(): an existing program's configuration,
// signed by the chain.
func Wrap(base aws.Config, optFns ...func(*Options)) (aws.Config, error) {
	c, err := New(base, optFns...)
	if err != nil {
		return aws.Config{}, err
	}
	return c.Config(), nil
}

// Config returns base with the chain as its credentials. When a service refuses the
// session as expired or unknown (ExpiredToken, InvalidAccessKeyId,
// InvalidClientTokenId, …), clients made from it renew it, once for all callers, and
// retry the request. If the new session is refused too, that is
// [CredentialsExpired], and sessions are renewed at the pace of failed refreshes.
// AccessDenied renews nothing.
//
// base itself is not changed, and later changes to it have no effect here.
func (c *Chain) Config() aws.Config {
	cfg := c.base.Copy()
	cfg.Credentials = c
	cfg.APIOptions = append(slices.Clip(slices.Clone(c.base.APIOptions)), c.addRecovery)
	return cfg
}

// detached is a copy of base that shares no slice with it.
func detached(base aws.Config) aws.Config {
	base.ConfigSources = slices.Clone(base.ConfigSources)
	base.APIOptions = slices.Clone(base.APIOptions)
	base.ServiceOptions = slices.Clone(base.ServiceOptions)
	base.AuthSchemePreference = slices.Clone(base.AuthSchemePreference)
	if base.BaseEndpoint != nil {
		base.BaseEndpoint = new(*base.BaseEndpoint)
	}
	return base
}

// ChainOf returns the chain that signs a wrapped configuration, for its Status or to
// keep it fresh; false if something else signs cfg.
func ChainOf(cfg aws.Config) (*Chain, bool) {
	c, ok := cfg.Credentials.(*Chain)
	return c, ok && c != nil
}

// addRecovery puts the recovery inside the SDK's retry loop, so that it sees
// each attempt. A stack that only presigns has no such loop, and no answer to
// recover from.
func (c *Chain) addRecovery(stack *middleware.Stack) error {
	if _, ok := stack.Finalize.Get("Retry"); !ok {
		return nil
	}
	if _, ok := stack.Finalize.Get(recovery{}.ID()); ok {
		// base was wrapped before: this chain signs now.
		_, err := stack.Finalize.Swap(recovery{}.ID(), recovery{c})
		return err
	}
	if err := stack.Finalize.Insert(recovery{c}, "Retry", middleware.After); err != nil {
		return err
	}
	return stack.Finalize.Add(signedBy{}, middleware.After)
}
