package credentials

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
)

var errPoolNotBuilt = errors.New("credentials: Pool is not built yet")

// Pool is many chains that share a source session. It is not built yet:
// [NewPool] returns an error.
type Pool struct{}

// PoolOptions are the settings of a [Pool]. Options.Roles is the prefix that
// all its chains share.
type PoolOptions struct {
	Options
	MaxChains      int
	STSRate        float64 // requests a second
	STSConcurrency int
}

// NewPool returns an error until the pool is built.
func NewPool(base aws.Config, optFns ...func(*PoolOptions)) (*Pool, error) {
	return nil, errPoolNotBuilt
}

// Chain is the chain that ends in role. Roles that are equal in every field
// have the same chain.
func (p *Pool) Chain(role Role) (*Chain, error) { return nil, errPoolNotBuilt }

// Config is Chain(role).Config().
func (p *Pool) Config(role Role) (aws.Config, error) { return aws.Config{}, errPoolNotBuilt }
