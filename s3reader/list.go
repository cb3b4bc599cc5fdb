package s3reader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ListOptions of [Reader.List]. The zero value lists every object under the
// prefix.
type ListOptions struct {
	// Delimiter groups keys: those that contain it after the prefix are not listed.
	// In their place comes one entry for each beginning that they have in common, up
	// to and including the first Delimiter (Info.IsPrefix). "/" lists one directory.
	// Empty: nothing is grouped.
	Delimiter string

	// StartAfter leaves out the keys up to and including this one, in the order of
	// their bytes; there need not be an object with that key. With a Delimiter, a
	// common prefix is listed if at least one of its keys comes after StartAfter, but
	// not if StartAfter is that prefix itself. So the Key of the last entry of one
	// listing, an object or a prefix, continues it in another. Empty: the listing
	// starts with the first key.
	StartAfter string
}

// List yields every object whose key begins with prefix, in the order of the
// keys' bytes; an empty prefix means the complete bucket. With
// ListOptions.Delimiter it yields the objects and the common prefixes of one
// level.
//
// It requests a page of up to 1,000 entries when the previous one has been
// consumed, and holds no more than one in memory. A page that breaks off is
// requested again.
//
// An error ends the sequence: it comes once, with a nil *Info. Its Kind is
// [BadKey] if prefix or an option is longer than S3 allows for a key. What a
// server lists in another order, outside the prefix or against the options is an
// error; so is a truncated listing. ctx is checked between pages. Each range
// over the sequence lists again.
func (r *Reader) List(ctx context.Context, prefix string, optFns ...func(*ListOptions)) iter.Seq2[*Info, error] {
	opts, invalid := optionsOf(optFns)
	if invalid == nil {
		invalid = opts.validate()
	}
	if err := checkPrefix(prefix); err != nil {
		invalid = err
	}
	return func(yield func(*Info, error) bool) {
		if invalid != nil {
			yield(nil, r.fail("list", prefix, invalid))
			return
		}
		p := pages{client: r.client, prefix: prefix, delimiter: opts.Delimiter, after: opts.StartAfter, last: opts.StartAfter}
		for !p.done {
			page, err := p.next(ctx)
			if err != nil {
				yield(nil, r.fail("list", prefix, err))
				return
			}
			for info, err := range p.entries(page) {
				if err != nil {
					yield(nil, r.fail("list", prefix, err))
					return
				}
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

func (o *ListOptions) validate() error {
	for name, text := range map[string]string{"Delimiter": o.Delimiter, "StartAfter": o.StartAfter} {
		if len(text) > maxKey {
			return &Error{Kind: BadKey, Err: fmt.Errorf("ListOptions.%s has %d bytes, S3 allows %d for a key", name, len(text), maxKey)}
		}
	}
	return nil
}

// pages requests the pages of a listing, and checks that each is further on than
// the previous one and holds only what was requested.
type pages struct {
	client    *client
	prefix    string
	delimiter string // what ends a common prefix; empty: all keys
	after     string // only keys after this one; empty: all
	maxKeys   *int32 // nil: 1,000

	reader pageReader // of the responses
	token  *string    // nil: the first page
	last   string     // key or common prefix of the latest entry; after, if there was none
	done   bool

	// tokens are those of consecutive pages without a new key, to detect a loop.
	tokens map[string]bool
}

// maxEmptyPages is how many consecutive truncated pages may have no key. That happens
// when a store skips deleted versions, a thousand per page.
const maxEmptyPages = 10_000

// infoBlock is how many Infos are allocated together: a caller that keeps one of them
// keeps them all in memory.
const infoBlock = 16

// next requests a page. Its entries must be consumed before the next one is
// requested.
func (p *pages) next(ctx context.Context) (*s3.ListObjectsV2Output, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := &s3.ListObjectsV2Input{
		Bucket: &p.client.bucket.name, MaxKeys: p.maxKeys, ContinuationToken: p.token,
		// A control character in one key would make the page unreadable as XML.
		EncodingType: types.EncodingTypeUrl,
		RequestPayer: p.client.payer(), ExpectedBucketOwner: p.client.owner(),
	}
	if p.prefix != "" {
		in.Prefix = &p.prefix
	}
	if p.delimiter != "" {
		in.Delimiter = &p.delimiter
	}
	if p.after != "" && p.token == nil {
		in.StartAfter = &p.after
	}
	page, err := call(ctx, p.client, (*s3.Client).ListObjectsV2, in, p.reader.use)
	if err != nil {
		return nil, err
	}
	if err := p.check(page); err != nil {
		return nil, err
	}
	p.done = !aws.ToBool(page.IsTruncated)
	p.token = page.NextContinuationToken
	return page, nil
}

// check returns an error for a response that is not a page of a listing, or after which
// the listing cannot continue.
func (p *pages) check(page *s3.ListObjectsV2Output) error {
	if page.IsTruncated == nil {
		// For an empty body, or a page of HTML, the SDK returns an empty listing.
		return &Error{Kind: Truncated, Err: errors.New("the response is not a listing of S3 (no IsTruncated)")}
	}
	next := aws.ToString(page.NextContinuationToken)
	if *page.IsTruncated {
		switch {
		case next == "":
			return errors.New("the listing has more pages, but does not say how to continue (no NextContinuationToken)")
		case p.token != nil && next == *p.token:
			return errors.New("the listing goes in a circle: its continuation token is the one just used")
		}
	}
	if p.repeats(page) {
		page.CommonPrefixes = page.CommonPrefixes[1:]
	}
	if len(page.Contents)+len(page.CommonPrefixes) == 0 {
		return p.nothingNew(next)
	}
	p.tokens = nil
	return nil
}

// repeats reports whether a page begins with the common prefix that the previous one
// ended with, as with some stores whose pages end in the middle of it, or with the
// one that the listing is to start after.
func (p *pages) repeats(page *s3.ListObjectsV2Output) bool {
	if len(page.CommonPrefixes) == 0 || p.last == "" {
		return false
	}
	first, err := decodeKey(page.CommonPrefixes[0].Prefix, page.EncodingType)
	return err == nil && first == p.last
}

// nothingNew records a page without a new key. It fails if the listing makes no progress:
// a token is repeated, or there were too many such pages.
func (p *pages) nothingNew(token string) error {
	switch {
	case token == "":
	case p.tokens[token]:
		return errors.New("the listing goes in a circle: a continuation token comes again")
	case len(p.tokens) >= maxEmptyPages:
		return fmt.Errorf("the listing makes no progress: more than %d pages in a row without a key", maxEmptyPages)
	case p.tokens == nil:
		p.tokens = map[string]bool{token: true}
	default:
		p.tokens[token] = true
	}
	return nil
}

// entries yields the objects and common prefixes of a page, in the order of their
// bytes. An error ends the sequence.
func (p *pages) entries(page *s3.ListObjectsV2Output) iter.Seq2[*Info, error] {
	return func(yield func(*Info, error) bool) {
		objects, prefixes := page.Contents, page.CommonPrefixes
		var object, prefix *Info // the next ones
		var block []Info         // of objects: allocating a few together is faster
		for {
			var err error
			if object == nil && len(objects) > 0 {
				if len(block) == 0 {
					block = make([]Info, min(len(objects), infoBlock))
				}
				object, block = &block[0], block[1:]
				err = object.fromListing(&objects[0], page.EncodingType)
				objects = objects[1:]
			}
			if err == nil && prefix == nil && len(prefixes) > 0 {
				prefix = &Info{IsPrefix: true}
				prefix.Key, err = decodeKey(prefixes[0].Prefix, page.EncodingType)
				prefixes = prefixes[1:]
			}
			if err == nil && object == nil && prefix == nil {
				return
			}
			var next *Info
			if object != nil && (prefix == nil || object.Key < prefix.Key) {
				next, object = object, nil
			} else {
				next, prefix = prefix, nil
			}
			if err == nil {
				err = p.accept(next)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(next, nil) {
				return
			}
		}
	}
}

// accept checks that an entry is one that was requested, and comes after all that
// were listed before.
func (p *pages) accept(e *Info) error {
	rest, ok := strings.CutPrefix(e.Key, p.prefix)
	if !ok {
		return fmt.Errorf("the listing has %q, which is not under the prefix", e.Key)
	}
	grouped := false
	if p.delimiter != "" {
		_, below, found := strings.Cut(rest, p.delimiter)
		grouped = found
		ok = below == ""
	}
	if !ok || grouped != e.IsPrefix {
		return fmt.Errorf("the listing has %q, which does not fit the delimiter %q", e.Key, p.delimiter)
	}
	if p.last != "" && e.Key <= p.last {
		switch started := p.last != p.after; {
		case started:
			return fmt.Errorf("the listing goes in a circle or is out of order: %q stands after %q", e.Key, p.last)
		case !e.IsPrefix || !strings.HasPrefix(p.after, e.Key):
			return fmt.Errorf("the listing was to start after %q, and has %q", p.after, e.Key)
		}
	}
	p.last = e.Key
	return nil
}

// firstKey returns the first key that begins with prefix; empty if there is none.
func firstKey(ctx context.Context, c *client, prefix string) (string, error) {
	if len(prefix) > maxKey {
		return "", nil // no key is that long
	}
	p := pages{client: c, prefix: prefix, maxKeys: new(int32(1))}
	for !p.done {
		page, err := p.next(ctx)
		if err != nil {
			return "", err
		}
		for info, err := range p.entries(page) {
			if err != nil {
				return "", err
			}
			return info.Key, nil
		}
	}
	return "", nil
}

// decodeKey decodes a key of a listing with encoding-type=url, which the SDK does not do.
// A store that ignores the parameter does not return it; its keys are not decoded.
func decodeKey(key *string, encoding types.EncodingType) (string, error) {
	switch {
	case key == nil || *key == "":
		return "", errors.New("the listing has an object without a key")
	case encoding == types.EncodingTypeUrl:
		if strings.IndexByte(*key, '%') < 0 && strings.IndexByte(*key, '+') < 0 {
			return *key, nil
		}
		k, err := url.QueryUnescape(*key)
		if err != nil {
			return "", fmt.Errorf("the listing has an undecodable key %q: %w", *key, err)
		}
		return k, nil
	case encoding == "":
		return *key, nil
	}
	return "", fmt.Errorf("the listing's keys are encoded as %q, \"url\" was requested", encoding)
}

// fromListing sets the fields of an Info that is zero.
func (i *Info) fromListing(o *types.Object, encoding types.EncodingType) error {
	key, err := decodeKey(o.Key, encoding)
	if err != nil {
		return err
	}
	if o.Size == nil || *o.Size < 0 {
		return fmt.Errorf("the listing has no size for %q", key)
	}
	if err := checkSize(*o.Size); err != nil {
		return err
	}
	i.Key, i.ETag, i.StorageClass = key, normalETag(o.ETag), storageClass(string(o.StorageClass))
	i.Size, i.LastModified = *o.Size, aws.ToTime(o.LastModified)
	return nil
}
