package awstest_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
)

// shop is what the examples below begin with: a bucket, and a user of another
// account who may read it by the policies of both sides.
type shop struct {
	cloud      *awstest.Cloud
	dev, store *awstest.Account
	ann        aws.Credentials
}

const readPics = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`

func newShop() shop {
	cloud := awstest.New()
	s := shop{cloud: cloud, dev: cloud.Account("111122223333"), store: cloud.Account("444455556666")}
	s.ann = s.dev.UserCredentials("ann", readPics)
	bucket := s.store.CreateBucket("pics")
	bucket.Put("cat.jpg", []byte("cat"))
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ann"},
		"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
	return s
}

// randomIDs are the ids of organizations, OUs and policies.
var randomIDs = regexp.MustCompile(`\b(o|p|ou|r)-[a-z0-9-]+`)

// read gets the object as ann and prints how that ends.
func (s shop) read() {
	cfg := s.cloud.Config()
	cfg.Credentials = provider(s.ann)
	_, err := s3.NewFromConfig(cfg).GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
	var refused smithy.APIError
	if errors.As(err, &refused) {
		fmt.Printf("%s: %s\n", refused.ErrorCode(), randomIDs.ReplaceAllString(refused.ErrorMessage(), "$1-…"))
		return
	}
	fmt.Println("ok", err)
}

// A service control policy limits the principals of the member accounts, whatever
// their own policies allow.
func ExampleOrganization() {
	s := newShop()
	org := s.cloud.Organization()
	org.Add(s.dev, s.store)
	s.read()
	org.AttachSCP("NoS3", `{"Version":"2012-10-17","Statement":[{"Sid":"NoS3","Effect":"Deny","Action":"s3:*","Resource":"*"}]}`, s.dev)
	s.read()
	calls := s.cloud.Calls()
	fmt.Println(randomIDs.ReplaceAllString(calls[len(calls)-1].Explain, "$1-…"))
	// Output:
	// ok <nil>
	// AccessDenied: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::pics/cat.jpg" with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-…/service_control_policy/p-…
	// service control policy NoS3 (arn:aws:organizations::999999999999:policy/o-…/service_control_policy/p-…) of account 111122223333: statement 0 NoS3 matched: this Deny matches
}

// A resource control policy limits what anyone may do with the resources of the
// member accounts: here only principals of the organization reach its buckets.
func ExampleOrganization_AttachRCP() {
	s := newShop()
	org := s.cloud.Organization()
	org.Add(s.store)
	org.AttachRCP("OurPrincipals", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*",
		"Condition":{"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"`+org.ID()+`"}}}]}`)
	s.read() // S3 gives callers of other organizations no reason
	org.Add(s.dev)
	s.read()
	org.DetachRCP("OurPrincipals")
	org.Remove(s.dev)
	s.read()
	// Output:
	// AccessDenied: Access Denied
	// ok <nil>
	// ok <nil>
}

// Without FullAWSAccess, an account may do what another policy allows: an allow
// list.
func ExampleOrganization_DetachSCP() {
	s := newShop()
	org := s.cloud.Organization()
	test := org.CreateOU("test", s.dev)
	org.Add(s.store)
	org.AttachSCP("OnlySTS", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`, test)
	s.read()
	org.DetachSCP("FullAWSAccess", test)
	s.read()
	// Output:
	// ok <nil>
	// AccessDenied: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::pics/cat.jpg" because no service control policy allows the s3:GetObject action
}

// An account that leaves the organization leaves its policies behind.
func ExampleOrganization_Remove() {
	s := newShop()
	org := s.cloud.Organization()
	org.Add(s.dev, s.store)
	org.AttachSCP("NoS3", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`)
	org.Remove(s.dev)
	s.read()
	// Output: ok <nil>
}

// A bucket policy may admit an organization instead of accounts.
func ExampleOrganization_ID() {
	s := newShop()
	org := s.cloud.Organization()
	s.store.CreateBucket("shared").SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::shared/*",
		"Condition":{"StringEquals":{"aws:PrincipalOrgID":"` + org.ID() + `"}}}]}`)
	fmt.Println(randomIDs.ReplaceAllString(org.ID(), "$1-…"))
	// Output: o-…
}

// No policy of the organization limits its management account.
func ExampleOrganization_SetManagementAccount() {
	s := newShop()
	org := s.cloud.Organization()
	org.SetManagementAccount(s.dev)
	org.AttachSCP("NoS3", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`)
	s.read()
	// Output: ok <nil>
}

// Policies of an OU apply to the accounts in the OUs below.
func ExampleOrganizationalUnit_CreateOU() {
	s := newShop()
	org := s.cloud.Organization()
	workloads := org.CreateOU("workloads")
	workloads.CreateOU("test").Add(s.dev)
	org.Add(s.store)
	org.AttachSCP("NoS3", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`, workloads)
	s.read()
	org.DetachSCP("NoS3", workloads)
	s.read()
	// Output:
	// AccessDenied: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::pics/cat.jpg" with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-…/service_control_policy/p-…
	// ok <nil>
}

// A permissions boundary limits what the identity policies allow.
func ExampleAccount_SetUserPermissionsBoundary() {
	s := newShop()
	s.cloud.Organization().Add(s.dev, s.store) // or S3 would not say which policy it was
	s.dev.SetUserPermissionsBoundary("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`)
	s.read()
	// Output:
	// AccessDenied: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::pics/cat.jpg" because no permissions boundary allows the s3:GetObject action
}

// The permissions boundary of a role limits its sessions.
func ExampleRole_SetPermissionsBoundary() {
	s := newStage()
	s.role.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	s.account.CreateBucket("pics").Put("cat.jpg", []byte("cat"))
	s.role.SetPermissionsBoundary(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}`)
	cfg := s.cloud.Config()
	cfg.Credentials = stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), s.role.ARN(), token(s.blue.Token("default", "app")))
	_, err := s3.NewFromConfig(cfg).GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
	var refused smithy.APIError
	fmt.Println(errors.As(err, &refused) && strings.Contains(refused.ErrorMessage(), "because no permissions boundary allows the s3:GetObject action"))
	fmt.Println(s.cloud.Calls()[1].Explain)
	// Output:
	// true
	// permissions boundary arn:aws:iam::111122223333:policy/app-boundary of arn:aws:iam::111122223333:role/app: statement 0: Action: the request's action is "s3:GetObject", the Action is "sqs:*"
}
