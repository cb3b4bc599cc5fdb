package awstest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

func TestBucketAnswers(t *testing.T) {
	in := func(region string) string {
		return "<CreateBucketConfiguration><LocationConstraint>" + region + "</LocationConstraint></CreateBucketConfiguration>"
	}
	runWrites(t, []writeRow{
		{request: "PUT /fresh", status: 200, answer: "Location: /fresh"},
		{request: "PUT fresh.s3.us-east-1.amazonaws.com/", status: 200},
		{request: "PUT /pics", status: 200}, // in us-east-1, creating it again is no error
		{as: "other", request: "PUT /pics", status: 409, code: "BucketAlreadyExists"},
		{request: "PUT s3.amazonaws.com/far", sent: in("eu-west-1"), status: 409, code: "BucketAlreadyOwnedByYou"},
		{request: "PUT s3.amazonaws.com/fresh", sent: in("eu-west-1"), status: 200},
		{request: "PUT s3.amazonaws.com/fresh", sent: in("EU"), status: 200},
		{request: "PUT /fresh", sent: in("eu-west-1"), status: 400, code: "IllegalLocationConstraintException"},
		{request: "PUT /fresh", sent: in("us-east-1"), status: 400, code: "InvalidLocationConstraint"},
		{request: "PUT /fresh", sent: in("moon"), status: 400, code: "InvalidLocationConstraint"},
		{request: "PUT /fresh", sent: "<Create>", status: 400, code: "MalformedXML"},
		{request: "PUT /fresh", sent: "<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>", status: 501, code: "NotImplemented"},
		{request: "PUT /A_B", status: 400, code: "InvalidBucketName"},
		{request: "PUT /xn--a", status: 400, code: "InvalidBucketName"},
		{request: "PUT /fresh", headers: "x-amz-acl: private", status: 200},
		{request: "PUT /fresh", headers: "x-amz-acl: public-read", status: 400, code: "InvalidBucketAclWithObjectOwnership"},
		{request: "PUT /fresh", headers: "x-amz-grant-read: id=1", status: 400, code: "InvalidBucketAclWithObjectOwnership"},
		{request: "PUT /fresh", headers: "x-amz-object-ownership: BucketOwnerEnforced", status: 200},
		{request: "PUT /fresh", headers: "x-amz-object-ownership: ObjectWriter", status: 501, code: "NotImplemented"},
		{request: "PUT /fresh", headers: "x-amz-bucket-object-lock-enabled: true", status: 501, code: "NotImplemented"},
		{as: "reader", request: "PUT /fresh", status: 403, code: "AccessDenied", match: "s3:CreateBucket on resource: &#34;arn:aws:s3:::fresh&#34;"},
		{as: "anonymous", request: "PUT /fresh", status: 403, code: "AccessDenied"},

		{request: "DELETE /pics", status: 409, code: "BucketNotEmpty"},
		{request: "DELETE /past", status: 409, code: "BucketNotEmpty", match: "You must delete all versions"},
		{request: "DELETE /absent", status: 404, code: "NoSuchBucket"},
		{request: "DELETE /far", status: 301, code: "PermanentRedirect"},
		{as: "reader", request: "DELETE /pics", status: 403, code: "AccessDenied"},

		{request: "GET /", status: 200, match: "<Bucket><Name>open</Name><CreationDate>"},
		{request: "GET s3.amazonaws.com/?max-buckets=2&prefix=p", status: 200, match: "<BucketRegion>us-east-1</BucketRegion>"},
		{request: "GET /?bucket-region=eu-west-1", status: 200, match: "<Buckets><Bucket><Name>far</Name>"},
		{request: "GET /?max-buckets=0", status: 400, code: "InvalidArgument"},
		{request: "GET /?continuation-token=x", status: 400, code: "InvalidArgument"},
		{as: "other", request: "GET /", status: 200, match: "<Buckets></Buckets>"},
		{as: "reader", request: "GET /", status: 403, code: "AccessDenied", match: "s3:ListAllMyBuckets"},
		{as: "anonymous", request: "GET /", status: 403, code: "AccessDenied"},

		{request: "GET /pics?acl", status: 200, match: "<Permission>FULL_CONTROL</Permission>"},
		{as: "reader", request: "GET /pics?acl", status: 403, code: "AccessDenied"},
		{request: "PUT /pics?acl", headers: "x-amz-acl: private", status: 400, code: "AccessControlListNotSupported"},
		{as: "reader", request: "PUT /pics?acl", headers: "x-amz-acl: private", status: 403, code: "AccessDenied"},
		{request: "PUT /pics/cat?acl", headers: "x-amz-acl: public-read", status: 400, code: "AccessControlListNotSupported"},
		{as: "writer", request: "PUT /pics/cat?acl", headers: "x-amz-acl: public-read", status: 403, code: "AccessDenied"},
		{request: "PUT /pics/new", headers: "x-amz-grant-read: id=1", status: 400, code: "AccessControlListNotSupported"},
		{request: "GET /pics/cat", headers: "x-amz-grant-read: id=1", status: 501, code: "NotImplemented"},
	})
}

// A program makes a bucket in its region, finds it, empties it and deletes it.
func TestBucketLife(t *testing.T) {
	cloud := awstest.New()
	account := cloud.Account(devID)
	for i := range 5 {
		account.CreateBucket(fmt.Sprintf("data-%d", i))
	}
	cfg := cloud.Config()
	cfg.Region, cfg.Credentials = "eu-west-1", provider(account.UserCredentials("u", allowAll))
	client := s3.NewFromConfig(cfg)
	made := &s3.CreateBucketInput{Bucket: new("fresh"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}}
	if _, err := client.CreateBucket(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateBucket(t.Context(), made); codeOf(err) != "BucketAlreadyOwnedByYou" {
		t.Errorf("created again: %v", err)
	}
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("second")}); codeOf(err) != "IllegalLocationConstraintException" {
		t.Errorf("without a constraint: %v", err)
	}
	where, err := client.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: new("fresh")})
	if err != nil || where.LocationConstraint != "eu-west-1" {
		t.Errorf("it is in %v, %v", where, err)
	}
	var names []string
	pages := s3.NewListBucketsPaginator(client, &s3.ListBucketsInput{MaxBuckets: aws.Int32(4)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page.Buckets {
			names = append(names, *b.Name+" "+*b.BucketRegion)
		}
	}
	if got := strings.Join(names, ", "); got != "data-0 us-east-1, data-1 us-east-1, data-2 us-east-1, data-3 us-east-1, data-4 us-east-1, fresh eu-west-1" {
		t.Errorf("buckets: %s", got)
	}
	putText(t, client, "fresh", "k", "x")
	bucket := &s3.DeleteBucketInput{Bucket: new("fresh")}
	if _, err := client.DeleteBucket(t.Context(), bucket); codeOf(err) != "BucketNotEmpty" {
		t.Errorf("delete of a full bucket: %v", err)
	}
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: new("fresh"), Key: new("k")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	if got := read(t, client, "fresh", "k", ""); got != "NoSuchBucket" {
		t.Errorf("a read from the deleted bucket: %s", got)
	}
	account.CreateBucket("fresh") // the name is free again
}

// policyOn allows something on the bucket pics and its objects.
func policyOn(principal, action, more string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":%s,"Action":%q,"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"]%s}]}`, principal, action, more)
}

func TestBucketPolicyAnswers(t *testing.T) {
	const other = `{"AWS":"arn:aws:iam::111122223333:user/other"}`
	const org = `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`
	runWrites(t, []writeRow{
		{request: "GET /pics?policy", status: 404, code: "NoSuchBucketPolicy"},
		{request: "GET /open?policy", status: 200, match: `"Resource":"arn:aws:s3:::open/secret"`},
		{request: "DELETE /pics?policy", status: 204},
		{request: "PUT /pics?policy", sent: policyOn(other, "s3:GetObject", ""), status: 204},
		{request: "PUT /pics?policy", sent: policyOn(`{"AWS":"111122223333"}`, "s3:*", ""), status: 204},
		{request: "PUT /pics?policy", sent: "", status: 400, code: "MissingRequestBodyError"},
		{request: "PUT /pics?policy", sent: "nonsense", status: 400, code: "MalformedPolicy", match: "Policies must be valid JSON and the first byte must be &#39;{&#39;"},
		{request: "PUT /pics?policy", sent: "[]", status: 400, code: "MalformedPolicy"},
		{request: "PUT /pics?policy", sent: `{"Version":"2012-10-17","Statement":[]}`, status: 400, code: "MalformedPolicy"},
		{request: "PUT /pics?policy", sent: strings.Replace(policyOn(other, "s3:GetObject", ""), "pics/*", "past/*", 1), status: 400, code: "MalformedPolicy", match: "Policy has invalid resource"},
		{request: "PUT /pics?policy", sent: policyOn(other, "sts:AssumeRole", ""), status: 400, code: "MalformedPolicy", match: "Policy has invalid action"},
		{request: "PUT /pics?policy", sent: policyOn(`{"AWS":"arn:aws:iam::111122223333:role/none"}`, "s3:GetObject", ""), status: 400, code: "MalformedPolicy", match: "Invalid principal in policy"},
		{request: "PUT /pics?policy", sent: policyOn(other, "s3:GetObject", "") + strings.Repeat(" ", 20480), status: 400, code: "PolicyTooLarge"},
		{request: "PUT /pics?policy", headers: "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww==", sent: policyOn(other, "s3:GetObject", ""), status: 400, code: "BadDigest"},
		// Block Public Access.
		{request: "PUT /pics?policy", sent: policyOn(`"*"`, "s3:GetObject", ""), status: 403, code: "AccessDenied", match: "BlockPublicPolicy"},
		{request: "PUT /pics?policy", sent: policyOn(`{"AWS":"*"}`, "s3:GetObject", ""), status: 403, code: "AccessDenied"},
		{request: "PUT /pics?policy", sent: policyOn(`"*"`, "s3:GetObject", org), status: 204},
		{request: "PUT /pics?policy", sent: policyOn(`"*"`, "s3:GetObject", strings.Replace(org, "o-1", "o-*", 1)), status: 403, code: "AccessDenied"},
		{request: "PUT /pics?policy", sent: policyOn(`"*"`, "s3:GetObject", strings.Replace(org, "StringEquals", "StringNotEquals", 1)), status: 403, code: "AccessDenied"},
		{request: "PUT /pics?policy", sent: policyOn(`"*"`, "s3:GetObject", strings.Replace(org, "StringEquals", "StringEqualsIfExists", 1)), status: 403, code: "AccessDenied"},
		{request: "PUT /pics?policy", sent: policyOn(`"*"`, "s3:GetObject", `,"Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`), status: 403, code: "AccessDenied"},
		{request: "PUT /pics?policy", sent: policyOn(`"*"`, "s3:GetObject", `,"Condition":{"StringEquals":{"aws:UserAgent":"me"}}`), status: 403, code: "AccessDenied"},
		{request: "PUT /pics?policy", sent: strings.Replace(policyOn(`"*"`, "s3:GetObject", ""), "Allow", "Deny", 1), status: 204},
		// Only the owner's account.
		{as: "reader", request: "PUT /pics?policy", sent: policyOn(other, "s3:GetObject", ""), status: 403, code: "AccessDenied", match: "s3:PutBucketPolicy"},
		{as: "reader", request: "GET /open?policy", status: 403, code: "AccessDenied"},
		{as: "reader", request: "DELETE /open?policy", status: 403, code: "AccessDenied"},
		{as: "other", request: "GET /pics?policy", status: 403, code: "AccessDenied"},
		{as: "other", request: "GET /paid?policy", headers: "x-amz-request-payer: requester", status: 405, code: "MethodNotAllowed"},
		{as: "other", request: "DELETE /paid?policy", headers: "x-amz-request-payer: requester", status: 405, code: "MethodNotAllowed"},
		{as: "other", request: "PUT /paid?policy", headers: "x-amz-request-payer: requester", status: 405, code: "MethodNotAllowed"},
		{request: "GET /pics?policyStatus", status: 501, code: "NotImplemented"},
	})
}

// The owner opens the bucket to a role of another account, and closes it again.
func TestBucketPolicyByRequest(t *testing.T) {
	s := newStore(t)
	owner, other := s.client("owner"), s.client("other")
	if got := read(t, other, "pics", "cat", ""); got != "AccessDenied" {
		t.Errorf("before: %s", got)
	}
	policy := policyOn(`{"AWS":"arn:aws:iam::111122223333:user/other"}`, "s3:GetObject", "")
	if _, err := owner.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: new("pics"), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	if got, err := owner.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: new("pics")}); err != nil || *got.Policy != policy {
		t.Errorf("the policy is %v, %v", got, err)
	}
	if got := read(t, other, "pics", "cat", ""); got != "0123456789" {
		t.Errorf("with the policy: %s", got)
	}
	if _, err := owner.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: new("pics")}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, other, "pics", "cat", ""); got != "AccessDenied" {
		t.Errorf("after: %s", got)
	}
}
