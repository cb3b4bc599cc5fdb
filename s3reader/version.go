package s3reader

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// version is one version of an object, and what its bytes are asked with. It is
// safe for concurrent use.
type version struct {
	r    *Reader
	info Info        // never changes
	byID atomic.Bool // it is no longer the current one: ask by its version id
	mw   []func(*middleware.Stack) error
}

// getRange asks for the bytes [start, end) of the version that v is.
//
// If-Match alone tells the versions apart. The version id is sent only once the
// object has been overwritten or deleted, for it takes s3:GetObjectVersion, which
// a role that may read need not have.
func (v *version) getRange(ctx context.Context, start, end int64) (*body, error) {
	if v.info.ETag == "" {
		return nil, &Error{Kind: RangeMismatch, Err: errors.New("the object has no ETag, so that a second request cannot be tied to the same version")}
	}
	in := v.r.getInput(v.info.Key)
	in.Range, in.IfMatch = rangeHeader(start, end), &v.info.ETag
	pinned := v.byID.Load()
	if pinned {
		in.VersionId = &v.info.VersionID
	}
	out, body, err := v.r.get(ctx, in, v.mw...)
	if err != nil && !pinned && v.info.VersionID != "" && mayBeGone(err) {
		in.VersionId = &v.info.VersionID
		var again error
		if out, body, again = v.r.get(ctx, in, v.mw...); again == nil {
			v.byID.Store(true)
			err = nil
		}
	}
	if err != nil {
		if !pinned {
			err = v.whyRefused(ctx, err)
		}
		return nil, err
	}
	body.end, err = checkRange(out, &v.info, start, end)
	if err != nil {
		body.Close()
		return nil, body.named(err)
	}
	return body, nil
}

// whyRefused finds out what is behind a 412 or a 416: that the object has changed,
// or that the server does not know its own object. A refusal names neither the
// current ETag nor, mostly, the size, which a HEAD does.
func (v *version) whyRefused(ctx context.Context, err error) error {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return err
	}
	status := resp.HTTPStatusCode()
	if status != http.StatusPreconditionFailed && status != http.StatusRequestedRangeNotSatisfiable {
		return err
	}
	endpoint := ""
	if at, ok := errors.AsType[*requestError](err); ok {
		endpoint = at.endpoint
	}
	changed := func(note string) error {
		return &Error{Kind: ObjectChanged, Endpoint: endpoint, Err: err, note: note}
	}
	if total, ok := unsatisfied(err); ok && v.sized() && total != v.info.Size {
		return changed(fmt.Sprintf("the object with ETag %s had %d bytes and now has %d: open it again", v.info.ETag, v.info.Size, total))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, headErr := v.r.head(ctx, v.info.Key, v.mw...)
	if headErr != nil {
		if kindOf(headErr) == NotFound {
			return &Error{Kind: NotFound, Endpoint: endpoint, Err: headErr, note: fmt.Sprintf("it was deleted after it was opened, when its ETag was %s", v.info.ETag)}
		}
		if status == http.StatusPreconditionFailed {
			return changed(fmt.Sprintf("it is no longer the version with ETag %s: open it again", v.info.ETag))
		}
		return err
	}
	etag := aws.ToString(out.ETag)
	switch {
	case etag != v.info.ETag:
		return changed(fmt.Sprintf("it had ETag %s and now has %s: it was overwritten after it was opened: open it again", v.info.ETag, orNone(etag)))
	case v.sized() && out.ContentLength != nil && *out.ContentLength != v.info.Size:
		return changed(fmt.Sprintf("the object with ETag %s had %d bytes and now has %d: open it again", v.info.ETag, v.info.Size, *out.ContentLength))
	case status == http.StatusPreconditionFailed:
		return &Error{Kind: RangeMismatch, Endpoint: endpoint, Err: err, note: fmt.Sprintf(
			"the object has not changed: HEAD still says ETag %s, but a GET with If-Match: %[1]s was refused. The store, or a proxy before it, does not compare ETags as it should", etag)}
	}
	return &Error{Kind: RangeMismatch, Endpoint: endpoint, Err: err, note: fmt.Sprintf(
		"the object has not changed: HEAD still says ETag %s and %d bytes, but a range within them was refused", etag, v.info.Size)}
}

// sized reports whether the size of the version is known.
func (v *version) sized() bool { return v.info.Size >= 0 }

func orNone(etag string) string {
	if etag == "" {
		return "none"
	}
	return etag
}

// mayBeGone reports whether the object's current version is perhaps no longer
// the one asked for. A deleted object looks forbidden without s3:ListBucket.
func mayBeGone(err error) bool {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return false
	}
	switch resp.HTTPStatusCode() {
	case http.StatusPreconditionFailed, http.StatusNotFound, http.StatusForbidden:
		return true
	}
	return false
}
