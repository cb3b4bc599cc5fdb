package awstest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// clockTolerance is how far a signing time may be from the server's clock.
const clockTolerance = 15 * time.Minute

// authenticate verifies the request's signature and fills in caller, region and
// the call's Caller. An unsigned request has no caller and is not refused here.
func authenticate(c *Cloud, req *request) *refusal {
	chunks, refused := decodeBody(req)
	if refused != nil {
		return refused
	}
	s, refused := parseSignature(req)
	if s == nil || refused != nil {
		return refused
	}
	if refused := s.checkScope(req); refused != nil {
		return refused
	}
	secret, p, expired, refused := credentialsOf(c, req, s)
	if refused != nil {
		return refused
	}
	if refused := s.checkTime(req); refused != nil {
		return refused
	}
	hash, refused := payloadHash(req, s)
	if refused != nil {
		return refused
	}
	if refused := s.checkUnsigned(req); refused != nil {
		return refused
	}
	if !verify(c, req, s, secret, hash) {
		return signatureMismatch(req)
	}
	if !chunks.signedBy(s, secret) {
		return signatureMismatch(req)
	}
	req.call.Caller = p.arn
	if expired {
		return expiredSession(req)
	}
	req.caller, req.region = p, s.region
	if req.service == serviceIAM {
		req.region = c.partition.region // IAM is global: it has one region, whatever a listener's client signs for
	}
	maps.Copy(p.keys, globalKeys(req))
	return nil
}

// checkScope compares the scope of the credential with what the request is for.
func (s *signature) checkScope(req *request) *refusal {
	wrongRegion := req.region != "" && s.region != req.region
	wrongService := s.service != req.service
	switch {
	case !wrongService && !wrongRegion:
		return nil
	case req.isQuery() && wrongService:
		return &refusal{status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: "Credential should be scoped to correct service: '" + req.service + "'."}
	case req.isQuery():
		return &refusal{status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: "Credential should be scoped to a valid region."}
	}
	code, subject := "AuthorizationHeaderMalformed", "The authorization header is malformed; "
	if s.presigned {
		code, subject = "AuthorizationQueryParametersError", "Error parsing the X-Amz-Credential parameter; "
	}
	if wrongService {
		return &refusal{status: http.StatusBadRequest, code: code, message: fmt.Sprintf("%sincorrect service %q. This endpoint belongs to \"s3\".", subject, s.service)}
	}
	return &refusal{
		status: http.StatusBadRequest, code: code, message: fmt.Sprintf("%sthe region '%s' is wrong; expecting '%s'", subject, s.region, req.region),
		details: [][2]string{{"Region", req.region}}, header: http.Header{"X-Amz-Bucket-Region": {req.region}},
	}
}

// credentialsOf finds the secret and the holder of the key that a request is
// signed with.
func credentialsOf(c *Cloud, req *request, s *signature) (secret string, p *principal, expired bool, refused *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.userKeys[s.keyID]; k != nil {
		if s.token != "" {
			return "", nil, false, wrongToken(req)
		}
		return k.secret, k.principal(), false, nil
	}
	sess := c.sessions[s.keyID]
	switch {
	case sess == nil || s.token == "" || sess.isDead():
		return "", nil, false, unknownKey(req)
	case s.token != sess.token:
		return "", nil, false, wrongToken(req)
	case sess.global && c.partition.optIn(s.region):
		refused := wrongToken(req).because("a session that sts.amazonaws.com issued is valid only in regions that accounts have by default, which %s is not; ask the STS endpoint of a region", s.region)
		return "", nil, false, refused
	}
	return sess.secret, sess.principal(), sess.revoked || !req.trueNow.Before(sess.expires.Add(-sess.aged)), nil
}

// checkTime refuses a signing time too far from the server's clock, and a
// presigned URL after its expiry.
func (s *signature) checkTime(req *request) *refusal {
	early, late := s.time.After(req.now.Add(clockTolerance)), s.time.Add(clockTolerance).Before(req.now)
	if s.presigned {
		late = s.time.Add(s.expires).Before(req.now)
	}
	if !early && !late {
		return nil
	}
	at, now := s.time.UTC().Format(timeFormat), req.now.UTC().Format(timeFormat)
	switch {
	case req.isQuery() && early:
		return &refusal{status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)", at, req.now.Add(clockTolerance).UTC().Format(timeFormat), now)}
	case req.isQuery():
		return &refusal{status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)", at, req.now.Add(-clockTolerance).UTC().Format(timeFormat), now)}
	case s.presigned && early:
		return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "Request is not valid yet"}
	case s.presigned:
		return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "Request has expired", details: [][2]string{
			{"X-Amz-Expires", fmt.Sprint(int(s.expires.Seconds()))},
			{"Expires", s.time.Add(s.expires).UTC().Format(time.RFC3339)},
			{"ServerTime", req.now.UTC().Format(time.RFC3339)},
		}}
	}
	return &refusal{status: http.StatusForbidden, code: "RequestTimeTooSkewed", message: "The difference between the request time and the current time is too large.", details: [][2]string{
		{"RequestTime", at},
		{"ServerTime", req.now.UTC().Format(time.RFC3339)},
		{"MaxAllowedSkewMilliseconds", fmt.Sprint(clockTolerance.Milliseconds())},
	}}
}

// checkUnsigned refuses x-amz- headers that the signature does not cover.
func (s *signature) checkUnsigned(req *request) *refusal {
	for name := range req.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(s.signedHeaders, lower) {
			if req.isQuery() {
				return signatureMismatch(req)
			}
			return &refusal{
				status: http.StatusForbidden, code: "AccessDenied", message: "There were headers present in the request which were not signed",
				details: [][2]string{{"HeadersNotSigned", lower}},
			}
		}
	}
	return nil
}

func unknownKey(r *request) *refusal {
	if r.isQuery() {
		return &refusal{status: http.StatusForbidden, code: "InvalidClientTokenId", message: "The security token included in the request is invalid."}
	}
	return &refusal{status: http.StatusForbidden, code: "InvalidAccessKeyId", message: "The AWS Access Key Id you provided does not exist in our records.", details: [][2]string{{"AWSAccessKeyId", r.call.AccessKeyID}}}
}

func wrongToken(r *request) *refusal {
	if r.isQuery() {
		return unknownKey(r)
	}
	return &refusal{status: http.StatusBadRequest, code: "InvalidToken", message: "The provided token is malformed or otherwise invalid."}
}

func expiredSession(r *request) *refusal {
	if r.isQuery() {
		return &refusal{status: http.StatusForbidden, code: "ExpiredToken", message: "The security token included in the request is expired"}
	}
	return &refusal{status: http.StatusBadRequest, code: "ExpiredToken", message: "The provided token has expired."}
}

func signatureMismatch(r *request) *refusal {
	message := "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	if r.isQuery() {
		message = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	}
	return &refusal{status: http.StatusForbidden, code: "SignatureDoesNotMatch", message: message}
}
