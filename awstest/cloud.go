package awstest

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TB is what awstest needs of a *testing.T, so that an example program can
// stand in for one.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Cloud is an AWS of its own: nothing is shared between two clouds. All its
// methods are safe for concurrent use.
type Cloud struct{}

// New returns an empty cloud. It opens no socket and starts no goroutine, so it
// may be made inside a testing/synctest bubble, whose clock it then follows.
func New() *Cloud { return &Cloud{} }

// Account returns the account with this 12-digit id, making it if need be. It
// panics if id is not 12 digits.
func (c *Cloud) Account(id string) *Account { return &Account{} }

// Cluster returns a Kubernetes cluster whose API server signs tokens as issuer
// (an https URL without a trailing slash, as EKS has them), making it and its
// key if need be.
func (c *Cloud) Cluster(issuer string) *Cluster { return &Cluster{} }

// Config returns an aws.Config whose every request is answered by the cloud in
// memory: region us-east-1, anonymous credentials. Real host names
// (sts.us-east-1.amazonaws.com, pics.s3.us-east-1.amazonaws.com) are used.
func (c *Cloud) Config() aws.Config { return aws.Config{} }

// Serve answers the same on a loopback listener until the test ends, and
// returns its URL, which serves as endpoint of STS and, path style, of S3.
func (c *Cloud) Serve(t TB) string { return "" }

// Handler is the cloud as an http.Handler, for a server of the caller's own.
// Path-style S3 and STS (a POST of a form to "/") share it.
func (c *Cloud) Handler() http.Handler { return nil }

// Calls returns what was asked of the cloud, oldest first.
func (c *Cloud) Calls() []Call { return nil }

// Fault makes matching requests fail as f says, until it has struck f.Times
// times or remove is called. When several faults match, the one added first
// that still has strikes left is used.
func (c *Cloud) Fault(f Fault) (remove func()) { return func() {} }
