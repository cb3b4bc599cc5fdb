package awstest

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// listing is one page of ListObjectsV2.
type listing struct {
	prefix, delimiter string
	max               int
	after             string // go on after this key or common prefix

	items     []listed
	truncated bool
}

// listed is an object, or the common prefix of several.
type listed struct {
	name   string
	object *version // nil: name is a common prefix
}

// readListing reads the parameters that all listings of keys share.
func readListing(s *s3Request) (page *listing, encode func(string) string, refused *refusal) {
	page = &listing{prefix: s.query.Get("prefix"), delimiter: s.query.Get("delimiter")}
	if encode, refused = listEncoding(s); refused != nil {
		return nil, nil, refused
	}
	page.max, refused = listLimit(s, "max-keys", "maxKeys")
	return page, encode, refused
}

// listLimit returns the number that a listing's parameter sets, at most 1,000, which
// is also the default.
func listLimit(s *s3Request, parameter, label string) (int, *refusal) {
	text := s.query.Get(parameter)
	if text == "" {
		return 1000, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > math.MaxInt32 {
		return 0, badArgument("Provided "+parameter+" not an integer or within integer range", parameter, text)
	}
	if n < 0 {
		return 0, badArgument("Argument "+label+" must be an integer between 0 and 2147483647", label, text)
	}
	return min(n, 1000), nil
}

// listEncoding returns how the names of a listing are written: as they are or, with
// encoding-type=url, encoded.
func listEncoding(s *s3Request) (func(string) string, *refusal) {
	switch {
	case !s.query.Has("encoding-type"):
		return func(text string) string { return text }, nil
	case s.query.Get("encoding-type") != "url":
		return nil, badArgument("Invalid Encoding Method specified in Request", "encoding-type", s.query.Get("encoding-type"))
	}
	return urlEncoded, nil
}

// listObjects handles ListObjectsV2.
func (s *s3Request) listObjects() (*response, *refusal) {
	if refused := s.authorize("s3:ListBucket"); refused != nil {
		return nil, refused
	}
	page, encode, refused := readListing(s)
	if refused != nil {
		return nil, refused
	}
	page.after = s.query.Get("start-after")
	if s.query.Has("continuation-token") {
		var ok bool
		if page.after, ok = s.of.readToken(s.query.Get("continuation-token")); !ok {
			return nil, badArgument("The continuation token provided is incorrect", "continuation-token", s.query.Get("continuation-token"))
		}
	}
	s.of.list(page)
	resp := s.writeListing(page, encode)
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// listObjectsV1 handles ListObjects, the listing before version 2: it goes on after
// a marker, which is the name of a key or common prefix.
func listObjectsV1(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:ListBucket"); refused != nil {
		return nil, refused
	}
	page, encode, refused := readListing(s)
	if refused != nil {
		return nil, refused
	}
	page.after = s.query.Get("marker")
	s.of.list(page)
	var x s3XML
	x.open("ListBucketResult")
	x.element("Name", s.of.name)
	x.element("Prefix", encode(page.prefix))
	x.element("Marker", encode(page.after))
	if page.truncated && page.delimiter != "" {
		x.element("NextMarker", encode(page.items[len(page.items)-1].name))
	}
	x.element("MaxKeys", itoa(page.max))
	if page.delimiter != "" {
		x.element("Delimiter", encode(page.delimiter))
	}
	if s.query.Has("encoding-type") {
		x.element("EncodingType", "url")
	}
	x.element("IsTruncated", strconv.FormatBool(page.truncated))
	page.write(&x, encode, s.of.owner)
	x.close("ListBucketResult")
	resp := x.response()
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// list fills the page.
func (b *Bucket) list(page *listing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := b.sortedKeys()
	keys = keys[sort.SearchStrings(keys, max(page.prefix, page.after)):]
	if len(keys) > 0 && keys[0] == page.after {
		keys = keys[1:]
	}
	for len(keys) > 0 && strings.HasPrefix(keys[0], page.prefix) {
		key := keys[0]
		newest := b.objects[key][len(b.objects[key])-1]
		if newest.marker {
			keys = keys[1:]
			continue
		}
		item, rest := listed{key, newest}, keys[1:]
		if i := strings.Index(key[len(page.prefix):], page.delimiter); page.delimiter != "" && i >= 0 {
			item = listed{name: key[:len(page.prefix)+i+len(page.delimiter)]}
			rest = keys[beginWith(keys, item.name):]
		}
		if item.name != page.after {
			if len(page.items) == page.max {
				page.truncated = page.max > 0
				return
			}
			page.items = append(page.items, item)
		}
		keys = rest
	}
}

// sortedKeys returns the keys that have versions, in UTF-8 order. b.mu must be held.
func (b *Bucket) sortedKeys() []string {
	if b.sorted == nil {
		b.sorted = slices.Sorted(maps.Keys(b.objects))
	}
	return b.sorted
}

// beginWith counts the keys at the front of a sorted list that begin with
// prefix.
func beginWith(keys []string, prefix string) int {
	return sort.Search(len(keys), func(i int) bool { return !strings.HasPrefix(keys[i], prefix) })
}

func (s *s3Request) writeListing(page *listing, encode func(string) string) *response {
	var x s3XML
	optional := func(name, parameter string, encode func(string) string) {
		if s.query.Get(parameter) != "" {
			x.element(name, encode(s.query.Get(parameter)))
		}
	}
	plain := func(text string) string { return text }
	x.open("ListBucketResult")
	x.element("Name", s.of.name)
	x.element("Prefix", encode(page.prefix))
	optional("StartAfter", "start-after", encode)
	optional("ContinuationToken", "continuation-token", plain)
	if page.truncated {
		x.element("NextContinuationToken", s.of.token(page.items[len(page.items)-1].name))
	}
	x.element("KeyCount", itoa(len(page.items)))
	x.element("MaxKeys", itoa(page.max))
	optional("Delimiter", "delimiter", encode)
	optional("EncodingType", "encoding-type", plain)
	x.element("IsTruncated", strconv.FormatBool(page.truncated))
	owner := s.of.owner
	if s.query.Get("fetch-owner") != "true" {
		owner = nil
	}
	page.write(&x, encode, owner)
	x.close("ListBucketResult")
	return x.response()
}

// write writes the page's objects, with their owner unless it is nil, and then its
// common prefixes.
func (page *listing) write(x *s3XML, encode func(string) string, owner *Account) {
	for _, item := range page.items {
		v := item.object
		if v == nil {
			continue
		}
		x.open("Contents")
		x.element("Key", encode(v.Key))
		x.element("LastModified", v.LastModified.Format(xmlTime))
		x.element("ETag", v.ETag)
		x.checksumKind(v)
		x.element("Size", itoa(v.Size))
		x.owner(owner)
		x.element("StorageClass", v.StorageClass)
		x.close("Contents")
	}
	for _, item := range page.items {
		if item.object == nil {
			x.commonPrefix(encode(item.name))
		}
	}
}

// token is the continuation token for what comes after a name. Those of S3 are
// opaque, hold characters that a query must escape, and are refused when they
// are not S3's own.
func (b *Bucket) token(after string) string {
	return base64.StdEncoding.EncodeToString(append(b.seal(after), after...))
}

func (b *Bucket) readToken(token string) (after string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) <= sealSize {
		return "", false
	}
	after = string(raw[sealSize:])
	return after, string(raw[:sealSize]) == string(b.seal(after))
}

const sealSize = 8

func (b *Bucket) seal(after string) []byte {
	sum := sha256.Sum256([]byte(b.name + "/" + after))
	return sum[:sealSize:sealSize]
}

// urlEncoded is text as encoding-type=url gives it: as an HTML form encodes it,
// but for the slash, which stays (ListObjectsV2, "test_file(3).png will appear
// as test_file%283%29.png").
func urlEncoded(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-_.*", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }
