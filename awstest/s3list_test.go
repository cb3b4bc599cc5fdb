package awstest_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
)

// listResult is a page of ListObjectsV2 as a client sees it.
type listResult struct {
	Name, Prefix, Delimiter, StartAfter, EncodingType string
	ContinuationToken, NextContinuationToken          string
	KeyCount, MaxKeys                                 int
	IsTruncated                                       bool
	Contents                                          []struct {
		Key, LastModified, ETag, StorageClass, ChecksumAlgorithm string
		Size                                                     int64
		Owner                                                    struct{ ID string }
	}
	CommonPrefixes []struct{ Prefix string }
}

// items are the page's keys, and its common prefixes with a star.
func (l listResult) items() string {
	var items []string
	for _, c := range l.Contents {
		items = append(items, c.Key)
	}
	for _, p := range l.CommonPrefixes {
		items = append(items, p.Prefix+"*")
	}
	slices.Sort(items)
	return strings.Join(items, " ")
}

func (s *store) list(t testing.TB, bucket, query string) listResult {
	t.Helper()
	got := s.do(t, "owner", "GET", "/"+bucket+"?list-type=2&"+query, "", "")
	var result listResult
	if err := xml.Unmarshal([]byte(got.body), &result); err != nil || got.StatusCode != 200 {
		t.Fatalf("list %s: status %d, %v: %s", query, got.StatusCode, err, got.body)
	}
	if result.KeyCount != len(result.Contents)+len(result.CommonPrefixes) {
		t.Errorf("list %s: KeyCount %d, but %d keys and %d prefixes", query, result.KeyCount, len(result.Contents), len(result.CommonPrefixes))
	}
	return result
}

func TestListing(t *testing.T) {
	s := newStore(t)
	bucket := s.owner.CreateBucket("tree")
	for _, key := range []string{"Z", "a", "a-/x", "a/b", "a/c", "a/d/e", "dir/", "dir/x", "z", "é", "Ａ", "🐈"} {
		bucket.Put(key, []byte(key))
	}
	for _, row := range []struct{ query, items string }{
		{"", "Z a a-/x a/b a/c a/d/e dir/ dir/x z é Ａ 🐈"}, // by bytes of UTF-8, not UTF-16
		{"prefix=a", "a a-/x a/b a/c a/d/e"},
		{"prefix=a/", "a/b a/c a/d/e"},
		{"prefix=nothing", ""},
		{"delimiter=/", "Z a a-/* a/* dir/* z é Ａ 🐈"},
		{"delimiter=/&prefix=a/", "a/b a/c a/d/*"},
		{"delimiter=/&prefix=a", "a a-/* a/*"},
		{"delimiter=/&prefix=dir/", "dir/ dir/x"},
		{"delimiter=/b", "Z a a-/x a/b* a/c a/d/e dir/ dir/x z é Ａ 🐈"},
		{"delimiter=", "Z a a-/x a/b a/c a/d/e dir/ dir/x z é Ａ 🐈"},
		{"start-after=a/c", "a/d/e dir/ dir/x z é Ａ 🐈"},
		{"start-after=a/c0&prefix=a", "a/d/e"},
		{"start-after=0&prefix=dir/", "dir/ dir/x"},
		{"start-after=zz&prefix=dir/", ""},
		{"delimiter=/&start-after=a/b", "a/* dir/* z é Ａ 🐈"},
		{"delimiter=/&start-after=a/d/e", "dir/* z é Ａ 🐈"}, // the last key below a/
		{"max-keys=2", "Z a"},
		{"max-keys=0", ""},
		{"encoding-type=url&prefix=%C3%A9", "%C3%A9"},
	} {
		t.Run(row.query, func(t *testing.T) {
			if got := s.list(t, "tree", row.query).items(); got != row.items {
				t.Errorf("listed %s, want %s", got, row.items)
			}
		})
	}
}

func TestListingPages(t *testing.T) {
	s := newStore(t)
	bucket := s.owner.CreateBucket("tree")
	for i := range 40 {
		bucket.Put(fmt.Sprintf("%c/%d", 'a'+i/10, i), nil)
		bucket.Put(fmt.Sprintf("file %d", i), nil)
	}
	bucket.Put("b0", nil) // between "b/" and "c/"
	for _, query := range []string{"", "delimiter=/", "delimiter=/&prefix=b/", "prefix=file+1", "delimiter=e", "start-after=b/12&delimiter=/"} {
		whole := s.list(t, "tree", query)
		for size := 1; size <= 7; size++ {
			var pages []string
			token, truncated := "", true
			for truncated {
				page := s.list(t, "tree", fmt.Sprintf("%s&max-keys=%d%s", query, size, token))
				if page.IsTruncated != (page.NextContinuationToken != "") {
					t.Fatalf("%s: truncated %v with next token %q", query, page.IsTruncated, page.NextContinuationToken)
				}
				if page.IsTruncated && page.KeyCount != size {
					t.Fatalf("%s: a page of %d that goes on has %d", query, size, page.KeyCount)
				}
				if items := page.items(); items != "" {
					pages = append(pages, items)
				}
				truncated = page.IsTruncated
				token = "&continuation-token=" + url.QueryEscape(page.NextContinuationToken)
			}
			got := strings.Fields(strings.Join(pages, " "))
			want := strings.Fields(whole.items())
			slices.Sort(got) // a page shows keys before prefixes
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: %v, want %v", query, size, got, want)
			}
		}
	}
}

func TestListingCapsPagesAtThousand(t *testing.T) {
	s := newStore(t)
	bucket := s.owner.CreateBucket("many")
	for i := range 1001 {
		bucket.Put(fmt.Sprintf("%05d", i), nil)
	}
	page := s.list(t, "many", "max-keys=5000")
	if page.KeyCount != 1000 || page.MaxKeys != 1000 || !page.IsTruncated {
		t.Errorf("%d keys of at most %d, truncated %v; want 1000 of 1000 and more to come", page.KeyCount, page.MaxKeys, page.IsTruncated)
	}
	bucket.Delete("01000")
	if page := s.list(t, "many", ""); page.KeyCount != 1000 || page.IsTruncated {
		t.Errorf("%d keys, truncated %v; want exactly 1000", page.KeyCount, page.IsTruncated)
	}
	bucket.Put("new", nil)
	if page := s.list(t, "many", "start-after=00999"); page.items() != "new" {
		t.Errorf("after a Put: %s, want new", page.items())
	}
}

func TestListingFields(t *testing.T) {
	s := newStore(t)
	page := s.list(t, "pics", "prefix=rare&fetch-owner=true&start-after=a&delimiter=/")
	c := page.Contents[0]
	if c.ETag != catETag || c.Size != 10 || c.StorageClass != "STANDARD_IA" || c.LastModified != "2026-11-25T04:30:00.000Z" || c.ChecksumAlgorithm != "CRC64NVME" || len(c.Owner.ID) != 64 {
		t.Errorf("contents are %+v", c)
	}
	if page.Name != "pics" || page.Prefix != "rare" || page.Delimiter != "/" || page.StartAfter != "a" || page.MaxKeys != 1000 {
		t.Errorf("page is %+v", page)
	}
	if owner := s.list(t, "pics", "prefix=rare").Contents[0].Owner.ID; owner != "" {
		t.Errorf("owner %q, which was not requested", owner)
	}
	if past := s.list(t, "past", ""); past.items() != "k" || past.Contents[0].Size != 3 {
		t.Errorf("a versioned bucket lists %+v; want the newest k only", past.Contents)
	}
}

func TestListingRefusals(t *testing.T) {
	s := newStore(t)
	token := s.list(t, "pics", "max-keys=1").NextContinuationToken
	for _, query := range []string{
		"max-keys=x", "max-keys=-1", "max-keys=2147483648", "encoding-type=base64",
		"continuation-token=", "continuation-token=x", "continuation-token=bmljZSB0cnkh", "continuation-token=" + url.QueryEscape("A"+token[1:]),
	} {
		got := s.do(t, "owner", "GET", "/pics?list-type=2&"+query, "", "")
		if got.StatusCode != 400 || got.code() != "InvalidArgument" {
			t.Errorf("%s: %d %s, want 400 InvalidArgument", query, got.StatusCode, got.body)
		}
	}
}

// S3 writes a control character of a key as a reference that XML 1.0 forbids,
// so that one such key makes the plain list unreadable.
func TestListingControlCharacter(t *testing.T) {
	s := newStore(t)
	bucket := s.owner.CreateBucket("odd")
	bucket.Put("bell\x07 (1)+~*/é", nil)
	got := s.do(t, "owner", "GET", "/odd?list-type=2", "", "")
	if !strings.Contains(got.body, "<Key>bell&#x7; (1)+~*/é</Key>") {
		t.Errorf("plain list: %s", got.body)
	}
	if err := xml.Unmarshal([]byte(got.body), new(listResult)); err == nil {
		t.Error("the plain list can be parsed")
	}
	page := s.list(t, "odd", "encoding-type=url&delimiter=%3F&start-after=b+c&prefix=bell%07+")
	if key := page.Contents[0].Key; key != "bell%07+%281%29%2B%7E*/%C3%A9" || page.Prefix != "bell%07+" || page.Delimiter != "%3F" || page.StartAfter != "b+c" || page.EncodingType != "url" {
		t.Errorf("encoded list: %+v", page)
	}
}

func BenchmarkListObjects(b *testing.B) {
	s := newStore(b)
	bucket := s.owner.CreateBucket("many")
	for i := range 100_000 {
		bucket.Put(fmt.Sprintf("%d/%d", i%100, i), nil, func(o *awstest.Object) { o.ChecksumAlgorithm = "NONE" })
	}
	for b.Loop() {
		s.list(b, "many", "delimiter=/")
	}
}
