package awstest

import (
	"crypto/hmac"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// verify signs the request anew with the SDK's signer and compares. The signer
// is given the signed headers only, with lower-case names: it would leave out
// some that a client may sign (User-Agent) under their canonical ones.
func (c *Cloud) verify(req *request, s *signature, secret, payloadHash string) bool {
	again := &http.Request{
		Method: req.Method,
		URL:    &url.URL{Scheme: "https", Host: req.Host, Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery},
		Host:   req.Host,
		Header: http.Header{},
	}
	for _, name := range s.signedHeaders {
		switch name {
		case "host":
		case "x-amz-date", "x-amz-security-token":
			if s.presigned {
				again.Header[name] = req.Header.Values(name)
			} // else the signer sets them
		case "content-length":
			again.ContentLength = req.ContentLength
		default:
			again.Header[name] = req.Header.Values(name)
		}
	}
	credentials := aws.Credentials{AccessKeyID: s.keyID, SecretAccessKey: secret, SessionToken: s.token}
	asSigned := func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = req.service == serviceS3
		o.DisableHeaderHoisting = true
	}
	ctx := req.Context()
	if !s.presigned {
		if err := c.signer.SignHTTP(ctx, credentials, again, payloadHash, s.service, s.region, s.time, asSigned); err != nil {
			return false
		}
		want := parseAuthorization(again.Header.Get("Authorization"))
		return want["SignedHeaders"] == strings.Join(s.signedHeaders, ";") && hmac.Equal([]byte(want["Signature"]), []byte(s.hex))
	}
	query := again.URL.Query()
	query.Del("X-Amz-Signature")
	again.URL.RawQuery = query.Encode()
	signed, _, err := c.signer.PresignHTTP(ctx, credentials, again, payloadHash, s.service, s.region, s.time, asSigned)
	if err != nil {
		return false
	}
	u, err := url.Parse(signed)
	if err != nil {
		return false
	}
	want := u.Query()
	return want.Get("X-Amz-SignedHeaders") == strings.Join(s.signedHeaders, ";") && hmac.Equal([]byte(want.Get("X-Amz-Signature")), []byte(s.hex))
}
