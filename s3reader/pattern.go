package s3reader

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/encoding/httpbinding"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// pattern is how the SDK asks for a whole object, taken from a request that it
// has made, of which only key, ETag, time and signature differ for the next. Half
// of what a small file costs is what the SDK does to make the same request again.
//
// A pattern gives good answers only. Whatever else comes is for the SDK, which
// asks anew, with its own retries and whatever a chain does to recover.
type pattern struct {
	client      *s3.Client // whose requests these are
	http        aws.HTTPClient
	signer      s3.HTTPSignerV4
	creds       aws.CredentialsProvider
	region      string
	url         url.URL // up to the key
	escaped     string  // its path, escaped
	header      http.Header
	payloadHash string
}

func unescapedPath(o *v4.SignerOptions) { o.DisableURIPathEscaping = true } // as S3 has it

// request asks for a key; for the version with an ETag, unless empty.
func (p *pattern) request(ctx context.Context, key, etag string) (*http.Request, error) {
	u := p.url
	u.Path += key
	u.RawPath = p.escaped + httpbinding.EscapePath(key, false)
	req := (&http.Request{
		Method: http.MethodGet, URL: &u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.header.Clone(),
	}).WithContext(ctx)
	if etag != "" {
		req.Header["If-Match"] = []string{etag}
	}
	creds, err := p.creds.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	return req, p.signer.SignHTTP(ctx, creds, req, p.payloadHash, "s3", p.region, time.Now().UTC(), unescapedPath)
}

// get asks for a whole object as Reader.whole does.
func (p *pattern) get(ctx context.Context, stall time.Duration, key, etag string) (*s3.GetObjectOutput, *Info, *body, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := p.request(ctx, key, etag)
	if err != nil {
		cancel(err)
		return nil, nil, nil, err
	}
	timer := time.AfterFunc(stall, func() { cancel(&stallError{stall}) })
	resp, err := p.http.Do(req)
	timer.Stop()
	if err != nil {
		cancel(err)
		return nil, nil, nil, err
	}
	b := &body{content: resp.Body, ctx: ctx, cancel: cancel, stall: stall}
	out := outputOf(resp)
	if resp.StatusCode != http.StatusOK || resp.Uncompressed || out.ContentRange != nil || etag != "" && aws.ToString(out.ETag) != etag {
		b.Close()
		return nil, nil, nil, &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}}
	}
	info, err := infoFromGet(key, out)
	if err != nil {
		b.Close()
		return nil, nil, nil, err
	}
	return out, info, b, nil
}

// outputOf is what this package looks at of an answer.
func outputOf(resp *http.Response) *s3.GetObjectOutput {
	get := func(name string) *string {
		if v := resp.Header.Get(name); v != "" {
			return &v
		}
		return nil
	}
	out := &s3.GetObjectOutput{
		ETag: get("Etag"), VersionId: get("X-Amz-Version-Id"), ContentRange: get("Content-Range"),
		ContentType: get("Content-Type"), ContentEncoding: get("Content-Encoding"),
		StorageClass:      types.StorageClass(resp.Header.Get("X-Amz-Storage-Class")),
		ChecksumType:      types.ChecksumType(resp.Header.Get("X-Amz-Checksum-Type")),
		ChecksumCRC64NVME: get("X-Amz-Checksum-Crc64nvme"), ChecksumCRC32: get("X-Amz-Checksum-Crc32"), ChecksumCRC32C: get("X-Amz-Checksum-Crc32c"),
		ChecksumSHA256: get("X-Amz-Checksum-Sha256"), ChecksumSHA1: get("X-Amz-Checksum-Sha1"),
	}
	if resp.ContentLength >= 0 {
		out.ContentLength = &resp.ContentLength
	}
	if t, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		out.LastModified = &t
	}
	return out
}
