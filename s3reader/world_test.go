package s3reader_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

const (
	mayRead    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
	mayList    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"*"}]}`
	mayVersion = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:ListBucket"],"Resource":"*"}]}`

	// mayEverything that any operation of a Reader can use.
	mayEverything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion","s3:GetObjectAttributes","s3:ListBucket"],"Resource":"*"}]}`
)

// shelf is a bucket of the shared account.
type shelf struct {
	cloud *awstest.Cloud
	*awstest.Bucket
	account *awstest.Account
	users   int
}

func newShelf() *shelf {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	return &shelf{cloud: cloud, account: account, Bucket: account.CreateBucket("pics")}
}

// config is signed by a user of the account with the given policy.
func (s *shelf) config(policy string) aws.Config {
	s.users++
	keys := s.account.UserCredentials("user"+strconv.Itoa(s.users), policy)
	cfg := s.cloud.Config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")
	return cfg
}

func (s *shelf) reader(t testing.TB, policy string, optFns ...func(*s3reader.Options)) *s3reader.Reader {
	t.Helper()
	return newReader(t, s.config(policy), "pics", optFns...)
}

// requests are the operations asked for so far, with their ranges.
func (s *shelf) requests() []string {
	var ops []string
	for _, c := range s.cloud.Calls() {
		ops = append(ops, strings.TrimSpace(c.Operation+" "+c.Params["Range"]))
	}
	return ops
}

func newReader(t testing.TB, cfg aws.Config, bucket string, optFns ...func(*s3reader.Options)) *s3reader.Reader {
	t.Helper()
	r, err := s3reader.New(cfg, bucket, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// noise is n bytes, the same for the same n.
func noise(n int) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(n))
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b) // never fails
	return b
}

// server answers in memory where awstest would never say such a thing.
type server func(*http.Request) *http.Response

func (s server) Do(r *http.Request) (*http.Response, error) { return s(r), nil }

func (s server) config() aws.Config {
	return aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: s}
}

// answer is a response with headers given as "Name: value".
func answer(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	length := int64(-1)
	if v := h.Get("Content-Length"); v != "" {
		length, _ = strconv.ParseInt(v, 10, 64)
	}
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: length, Body: io.NopCloser(strings.NewReader(body)),
	}
}

func same(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes, want %d, first difference at %d", len(got), len(want), difference(got, want))
	}
}

func difference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
