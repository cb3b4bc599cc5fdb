package s3reader

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

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
		return nil, err
	}
	if err := checkRange(out, &v.info, start, end); err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
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
