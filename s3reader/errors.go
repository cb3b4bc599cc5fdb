package s3reader

import (
	"fmt"
	"io/fs"
	"strings"
)

// Error is what went wrong with a bucket or an object of it. Every method of
// this package that returns an error returns one of these, io.EOF and the errors
// of a caller's own writer aside. DownloadDir joins several, a file system puts it
// in an *fs.PathError.
//
//	if e, ok := errors.AsType[*s3reader.Error](err); ok && e.Code == "SlowDown" { … }
//
// A refusal that does not say why, and an archived object, cost one HEAD more, for
// what the error can say; the ranges of an open object do not.
//
// errors.Is compares with kinds, with fs.ErrNotExist, with fs.ErrPermission and
// with whatever Err wraps; a smithy.APIError is reached through errors.As.
type Error struct {
	Op     string // "new", "stat", "get", "open", "read", "list", …
	Bucket string // name, alias or ARN; of New: as given
	Key    string // of the object; the prefix of a listing

	Kind      Kind   // empty: none of those named here; Code says more
	Code      string // of S3, such as "NoSuchKey"; empty if S3 did not answer
	RequestID string // of S3, for its support, which wants both:
	HostID    string // x-amz-id-2, the extended request id
	Region    string // where S3 was asked; empty if it did not answer
	Endpoint  string // scheme and host of the request, such as "https://pics.s3.eu-west-1.amazonaws.com"; empty if none was made
	RoleARN   string // whose permissions counted, if cfg.Credentials tells; else empty

	Err error

	note string   // what to think of, in addition
	sent *secrets // not to be printed; nil: none
}

// Error is one line, without any URL's query and without secrets.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("s3reader: " + e.Op)
	switch {
	case e.Op == "new":
	case e.Op == "list":
		fmt.Fprintf(&b, " prefix %q in bucket %q", e.Key, e.Bucket)
	default:
		fmt.Fprintf(&b, " %q in bucket %q", e.Key, e.Bucket)
	}
	if e.Kind != "" {
		b.WriteString(": " + string(e.Kind))
	}
	if text := e.sent.redacted(causeText(e.Err)); text != "" {
		b.WriteString(": " + text)
	}
	if facts := e.facts(); len(facts) > 0 {
		b.WriteString(" (" + strings.Join(facts, ", ") + ")")
	}
	if e.note != "" {
		b.WriteString("; " + e.sent.redacted(e.note))
	}
	return b.String()
}

// facts are what S3's support and the owner of a policy ask for.
func (e *Error) facts() []string {
	var facts []string
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, name+" "+oneLine(value)) // of the response, without secrets already
		}
	}
	add("code", e.Code)
	add("request id", e.RequestID)
	if e.Kind != NotFound { // nothing to ask about
		add("host id", e.HostID)
		add("region", e.Region)
		add("from", e.Endpoint)
	}
	add("as", e.RoleARN)
	return facts
}

// Unwrap returns what S3, the SDK or the transport said. Its own text may be
// long, and may contain the request's URL.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is work with a Kind and with what io/fs knows of it.
func (e *Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.Kind == NotFound || e.Kind == NoSuchBucket
	case fs.ErrPermission:
		return e.Kind == AccessDenied
	}
	k, ok := target.(Kind)
	return ok && k != "" && k == e.Kind
}
