package s3reader

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// Error describes a failed operation on a bucket or an object. All errors of this
// package are of this type, except io.EOF, ErrNotModified, those of a caller's own
// writer, and that of NewCustomerKey. DownloadDir joins several; a file system wraps one in an
// *fs.PathError.
//
//	if e, ok := errors.AsType[*s3reader.Error](err); ok && e.Code == "SlowDown" { … }
//
// If S3 denies a GET without saying why, or an object is archived, one more HEAD
// request finds out what the error can say. Ranges of an open object make none.
//
// errors.Is matches the Kind, fs.ErrNotExist, fs.ErrPermission and everything that
// Err wraps; errors.As finds a smithy.APIError.
type Error struct {
	Op     string // "new", "stat", "get", "open", "read", "list", …
	Bucket string // name, alias or ARN; for New: as given
	Key    string // of the object; for a listing: the prefix

	Kind      Kind   // empty: none of those below; Code and Err say more
	Code      string // S3's code, such as "NoSuchKey"; empty: S3 did not respond
	RequestID string // x-amz-request-id; AWS Support asks for it and for HostID
	HostID    string // x-amz-id-2, the extended request ID
	Region    string // the region of the request; empty: S3 did not respond
	Endpoint  string // scheme and host of the request, such as "https://pics.s3.eu-west-1.amazonaws.com"; empty: no request was made
	RoleARN   string // the role that made the request; empty: cfg.Credentials does not report it

	Err error // the cause

	hint    string   // likely causes, or what to do
	secrets *secrets // not to be printed; nil: none
}

// Error returns one line, without secrets and without the query of any URL.
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
	if text := e.secrets.redacted(causeText(e.Err)); text != "" {
		b.WriteString(": " + text)
	}
	if facts := e.facts(); len(facts) > 0 {
		b.WriteString(" (" + strings.Join(facts, ", ") + ")")
	}
	if e.hint != "" {
		b.WriteString("; " + e.secrets.redacted(e.hint))
	}
	return b.String()
}

// facts returns what AWS Support and the owner of a policy ask for.
func (e *Error) facts() []string {
	var facts []string
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, name+" "+oneLine(value)) // secrets were removed from the response
		}
	}
	if e.Code != string(e.Kind) { // else the text names it already
		add("code", e.Code)
	}
	add("request id", e.RequestID)
	if e.Kind != NotFound { // nothing to ask about
		add("host id", e.HostID)
		add("region", e.Region)
		add("from", e.Endpoint)
	}
	add("as", e.RoleARN)
	return facts
}

// Unwrap returns the error of S3, the SDK or the transport. Its own text may be
// long, and may contain the request's URL.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is match the Kind, and fs.ErrNotExist and fs.ErrPermission.
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

// Kind says why an operation failed. Its text is the name of its constant. It is an
// error itself, so that errors.Is(err, s3reader.Archived) works.
type Kind string

// The kinds of failure.
const (
	AccessDenied     Kind = "AccessDenied"     // S3 denied the request, or KMS did; also fs.ErrPermission
	NotFound         Kind = "NotFound"         // no such key; also fs.ErrNotExist
	NoSuchBucket     Kind = "NoSuchBucket"     // also fs.ErrNotExist
	Archived         Kind = "Archived"         // must be restored before it can be read
	ObjectChanged    Kind = "ObjectChanged"    // overwritten since it was opened
	Truncated        Kind = "Truncated"        // the responses broke off too often, or the length is unknown or impossible
	RangeMismatch    Kind = "RangeMismatch"    // the response is not the range that was requested
	ChecksumMismatch Kind = "ChecksumMismatch" // the bytes are not the object's
	WrongRegion      Kind = "WrongRegion"      // the bucket is in another region than configured
	BadKey           Kind = "BadKey"           // empty, or longer than S3 allows
	Panicked         Kind = "Panicked"         // code of the caller's, or of this package, panicked: see PanicError
)

// Error makes a Kind usable with errors.Is.
func (k Kind) Error() string { return string(k) }

// codeKinds maps S3's codes ("Error responses" in the API reference), and the status
// texts that the SDK uses as a code for a response without a body.
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

// kindOf returns the kind of an error of the SDK; empty if none fits.
func kindOf(err error) Kind {
	api, ok := apiErrorOf(err)
	if !ok {
		if _, ok := errors.AsType[*truncatedError](err); ok {
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
	// Only S3's response to a HEAD has no code. A GET's 404 without one is from another
	// server, and not about the object.
	if _, ok := errors.AsType[*types.NotFound](err); ok {
		return NotFound
	}
	// AuthorizationHeaderMalformed has other causes too; it is the region only if the
	// response has the header.
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.HTTPStatusCode() == http.StatusBadRequest && bucketRegion(err) != "" {
		return WrongRegion
	}
	return ""
}

// causeText returns the text of err without the SDK's wrapping, on one line.
func causeText(err error) string {
	if err == nil {
		return ""
	}
	if api, ok := apiErrorOf(err); ok {
		// Without a message, the SDK repeats the code, which is shown anyway.
		if m := api.ErrorMessage(); strings.ReplaceAll(m, " ", "") != api.ErrorCode() {
			return oneLine(m)
		}
		return ""
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = op.Err
	}
	return oneLine(err.Error())
}

// urlQuery matches URLs with a query: transport errors quote URLs, and the query of a
// presigned one gives access to the object.
var urlQuery = lazyregexp.New(`(https?://[^\s"?]*)\?[^\s"]*`)

// maxCause leaves room for the fixes in an error of the credentials.
const maxCause = 6000 // characters

func oneLine(s string) string {
	s = urlQuery().ReplaceAllString(s, "$1")
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s)
	if r := []rune(s); len(r) > maxCause {
		s = string(r[:maxCause]) + "…"
	}
	return strings.TrimSpace(s)
}

// apiErrorOf returns the error in S3's response.
func apiErrorOf(err error) (smithy.APIError, bool) {
	if ofOtherService(err) {
		return nil, false
	}
	return errors.AsType[smithy.APIError](err)
}

// ofOtherService reports whether err is of a request to another service than S3. If a
// request cannot be signed, its error wraps that of the credentials, such as an
// AccessDenied of STS, which is not about the bucket.
func ofOtherService(err error) bool {
	for {
		op, ok := errors.AsType[*smithy.OperationError](err)
		if !ok {
			return false
		}
		if op.Service() != "S3" {
			return true
		}
		err = op.Err
	}
}

// PanicError is the cause of an error of Kind [Panicked]: a panic in code that
// this package called for you, such as Options.Progress, DirOptions.Include, an
// io.WriterAt, Options.S3 or the HTTP client, or in this package itself. The
// operation fails; the process and other operations continue.
//
//	if p, ok := errors.AsType[*s3reader.PanicError](err); ok { log.Printf("%s", p.Stack) }
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // of the goroutine that panicked, as debug.Stack formats it

	at string // the function that panicked, with file and line
}

// Error returns the value and the function that panicked, without the stack.
func (e *PanicError) Error() string {
	text := fmt.Sprintf("panic: %v", e.Value)
	if e.at != "" {
		text += ", in " + e.at
	}
	return text
}

// recovered turns a panic into an error of Kind Panicked. It must itself be the
// deferred function: recover does not work one call deeper.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = panicError(v)
	}
}

// panicError returns the error for a panic with value v. It is called while the panic
// is being recovered.
func panicError(v any) error {
	return &Error{Kind: Panicked, Err: &PanicError{Value: v, Stack: debug.Stack(), at: panicPlace()}}
}

// workerError returns the error of a goroutine that ended by a panic with value v
// or, if v is nil, by runtime.Goexit.
func workerError(v any) error {
	if v == nil {
		return errGoexit
	}
	return panicError(v)
}

// safely calls f and returns a panic in it as an error.
func safely(f func() error) (err error) {
	defer recovered(&err)
	return f()
}

// panicPlace returns the innermost function outside the runtime that was running
// when the panic began. It is called while the panic is being recovered.
func panicPlace() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			file := f.File[strings.LastIndexByte(f.File, '/')+1:]
			return fmt.Sprintf("%s (%s:%d)", f.Function, file, f.Line)
		}
		panicking = panicking || inRuntime
		if !more {
			return ""
		}
	}
}

// errGoexit is the error of a goroutine that the caller's code has ended with
// runtime.Goexit, as testing.T.FailNow does.
var errGoexit = errors.New("the caller's function ended its goroutine (runtime.Goexit, or a test's FailNow)")
