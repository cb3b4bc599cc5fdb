package s3reader

import (
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Kind is why a read failed. It is an error itself: errors.Is(err,
// s3reader.Archived).
type Kind string

// The kinds of failure.
const (
	AccessDenied     Kind = "access denied"     // S3 refused, or KMS did; also fs.ErrPermission
	NotFound         Kind = "not found"         // no such key; also fs.ErrNotExist
	NoSuchBucket     Kind = "no such bucket"    // also fs.ErrNotExist
	Archived         Kind = "archived"          // must be restored before it can be read
	ObjectChanged    Kind = "object changed"    // overwritten since it was opened
	Truncated        Kind = "truncated"         // the responses broke off too often, or the length is unknown or beyond belief
	RangeMismatch    Kind = "range mismatch"    // the answer is not the range that was asked for
	ChecksumMismatch Kind = "checksum mismatch" // the bytes are not the object's
	WrongRegion      Kind = "wrong region"      // the bucket is in another region than configured
	BadKey           Kind = "bad key"           // empty or longer than S3 allows
	Panicked         Kind = "panicked"          // code of the caller's, or this package, panicked: see PanicError
)

// Error makes a Kind usable with errors.Is.
func (k Kind) Error() string { return string(k) }

// codeKinds are S3's codes ("Error responses" in the API reference), and what the
// SDK makes of an answer without a body: the status text.
var codeKinds = map[string]Kind{
	"NoSuchKey":     NotFound,
	"NoSuchVersion": NotFound,

	"NoSuchBucket":      NoSuchBucket,
	"NoSuchAccessPoint": NoSuchBucket,

	"AccessDenied":      AccessDenied,
	"AllAccessDisabled": AccessDenied,
	"AccountProblem":    AccessDenied,
	"Forbidden":         AccessDenied,

	"InvalidObjectState":           Archived,
	"PreconditionFailed":           ObjectChanged,
	"InvalidRange":                 RangeMismatch,
	"RequestedRangeNotSatisfiable": RangeMismatch,
	"KeyTooLongError":              BadKey,

	"PermanentRedirect":                  WrongRegion,
	"MovedPermanently":                   WrongRegion,
	"TemporaryRedirect":                  WrongRegion,
	"IllegalLocationConstraintException": WrongRegion,
}

// kindOf is the kind of an error of the SDK; empty if none fits.
func kindOf(err error) Kind {
	api, ok := answerOf(err)
	if !ok {
		if _, ok := errors.AsType[*brokenOffError](err); ok {
			return Truncated
		}
		return ""
	}
	if k, ok := codeKinds[api.ErrorCode()]; ok {
		return k
	}
	if strings.HasPrefix(api.ErrorCode(), kmsCodes) {
		return AccessDenied
	}
	// Only S3's answer to a HEAD has no code of its own. To a GET, a 404 without
	// one is somebody else's, and says nothing about the object.
	if _, ok := errors.AsType[*types.NotFound](err); ok {
		return NotFound
	}
	// AuthorizationHeaderMalformed has other causes too; only with the header is
	// it the region.
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.HTTPStatusCode() == http.StatusBadRequest && bucketRegion(err) != "" {
		return WrongRegion
	}
	return ""
}
