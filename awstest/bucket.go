package awstest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// bucketStore holds the buckets of all accounts: their names are one namespace.
type bucketStore struct {
	mu     sync.RWMutex
	byName map[string]*Bucket
}

func (s *bucketStore) get(name string) *Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// Bucket is an S3 bucket. Its methods need no permission.
type Bucket struct {
	name    string
	owner   *Account
	created time.Time

	mu            sync.RWMutex // guards all below; the versions themselves never change
	region        string
	policyJSON    string        // the document of policy
	policy        *trust.Policy // nil: none
	pins          pins          // of policy
	versioning    string        // empty: never switched on; Enabled, Suspended
	requesterPays bool
	customerKeys  bool                  // writes with SSE-C are allowed
	defaultKey    *KMSKey               // of objects that are stored without saying how to encrypt; nil: S3's own
	objects       map[string][]*version // newest last
	sorted        []string              // keys of objects in UTF-8 order; nil: to be sorted
	uploads       map[string]*upload    // in progress, by id
	uploadCount   int                   // uploads begun so far
	minPartSize   int64                 // bytes of every part of an upload but the last
}

var bucketName = lazyregexp.New(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

var regionName = lazyregexp.New(`^[a-z]{2,4}(-[a-z]+)+-\d+$`)

// CreateBucket creates a bucket in us-east-1, or the first region of the cloud's
// partition, and returns it. It panics on a
// name that S3 refuses (Amazon S3 User Guide, "General purpose bucket naming
// rules") and when any account owns that name already.
func (a *Account) CreateBucket(name string) *Bucket {
	if rule := bucketNameRule(name); rule != "" {
		panic(fmt.Sprintf("awstest: CreateBucket(%q): %s; use a name such as \"pics\"", name, rule))
	}
	b, taken := a.cloud.buckets.create(a, name, a.cloud.partition.region)
	if taken != nil {
		panic(fmt.Sprintf("awstest: CreateBucket(%q): account %s owns a bucket of that name, and names are unique across accounts; choose another", name, taken.owner.id))
	}
	return b
}

// create makes a bucket, or returns the one that has the name.
func (s *bucketStore) create(owner *Account, name, region string) (created, taken *Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if taken := s.byName[name]; taken != nil {
		return nil, taken
	}
	if s.byName == nil {
		s.byName = map[string]*Bucket{}
	}
	b := &Bucket{
		name: name, owner: owner, created: storedTime(time.Time{}), region: region,
		objects: map[string][]*version{}, minPartSize: defaultMinPartSize,
	}
	s.byName[name] = b
	return b, nil
}

// bucketNameRule is the rule that name breaks, or empty.
func bucketNameRule(name string) string {
	if !bucketName().MatchString(name) {
		return "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens, and begins and ends with a letter or digit"
	}
	if strings.Contains(name, "..") {
		return "a bucket's name has no two dots side by side"
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "a bucket's name is not an IP address"
	}
	for _, prefix := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return "S3 keeps names that begin with " + prefix + " for itself"
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return "S3 keeps names that end with " + suffix + " for itself"
		}
	}
	return ""
}

// arnPrefix returns what the ARN of a bucket has before the name.
func (b *Bucket) arnPrefix() string {
	return "arn:" + b.owner.cloud.partition.name + ":s3:::"
}

// Name returns the bucket's name.
func (b *Bucket) Name() string { return b.name }

// SetPolicy sets the bucket policy; an empty string removes it. It panics on a
// policy that S3 refuses; roles and users that it names must exist, as S3 keeps
// their unique ids.
func (b *Bucket) SetPolicy(policyJSON string) {
	what := fmt.Sprintf("SetPolicy of bucket %s", b.name)
	var policy *trust.Policy
	var ids pins
	if policyJSON != "" {
		var err error
		if policy, err = trust.ParsePolicy([]byte(policyJSON)); err == nil {
			err = errors.Join(policy.ValidateResource(), b.checkPolicy(policy))
		}
		if err != nil {
			panic(fmt.Sprintf("awstest: %s: %v", what, err))
		}
		ids = pinned(b.owner.cloud, what, policy)
	}
	b.setPolicy(policyJSON, policy, ids)
}

// setPolicy sets a policy that was checked; nil removes it.
func (b *Bucket) setPolicy(document string, policy *trust.Policy, ids pins) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.policyJSON, b.policy, b.pins = document, policy, ids
}

// What checkPolicy refuses.
var (
	errPolicyResource = errors.New("invalid resource")
	errPolicyAction   = errors.New("invalid action")
)

// checkPolicy refuses what S3 calls a MalformedPolicy though its grammar is
// right.
func (b *Bucket) checkPolicy(policy *trust.Policy) error {
	for i, s := range policy.Statements {
		for _, r := range slices.Concat(s.Resource, s.NotResource) {
			rest, ok := strings.CutPrefix(r, b.arnPrefix())
			bucket, _, _ := strings.Cut(rest, "/")
			if wild := strings.IndexAny(bucket, "*?"); wild >= 0 {
				ok = ok && strings.HasPrefix(b.name, bucket[:wild])
			} else {
				ok = ok && bucket == b.name
			}
			if !ok {
				return fmt.Errorf("statement %d has an %w %q: a bucket policy speaks of its own bucket; write %s%s or %[4]s%[5]s/*", i, errPolicyResource, r, b.arnPrefix(), b.name)
			}
		}
		for _, action := range slices.Concat(s.Action, s.NotAction) {
			if action != "*" && !strings.HasPrefix(strings.ToLower(action), "s3:") {
				return fmt.Errorf("statement %d has an %w %q: a bucket policy grants actions of S3; write one such as s3:GetObject", i, errPolicyAction, action)
			}
		}
	}
	return nil
}

// What a bucket's versioning can be once it was switched on.
const (
	versioningEnabled   = "Enabled"
	versioningSuspended = "Suspended"
)

// SetVersioning switches versioning on; it is off at first. What was stored
// before keeps the version id "null". A program suspends it with
// PutBucketVersioning.
func (b *Bucket) SetVersioning() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.versioning = versioningEnabled
}

// SetRegion moves the bucket to another region: requests to a wrong region's
// endpoint are then answered as S3 does (301, 400) with x-amz-bucket-region. It
// panics on what is no region's name.
func (b *Bucket) SetRegion(region string) {
	if !regionName().MatchString(region) {
		panic(fmt.Sprintf("awstest: SetRegion(%q) of bucket %s: that is no region's name; use one such as \"eu-west-1\"", region, b.name))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.region = region
}

// SetRequesterPays makes the bucket refuse the requests of other accounts that
// lack x-amz-request-payer: requester, and all unsigned ones. It is off at first.
func (b *Bucket) SetRequesterPays() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requesterPays = true
}

// SetDefaultKMSKey sets the key that encrypts objects which are stored from now on
// by requests that name no encryption, as PutBucketEncryption does. Nil: S3's own
// encryption, which is the default.
// It panics on a key of another cloud or of another region than the bucket's.
func (b *Bucket) SetDefaultKMSKey(key *KMSKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if key != nil && (key.account.cloud != b.owner.cloud || key.region != b.region) {
		panic(fmt.Sprintf("awstest: SetDefaultKMSKey of bucket %s: the key %s is not one of this cloud in %s; use one that CreateKMSKey made there", b.name, key.arn, b.region))
	}
	b.defaultKey = key
}

// AllowCustomerKeys lets requests write objects with keys of their own (SSE-C).
// AWS blocks that in new buckets until PutBucketEncryption allows it (Amazon S3
// User Guide, "Blocking or unblocking SSE-C"). Reading such objects is always
// possible, and so is Put with a CustomerKey.
func (b *Bucket) AllowCustomerKeys() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.customerKeys = true
}

// SetMinPartSize sets how many bytes every part of a multipart upload but the last
// must have. The default is AWS's limit, 5 MiB; a test that uploads many parts sets
// a lower one. It panics on a negative number.
func (b *Bucket) SetMinPartSize(bytes int64) {
	if bytes < 0 {
		panic(fmt.Sprintf("awstest: SetMinPartSize(%d) of bucket %s: a size is not negative; use 0 for parts of any size", bytes, b.name))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.minPartSize = bytes
}

// bucketSettings is what a request needs to know of its bucket, read under one
// lock.
type bucketSettings struct {
	region        string
	policy        *trust.Policy
	pins          pins
	versioning    string
	requesterPays bool
	customerKeys  bool
	defaultKey    *KMSKey
}

func (b *Bucket) settings() bucketSettings {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return bucketSettings{b.region, b.policy, b.pins, b.versioning, b.requesterPays, b.customerKeys, b.defaultKey}
}
