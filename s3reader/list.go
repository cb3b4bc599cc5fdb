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

// List yields every object whose key begins with prefix, in the order of the
// keys' bytes; an empty prefix means the whole bucket. It asks for a page of up
// to 1,000 keys when the one before has been consumed, and holds no more than
// one. A page that breaks off is asked for again.
//
// An error ends the sequence: it comes once, with a nil *Info. ctx is looked at
// between pages. Each range over the sequence lists anew.
func (r *Reader) List(ctx context.Context, prefix string) iter.Seq2[*Info, error] {
	return func(yield func(*Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(nil, r.fail("list", prefix, err))
			return
		}
		p := pages{r: r, prefix: prefix}
		for !p.done {
			page, err := p.next(ctx)
			if err != nil {
				yield(nil, r.fail("list", prefix, err))
				return
			}
			for i := range page.Contents {
				info, err := infoFromListing(&page.Contents[i], page.EncodingType)
				if err == nil {
					err = p.belongs(info.Key)
				}
				if err != nil {
					yield(nil, r.fail("list", prefix, err))
					return
				}
				p.last = info.Key
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// pages asks for one page of a listing after the other and sees to it that they
// lead somewhere.
type pages struct {
	r         *Reader
	prefix    string
	delimiter string // what ends a common prefix; empty: all keys
	maxKeys   *int32 // nil: 1,000

	token *string // nil: the first page
	first string  // key or common prefix that the latest page begins with
	last  string  // key or common prefix that was yielded
	empty int     // pages without keys in a row
	done  bool
}

// maxEmptyPages is how many pages in a row may hold no key and announce more, as
// happens where a store scans past deleted versions.
const maxEmptyPages = 10

func (p *pages) next(ctx context.Context) (*s3.ListObjectsV2Output, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var prefix, delimiter *string
	if p.prefix != "" {
		prefix = &p.prefix
	}
	if p.delimiter != "" {
		delimiter = &p.delimiter
	}
	page, err := call(ctx, p.r, (*s3.Client).ListObjectsV2, &s3.ListObjectsV2Input{
		Bucket: &p.r.bucket.name, Prefix: prefix, Delimiter: delimiter, MaxKeys: p.maxKeys, ContinuationToken: p.token,
		// A control character in one key would make the page unreadable as XML.
		EncodingType: types.EncodingTypeUrl,
		RequestPayer: p.r.payer(), ExpectedBucketOwner: p.r.owner(),
	})
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

// check refuses a page after which the listing would not be further than before.
func (p *pages) check(page *s3.ListObjectsV2Output) error {
	if page.IsTruncated == nil {
		// The SDK makes an empty listing of an empty body, and of a page of HTML.
		return &Error{Kind: Truncated, Err: errors.New("the answer is not a listing of S3 (no IsTruncated)")}
	}
	if aws.ToBool(page.IsTruncated) {
		switch next := aws.ToString(page.NextContinuationToken); {
		case next == "":
			return errors.New("the listing says that there is more, and not how to go on (no NextContinuationToken)")
		case p.token != nil && next == *p.token:
			return errors.New("the listing goes in a circle: its continuation token is the one just used")
		}
	}
	if len(page.Contents)+len(page.CommonPrefixes) == 0 {
		if p.empty++; p.empty > maxEmptyPages {
			return fmt.Errorf("the listing does not get on: %d pages in a row without a key", p.empty)
		}
		return nil
	}
	p.empty = 0
	p.first = ""
	var heads []*string
	if len(page.Contents) > 0 {
		heads = append(heads, page.Contents[0].Key)
	}
	if len(page.CommonPrefixes) > 0 {
		heads = append(heads, page.CommonPrefixes[0].Prefix)
	}
	for _, encoded := range heads {
		head, err := decodeKey(encoded, page.EncodingType)
		if err != nil {
			return err
		}
		if p.last != "" && head <= p.last {
			return fmt.Errorf("the listing goes in a circle: the page after %q begins with %q", p.last, head)
		}
		if p.first == "" || head < p.first {
			p.first = head
		}
	}
	return p.belongs(p.first)
}

// belongs checks that a key or a common prefix is one that was asked for.
func (p *pages) belongs(key string) error {
	if !strings.HasPrefix(key, p.prefix) {
		return fmt.Errorf("the listing has %q, which is not under the prefix", key)
	}
	return nil
}

// firstKey is the first key that begins with prefix; empty if there is none.
func (r *Reader) firstKey(ctx context.Context, prefix string) (string, error) {
	if len(prefix) > maxKey {
		return "", nil // as long as no key is
	}
	p := pages{r: r, prefix: prefix, maxKeys: new(int32(1))}
	for p.first == "" && !p.done {
		if _, err := p.next(ctx); err != nil {
			return "", err
		}
	}
	return p.first, nil
}

// decodeKey undoes encoding-type=url, which the SDK leaves to its caller. A
// store that ignores the parameter does not repeat it, and its keys are taken as
// they are.
func decodeKey(key *string, encoding types.EncodingType) (string, error) {
	switch {
	case key == nil || *key == "":
		return "", errors.New("the listing has an object without a key")
	case encoding == types.EncodingTypeUrl:
		k, err := url.QueryUnescape(*key)
		if err != nil {
			return "", fmt.Errorf("the listing has an undecodable key %q: %w", *key, err)
		}
		return k, nil
	case encoding == "":
		return *key, nil
	}
	return "", fmt.Errorf("the listing's keys are encoded as %q, where \"url\" was asked for", encoding)
}

func infoFromListing(o *types.Object, encoding types.EncodingType) (*Info, error) {
	key, err := decodeKey(o.Key, encoding)
	if err != nil {
		return nil, err
	}
	if o.Size == nil || *o.Size < 0 {
		return nil, fmt.Errorf("the listing does not say how long %q is", key)
	}
	return &Info{
		Key: key, ETag: aws.ToString(o.ETag), StorageClass: storageClass(string(o.StorageClass)),
		Size: *o.Size, LastModified: aws.ToTime(o.LastModified),
	}, nil
}
