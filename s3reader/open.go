package s3reader

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// OpenOptions of [Reader.Open]. The zero value is for reading an object from its
// beginning to its end.
type OpenOptions struct {
	// Random is for reading a small part of an object, here and there. Opening
	// costs one HEAD request, and then nothing is asked for but what is read: a
	// Read or ReadAt asks for as many bytes as it has room for and, where it goes
	// on from an earlier one, at most as many more as that run has read already,
	// and never more than 256 KiB. Every read that memory cannot answer waits for
	// a request of its own. WriteTo reads to the end over one connection. False:
	// the object is asked for as a whole, by the request that opens it.
	Random bool
}

// Open opens the object's current version for reading, with one GET request
// whose body is then read or, with OpenOptions.Random, one HEAD request. ctx
// governs the handle until it is closed: io.Reader has no context of its own.
func (r *Reader) Open(ctx context.Context, key string, optFns ...func(*OpenOptions)) (*Object, error) {
	const op = "open"
	var opts OpenOptions
	for i, fn := range optFns {
		if fn == nil {
			return nil, r.fail(op, key, nilOption(i))
		}
		fn(&opts)
	}
	if !opts.Random {
		return r.open(ctx, key, op)
	}
	o, err := r.openRandom(ctx, key, false)
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	return o, nil
}

// open is Open for a caller whose errors begin with op.
func (r *Reader) open(ctx context.Context, key, op string) (_ *Object, err error) {
	defer r.recovered(op, key, &err)
	ctx, cancel := context.WithCancelCause(ctx)
	out, info, body, err := r.whole(ctx, r.getInput(key))
	if err != nil {
		cancel(err)
		return nil, r.fail(op, key, err)
	}
	o := r.object(ctx, cancel, info, fullObjectSum(out, info.Size))
	if op != "open" {
		o.op = op
	}
	o.stream.end, o.stream.body = info.Size, body
	if info.Size == 0 {
		o.stream.close()
		if err := o.summed(0, nil); err != nil {
			cancel(err)
			return nil, r.fail(op, key, err)
		}
	}
	return o, nil
}

// object is a handle on a version, of which nothing has been asked for.
func (r *Reader) object(ctx context.Context, cancel context.CancelCauseFunc, info *Info, sum *wholeSum) *Object {
	o := &Object{version: version{r: r, info: *info}, ctx: ctx, cancel: cancel, op: "read"}
	o.cache = &cache{of: &o.version, ctx: ctx, limit: r.memory()}
	o.stream = stream{of: &o.version, ctx: ctx}
	if r.opts.Verify == VerifyAuto {
		o.sum = sum
	}
	return o
}

// whole asks for all bytes of an object's current version, and for their
// checksum if that is to be compared.
func (r *Reader) whole(ctx context.Context, in *s3.GetObjectInput, mw ...func(*middleware.Stack) error) (*s3.GetObjectOutput, *Info, *body, error) {
	if err := checkKey(*in.Key); err != nil {
		return nil, nil, nil, err
	}
	if r.opts.Verify == VerifyAuto {
		// By header and not by ChecksumMode, which would have the SDK compare too.
		mw = append(mw, smithyhttp.SetHeaderValue("X-Amz-Checksum-Mode", "ENABLED"))
	}
	out, body, err := r.get(ctx, in, mw...)
	if err != nil {
		return nil, nil, nil, err
	}
	info, err := r.wholeInfo(ctx, out, *in.Key, mw...)
	if err != nil {
		body.Close()
		return nil, nil, nil, body.named(err)
	}
	body.end = info.Size
	if info.Size == 0 && body.exact {
		if err := body.ended(); err != nil {
			body.Close()
			return nil, nil, nil, err
		}
	}
	return out, info, body, nil
}

// wholeInfo describes the version of which body is to deliver all bytes. A
// response that comes in chunks does not say how many these are: a HEAD does, of
// the version with the same ETag.
func (r *Reader) wholeInfo(ctx context.Context, out *s3.GetObjectOutput, key string, mw ...func(*middleware.Stack) error) (*Info, error) {
	resp, err := plainResponse(out)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || out.ContentRange != nil {
		return nil, &Error{Kind: RangeMismatch, Err: fmt.Errorf("asked for the whole object, answered with status %d and a part of it", resp.StatusCode)}
	}
	info := infoFromGet(key, out)
	if out.ContentLength == nil {
		info.Size, err = r.sizeByHead(ctx, info, mw...)
		return info, err
	}
	info.Size = *out.ContentLength
	return info, checkSize(info.Size)
}
