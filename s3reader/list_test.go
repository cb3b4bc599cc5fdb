package s3reader_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

func listed(t *testing.T, r *s3reader.Reader, prefix string) (keys []string, err error) {
	t.Helper()
	for info, e := range r.List(t.Context(), prefix) {
		if err != nil {
			t.Error("the sequence went on after an error")
		}
		if err = e; err == nil {
			keys = append(keys, info.Key)
		}
	}
	return keys, err
}

func TestListDescribes(t *testing.T) {
	s := newShelf()
	stored := s.Put("a/b", noise(10), func(o *awstest.Object) { o.StorageClass = "GLACIER" })
	s.Put("a", nil)
	s.Put("b", nil)
	r := s.reader(t, mayList)
	for info, err := range r.List(t.Context(), "a/") {
		want := s3reader.Info{Key: "a/b", ETag: stored.ETag, StorageClass: "GLACIER", Size: 10, LastModified: stored.LastModified}
		if err != nil || *info != want {
			t.Errorf("got %+v, %v\nwant %+v", info, err, want)
		}
	}
	for prefix, want := range map[string][]string{"": {"a", "a/b", "b"}, "a": {"a", "a/b"}, "a/": {"a/b"}, "x": nil} {
		if got, err := listed(t, r, prefix); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", prefix, got, err)
		}
	}
}

func TestListPages(t *testing.T) {
	for _, n := range []int{0, 1, 999, 1000, 1001, 3500} {
		s := newShelf()
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("dir +%%/%05d", i))
			s.Put(want[i], nil)
		}
		s.Put("other", nil)
		got, err := listed(t, s.reader(t, mayList), "dir +%/")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d keys: got %d, %v", n, len(got), err)
		}
		if asked, pages := len(s.requests()), max(1, (n+999)/1000); asked != pages {
			t.Errorf("%d keys: %d requests, want %d", n, asked, pages)
		}
	}
}

// A page is asked for when the one before has been consumed, and none once the
// consumer or the context has ended.
func TestListStops(t *testing.T) {
	s := newShelf()
	for i := range 2500 {
		s.Put(fmt.Sprintf("%05d", i), nil)
	}
	r := s.reader(t, mayList)
	n := 0
	for range r.List(t.Context(), "") {
		if n++; n == 1001 {
			break
		}
	}
	if got := len(s.requests()); got != 2 {
		t.Errorf("%d requests for 1001 keys", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n = 0
	var last error
	for _, err := range r.List(ctx, "") {
		if last = err; err == nil {
			n++
		}
		if n == 500 {
			cancel()
		}
	}
	if n != 1000 || !errors.Is(last, context.Canceled) || len(s.requests()) != 3 {
		t.Errorf("%d keys after the context ended, %d requests, %v", n, len(s.requests())-2, last)
	}
}

func TestListMayBeRangedOverAgain(t *testing.T) {
	s := newShelf()
	s.Put("a", nil)
	seq := s.reader(t, mayList).List(t.Context(), "")
	for range 2 {
		n := 0
		for _, err := range seq {
			if n++; err != nil {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("%d keys", n)
		}
	}
}

func TestListRefused(t *testing.T) {
	s := newShelf()
	s.Put("k", nil)
	_, err := listed(t, s.reader(t, mayRead), "dir/")
	if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Op != "list" || e.Key != "dir/" || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "s3:ListBucket") {
		t.Errorf("got %v", err)
	}
	if _, err := listed(t, newReader(t, s.config(mayList), "no-such-bucket"), ""); !errors.Is(err, s3reader.NoSuchBucket) {
		t.Errorf("got %v", err)
	}
}

func TestListFailsOnTheSecondPage(t *testing.T) {
	s := newShelf()
	for i := range 1500 {
		s.Put(fmt.Sprintf("%05d", i), nil)
	}
	s.cloud.Fault(awstest.Fault{Operation: "ListObjectsV2", Skip: 1, Status: 403, Code: "AccessDenied"})
	keys, err := listed(t, s.reader(t, mayList), "")
	if len(keys) != 1000 || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// page is a listing that awstest would not send.
type page struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	EncodingType          string   `xml:",omitempty"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []content
}

type content struct {
	Key  string `xml:",omitempty"`
	Size string `xml:",omitempty"`
}

func keys(names ...string) (c []content) {
	for _, k := range names {
		c = append(c, content{k, "1"})
	}
	return c
}

// Whatever a server says, a listing ends.
func TestListNeverGoesInACircle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		page func(n int) page // the n-th answer
		want string
	}{
		{"no token", func(int) page { return page{IsTruncated: true, Contents: keys("a")} }, "no NextContinuationToken"},
		{"same token", func(n int) page {
			return page{IsTruncated: true, NextContinuationToken: "t", Contents: keys(fmt.Sprintf("%06d", n))}
		}, "continuation token is the one just used"},
		{"same page", func(n int) page {
			return page{IsTruncated: true, NextContinuationToken: fmt.Sprint(n), Contents: keys("a", "b")}
		}, "goes in a circle"},
		{"two pages in turn", func(n int) page {
			return page{IsTruncated: true, NextContinuationToken: fmt.Sprint(n), Contents: keys(fmt.Sprint(n % 2))}
		}, "goes in a circle"},
		{"empty pages", func(n int) page { return page{IsTruncated: true, NextContinuationToken: fmt.Sprint(n)} }, "makes no progress"},
		{"empty pages with two tokens in turn", func(n int) page {
			return page{IsTruncated: true, NextContinuationToken: fmt.Sprint(n % 2)}
		}, "goes in a circle"},
		{"out of order", func(int) page { return page{Contents: keys("b", "a")} }, `out of order: "a" stands after "b"`},
		{"twice", func(int) page { return page{Contents: keys("a", "a")} }, "out of order"},
		{"out of order at a page's edge", func(n int) page {
			return page{IsTruncated: true, NextContinuationToken: fmt.Sprint(n), Contents: keys(string(rune('z' - n)))}
		}, "out of order"},
		{"no key", func(int) page { return page{Contents: []content{{"", "1"}}} }, "without a key"},
		{"no size", func(int) page { return page{Contents: []content{{"a", ""}}} }, "has no size"},
		{"negative size", func(int) page { return page{Contents: []content{{"a", "-1"}}} }, "has no size"},
		{"bad escape", func(int) page { return page{EncodingType: "url", Contents: keys("a%zz")} }, "undecodable key"},
		{"bad encoding", func(int) page { return page{EncodingType: "rot13", Contents: keys("a")} }, "rot13"},
		{"not asked for", func(int) page { return page{Contents: keys("a")} }, "not under the prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			cfg := server(func(*http.Request) *http.Response {
				n++
				body, err := xml.Marshal(c.page(n))
				if err != nil {
					t.Error(err)
				}
				return answer(200, string(body))
			}).config()
			prefix := ""
			if c.name == "not asked for" {
				prefix = "b"
			}
			_, err := listed(t, newReader(t, cfg, "pics"), prefix)
			most := 20
			if c.name == "empty pages" {
				most = 10_001
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || n > most {
				t.Errorf("got %v after %d pages, want %q", err, n, c.want)
			}
		})
	}
}

// A listing that was cut off anywhere is not a shorter listing.
func TestListCutOff(t *testing.T) {
	const whole = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>pics</Name><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents><Contents><Key>b</Key><Size>1</Size></Contents></ListBucketResult>`
	for n := range len(whole) + 1 {
		cfg := server(func(*http.Request) *http.Response { return answer(200, whole[:n]) }).config()
		once := func(o *s3reader.Options) { o.S3 = func(o *s3.Options) { o.RetryMaxAttempts = 1 } }
		got, err := listed(t, newReader(t, cfg, "pics", once), "")
		if complete := n == len(whole); complete != (err == nil) || complete && len(got) != 2 {
			t.Errorf("cut at %q: got %q, %v", whole[max(0, n-20):n], got, err)
		}
	}
}

func TestListThroughEmptyPages(t *testing.T) {
	n := 0
	cfg := server(func(*http.Request) *http.Response {
		n++
		p := page{IsTruncated: n < 90, NextContinuationToken: fmt.Sprint(n)}
		if n <= 9 && n%4 == 1 || n == 90 {
			p.Contents = keys(fmt.Sprint(n))
		}
		body, _ := xml.Marshal(p)
		return answer(200, string(body))
	}).config()
	if got, err := listed(t, newReader(t, cfg, "pics"), ""); err != nil || !slices.Equal(got, []string{"1", "5", "9", "90"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A store whose pages end in the middle of a common prefix repeats it on the next.
func TestPrefixAtThePagesEdge(t *testing.T) {
	type prefix struct{ Prefix string }
	type level struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
		CommonPrefixes        []prefix
	}
	pages := []level{
		{Contents: keys("a"), CommonPrefixes: []prefix{{"b/"}}},
		{CommonPrefixes: []prefix{{"b/"}}}, // and nothing else
		{CommonPrefixes: []prefix{{"b/"}, {"c/"}}},
		{Contents: keys("d"), CommonPrefixes: []prefix{{"c/"}}},
	}
	config := func() aws.Config {
		n := 0
		return server(func(*http.Request) *http.Response {
			p := pages[n]
			n++
			p.IsTruncated = n < len(pages)
			p.NextContinuationToken = fmt.Sprint(n)
			body, err := xml.Marshal(p)
			if err != nil {
				t.Error(err)
			}
			return answer(200, string(body))
		}).config()
	}
	want := []string{"a", "b", "c", "d"}
	all, err := fs.ReadDir(newReader(t, config(), "pics").FS(t.Context()), ".")
	if got := named(all); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	f, err := newReader(t, config(), "pics").FS(t.Context()).Open(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range want {
		some, err := f.(fs.ReadDirFile).ReadDir(1)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, named(some)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("one by one: got %q", got)
	}
}

func named(entries []fs.DirEntry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// FuzzListDecoding holds that a key comes out as it went in, encoded or, from a
// store that does not encode, as it is; and that no page makes List panic.
func FuzzListDecoding(f *testing.F) {
	for _, key := range awkward {
		f.Add(key, true)
		f.Add(key, false)
	}
	f.Add("%zz", true)
	f.Fuzz(func(t *testing.T, key string, encode bool) {
		if key == "" {
			return // no object has an empty key
		}
		p := page{Contents: keys(key)}
		if encode {
			p.EncodingType, p.Contents = "url", keys(url.QueryEscape(key))
		}
		body, err := xml.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		cfg := server(func(*http.Request) *http.Response { return answer(200, string(body)) }).config()
		got, err := listed(t, newReader(t, cfg, "pics"), "")
		switch {
		case err != nil:
			t.Errorf("%q: %v", key, err)
		case encode && !slices.Equal(got, []string{key}):
			t.Errorf("got %q, want %q", got, key)
		}
	})
}

// FuzzListPage holds that any page ends in keys or in an error, and as a
// directory, of List or of FS, in names that are in order or in an error.
func FuzzListPage(f *testing.F) {
	f.Add(`<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>a%2Bb</Key><Size>1</Size></Contents></ListBucketResult>`)
	f.Add(`<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>`)
	f.Add("")
	f.Add(`<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents><Contents><Key>b</Key><Size>1</Size></Contents><CommonPrefixes><Prefix>a-/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>`)
	f.Fuzz(func(t *testing.T, body string) {
		cfg := server(func(*http.Request) *http.Response { return answer(200, body) }).config()
		once := func(o *s3reader.Options) { o.S3 = func(o *s3.Options) { o.RetryMaxAttempts = 1 } }
		r := newReader(t, cfg, "pics", once)
		for info, err := range r.List(t.Context(), "") {
			if (info == nil) == (err == nil) || info != nil && (info.Key == "" || info.Size < 0) {
				t.Errorf("got %+v, %v", info, err)
			}
		}
		last := ""
		for info, err := range r.List(t.Context(), "", level("/", "")) {
			if (info == nil) == (err == nil) || info != nil && (info.Key <= last || strings.Contains(strings.TrimSuffix(info.Key, "/"), "/")) {
				t.Errorf("after %q got %+v, %v", last, info, err)
			}
			if info != nil {
				last = info.Key
			}
		}
		entries, err := fs.ReadDir(r.FS(t.Context()), ".")
		if _, ok := errors.AsType[*s3reader.Error](err); err != nil && !ok {
			t.Errorf("got %v", err)
		}
		for i, e := range entries {
			if i > 0 && e.Name() <= entries[i-1].Name() || !fs.ValidPath(e.Name()) || strings.Contains(e.Name(), "/") {
				t.Errorf("%q after %q", e.Name(), entries[max(i, 1)-1].Name())
			}
		}
	})
}
