package awstest_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/crossrole/crossrole/awstest"
)

// openStore is a cloud with one bucket that everybody may use, so that no
// signer respells a request on its way.
func openStore(t testing.TB) (*store, *awstest.Bucket) {
	t.Helper()
	cloud := awstest.New()
	bucket := cloud.Account("444455556666").CreateBucket("open")
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::open","arn:aws:s3:::open/*"]}]}`)
	return &store{http: cloud.Config().HTTPClient}, bucket
}

// Whatever the Range header says, the answer is the whole object, a part of it
// that is labelled truly, or that there is no such part.
func FuzzRange(f *testing.F) {
	for _, header := range []string{"bytes=0-0", "bytes=1-", "bytes=-3", "bytes=-0", "bytes=5-2", "bytes=0-1,3-4", "bytes=99-", "bytes=-", "bytes=9-99999999999999999999", "bytes= 1-2 ", "x"} {
		f.Add(header, 10)
	}
	f.Fuzz(func(t *testing.T, header string, size int) {
		size = int(uint(size) % 300)
		s, bucket := openStore(t)
		data := strings.Repeat("0123456789", 30)[:size]
		bucket.Put("k", []byte(data))
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://s3.us-east-1.amazonaws.com/open/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Range", header)
		got := s.answer(t, r)
		label := got.Header.Get("Content-Range")
		switch got.StatusCode {
		case 200:
			if got.body != data || label != "" {
				t.Errorf("%q: %d bytes of %d, labelled %q", header, len(got.body), size, label)
			}
		case 206:
			var first, last, of int
			if _, err := fmt.Sscanf(label, "bytes %d-%d/%d", &first, &last, &of); err != nil || of != size || last >= size || data[first:last+1] != got.body {
				t.Errorf("%q: %q labelled %q, %v", header, got.body, label, err)
			}
		case 416:
			if got.code() != "InvalidRange" || label != fmt.Sprintf("bytes */%d", size) {
				t.Errorf("%q: %q %s", header, label, got.body)
			}
		default:
			t.Errorf("%q: %d %s", header, got.StatusCode, got.body)
		}
	})
}

// Any query is answered by a list or by an error that S3 has.
func FuzzListQuery(f *testing.F) {
	for _, query := range []string{"prefix=a&delimiter=/", "max-keys=1&continuation-token=x", "encoding-type=url", "start-after=%00", "acl", "versions&prefix=%zz", "a;b", "max-keys=-1", "delimiter=%ff"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		u, err := url.Parse("https://s3.us-east-1.amazonaws.com/open?list-type=2&" + query)
		if err != nil {
			return // no client could send it
		}
		s, bucket := openStore(t)
		for _, key := range awkwardKeys {
			bucket.Put(key, nil)
		}
		got := s.answer(t, (&http.Request{Method: "GET", URL: u}).WithContext(t.Context()))
		switch got.StatusCode {
		case 200:
			if strings.HasPrefix(u.RawQuery, "list-type=2&location") {
				return
			}
			var page listResult
			if err := xml.Unmarshal([]byte(got.body), &page); err != nil && !strings.Contains(got.body, "&#x") {
				t.Errorf("%s: %v: %s", query, err, got.body)
			}
		case 400, 403, 501:
			if code := got.code(); !slices.Contains([]string{"InvalidArgument", "InvalidURI", "NotImplemented", "AccessDenied", "AuthorizationQueryParametersError"}, code) {
				t.Errorf("%s: %d %q: %s", query, got.StatusCode, code, got.body)
			}
		default:
			t.Errorf("%s: %d %s", query, got.StatusCode, got.body)
		}
	})
}

// The pages of a listing, put together, are what the definition of prefix,
// delimiter and start-after says, in order.
func FuzzListing(f *testing.F) {
	f.Add("a\na/b\na/c\nb\nb/\nb/c/d", "", "/", "", 1)
	f.Add("a\na/b\na/c\nb\nb/\nb/c/d", "b", "/", "a", 2)
	f.Add("x//y\nx/y\nx0\n/", "x/", "/", "x/", 1)
	f.Add("é\nz\n🐈\n<&>", "", "", "a", 3)
	f.Fuzz(func(t *testing.T, names, prefix, delimiter, startAfter string, size int) {
		if !utf8.ValidString(names) || len(names) > 500 {
			return
		}
		s, bucket := openStore(t)
		keys := slices.DeleteFunc(strings.Split(names, "\n"), func(key string) bool { return key == "" })
		for _, key := range keys {
			bucket.Put(key, nil)
		}
		slices.Sort(keys)
		var want []string
		for _, key := range slices.Compact(keys) {
			rest, ok := strings.CutPrefix(key, prefix)
			if !ok || key <= startAfter {
				continue
			}
			if head, _, found := strings.Cut(rest, delimiter); found && delimiter != "" {
				if key = prefix + head + delimiter; key == startAfter || slices.Contains(want, key+"*") {
					continue
				}
				key += "*"
			}
			want = append(want, key)
		}

		var got []string
		query := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "prefix": {prefix}, "delimiter": {delimiter}, "start-after": {startAfter}}
		query.Set("max-keys", fmt.Sprint(1+uint(size)%7))
		for range len(keys) + 1 {
			u := &url.URL{Scheme: "https", Host: "s3.us-east-1.amazonaws.com", Path: "/open", RawQuery: query.Encode()}
			body := s.answer(t, (&http.Request{Method: "GET", URL: u}).WithContext(t.Context())).body
			var page listResult
			if err := xml.Unmarshal([]byte(body), &page); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			for _, c := range page.Contents {
				got = append(got, unescaped(t, c.Key))
			}
			for _, p := range page.CommonPrefixes {
				got = append(got, unescaped(t, p.Prefix)+"*")
			}
			if !page.IsTruncated {
				break
			}
			query.Set("continuation-token", page.NextContinuationToken)
		}
		slices.Sort(got) // a page shows keys before prefixes
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
	})
}

func unescaped(t *testing.T, text string) string {
	t.Helper()
	plain, err := url.QueryUnescape(text)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}
