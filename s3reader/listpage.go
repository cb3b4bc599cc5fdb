package s3reader

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Reading a page of a listing. Nearly all of the SDK's time for a page goes into
// encoding/xml, which allocates more than 50 times per key.
//
// # How a page is read
//
//	pageReader, in place of the SDK's own deserializer of ListObjectsV2
//	    ├─► pageParser   a page as S3 writes it
//	    └─► the SDK's    anything else: errors, truncated pages, comments, other elements
//
// pageParser knows a small part of XML. It returns nothing at all unless it has understood
// every byte of the page; otherwise the SDK reads the same bytes. So each error is the SDK's,
// and the result has the SDK's values in the fields that this package uses. A page that
// pageParser reads has no others, such as KeyCount, RequestCharged or an object's checksum.

// sdkDeserializer is the ID of the SDK's middleware that reads a response.
const sdkDeserializer = "OperationDeserializer"

// keptPage is how much memory for the text of a page is kept for the next page, in bytes.
// A page of 1,000 keys usually has 200 to 500 KiB.
const keptPage = 1 << 20

// maxPageKeys is how many objects a page of S3 has at most.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
const maxPageKeys = 1000

// pageReader reads the pages of a listing, one after another.
type pageReader struct {
	sdk middleware.DeserializeMiddleware
	buf []byte // memory for the text of a page
}

// use makes r the middleware that reads the response of a request.
func (r *pageReader) use(stack *middleware.Stack) error {
	sdk, ok := stack.Deserialize.Get(sdkDeserializer)
	if t := reflect.TypeOf(sdk); !ok || t.Kind() != reflect.Pointer || t.Elem().PkgPath() != reflect.TypeFor[s3.Options]().PkgPath() {
		return nil // Options.S3 has removed or replaced it
	}
	r.sdk = sdk
	_, err := stack.Deserialize.Swap(sdkDeserializer, r)
	return err
}

func (*pageReader) ID() string { return sdkDeserializer }

func (r *pageReader) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	var got received
	got.out, got.metadata, got.err = next.HandleDeserialize(ctx, in)
	resp, ok := got.out.RawResponse.(*smithyhttp.Response)
	if got.err != nil || !ok || resp.Response == nil || resp.StatusCode < 200 || resp.StatusCode > 299 {
		return r.sdk.HandleDeserialize(ctx, in, got)
	}
	doc, err := readInto(r.buf[:0], resp.Body)
	if r.buf = doc; cap(doc) > keptPage {
		r.buf = nil
	}
	if err == nil {
		if page := parsePage(doc); page != nil {
			got.out.Result = page
			smithyhttp.CloseResponseBody(ctx, resp, false, nil)
			return got.out, got.metadata, nil
		}
		err = io.EOF
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(doc), failing{err}), resp.Body}
	return r.sdk.HandleDeserialize(ctx, in, got)
}

// received is a handler that returns a response that has arrived already.
type received struct {
	out      middleware.DeserializeOutput
	metadata middleware.Metadata
	err      error
}

func (r received) HandleDeserialize(context.Context, middleware.DeserializeInput) (middleware.DeserializeOutput, middleware.Metadata, error) {
	return r.out, r.metadata, r.err
}

// readStep is how much of a page is read at a time, in bytes: so much that there are few
// calls, and little beyond the limit of pageBody.
const readStep = 64 << 10

// readInto appends everything that r has to buf.
func readInto(buf []byte, r io.Reader) ([]byte, error) {
	for idle := 0; idle < maxIdleReads; idle++ {
		if cap(buf)-len(buf) < readStep {
			buf = slices.Grow(buf, max(readStep, len(buf)))
		}
		n, err := r.Read(buf[len(buf) : len(buf)+readStep])
		if n > 0 {
			buf, idle = buf[:len(buf)+n], 0
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, io.ErrNoProgress
}

// pageParser reads the XML of a page. Once it finds something that it does not know, failed
// is true, and the rest is of no use.
type pageParser struct {
	rest   []byte
	failed bool

	plain []byte // text without entities; the page itself is not changed
}

// parsePage returns nil unless it understands all of the page.
func parsePage(doc []byte) *s3.ListObjectsV2Output {
	p := pageParser{rest: doc}
	p.skipSpace()
	if p.has(`<?xml version="1.0" encoding="UTF-8"?>`) {
		p.skipSpace()
	}
	if !p.has("<ListBucketResult>") && !p.has(`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`) {
		return nil
	}
	n := bytes.Count(doc, []byte("<Contents>"))
	if n > maxPageKeys {
		return nil
	}
	page := &s3.ListObjectsV2Output{}
	found := pageObjects{make([]types.Object, 0, n), make([]objectValues, n)}
	for p.skipSpace(); !p.failed && !p.has("</ListBucketResult>"); p.skipSpace() {
		switch name := p.open(); string(name) {
		case "Contents":
			p.object(found.next())
		case "CommonPrefixes":
			page.CommonPrefixes = append(page.CommonPrefixes, types.CommonPrefix{Prefix: p.prefix()})
		case "IsTruncated":
			truncated, err := strconv.ParseBool(string(p.text(name)))
			page.IsTruncated, p.failed = &truncated, p.failed || err != nil
		case "NextContinuationToken":
			page.NextContinuationToken = new(string(p.text(name)))
		case "EncodingType":
			page.EncodingType = types.EncodingType(p.text(name))
		case "KeyCount", "MaxKeys":
			_, err := strconv.ParseInt(string(p.text(name)), 10, 32)
			p.failed = p.failed || err != nil
		case "Name", "Prefix", "Delimiter", "StartAfter", "ContinuationToken":
			p.text(name)
		default:
			p.failed = true
		}
	}
	if p.skipSpace(); p.failed || len(p.rest) > 0 {
		return nil
	}
	page.Contents = found.list
	return page
}

// object reads the elements of an object, and its end.
func (p *pageParser) object(o *types.Object, v *objectValues) {
	for p.skipSpace(); !p.failed && !p.has("</Contents>"); p.skipSpace() {
		switch name := p.open(); string(name) {
		case "Key":
			v.key = string(p.text(name))
			o.Key = &v.key
		case "ETag":
			v.etag = string(p.text(name))
			o.ETag = &v.etag
		case "Size":
			var err error
			v.size, err = strconv.ParseInt(string(p.text(name)), 10, 64)
			o.Size, p.failed = &v.size, p.failed || err != nil
		case "LastModified":
			var err error
			v.modified, err = smithytime.ParseDateTime(string(p.text(name)))
			o.LastModified, p.failed = &v.modified, p.failed || err != nil
		case "StorageClass":
			if class := p.text(name); string(class) == string(types.ObjectStorageClassStandard) {
				o.StorageClass = types.ObjectStorageClassStandard
			} else {
				o.StorageClass = types.ObjectStorageClass(class)
			}
		case "ChecksumAlgorithm", "ChecksumType": // not used
			p.text(name)
		default:
			p.failed = true
		}
	}
}

// prefix reads the only element of a common prefix, and its end.
func (p *pageParser) prefix() *string {
	p.skipSpace()
	name := p.open()
	if string(name) != "Prefix" {
		p.failed = true
		return nil
	}
	prefix := string(p.text(name))
	p.skipSpace()
	p.failed = p.failed || !p.has("</CommonPrefixes>")
	return &prefix
}

// has reports whether the rest begins with s, and skips that.
func (p *pageParser) has(s string) bool {
	if len(p.rest) < len(s) || string(p.rest[:len(s)]) != s {
		return false
	}
	p.rest = p.rest[len(s):]
	return true
}

// skipSpace skips the space between elements.
func (p *pageParser) skipSpace() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\n' || p.rest[0] == '\t') {
		p.rest = p.rest[1:]
	}
}

// open reads the start of an element without attributes and returns its name.
func (p *pageParser) open() []byte {
	end := bytes.IndexByte(p.rest, '>')
	if end < 2 || p.rest[0] != '<' {
		p.failed = true
		return nil
	}
	name := p.rest[1:end]
	p.rest = p.rest[end+1:]
	return name
}

// text reads the text of an element with that name, and its end. The text is valid until
// the next call.
func (p *pageParser) text(name []byte) []byte {
	end := bytes.IndexByte(p.rest, '<')
	if end < 0 || !p.closes(p.rest[end:], name) {
		p.failed = true
		return nil
	}
	text := p.rest[:end]
	p.rest = p.rest[end+len("</")+len(name)+len(">"):]
	escaped := false
	for _, c := range text {
		if c < ' ' || c > '~' || c == '>' { // may need decoding, or be invalid
			p.failed = true
			return nil
		}
		escaped = escaped || c == '&'
	}
	if escaped {
		text = p.unescaped(text)
	}
	return text
}

// closes reports whether text begins with the end of the element.
func (p *pageParser) closes(text, name []byte) bool {
	n := len(name)
	return len(text) >= n+3 && text[1] == '/' && text[n+2] == '>' && bytes.Equal(text[2:n+2], name)
}

// entities are those that XML has without a declaration.
var entities = []struct {
	name string
	char byte
}{{"&quot;", '"'}, {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&apos;", '\''}}

// unescaped returns text with the characters that its entities stand for.
func (p *pageParser) unescaped(text []byte) []byte {
	out := p.plain[:0]
next:
	for len(text) > 0 {
		if text[0] != '&' {
			out, text = append(out, text[0]), text[1:]
			continue
		}
		for _, e := range entities {
			if len(text) >= len(e.name) && string(text[:len(e.name)]) == e.name {
				out, text = append(out, e.char), text[len(e.name):]
				continue next
			}
		}
		p.failed = true
		return nil
	}
	p.plain = out
	return out
}

// pageObjects allocates the objects of a page together, and what their fields point to.
type pageObjects struct {
	list   []types.Object
	values []objectValues
}

type objectValues struct {
	key, etag string
	size      int64
	modified  time.Time
}

func (o *pageObjects) next() (*types.Object, *objectValues) {
	n := len(o.list)
	o.list = append(o.list, types.Object{})
	return &o.list[n], &o.values[n]
}
