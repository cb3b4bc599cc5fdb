package awstest_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
)

// kmsWorld is a bucket of one account and a reader and writer of another, which
// everything of S3 allows.
type kmsWorld struct {
	cloud  *awstest.Cloud
	bucket *awstest.Bucket
	key    *awstest.KMSKey
	role   *awstest.Role
	client *s3.Client
}

const mayUseS3 = `{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}`

// mayUseKeys is the statement of an identity policy.
func mayUseKeys(actions string) string {
	return `,{"Effect":"Allow","Action":` + actions + `,"Resource":"arn:aws:kms:us-east-1:444455556666:key/*"}`
}

// keyPolicy is a key's policy that admits a principal to these actions.
func keyPolicy(principal, actions, more string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":%s,"Resource":"*"%s}]}`, principal, actions, more)
}

func newKMSWorld(t *testing.T) *kmsWorld {
	t.Helper()
	w := newWorld()
	k := &kmsWorld{cloud: w.Cloud, bucket: w.shared.CreateBucket("films"), key: w.shared.CreateKMSKey(""), role: w.hub}
	k.bucket.SetMinPartSize(0)
	k.bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + hubARN + `"},"Action":"s3:*","Resource":["arn:aws:s3:::films","arn:aws:s3:::films/*"]}]}`)
	k.bucket.Put("cat", []byte("meow"), func(o *awstest.Object) { o.KMSKey = k.key })
	cfg := w.Config()
	cfg.Credentials, cfg.RetryMaxAttempts = provider(w.hubSession(t)), 1
	k.client = s3.NewFromConfig(cfg)
	return k
}

// Across accounts, the key's policy and the caller's own must both allow; KMS's
// message says which does not, as far as the caller may know.
func TestKMSAcrossAccounts(t *testing.T) {
	const notAdmitted = "on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
	const both = `["kms:Decrypt","kms:GenerateDataKey"]`
	for _, test := range []struct {
		name, identity, key string
		read, write         string // part of the error; empty: it succeeds
	}{
		{"neither", "", "", notAdmitted, notAdmitted},
		{"identity alone", mayUseKeys(both), "", notAdmitted, notAdmitted},
		{"key policy alone", "", keyPolicy(hubARN, both, ""), "because no identity-based policy allows the kms:Decrypt action", "because no identity-based policy allows the kms:GenerateDataKey action"},
		{"both", mayUseKeys(both), keyPolicy(hubARN, both, ""), "", ""},
		{"the account", mayUseKeys(both), keyPolicy(devID, both, ""), "", ""},
		{"to read", mayUseKeys(`"kms:Decrypt"`), keyPolicy(hubARN, both, ""), "", "kms:GenerateDataKey"},
		{"to write", mayUseKeys(both), keyPolicy(hubARN, `"kms:GenerateDataKey"`, ""), "kms:Decrypt", ""},
		{"denied", mayUseKeys(both) + `,{"Effect":"Deny","Action":"kms:Decrypt","Resource":"*"}`, keyPolicy(hubARN, both, ""), "with an explicit deny in an identity-based policy", ""},
		{"another role", mayUseKeys(both), keyPolicy("arn:aws:iam::111122223333:role/hub2", both, ""), notAdmitted, notAdmitted},
		{"by S3", mayUseKeys(both), keyPolicy(hubARN, both, `,"Condition":{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com","kms:CallerAccount":"111122223333"}}`), "", ""},
		{"by another service", mayUseKeys(both), keyPolicy(hubARN, both, `,"Condition":{"StringEquals":{"kms:ViaService":"sqs.us-east-1.amazonaws.com"}}`), notAdmitted, notAdmitted},
		{"of other objects", mayUseKeys(both), keyPolicy(hubARN, both, `,"Condition":{"StringLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::films/dog*"}}`), notAdmitted, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newKMSWorld(t)
			w.cloud.Account(devID).CreateRole("hub2", roleTrust(hubARN), "")
			w.role.SetPolicy(`{"Version":"2012-10-17","Statement":[` + mayUseS3 + test.identity + `]}`)
			w.key.SetPolicy(test.key)
			_, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("films"), Key: new("cat")})
			expect(t, w, "read", err, test.read)
			put, err := w.client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: new("films"), Key: new("dog"), Body: strings.NewReader("wuff"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: new(w.key.ARN()),
			})
			expect(t, w, "write", err, test.write)
			if err == nil && (put.ServerSideEncryption != types.ServerSideEncryptionAwsKms || *put.SSEKMSKeyId != w.key.ARN()) {
				t.Errorf("written: %+v", put)
			}
			// What describes an object is not encrypted with the key.
			head, err := w.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: new("films"), Key: new("cat")})
			if err != nil || *head.SSEKMSKeyId != w.key.ARN() {
				t.Errorf("head: %+v, %v", head, err)
			}
		})
	}
}

// expect compares an error, and what the cloud recorded of it.
func expect(t *testing.T, w *kmsWorld, what string, err error, want string) {
	t.Helper()
	switch calls := w.cloud.Calls(); {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (codeOf(err) != "AccessDenied" || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %s", what, err, want)
	case want != "" && calls[len(calls)-1].Explain == "":
		t.Errorf("%s: the call does not explain the refusal", what)
	}
}

// A bucket's default key encrypts what is stored without saying how, also what is
// copied or uploaded in parts; reading the source of a copy needs its key.
func TestDefaultKMSKey(t *testing.T) {
	w := newKMSWorld(t)
	w.bucket.SetDefaultKMSKey(w.key)
	w.role.SetPolicy(`{"Version":"2012-10-17","Statement":[` + mayUseS3 + mayUseKeys(`["kms:Decrypt","kms:GenerateDataKey"]`) + `]}`)
	w.key.SetPolicy(keyPolicy(hubARN, `"kms:GenerateDataKey"`, ""))
	put := putText(t, w.client, "films", "dog", "wuff")
	if put.ServerSideEncryption != types.ServerSideEncryptionAwsKms || strings.Contains(*put.ETag, fmt.Sprintf("%x", md5.Sum([]byte("wuff")))) {
		t.Errorf("written: %+v", put)
	}
	own, err := w.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: new("films"), Key: new("plain"), Body: strings.NewReader("x"), ServerSideEncryption: types.ServerSideEncryptionAes256})
	if err != nil || own.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Errorf("with S3's own key: %+v, %v", own, err)
	}
	copyDog := &s3.CopyObjectInput{Bucket: new("films"), Key: new("copy"), CopySource: new("films/dog")}
	if _, err := w.client.CopyObject(t.Context(), copyDog); codeOf(err) != "AccessDenied" {
		t.Errorf("copy of what may not be decrypted: %v", err)
	}
	if _, err := (uploader{client: w.client, bucket: "films", key: "parts"}).begin(t); codeOf(err) != "AccessDenied" {
		t.Errorf("a part, without kms:Decrypt: %v", err)
	}
	w.key.SetPolicy(keyPolicy(hubARN, `["kms:Decrypt","kms:GenerateDataKey"]`, ""))
	if _, err := w.client.CopyObject(t.Context(), copyDog); err != nil {
		t.Error(err)
	}
	out, err := uploader{client: w.client, bucket: "films", key: "parts"}.upload(t, []byte("one"), []byte("two"))
	if err != nil || *out.SSEKMSKeyId != w.key.ARN() {
		t.Errorf("upload: %+v, %v", out, err)
	}
}

// begin creates an upload and sends one part.
func (u uploader) begin(t *testing.T) (*s3.UploadPartOutput, error) {
	t.Helper()
	created, err := u.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &u.bucket, Key: &u.key})
	if err != nil {
		t.Fatal(err)
	}
	return u.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &u.bucket, Key: &u.key, UploadId: created.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("1")})
}

// Within the key's account too, its policy must allow.
func TestKMSWithinTheAccount(t *testing.T) {
	cloud := awstest.New()
	account := cloud.Account(sharedID)
	bucket, key := account.CreateBucket("films"), account.CreateKMSKey("")
	bucket.Put("cat", []byte("meow"), func(o *awstest.Object) { o.KMSKey = key })
	cfg := cloud.Config()
	cfg.Credentials = provider(account.UserCredentials("admin", allowAll))
	admin := s3.NewFromConfig(cfg)
	cfg.Credentials = provider(account.UserCredentials("guest", `{"Version":"2012-10-17","Statement":[`+mayUseS3+`]}`))
	guest := s3.NewFromConfig(cfg)
	for _, step := range []struct{ policy, admin, guest string }{
		{"", "meow", "AccessDenied"}, // the default policy leaves it to identity policies
		{keyPolicy("arn:aws:iam::444455556666:user/guest", `"kms:Decrypt"`, ""), "AccessDenied", "meow"},
		{keyPolicy("arn:aws:iam::444455556666:user/admin", `"kms:Decrypt"`, ""), "meow", "AccessDenied"},
	} {
		key.SetPolicy(step.policy)
		if got := read(t, admin, "films", "cat", ""); got != step.admin {
			t.Errorf("%s: admin reads %s, want %s", step.policy, got, step.admin)
		}
		if got := read(t, guest, "films", "cat", ""); got != step.guest {
			t.Errorf("%s: guest reads %s, want %s", step.policy, got, step.guest)
		}
	}
}

// sse are the headers of SSE-C with a key of 32 times this letter.
func sse(letter, prefix string) string {
	key := bytes.Repeat([]byte(letter), 32)
	sum := md5.Sum(key)
	return fmt.Sprintf("%s-algorithm: AES256\n%[1]s-key: %[2]s\n%[1]s-key-md5: %[3]s", prefix, base64.StdEncoding.EncodeToString(key), base64.StdEncoding.EncodeToString(sum[:]))
}

func TestEncryptionAnswers(t *testing.T) {
	const own = "x-amz-server-side-encryption-customer"
	const source = "x-amz-copy-source-server-side-encryption-customer"
	const kms = "x-amz-server-side-encryption: aws:kms"
	for _, row := range []writeRow{
		{request: "PUT /safe/new", headers: sse("a", own), status: 200, answer: own + "-algorithm: AES256\nx-amz-server-side-encryption: -"},
		{request: "PUT /pics/new", headers: sse("a", own), status: 403, code: "AccessDenied", match: "because this bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C)"},
		{request: "PUT /safe/new", headers: sse("a", own) + "\nx-amz-server-side-encryption: AES256", status: 400, code: "InvalidArgument"},
		{request: "PUT /safe/new", headers: strings.Replace(sse("a", own), "AES256", "DES", 1), status: 400, code: "InvalidEncryptionAlgorithmError"},
		{request: "PUT /safe/new", headers: strings.Replace(sse("a", own), "AES256\n", "AES256\nx-other: ", 1), status: 400, code: "InvalidArgument"},
		{request: "GET /safe/secret", headers: sse("s", own), status: 200, match: "hidden"},
		{request: "GET /safe/secret", status: 400, code: "InvalidRequest"},
		{request: "GET /safe/secret", headers: sse("a", own), status: 403, code: "AccessDenied"},
		{request: "GET /pics/cat", headers: sse("a", own), status: 400, code: "InvalidRequest"},
		{request: "GET /safe/secret?attributes", headers: sse("s", own) + "\nx-amz-object-attributes: ObjectSize", status: 200},
		{request: "GET /safe/secret?attributes", headers: "x-amz-object-attributes: ObjectSize", status: 400, code: "InvalidRequest"},
		{request: "PUT /safe/new", headers: "x-amz-copy-source: safe/secret", status: 400, code: "InvalidRequest"},
		{request: "PUT /safe/new", headers: "x-amz-copy-source: safe/secret\n" + sse("s", source), status: 200, answer: "x-amz-server-side-encryption: AES256"},
		{request: "PUT /safe/new", headers: "x-amz-copy-source: safe/secret\n" + sse("s", source) + "\n" + sse("n", own), status: 200, answer: own + "-algorithm: AES256"},
		{request: "PUT /safe/new", headers: "x-amz-copy-source: safe/secret\n" + sse("a", source), status: 403, code: "AccessDenied"},
		{request: "PUT /safe/up?partNumber=1&uploadId={id}", headers: sse("u", own), sent: "1", status: 200, answer: own + "-algorithm: AES256"},
		{request: "PUT /safe/up?partNumber=1&uploadId={id}", sent: "1", status: 400, code: "InvalidRequest", match: "The multipart upload initiate requested encryption."},
		{request: "PUT /safe/up?partNumber=1&uploadId={id}", headers: sse("a", own), sent: "1", status: 400, code: "InvalidRequest"},
		{request: "PUT /safe/up?partNumber=1&uploadId={id}", headers: "x-amz-server-side-encryption: AES256", sent: "1", status: 400, code: "InvalidArgument"},
		{request: "DELETE /safe/secret", status: 204}, // needs no key

		{request: "PUT /pics/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {key}", status: 200, answer: "x-amz-server-side-encryption-aws-kms-key-id: {key}"},
		{request: "PUT /pics/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {keyid}", status: 200, answer: "x-amz-server-side-encryption-aws-kms-key-id: {key}"},
		{request: "PUT /pics/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {key}0", status: 400, code: "KMS.NotFoundException"},
		{request: "PUT /pics/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: alias/mine", status: 501, code: "NotImplemented"},
		{request: "PUT far.s3.eu-west-1.amazonaws.com/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {key}", status: 400, code: "AuthorizationHeaderMalformed"},
		{request: "PUT /pics/new", headers: "x-amz-server-side-encryption-aws-kms-key-id: {key}", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: "x-amz-server-side-encryption: AES256\nx-amz-server-side-encryption-aws-kms-key-id: {key}", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: "x-amz-server-side-encryption: rot13", status: 400, code: "InvalidArgument"},
		{request: "PUT /pics/new", headers: "x-amz-server-side-encryption: aws:kms:dsse", status: 501, code: "NotImplemented"},
		{request: "PUT /pics/new", headers: kms, status: 501, code: "NotImplemented", match: "aws/s3"},
		{request: "PUT /pics/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {key}\nx-amz-server-side-encryption-context: e30=", status: 501, code: "NotImplemented"},
		{request: "PUT /pics/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {key}\nx-amz-server-side-encryption-bucket-key-enabled: true", status: 501, code: "NotImplemented"},
		{request: "GET /pics/locked", status: 200, match: "hidden"},
		{as: "reader", request: "GET /pics/locked", status: 403, code: "AccessDenied", match: "is not authorized to perform: kms:Decrypt on resource: {key} because no identity-based policy allows the kms:Decrypt action"},
		{as: "reader", request: "HEAD /pics/locked", status: 200, answer: "x-amz-server-side-encryption-aws-kms-key-id: {key}"},
		{as: "reader", request: "HEAD /pics/locked", headers: "x-amz-checksum-mode: ENABLED", status: 403, code: "AccessDenied"},
		{as: "writer", request: "PUT /pics/new", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {key}", status: 403, code: "AccessDenied", match: "kms:GenerateDataKey"},
		{as: "writer", request: "POST /pics/new?uploads", headers: kms + "\nx-amz-server-side-encryption-aws-kms-key-id: {key}", status: 403, code: "AccessDenied"},
		{as: "anonymous", request: "GET /open/locked", status: 400, code: "InvalidArgument", match: "require AWS Signature Version 4"},
	} {
		t.Run(strings.TrimSpace(row.as+" "+row.request+" "+row.headers), func(t *testing.T) {
			s := newStore(t)
			safe, key := s.owner.CreateBucket("safe"), s.owner.CreateKMSKey("")
			safe.AllowCustomerKeys()
			safe.Put("secret", []byte("hidden"), func(o *awstest.Object) { o.CustomerKey = bytes.Repeat([]byte("s"), 32) })
			s.pics.Put("locked", []byte("hidden"), func(o *awstest.Object) { o.KMSKey = key })
			s.open.Put("locked", []byte("hidden"), func(o *awstest.Object) { o.KMSKey = key })
			s.begin(t, "/safe/up", sse("u", own))
			id := s.names.Replace("{id}")
			s.names = strings.NewReplacer("{id}", id, "{key}", key.ARN(), "{keyid}", key.ARN()[strings.LastIndex(key.ARN(), "/")+1:])
			row.run(t, s)
		})
	}
}

// A reader of another account needs the key's policy and its own, in addition to those of S3.
func ExampleAccount_CreateKMSKey() {
	cloud := awstest.New()
	shared, dev := cloud.Account("444455556666"), cloud.Account("111122223333")
	reader := dev.UserCredentials("reader", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"},
		{"Effect":"Allow","Action":"kms:Decrypt","Resource":"arn:aws:kms:us-east-1:444455556666:key/*"}]}`)
	key := shared.CreateKMSKey("") // admits the account 444455556666 only
	pics := shared.CreateBucket("pics")
	pics.SetDefaultKMSKey(key)
	pics.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
	pics.Put("cat.jpg", []byte("meow"))

	cfg := cloud.Config()
	cfg.Credentials = provider(reader)
	client := s3.NewFromConfig(cfg)
	get := func() {
		_, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("cat.jpg")})
		fmt.Printf("%q\n", codeOf(err))
	}
	get()
	key.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:Decrypt","Resource":"*"}]}`)
	get()
	// Output:
	// "AccessDenied"
	// ""
}

// Programs that write with keys of their own need a bucket that allows it.
func ExampleBucket_AllowCustomerKeys() {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	bucket := account.CreateBucket("safe")
	cfg := cloud.Config()
	cfg.Credentials = provider(account.UserCredentials("app", allowAll))
	client := s3.NewFromConfig(cfg)
	key := bytes.Repeat([]byte("k"), 32)
	sum := md5.Sum(key)
	put := func() {
		_, err := client.PutObject(context.Background(), &s3.PutObjectInput{
			Bucket: aws.String("safe"), Key: aws.String("k"), Body: strings.NewReader("hidden"),
			SSECustomerAlgorithm: aws.String("AES256"), SSECustomerKey: aws.String(base64.StdEncoding.EncodeToString(key)),
			SSECustomerKeyMD5: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		})
		fmt.Printf("%q\n", codeOf(err))
	}
	put()
	bucket.AllowCustomerKeys()
	put()
	// Output:
	// "AccessDenied"
	// ""
}
