package awstest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
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

// listObjects handles ListObjectsV2.
func (s *s3Request) listObjects() (*response, *refusal) {
	if refused := s.authorize("s3:ListBucket"); refused != nil {
		return nil, refused
	}
	page := listing{prefix: s.query.Get("prefix"), delimiter: s.query.Get("delimiter"), max: 1000}
	encode := func(text string) string { return text }
	if s.query.Has("encoding-type") {
		if s.query.Get("encoding-type") != "url" {
			return nil, badArgument("Invalid Encoding Method specified in Request", "encoding-type", s.query.Get("encoding-type"))
		}
		encode = urlEncoded
	}
	if text := s.query.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n > math.MaxInt32 {
			return nil, badArgument("Provided max-keys not an integer or within integer range", "max-keys", text)
		}
		if n < 0 {
			return nil, badArgument("Argument maxKeys must be an integer between 0 and 2147483647", "maxKeys", text)
		}
		page.max = min(n, page.max)
	}
	page.after = s.query.Get("start-after")
	if s.query.Has("continuation-token") {
		var ok bool
		if page.after, ok = s.of.readToken(s.query.Get("continuation-token")); !ok {
			return nil, badArgument("The continuation token provided is incorrect", "continuation-token", s.query.Get("continuation-token"))
		}
	}
	s.of.list(&page)
	resp := s.writeListing(&page, encode)
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// list fills the page.
func (b *Bucket) list(page *listing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sorted == nil {
		b.sorted = slices.Sorted(maps.Keys(b.objects))
	}
	keys := b.sorted
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
	for _, item := range page.items {
		if item.object != nil {
			s.writeListed(&x, item.object, encode)
		}
	}
	for _, item := range page.items {
		if item.object == nil {
			x.open("CommonPrefixes")
			x.element("Prefix", encode(item.name))
			x.close("CommonPrefixes")
		}
	}
	x.close("ListBucketResult")
	return x.response()
}

func (s *s3Request) writeListed(x *s3XML, v *version, encode func(string) string) {
	x.open("Contents")
	x.element("Key", encode(v.Key))
	x.element("LastModified", v.LastModified.Format(xmlTime))
	x.element("ETag", v.ETag)
	if v.ChecksumType != "" {
		x.element("ChecksumAlgorithm", v.ChecksumAlgorithm)
		x.element("ChecksumType", v.ChecksumType)
	}
	x.element("Size", itoa(v.Size))
	if s.query.Get("fetch-owner") == "true" {
		x.open("Owner")
		x.element("ID", s.of.owner.canonicalID())
		x.close("Owner")
	}
	x.element("StorageClass", v.StorageClass)
	x.close("Contents")
}

// canonicalID is the account's id as S3 names owners.
func (a *Account) canonicalID() string {
	sum := sha256.Sum256([]byte("canonical user of " + a.id))
	return hex.EncodeToString(sum[:])
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
