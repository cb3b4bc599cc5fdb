package awstest

import (
	"net/http"
	"regexp"
	"strings"
)

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

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// payloadHash is the hash that the signature covers. Where the request states
// one, the body must have it.
func (r *request) payloadHash(s *signature) (string, *refusal) {
	stated := r.Header.Get("X-Amz-Content-Sha256")
	if stated == "" {
		stated = r.URL.Query().Get("X-Amz-Content-Sha256")
	}
	actual := hashHex(r.body)
	if r.service == serviceSTS {
		// STS takes the hash from the body, whatever the header says.
		return actual, nil
	}
	switch {
	case stated == "" && s.presigned:
		return unsignedPayload, nil
	case stated == "":
		return "", &refusal{status: http.StatusBadRequest, code: "InvalidRequest", message: "Missing required header for this request: x-amz-content-sha256"}
	case stated == unsignedPayload, strings.HasPrefix(stated, streaming):
		return stated, nil
	case !sha256Hex.MatchString(stated):
		return "", &refusal{status: http.StatusBadRequest, code: "InvalidArgument", message: "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a valid sha256 value."}
	case stated != actual:
		return "", &refusal{status: http.StatusBadRequest, code: "XAmzContentSHA256Mismatch", message: "The provided 'x-amz-content-sha256' header does not match what was computed.", details: [][2]string{
			{"ClientComputedContentSHA256", stated},
			{"S3ComputedContentSHA256", actual},
		}}
	}
	return stated, nil
}
