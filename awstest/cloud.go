package awstest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// TB is what awstest needs of a *testing.T, so that an example program can
// stand in for one.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Cloud is an in-memory AWS; two clouds share nothing. Its methods, and those of
// everything in it, are safe for concurrent use. Create one with [New].
type Cloud struct {
	signer  *v4.Signer
	buckets bucketStore
	kms     kmsStore

	partition partition // fixed once there are accounts

	organization atomic.Pointer[Organization] // nil: none

	mu       sync.Mutex // never held while a request waits
	accounts map[string]*Account
	clusters map[string]*Cluster
	sessions map[string]*session   // by access key id
	userKeys map[string]*accessKey // of users, by id
	faults   []*faultState
	handled  handled // services by hook
	calls    []*Call
	keep     int // most calls that are kept; 0: all
	keys     int // signing keys that the clusters took so far

	stableKeys bool // access keys of users are the same in each run

	propagation time.Duration // of changes of IAM
	advanced    time.Duration // by Advance
}

// New returns an empty cloud. It opens no socket and starts no goroutine, so you
// can create it inside a testing/synctest bubble, whose clock it then follows.
func New() *Cloud {
	return &Cloud{
		signer:    v4.NewSigner(),
		partition: partitions["aws"],
		accounts:  map[string]*Account{},
		clusters:  map[string]*Cluster{},
		sessions:  map[string]*session{},
		userKeys:  map[string]*accessKey{},
	}
}

// partition is a partition of AWS as far as the cloud plays it.
type partition struct {
	name   string
	region string // that everything is in at first
	suffix string // of host names
}

var partitions = map[string]partition{
	"aws":        {"aws", "us-east-1", "amazonaws.com"},
	"aws-cn":     {"aws-cn", "cn-north-1", "amazonaws.com.cn"},
	"aws-us-gov": {"aws-us-gov", "us-gov-west-1", "amazonaws.com"},
	"aws-eusc":   {"aws-eusc", "eusc-de-east-1", "amazonaws.eu"},
}

// SetPartition makes the cloud one of partition "aws-cn", "aws-us-gov" or
// "aws-eusc": ARNs have that partition, and Config, pods and buckets begin in its
// region cn-north-1, us-gov-west-1 or eusc-de-east-1. Call it first: it panics
// when the cloud has accounts, and on any other name.
func (c *Cloud) SetPartition(name string) {
	p, known := partitions[name]
	if !known {
		panic(fmt.Sprintf("awstest: SetPartition(%q): unknown partition; use one of %v", name, slices.Sorted(maps.Keys(partitions))))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.accounts) > 0 {
		panic(fmt.Sprintf("awstest: SetPartition(%q): the cloud has accounts, whose ARNs name their partition; call it right after New", name))
	}
	c.partition = p
}

var accountID = lazyregexp.New(`^\d{12}$`)

// Account returns the account with this 12-digit id, creating it if necessary. It
// panics if id is not 12 digits.
func (c *Cloud) Account(id string) *Account {
	if !accountID().MatchString(id) {
		panic(fmt.Sprintf("awstest: Account(%q): an account id is 12 digits; use one such as \"111122223333\"", id))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.accounts[id]
	if a == nil {
		a = &Account{cloud: c, id: id, roles: map[string]*Role{}, users: map[string]*user{}, policies: map[string]*managedPolicy{}, providers: map[string]*oidcProvider{}, rolesInForce: eventualMap[*Role]{}, providersInForce: eventualMap[*oidcProvider]{}, trustLimit: trust.MaxTrustPolicySize}
		c.accounts[id] = a
	}
	return a
}

// Cluster returns a Kubernetes cluster whose API server signs tokens as issuer,
// creating it and its key if necessary. It panics on an issuer that IAM would not
// register: an issuer is an https URL of at most 255 characters without port,
// query, fragment or trailing slash, as EKS has them.
func (c *Cloud) Cluster(issuer string) *Cluster {
	if rule := issuerRule(issuer); rule != "" {
		panic(fmt.Sprintf("awstest: Cluster(%q): %s; use an issuer such as \"https://oidc.eks.us-east-1.amazonaws.com/id/BLUE\"", issuer, rule))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.clusters[issuer]
	if cl == nil {
		cl = &Cluster{cloud: c, issuer: issuer}
		cl.addKey()
		c.clusters[issuer] = cl
	}
	return cl
}

// issuerRule returns the rule of IAM that an issuer breaks, or "" (IAM API
// reference, CreateOpenIDConnectProvider).
func issuerRule(issuer string) string {
	if len(issuer) > maxIssuer {
		return fmt.Sprintf("1 validation error detected: Value at 'url' failed to satisfy constraint: Member must have length less than or equal to %d", maxIssuer)
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(issuer, " *"):
		return "the URL of an OIDC provider must begin with https:// and have a host"
	case u.User != nil:
		return "the URL of an OIDC provider has no user name"
	case strings.Contains(u.Host, ":"):
		return "the URL of an OIDC provider must not contain a port number"
	case strings.ContainsAny(issuer, "?#"):
		return "the URL of an OIDC provider must not contain a query or a fragment"
	case strings.HasSuffix(issuer, "/"):
		return "the URL of an OIDC provider must not have a trailing slash"
	}
	return ""
}

// maxIssuer is the length of an OIDC provider's URL that IAM takes.
const maxIssuer = 255

// hasHandlers reports whether Handle was called.
func (c *Cloud) hasHandlers() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.handled.handlers) > 0
}

// Organization returns the cloud's organization, creating it if necessary. It has
// no accounts at first: see [Organization.Add]. Its management account is
// 999999999999, an account with nothing in it, until
// [Organization.SetManagementAccount] names another.
func (c *Cloud) Organization() *Organization {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.organization.Load() == nil {
		c.organization.Store(newOrganization(c))
	}
	return c.organization.Load()
}

// Handle makes h play a service: requests to its hosts
// (<service>.<region>.amazonaws.com and the like), and on a listener those that
// are signed for it. service is the name in the signature, "sqs" for example. The
// cloud verifies the signature and the session, and evaluates the same policies as for
// S3: those of the caller, the resource's own, those of the organization. Only a
// request that they allow reaches h.Serve. Handling a service again replaces its
// handler. It panics on a service that the cloud plays itself and on a handler
// without one of its functions.
func (c *Cloud) Handle(service string, h ServiceHandler) {
	checkHandler(service, h)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handled.handlers == nil {
		c.handled.handlers = map[string]ServiceHandler{}
	}
	c.handled.handlers[service] = h
}

// Config returns an aws.Config whose requests are all handled by the cloud in
// memory: region us-east-1 (see SetPartition), anonymous credentials, checksums as
// config.LoadDefaultConfig sets them. Real host names
// (sts.us-east-1.amazonaws.com, pics.s3.us-east-1.amazonaws.com) are used; a
// request to any other host fails as a name that does not resolve.
//
// The config's HTTPClient may be put into any other aws.Config, or given to
// config.LoadDefaultConfig by config.WithHTTPClient (which takes no client but
// its own while the variable AWS_CA_BUNDLE is set).
func (c *Cloud) Config() aws.Config {
	return aws.Config{
		Region:                     c.partition.region,
		Credentials:                aws.AnonymousCredentials{},
		HTTPClient:                 memoryClient{c},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
}

// Calls returns the requests that the cloud received, oldest first. A call is
// listed from its arrival on; one that still waits has status 0.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.calls
	if c.keep > 0 && len(kept) > c.keep {
		kept = kept[len(kept)-c.keep:]
	}
	calls := make([]Call, len(kept))
	for i, call := range kept {
		calls[i] = call.clone()
	}
	return calls
}

// KeepCalls limits Calls to the last n requests, for a cloud that serves for a
// long time. Zero, as at first, keeps all. It panics if n is negative.
func (c *Cloud) KeepCalls(n int) {
	if n < 0 {
		panic(fmt.Sprintf("awstest: KeepCalls(%d): the number of calls must not be negative", n))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = n
	c.dropOldCalls()
}

// dropOldCalls keeps the last c.keep calls, and sometimes up to twice as many, so
// that it seldom copies. c.mu must be held.
func (c *Cloud) dropOldCalls() {
	if c.keep > 0 && len(c.calls) > 2*c.keep {
		c.calls = append(make([]*Call, 0, 2*c.keep+1), c.calls[len(c.calls)-c.keep:]...)
	}
}

// Accounts returns the accounts of the cloud, sorted by id.
func (c *Cloud) Accounts() []*Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	accounts := slices.Collect(maps.Values(c.accounts))
	slices.SortFunc(accounts, func(a, b *Account) int { return strings.Compare(a.id, b.id) })
	return accounts
}

// SetPropagationDelay makes changes of IAM reach the services d after they are made,
// as in AWS, where it takes seconds: until then requests are judged as before the
// change. It holds for changes from now on, by requests to IAM and by methods: roles
// that are created and deleted, trust policies, the policies of roles and users, OIDC
// providers and their client ids. What IAM's API returns changes immediately, and so do
// sessions, access keys, permissions boundaries, tags, session durations, the
// organization and bucket policies. Zero, as at first, is no delay. It panics if d is
// negative.
func (c *Cloud) SetPropagationDelay(d time.Duration) {
	if d < 0 {
		panic(fmt.Sprintf("awstest: SetPropagationDelay(%v): a delay is not negative", d))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.propagation = d
}

// iamTime is the clock by which changes of IAM arrive. c.mu must be held.
func (c *Cloud) iamTime() time.Time { return time.Now().Add(c.advanced) }

// Advance makes the sessions that the cloud has issued older by d, so that they
// expire d sooner, and the changes of IAM that are on their way as well
// ([Cloud.SetPropagationDelay]). Its clock stays, because clients sign with theirs; tokens keep
// their times too (see Pod.Rotate). In a testing/synctest bubble, time.Sleep does
// more. It panics if d is negative.
func (c *Cloud) Advance(d time.Duration) {
	if d < 0 {
		panic(fmt.Sprintf("awstest: Advance(%v): time does not run backwards", d))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advanced += d
	for _, s := range c.sessions {
		s.aged += d
	}
}

// role finds a role by its ARN; nil if there is none. c.mu must be held.
func (c *Cloud) role(arn string) *Role {
	account, path, ok := cutIAM(arn, "role")
	if !ok || c.accounts[account] == nil {
		return nil
	}
	_, name := splitPath(path)
	if r := c.accounts[account].roles[strings.ToLower(name)]; r != nil && r.arn == arn {
		return r
	}
	return nil
}

// byID returns the ARN of the role or user with a unique id; "" if there is none.
// c.mu must be held.
func (c *Cloud) byID(id string) string {
	for _, a := range c.accounts {
		for _, r := range a.roles {
			if r.id == id {
				return r.arn
			}
		}
		for _, u := range a.users {
			if u.id == id {
				return u.arn
			}
		}
	}
	return ""
}

// roleInForce finds the role that the services know by an ARN; nil if there is none.
// c.mu must be held.
func (c *Cloud) roleInForce(arn string) *Role {
	account, path, ok := cutIAM(arn, "role")
	if !ok || c.accounts[account] == nil {
		return nil
	}
	_, name := splitPath(path)
	if r := c.accounts[account].rolesInForce.inForce(c, strings.ToLower(name)); r != nil && r.arn == arn {
		return r
	}
	return nil
}

// user finds a user by its ARN; nil if there is none. c.mu must be held.
func (c *Cloud) user(arn string) *user {
	account, path, ok := cutIAM(arn, "user")
	if !ok || c.accounts[account] == nil {
		return nil
	}
	_, name := splitPath(path)
	if u := c.accounts[account].users[strings.ToLower(name)]; u != nil && u.arn == arn {
		return u
	}
	return nil
}

// managedPolicy finds a managed policy that an account can use, its own or one of
// AWS's; nil if there is none. An AWS managed policy that the cloud does not have is
// refused. c.mu must be held.
func (c *Cloud) managedPolicy(account, arn string) (*managedPolicy, *refusal) {
	owner, path, ok := cutIAM(arn, "policy")
	switch {
	case !ok || trust.PartitionOf(arn) != c.partition.name:
		return nil, nil
	case owner == "aws":
		if m := awsPolicy(c, path); m != nil {
			return m, nil
		}
		return nil, notModelled("the AWS managed policy %s: create one with the statements that the test needs", arn)
	case owner != account || c.accounts[owner] == nil:
		return nil, nil
	}
	_, name := splitPath(path)
	if m := c.accounts[owner].policies[strings.ToLower(name)]; m != nil && m.arn == arn {
		return m, nil
	}
	return nil, nil
}

// newID returns an id in IAM's form: a prefix for the kind (AROA a role,
// AIDA a user, ASIA and AKIA access keys) and random letters and digits.
func newID(prefix string, length int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, length-len(prefix))
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))]
	}
	return prefix + string(b)
}

// newSecret is n random bytes in base64.
func newSecret(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// newUUID is a random UUID, as STS numbers requests.
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return uuid(b)
}

// newRequestID is a request id in the form of the service.
func newRequestID(service string) string {
	if service != serviceS3 {
		return newUUID()
	}
	b := make([]byte, 8)
	rand.Read(b)
	return strings.ToUpper(hex.EncodeToString(b))
}

// hostID is S3's extended request id (x-amz-id-2) to a request id.
func hostID(requestID string) string {
	sum := sha256.Sum256([]byte(requestID))
	return base64.StdEncoding.EncodeToString(append(sum[:], sum[:24]...))
}

// stableUUID is the UUID of the object that these names name.
func stableUUID(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return uuid(sum[:16])
}

func uuid(b []byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
