package awstest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
)

func ExampleAccount_CreateBucket() {
	cloud := awstest.New()
	shared := cloud.Account("444455556666")
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))

	cfg := cloud.Config()
	user := shared.UserCredentials("reader", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return user, nil })

	out, err := s3.NewFromConfig(cfg).GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("indoor-cat.jpg")})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := io.ReadAll(out.Body)
	fmt.Printf("%s %v\n", data, err)
	// Output: meow <nil>
}

func ExampleBucket_Put() {
	bucket := awstest.New().Account("444455556666").CreateBucket("pics")
	cat := bucket.Put("cat.jpg", []byte("0123456789"), func(o *awstest.Object) {
		o.ContentType = "image/jpeg"
		o.PartSize = 4 // as if uploaded in parts of 4, 4 and 2 bytes
	})
	fmt.Println(cat.Key, cat.Size, cat.ContentType, cat.StorageClass, cat.ETag)
	// Output: cat.jpg 10 image/jpeg STANDARD "61e3716e3a7767581863b67c4e785584-3"
}

func ExampleBucket_SetVersioning() {
	bucket := awstest.New().Account("444455556666").CreateBucket("pics")
	bucket.SetVersioning()
	first, second := bucket.Put("cat.jpg", []byte("kitten")), bucket.Put("cat.jpg", []byte("cat"))
	fmt.Println(len(first.VersionID), first.VersionID != second.VersionID)
	// Output: 32 true
}

func ExampleBucket_Delete() {
	cloud := awstest.New()
	bucket := cloud.Account("444455556666").CreateBucket("pics")
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":["s3:GetObject*","s3:ListBucket"],"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"]}]}`)
	bucket.SetVersioning()
	cat := bucket.Put("cat.jpg", []byte("meow"))
	bucket.Delete("cat.jpg")

	client := s3.NewFromConfig(cloud.Config())
	_, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
	_, isMissing := errors.AsType[*types.NoSuchKey](err)
	out, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg"), VersionId: &cat.VersionID})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(isMissing, *out.ContentLength)
	// Output: true 4
}

func ExampleBucket_SetPolicy() {
	cloud := awstest.New()
	bucket := cloud.Account("444455556666").CreateBucket("public")
	bucket.Put("k", []byte("for all"))
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::public/*"}]}`)
	out, err := s3.NewFromConfig(cloud.Config()).GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("public"), Key: new("k")})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := io.ReadAll(out.Body)
	fmt.Printf("%s %v\n", data, err)
	// Output: for all <nil>
}

func ExampleBucket_SetRegion() {
	cloud := awstest.New()
	bucket := cloud.Account("444455556666").CreateBucket("pics")
	bucket.SetRegion("eu-west-1")

	client := s3.NewFromConfig(cloud.Config()) // of us-east-1
	_, err := client.HeadBucket(context.Background(), &s3.HeadBucketInput{Bucket: new("pics")})
	refused, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
		fmt.Println(err)
		return
	}
	fmt.Println(bucket.Name(), refused.HTTPStatusCode(), refused.Response.Header.Get("x-amz-bucket-region"))
	// Output: pics 301 eu-west-1
}

func ExampleBucket_SetRequesterPays() {
	cloud := awstest.New()
	owner, guest := cloud.Account("444455556666"), cloud.Account("111122223333")
	bucket := owner.CreateBucket("maps")
	bucket.Put("k", []byte("not for free"))
	bucket.SetRequesterPays()
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::maps/*"}]}`)

	cfg := cloud.Config()
	user := guest.UserCredentials("guest", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return user, nil })
	client := s3.NewFromConfig(cfg)
	for _, payer := range []types.RequestPayer{"", types.RequestPayerRequester} {
		out, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: new("maps"), Key: new("k"), RequestPayer: payer})
		if refused, ok := errors.AsType[smithy.APIError](err); ok {
			fmt.Println(refused.ErrorCode())
			continue
		}
		fmt.Println(out.RequestCharged, err)
	}
	// Output:
	// AccessDenied
	// requester <nil>
}

// mustPanic is what f panics with.
func mustPanic(t *testing.T, f func()) (message string) {
	t.Helper()
	defer func() { message = fmt.Sprint(recover()) }()
	f()
	return ""
}

// What S3 would refuse is refused with the name, the rule and a way out.
func TestBucketMisuse(t *testing.T) {
	account := awstest.New().Account("444455556666")
	bucket := account.CreateBucket("pics")
	statement := func(body string) func() {
		return func() { bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + body + `}]}`) }
	}
	put := func(key string, fn func(*awstest.Object)) func() { return func() { bucket.Put(key, nil, fn) } }
	none := func(*awstest.Object) {}
	for name, row := range map[string]struct {
		misuse func()
		says   string
	}{
		"taken name":         {func() { account.CreateBucket("pics") }, `CreateBucket("pics"): account 444455556666 owns`},
		"short name":         {func() { account.CreateBucket("ab") }, "3 to 63"},
		"long name":          {func() { account.CreateBucket(strings.Repeat("b", 64)) }, "3 to 63"},
		"capitals":           {func() { account.CreateBucket("Pics") }, "lower-case"},
		"dots":               {func() { account.CreateBucket("pi..cs") }, "two dots"},
		"address":            {func() { account.CreateBucket("10.0.0.1") }, "IP address"},
		"kept prefix":        {func() { account.CreateBucket("xn--pics") }, "xn--"},
		"kept suffix":        {func() { account.CreateBucket("pics-s3alias") }, "-s3alias"},
		"policy not JSON":    {func() { bucket.SetPolicy("{") }, "SetPolicy of bucket pics"},
		"no principal":       {statement(`"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"`), "rincipal"},
		"no resource":        {statement(`"Principal":"*","Action":"s3:GetObject"`), "esource"},
		"other bucket":       {statement(`"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::dogs/*"`), "arn:aws:s3:::dogs/*"},
		"other wildcard":     {statement(`"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::dog*"`), "arn:aws:s3:::dog*"},
		"other service":      {statement(`"Principal":"*","Action":"sts:AssumeRole","Resource":"arn:aws:s3:::pics"`), "sts:AssumeRole"},
		"unknown role":       {statement(`"Principal":{"AWS":"arn:aws:iam::444455556666:role/nobody"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"`), "role/nobody"},
		"region":             {func() { bucket.SetRegion("Ireland") }, "eu-west-1"},
		"empty key":          {put("", none), "not empty"},
		"long key":           {put(strings.Repeat("k", 1025), none), "1024"},
		"not UTF-8":          {put("\xff", none), "UTF-8"},
		"storage class":      {put("k", func(o *awstest.Object) { o.StorageClass = "COLD" }), "COLD"},
		"part size":          {put("k", func(o *awstest.Object) { o.PartSize = -1 }), "PartSize"},
		"checksum":           {put("k", func(o *awstest.Object) { o.ChecksumAlgorithm = "MD6" }), "MD6"},
		"checksum type":      {put("k", func(o *awstest.Object) { o.ChecksumType = "HALF" }), "HALF"},
		"composite of one":   {put("k", func(o *awstest.Object) { o.ChecksumType, o.ChecksumAlgorithm = "COMPOSITE", "CRC32" }), "PartSize"},
		"composite of NVME":  {put("k", func(o *awstest.Object) { o.ChecksumType, o.PartSize = "COMPOSITE", 4 }), "CRC64NVME"},
		"whole SHA of parts": {put("k", func(o *awstest.Object) { o.ChecksumType, o.PartSize, o.ChecksumAlgorithm = "FULL_OBJECT", 4, "SHA256" }), "SHA256"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustPanic(t, row.misuse); !strings.HasPrefix(got, "awstest: ") || !strings.Contains(got, row.says) {
				t.Errorf("panic %q, want one of awstest that says %q", got, row.says)
			}
		})
	}
}

func TestBucketPolicyIsWithdrawn(t *testing.T) {
	s := newStore(t)
	bucket := s.owner.CreateBucket("pics2")
	bucket.Put("k", []byte("v"))
	status := func() int { return s.do(t, "other", "GET", "/pics2/k", "", "").StatusCode }
	if got := status(); got != 403 {
		t.Errorf("without a policy: %d", got)
	}
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:Get*","Resource":"arn:aws:s3:::pics*/*"}]}`)
	if got := status(); got != 200 {
		t.Errorf("with a policy: %d", got)
	}
	bucket.SetPolicy("")
	if got := status(); got != 403 {
		t.Errorf("after the policy: %d", got)
	}
}

// A bucket policy means the role that it named, not one that is created later
// under the same name.
func TestBucketPolicyPinsRoles(t *testing.T) {
	w := newWorld()
	w.hub.SetPolicy(allowAll)
	bucket := w.shared.CreateBucket("pics")
	bucket.Put("k", []byte("v"))
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`, hubARN)
	bucket.SetPolicy(policy)
	read := func() error {
		cfg := w.Config()
		cfg.Credentials = provider(w.hubSession(t))
		_, err := s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("k")})
		return err
	}
	if err := read(); err != nil {
		t.Errorf("the role that was named: %v", err)
	}
	w.dev.DeleteRole(w.hub)
	w.dev.CreateRole("hub", podTrust(devID, blueIssuer, "default", "app"), allowAll)
	if refused, ok := errors.AsType[smithy.APIError](read()); !ok || refused.ErrorCode() != "AccessDenied" {
		t.Errorf("its namesake: %v, want AccessDenied", refused)
	}
	bucket.SetPolicy(policy)
	if err := read(); err != nil {
		t.Errorf("after the policy named it: %v", err)
	}
}

// What Put and its options return and take shares nothing with the store but
// the data.
func TestPutKeepsItsOwn(t *testing.T) {
	s := newStore(t)
	metadata := map[string]string{"a": "1"}
	stored := s.pics.Put("k", nil, func(o *awstest.Object) { o.Metadata = metadata })
	metadata["a"], stored.Metadata["a"] = "2", "3"
	if got := s.do(t, "owner", "GET", "/pics/k", "", "").Header.Get("x-amz-meta-a"); got != "1" {
		t.Errorf("metadata a is %q, want 1", got)
	}
	data := []byte("abc")
	s.pics.Put("k", data)
	s.cloud.Fault(awstest.Fault{Edit: bytes.ToUpper})
	s.do(t, "owner", "GET", "/pics/k", "", "")
	if string(data) != "abc" {
		t.Errorf("the caller's data is %q", data)
	}
}

// A header that is set on an object is sent as it is, whatever it says.
func TestHeadersLie(t *testing.T) {
	s := newStore(t)
	s.pics.Put("k", []byte("0123456789"), func(o *awstest.Object) {
		o.Headers = map[string]string{"x-amz-checksum-crc32": "AAAAAA==", "x-amz-server-side-encryption": "aws:kms", "Cache-Control": "no-store"}
	})
	got := s.do(t, "owner", "GET", "/pics/k?response-cache-control=private", "Range: bytes=0-1", "")
	if h := got.Header; h.Get("x-amz-checksum-crc32") != "AAAAAA==" || h.Get("x-amz-server-side-encryption") != "aws:kms" || h.Get("Cache-Control") != "private" {
		t.Errorf("headers %v", h)
	}
}
