package awstest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
)

// allowAll is the identity policy of an administrator.
const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// store is a cloud with the buckets that the S3 tests read.
type store struct {
	cloud *awstest.Cloud
	owner *awstest.Account
	pics  *awstest.Bucket
	open  *awstest.Bucket            // everyone may read it
	as    map[string]aws.Credentials // callers that may sign; "": anonymous
	names *strings.Replacer          // {v1} and the like, for version ids

	http   aws.HTTPClient // over which do sends
	scheme string
}

var uploaded = time.Date(2026, 11, 25, 4, 30, 0, 0, time.UTC)

func newStore(t testing.TB) *store {
	t.Helper()
	cloud := awstest.New()
	owner, other := cloud.Account("444455556666"), cloud.Account("111122223333")
	s := &store{cloud: cloud, owner: owner, pics: owner.CreateBucket("pics"), http: cloud.Config().HTTPClient, scheme: "https"}
	s.as = map[string]aws.Credentials{
		"owner":  owner.UserCredentials("owner", allowAll),
		"reader": owner.UserCredentials("reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::*"}]}`),
		"lister": owner.UserCredentials("lister", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::pics",
			"Condition":{"StringLike":{"s3:prefix":"public/*"}}}]}`),
		"deleter": owner.UserCredentials("deleter", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::*"}]}`),
		"writer":  owner.UserCredentials("writer", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::*"}]}`),
		"other":   other.UserCredentials("other", allowAll),
	}

	put := func(key, data string, optFns ...func(*awstest.Object)) {
		s.pics.Put(key, []byte(data), append(optFns, func(o *awstest.Object) { o.LastModified = uploaded })...)
	}
	put("cat", "0123456789")
	put("empty", "")
	put("parts", "0123456789abcdefghijABCDE", func(o *awstest.Object) { o.PartSize, o.ChecksumAlgorithm = 10, "CRC32" })
	put("whole", "0123456789abcdefghijABCDE", func(o *awstest.Object) { o.PartSize = 10 })
	put("before2024", "0123456789", func(o *awstest.Object) { o.ChecksumAlgorithm = "NONE" })
	put("rare", "0123456789", func(o *awstest.Object) { o.StorageClass = "STANDARD_IA" })
	put("frozen", "0123456789", func(o *awstest.Object) { o.StorageClass = "GLACIER" })
	put("thawing", "0123456789", func(o *awstest.Object) {
		o.StorageClass, o.Headers = "DEEP_ARCHIVE", map[string]string{"x-amz-restore": `ongoing-request="true"`}
	})
	put("thawed", "0123456789", func(o *awstest.Object) {
		o.StorageClass, o.Headers = "GLACIER", map[string]string{"x-amz-restore": `ongoing-request="false", expiry-date="Fri, 25 Dec 2099 00:00:00 GMT"`}
	})
	put("tiered", "0123456789", func(o *awstest.Object) {
		o.StorageClass, o.Headers = "INTELLIGENT_TIERING", map[string]string{"x-amz-archive-status": "ARCHIVE_ACCESS"}
	})
	put("described", "0123456789", func(o *awstest.Object) {
		o.ContentType, o.ContentEncoding, o.Metadata = "image/jpeg", "gzip", map[string]string{"colour": "red"}
	})

	past := owner.CreateBucket("past")
	past.Put("k", []byte("zero"))
	past.SetVersioning()
	v1 := past.Put("k", []byte("one")).VersionID
	v2 := past.Put("k", []byte("two")).VersionID
	past.Put("gone", []byte("soon"))
	past.Delete("gone")

	owner.CreateBucket("far").SetRegion("eu-west-1")
	open := owner.CreateBucket("open")
	s.open = open
	open.Put("k", []byte("for all"))
	open.SetPolicy(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::open/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::open/secret"}]}`)
	paid := owner.CreateBucket("paid")
	paid.Put("k", []byte("not for free"))
	paid.SetRequesterPays()
	paid.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::paid","arn:aws:s3:::paid/*"]}]}`)

	marker := s.do(t, "owner", "HEAD", "/past/gone", "", "").Header.Get("x-amz-version-id")
	s.names = strings.NewReplacer("{v1}", v1, "{v2}", v2, "{marker}", marker)
	return s
}

// client is the SDK's S3 client of someone.
func (s *store) client(as string, optFns ...func(*s3.Options)) *s3.Client {
	cfg := s.cloud.Config()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return s.as[as], nil })
	return s3.NewFromConfig(cfg, optFns...)
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

// code is the code of an error document.
func (a answer) code() string {
	var document struct{ Code string }
	if xml.Unmarshal([]byte(a.body), &document) != nil {
		return ""
	}
	return document.Code
}

// do sends exactly this request, signed in the name of someone. The target is a
// path with a query, after a host if it does not begin with a slash; headers
// are lines.
func (s *store) do(t testing.TB, as, method, target, headers, body string) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = "s3.us-east-1.amazonaws.com" + target
	}
	u, err := url.Parse(s.scheme + "://" + target)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "https://placeholder", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.Host = u, u.Host
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		r.Header.Add(name, value)
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if as != "" {
		err := v4.NewSigner().SignHTTP(t.Context(), s.as[as], r, hash, "s3", "us-east-1", time.Now(), func(o *v4.SignerOptions) {
			o.DisableURIPathEscaping = true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s.answer(t, r)
}

// answer sends a request as it is.
func (s *store) answer(t testing.TB, r *http.Request) answer {
	t.Helper()
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(data)}
}
