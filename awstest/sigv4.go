package awstest

import (
	"crypto/hmac"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// signature holds the SigV4 parameters of a request, from its Authorization
// header or, presigned, from its query.
type signature struct {
	keyID                string
	day, region, service string // the credential's scope
	signedHeaders        []string
	hex                  string
	time                 time.Time
	token                string // session token; empty: none

	presigned bool
	expires   time.Duration // presigned: how long it is valid
}

const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	timeFormat       = "20060102T150405Z"
	maxExpires       = 7 * 24 * time.Hour
)

// claimedKey returns the access key id that a request claims to be signed with.
func claimedKey(r *http.Request) string {
	key, _, _ := strings.Cut(credentialOf(r), "/")
	return key
}

// credentialOf returns the key and the scope that a request claims to be signed
// with.
func credentialOf(r *http.Request) string {
	if h := r.Header.Get("Authorization"); h != "" {
		return parseAuthorization(h)["Credential"]
	}
	return r.URL.Query().Get("X-Amz-Credential")
}

// parseAuthorization takes the fields of an AWS4-HMAC-SHA256 Authorization
// header apart; nil if it is of another kind.
func parseAuthorization(header string) map[string]string {
	rest, ok := strings.CutPrefix(header, signingAlgorithm)
	if !ok || rest == "" || rest[0] != ' ' {
		return nil
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	return fields
}

// parseSignature reads the signature of a request; nil without refusal if the
// request has none.
func parseSignature(req *request) (*signature, *refusal) {
	query := req.URL.Query()
	header := req.Header.Get("Authorization")
	presigned := query.Has("X-Amz-Algorithm") || query.Has("X-Amz-Signature") || query.Has("X-Amz-Credential")
	switch {
	case presigned && header != "":
		return nil, invalidArgument(req, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case presigned:
		return parsePresigned(req, query)
	case header == "":
		return nil, nil
	}
	fields := parseAuthorization(header)
	if fields == nil {
		return nil, invalidArgument(req, "Unsupported Authorization Type")
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			return nil, malformedSignature(req, "Authorization header requires '"+name+"' parameter.")
		}
	}
	s := &signature{hex: fields["Signature"], token: req.Header.Get("X-Amz-Security-Token")}
	date := req.Header.Get("X-Amz-Date")
	if date == "" {
		return nil, missingDate(req)
	}
	return s, s.parse(req, fields["Credential"], fields["SignedHeaders"], date)
}

func parsePresigned(req *request, query url.Values) (*signature, *refusal) {
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders"} {
		if query.Get(name) == "" {
			return nil, malformedSignature(req, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	if query.Get("X-Amz-Algorithm") != signingAlgorithm {
		return nil, malformedSignature(req, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"")
	}
	s := &signature{
		hex: query.Get("X-Amz-Signature"), token: query.Get("X-Amz-Security-Token"),
		presigned: true, expires: clockTolerance,
	}
	if req.service == serviceS3 || query.Has("X-Amz-Expires") {
		seconds, err := strconv.ParseInt(query.Get("X-Amz-Expires"), 10, 64)
		switch {
		case err != nil:
			return nil, malformedSignature(req, "X-Amz-Expires should be a number")
		case seconds < 0:
			return nil, malformedSignature(req, "X-Amz-Expires must be non-negative")
		case seconds > int64(maxExpires/time.Second): // before it is multiplied
			return nil, malformedSignature(req, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
		}
		s.expires = time.Duration(seconds) * time.Second
	}
	return s, s.parse(req, query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Date"))
}

// parse reads what both forms have in common.
func (s *signature) parse(req *request, credential, signedHeaders, date string) *refusal {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || slices.Contains(scope, "") {
		return malformedSignature(req, "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	s.keyID, s.day, s.region, s.service = scope[0], scope[1], scope[2], scope[3]
	if scope[4] != "aws4_request" {
		return malformedSignature(req, "the Credential's terminator \""+scope[4]+"\" is wrong; expecting \"aws4_request\"")
	}
	s.signedHeaders = strings.Split(signedHeaders, ";")
	if !slices.Contains(s.signedHeaders, "host") {
		return malformedSignature(req, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	at, err := time.Parse(timeFormat, date)
	if err != nil {
		return missingDate(req)
	}
	s.time = at
	if s.day != at.Format("20060102") {
		return malformedSignature(req, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+s.day+"' != '"+at.Format("20060102")+"'")
	}
	return nil
}

// malformedSignature is each service's response to a signature that cannot be
// read.
func malformedSignature(r *request, message string) *refusal {
	switch {
	case r.isQuery():
		return &refusal{status: http.StatusForbidden, code: "IncompleteSignature", message: message}
	case r.Header.Get("Authorization") == "":
		return &refusal{status: http.StatusBadRequest, code: "AuthorizationQueryParametersError", message: message}
	}
	return &refusal{status: http.StatusBadRequest, code: "AuthorizationHeaderMalformed", message: "The authorization header is malformed; " + message}
}

func invalidArgument(r *request, message string) *refusal {
	if r.isQuery() {
		return &refusal{status: http.StatusForbidden, code: "IncompleteSignature", message: message}
	}
	return &refusal{status: http.StatusBadRequest, code: "InvalidArgument", message: message}
}

func missingDate(r *request) *refusal {
	if r.isQuery() {
		return &refusal{status: http.StatusForbidden, code: "IncompleteSignature", message: "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."}
	}
	return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "AWS authentication requires a valid Date or x-amz-date header"}
}

// Values of x-amz-content-sha256 that are not a hash. Those that begin with
// streaming come with a body in aws-chunked encoding, which decodeBody has
// refused if it is none of these.
const (
	unsignedPayload     = "UNSIGNED-PAYLOAD"
	streaming           = "STREAMING-"
	unsignedTrailer     = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedChunksTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

var sha256Hex = lazyregexp.New(`^[0-9a-f]{64}$`)

// payloadHash is the hash that the signature covers. Where the request states
// one, the body must have it.
func payloadHash(r *request, s *signature) (string, *refusal) {
	stated := r.Header.Get("X-Amz-Content-Sha256")
	if stated == "" {
		stated = r.URL.Query().Get("X-Amz-Content-Sha256")
	}
	actual := hashHex(r.body)
	if r.isQuery() {
		// IAM and STS take the hash from the body, whatever the header says.
		return actual, nil
	}
	switch {
	case stated == "" && s.presigned:
		return unsignedPayload, nil
	case stated == "":
		return "", &refusal{status: http.StatusBadRequest, code: "InvalidRequest", message: "Missing required header for this request: x-amz-content-sha256"}
	case stated == unsignedPayload, strings.HasPrefix(stated, streaming):
		return stated, nil
	case !sha256Hex().MatchString(stated):
		return "", &refusal{status: http.StatusBadRequest, code: "InvalidArgument", message: "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a valid sha256 value."}
	case stated != actual:
		return "", &refusal{status: http.StatusBadRequest, code: "XAmzContentSHA256Mismatch", message: "The provided 'x-amz-content-sha256' header does not match what was computed.", details: [][2]string{
			{"ClientComputedContentSHA256", stated},
			{"S3ComputedContentSHA256", actual},
		}}
	}
	return stated, nil
}

// verify signs the request anew with the SDK's signer and compares. The signer
// is given the signed headers only, with lower-case names: it would leave out
// some that a client may sign (User-Agent) under their canonical ones.
func verify(c *Cloud, req *request, s *signature, secret, payloadHash string) bool {
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
