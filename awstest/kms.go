package awstest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/crossrole/crossrole/trust"
)

// KMS, as far as S3 asks it: keys with their policies. It has no API; S3 uses a key
// for the caller, who must be allowed to.

// kmsStore holds the keys of all accounts, by ARN.
type kmsStore struct {
	mu    sync.RWMutex
	byARN map[string]*KMSKey
}

func (s *kmsStore) get(arn string) *KMSKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byARN[arn]
}

// KMSKey is a customer managed key of KMS, with which S3 encrypts objects
// (SSE-KMS). A caller that may read an object must also be allowed kms:Decrypt with
// its key, and kms:GenerateDataKey to write one: by the key's policy and, across
// accounts or where the key's policy leaves it to them, by the caller's own. Create
// one with [Account.CreateKMSKey].
type KMSKey struct {
	account *Account
	arn     string
	region  string

	mu     sync.RWMutex
	policy *trust.Policy
	pins   pins
}

// maxKeyPolicySize is in bytes (AWS KMS Developer Guide, "Quotas").
const maxKeyPolicySize = 32 << 10

// CreateKMSKey creates a key in the region in which the cloud creates buckets. An
// empty policyJSON means KMS's default key policy, which leaves the decision
// to the identity policies of the account. It panics on a policy that KMS refuses;
// roles and users that the policy names must exist.
func (a *Account) CreateKMSKey(policyJSON string) *KMSKey {
	region := a.cloud.partition.region
	k := &KMSKey{account: a, region: region, arn: "arn:" + a.cloud.partition.name + ":kms:" + region + ":" + a.id + ":key/" + newUUID()}
	k.setPolicy("CreateKMSKey", policyJSON)
	s := &a.cloud.kms
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byARN == nil {
		s.byARN = map[string]*KMSKey{}
	}
	s.byARN[k.arn] = k
	return k
}

// ARN returns arn:<partition>:kms:<region>:<account>:key/<id>.
func (k *KMSKey) ARN() string { return k.arn }

// SetPolicy replaces the key policy, with immediate effect. It panics as
// [Account.CreateKMSKey] does.
func (k *KMSKey) SetPolicy(policyJSON string) { k.setPolicy("SetPolicy of "+k.arn, policyJSON) }

func (k *KMSKey) setPolicy(what, policyJSON string) {
	if policyJSON == "" {
		policyJSON = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + k.account.rootARN() + `"},"Action":"kms:*","Resource":"*"}]}`
	}
	policy, err := trust.ParsePolicy([]byte(policyJSON))
	if err == nil {
		err = policy.ValidateResource()
	}
	if err == nil && len(policyJSON) > maxKeyPolicySize {
		err = fmt.Errorf("the policy has %d bytes and KMS takes %d; name fewer principals", len(policyJSON), maxKeyPolicySize)
	}
	if err != nil {
		panic(fmt.Sprintf("awstest: %s: key policy: %v", what, err))
	}
	ids := pinned(k.account.cloud, what+": key policy", policy)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.policy, k.pins = policy, ids
}

// use refuses a caller that may not do action with the key. S3 asks on the
// caller's behalf, with the object's ARN as encryption context.
func (k *KMSKey) use(s *s3Request, action string) *refusal {
	if s.caller == nil {
		return badArgument("Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.", "Authorization", "null")
	}
	k.mu.RLock()
	policy, ids := k.policy, k.pins
	k.mu.RUnlock()
	keys := globalKeys(s.request)
	for name, value := range map[string]string{
		"aws:ResourceAccount":              k.account.id,
		"kms:CallerAccount":                s.caller.account.id,
		"kms:EncryptionContext:aws:s3:arn": s.of.arnPrefix() + s.of.name + "/" + s.key,
		"kms:EncryptionContextKeys":        "aws:s3:arn",
		"kms:ViaService":                   "s3." + k.region + "." + s.cloud.partition.suffix,
		"kms:KeyOrigin":                    "AWS_KMS",
		"kms:EncryptionAlgorithm":          "SYMMETRIC_DEFAULT",
		"kms:KeySpec":                      "SYMMETRIC_DEFAULT",
		"kms:KeyUsage":                     "ENCRYPT_DECRYPT",
		"kms:MultiRegion":                  "false",
	} {
		keys[name] = []string{value}
	}
	// Like the trust policy of a role, the policy of a key must allow even within
	// its account (AWS KMS Developer Guide, "Key policies in AWS KMS").
	question := access{
		p: s.caller, owner: k.account, action: action, resource: k.arn,
		policy: policy, policyResource: k.arn, pins: ids, isTrust: true, keys: keys,
	}
	allowed, why := question.decide()
	why = strings.Replace(why, "trust policy of "+k.arn, "key policy of "+k.arn, 1)
	if allowed {
		s.call.allow(why)
		return nil
	}
	s.call.Explain = why
	return refuse(403, "AccessDenied", k.deniedMessage(&question))
}

// deniedMessage is KMS's, which S3 passes on, after decide has refused. A caller of another
// account that the key's policy does not admit learns nothing of the key.
func (k *KMSKey) deniedMessage(question *access) string {
	if question.blamed.kind == trustKind {
		question.blamed.kind = resourceKind
	}
	if question.blamed.kind == resourceKind && question.p.account != k.account {
		return "User: " + question.p.arn + " is not authorized to perform: " + question.action + " on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
	}
	return question.message(k.arn)
}
