package s3reader

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/aws/smithy-go"
)

// fail is err with everything that is known about it.
func (r *Reader) fail(op, key string, err error) error {
	known, ok := errors.AsType[*Error](err)
	if ok && known.Op != "" {
		return known
	}
	e := &Error{Op: op, Bucket: r.bucket.name, Key: key, Err: err, Kind: kindOf(err), sent: &r.sent}
	if at, ok := errors.AsType[*requestError](err); ok {
		e.Endpoint = at.endpoint
	}
	if ok {
		e.Kind, e.Err, e.note = known.Kind, known.Err, known.note
		if known.Endpoint != "" {
			e.Endpoint = known.Endpoint
		}
	}
	if api, ok := answerOf(e.Err); ok {
		e.Code = api.ErrorCode()
		if id, ok := errors.AsType[interface {
			error
			ServiceRequestID() string
			ServiceHostID() string
		}](e.Err); ok {
			e.RequestID, e.HostID = id.ServiceRequestID(), id.ServiceHostID()
		}
	}
	if e.Code != "" {
		e.Region = r.at.Load().region
	}
	if of, ok := r.creds.(interface{ RoleARN() string }); ok && e.Code != "" {
		e.RoleARN = of.RoleARN()
	}
	if e.note == "" {
		e.note = r.note(e)
	}
	return e
}

// note is what the answer leaves open, or what to do.
func (r *Reader) note(e *Error) string {
	redirect := redirectNote(e)
	switch e.Kind {
	case AccessDenied:
		return r.denied(e)
	case Archived:
		return archiveNamed(e.Err).note()
	case ObjectChanged:
		return "it was overwritten after it was opened: open it again"
	case WrongRegion:
		at := r.at.Load().region
		text := fmt.Sprintf("it was asked for in %s and S3 does not say where it is: set Options.Region to the bucket's", at)
		if there := bucketRegion(e.Err); there != "" {
			text = fmt.Sprintf("the bucket is in %s and was asked for in %s: set Options.Region to %q", there, at, there)
		}
		if redirect != "" {
			text += "; " + redirect
		}
		return text
	}
	return redirect
}

// causeText is err without the SDK's wrapping and on one line.
func causeText(err error) string {
	if err == nil {
		return ""
	}
	if api, ok := answerOf(err); ok {
		// The SDK names an unexplained status twice; the code is shown anyhow.
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

// urlQuery finds the query of a URL: transport errors quote the URL, and the
// query of a presigned one is as good as a password.
var urlQuery = pattern(`(https?://[^\s"?]*)\?[^\s"]*`)

// maxCause leaves room for what a failure of the credentials says about its fix.
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

// answerOf is what S3 answered. When the request could not even be signed, the
// error holds another service's answer, such as STS's AccessDenied, which says
// nothing about the bucket.
func answerOf(err error) (smithy.APIError, bool) {
	for e := err; ; {
		op, ok := errors.AsType[*smithy.OperationError](e)
		if !ok {
			return errors.AsType[smithy.APIError](err)
		}
		if op.Service() != "S3" {
			return nil, false
		}
		e = op.Err
	}
}
