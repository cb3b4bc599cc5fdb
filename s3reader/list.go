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
				if err == nil && p.last != "" && info.Key <= p.last {
					err = fmt.Errorf("the listing is out of order: %q stands after %q", info.Key, p.last)
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
	done  bool

	// tokens are those of pages in a row that held nothing new, to see a circle.
	tokens map[string]bool
}

// maxEmptyPages is how many pages in a row may hold no key and announce more, as
// happens where a store scans past deleted versions, a thousand for each page.
const maxEmptyPages = 10_000

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
	page, err := call(ctx, p.r.client, (*s3.Client).ListObjectsV2, &s3.ListObjectsV2Input{
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
	p.first = ""
	objects, err := p.head(page.EncodingType, len(page.Contents), func(i int) *string { return page.Contents[i].Key })
	if err != nil {
		return err
	}
	var prefixes string
	if p.repeats(page) {
		page.CommonPrefixes = page.CommonPrefixes[1:]
	}
	prefixes, err = p.head(page.EncodingType, len(page.CommonPrefixes), func(i int) *string { return page.CommonPrefixes[i].Prefix })
	if err != nil {
		return err
	}
	if objects == "" && prefixes == "" {
		return p.nothingNew(aws.ToString(page.NextContinuationToken))
	}
	p.tokens = nil
	if p.first = objects; objects == "" || prefixes != "" && prefixes < objects {
		p.first = prefixes
	}
	return p.belongs(p.first)
}

// head is the first key or common prefix of a page; empty if there is none. It
// must come after all that was listed before.
func (p *pages) head(encoding types.EncodingType, n int, at func(int) *string) (string, error) {
	if n == 0 {
		return "", nil
	}
	head, err := decodeKey(at(0), encoding)
	if err == nil && p.last != "" && head <= p.last {
		err = fmt.Errorf("the listing goes in a circle or is out of order: the page after %q begins with %q", p.last, head)
	}
	return head, err
}

// repeats reports whether a page begins with the common prefix that the one before
// ended with, as some stores do whose pages end in the middle of it.
func (p *pages) repeats(page *s3.ListObjectsV2Output) bool {
	if len(page.CommonPrefixes) == 0 || p.last == "" {
		return false
	}
	head, err := decodeKey(page.CommonPrefixes[0].Prefix, page.EncodingType)
	return err == nil && head == p.last
}

// nothingNew notes a page without a new key. It fails if the listing gets no
// further: a token comes again, or there have been too many such pages.
func (p *pages) nothingNew(token string) error {
	switch {
	case token == "":
	case p.tokens[token]:
		return errors.New("the listing goes in a circle: a continuation token comes again")
	case len(p.tokens) >= maxEmptyPages:
		return fmt.Errorf("the listing does not get on: more than %d pages in a row without a key", maxEmptyPages)
	case p.tokens == nil:
		p.tokens = map[string]bool{token: true}
	default:
		p.tokens[token] = true
	}
	return nil
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
	if err := checkSize(*o.Size); err != nil {
		return nil, err
	}
	return &Info{
		Key: key, ETag: normalETag(o.ETag), StorageClass: storageClass(string(o.StorageClass)),
		Size: *o.Size, LastModified: aws.ToTime(o.LastModified),
	}, nil
}
