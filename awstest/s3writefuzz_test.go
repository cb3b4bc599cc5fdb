package awstest_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// fuzzedRequests are requests of every operation of S3, as seeds. {id} is an upload
// in progress, {v1} a version, {md5} the Content-MD5 of the body.
var fuzzedRequests = []struct{ method, target, headers, body string }{
	{"GET", "/", "", ""},
	{"GET", "/pics?list-type=2&prefix=c&delimiter=/&max-keys=3&start-after=a&encoding-type=url", "", ""},
	{"GET", "/pics?marker=cat&max-keys=1", "", ""},
	{"GET", "/past?versions&key-marker=k&version-id-marker={v1}&delimiter=/", "", ""},
	{"GET", "/pics?uploads&key-marker=a&upload-id-marker={id}&max-uploads=1", "", ""},
	{"GET", "/pics/up?uploadId={id}&max-parts=1&part-number-marker=1", "", ""},
	{"GET", "/pics/cat?partNumber=1&response-content-type=a", "Range: bytes=1-2\nIf-Match: *\nx-amz-checksum-mode: ENABLED", ""},
	{"HEAD", "/pics/cat", "x-amz-expected-bucket-owner: 444455556666", ""},
	{"GET", "/pics/parts?attributes", "x-amz-object-attributes: ETag,Checksum,ObjectParts\nx-amz-max-parts: 1", ""},
	{"GET", "/pics?policy", "", ""},
	{"GET", "/pics?versioning", "", ""},
	{"GET", "/pics?location", "", ""},
	{"GET", "/pics?acl", "", ""},
	{"HEAD", "/pics", "", ""},
	{"PUT", "/pics/new", "x-amz-meta-a: b\nIf-None-Match: *\nx-amz-storage-class: GLACIER\nx-amz-acl: bucket-owner-full-control\nContent-MD5: {md5}", "data"},
	{"PUT", "/pics/new", "x-amz-checksum-crc32: AAAAAA==\nx-amz-sdk-checksum-algorithm: CRC32", ""},
	{"PUT", "/pics/new", "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: a", "data"},
	{"PUT", "/pics/new", "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\nx-amz-decoded-content-length: 1\nx-amz-trailer: x-amz-checksum-crc32", "1\r\na\r\n0\r\nx-amz-checksum-crc32:6Ld1Aw==\r\n\r\n"},
	{"PUT", "/pics/new", "x-amz-copy-source: /past/k?versionId={v1}\nx-amz-metadata-directive: REPLACE\nx-amz-copy-source-if-match: *", ""},
	{"PUT", "/past?versioning", "", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"},
	{"PUT", "/pics?policy", "", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:*","Resource":"arn:aws:s3:::pics/*"}]}`},
	{"DELETE", "/pics?policy", "", ""},
	{"PUT", "/pics?acl", "x-amz-grant-read: id=1", ""},
	{"PUT", "/fresh", "", "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"},
	{"DELETE", "/far", "", ""},
	{"DELETE", "/pics/cat", "If-Match: *", ""},
	{"DELETE", "/past/k?versionId={v1}", "", ""},
	{"POST", "/pics?delete", "Content-MD5: {md5}", "<Delete><Quiet>false</Quiet><Object><Key>cat</Key><VersionId>null</VersionId></Object></Delete>"},
	{"POST", "/pics/new?uploads", "x-amz-checksum-algorithm: SHA1\nx-amz-checksum-type: COMPOSITE", ""},
	{"PUT", "/pics/up?partNumber=3&uploadId={id}", "", "part"},
	{"PUT", "/pics/up?partNumber=3&uploadId={id}", "x-amz-copy-source: pics/cat\nx-amz-copy-source-range: bytes=0-4", ""},
	{"POST", "/pics/up?uploadId={id}", "x-amz-mp-object-size: 1", "<CompleteMultipartUpload>{p2}</CompleteMultipartUpload>"},
	{"DELETE", "/pics/up?uploadId={id}", "", ""},
	{"PUT", "/pics/cat?tagging", "", "<Tagging/>"},
	{"POST", "/pics/cat?restore", "", ""},
}

// Whatever a request looks like, S3 answers without a panic and with a document
// that is one, and nothing changes by callers without the permission or by bodies
// other than signed.
func FuzzS3Requests(f *testing.F) {
	for i, seed := range fuzzedRequests {
		for _, as := range []string{"owner", "reader", "", "other"}[:1+i%4] {
			f.Add(as, seed.method, seed.target, seed.headers, seed.body, i%5 == 4)
		}
		f.Add("reader", seed.method, seed.target, seed.headers, seed.body, false)
	}
	var shared *fuzzedStore // of callers that change nothing
	f.Fuzz(func(t *testing.T, as, method, target, headers, body string, tampered bool) {
		if shared == nil || len(shared.cloud.Calls()) > 2000 {
			shared = newFuzzedStore(t)
		}
		s := shared
		if as == "owner" {
			s = newFuzzedStore(t)
		}
		known := s.known
		body = known.Replace(body)
		sum := md5.Sum([]byte(body))
		r := s.craft(t, as, method, known.Replace(target), strings.ReplaceAll(known.Replace(headers), "{md5}", base64.StdEncoding.EncodeToString(sum[:])), body)
		if r == nil {
			return // no client could send it
		}
		if tampered {

			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x"+body)), int64(len(body)+1)
		}
		mayWrite := as == "owner" && !(tampered && r.Header.Get("X-Amz-Content-Sha256") == hashOf(body))
		got, err := s.send(r)
		if err != nil {
			t.Fatalf("%s %s: %v", method, target, err)
		}
		checkDocument(t, r, got)
		if mayWrite {
			return
		}
		if after := s.state(t); after != s.before {
			shared = nil
			t.Errorf("%s %s by %q, tampered %v, changed\n%s\nto\n%s\nanswer %d %s", method, target, as, tampered, s.before, after, got.StatusCode, got.body)
		}
	})
}

// fuzzedStore is a store with an upload in progress.
type fuzzedStore struct {
	*store
	known  *strings.Replacer // {v1}, {id}, {p2}
	before string            // its state
}

func newFuzzedStore(t *testing.T) *fuzzedStore {
	t.Helper()
	s := newStore(t)
	v1 := s.names.Replace("{v1}")
	s.begin(t, "/pics/up", "", "1", "2")
	known := strings.NewReplacer("{v1}", v1, "{id}", s.names.Replace("{id}"), "{p2}", s.names.Replace("{p2}"))
	return &fuzzedStore{store: s, known: known, before: s.state(t)}
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

var headerToken = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// craft signs a request in the name of someone; nil if there is no such request.
func (s *store) craft(t *testing.T, as, method, target, headers, body string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI("https://s3.us-east-1.amazonaws.com" + target)
	if err != nil || !headerToken.MatchString(method) || !strings.HasPrefix(target, "/") {
		return nil
	}
	r, err := http.NewRequestWithContext(t.Context(), method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil
	}
	hash := hashOf(body)
	for line := range strings.SplitSeq(headers, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		if !headerToken.MatchString(name) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			continue
		}
		r.Header.Set(name, value)
	}
	if stated := r.Header.Get("X-Amz-Content-Sha256"); stated != "" {
		hash = stated
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if keys, known := s.as[as]; known {
		err := v4.NewSigner().SignHTTP(t.Context(), keys, r, hash, "s3", "us-east-1", time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err != nil {
			return nil
		}
	}
	return r
}

// send sends a request and reads the response.
func (s *store) send(r *http.Request) (answer, error) {
	resp, err := s.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp, string(data)}, err
}

// checkDocument holds that a refusal says why in a document with a code, and that a
// document is well-formed.
func checkDocument(t *testing.T, r *http.Request, got answer) {
	t.Helper()
	switch status := got.StatusCode; {
	case status < 200 || status == 500 || status > 501:
		t.Errorf("%s %s: status %d: %s", r.Method, r.URL, status, got.body)
	case status >= 400 && r.Method != http.MethodHead && got.code() == "":
		t.Errorf("%s %s: %d without a code: %q", r.Method, r.URL, status, got.body)
	}
	// Control characters of keys are references that XML 1.0 does not have, as S3
	// writes them.
	if !strings.HasPrefix(got.body, "<?xml") || strings.Contains(got.body, "&#x") {
		return
	}
	decoder := xml.NewDecoder(bytes.NewReader([]byte(got.body)))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s %s: %v in %s", r.Method, r.URL, err, got.body)
			return
		}
	}
}

// state is what the owner sees of everything.
func (s *store) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	targets := []string{
		"/", "/pics/up?uploadId=" + s.names.Replace("{id}"), "/pics?versions", "/pics?uploads", "/pics?policy", "/pics?versioning",
		"/past?versions", "/past?policy", "/past?versioning",
	}
	for _, target := range targets {
		got := s.do(t, "owner", "GET", target, "", "")
		if got.StatusCode >= 300 {
			fmt.Fprintf(&b, "%s: %d %s\n", target, got.StatusCode, got.code())
		} else {
			fmt.Fprintf(&b, "%s: %s\n", target, got.body)
		}
	}
	return b.String()
}
