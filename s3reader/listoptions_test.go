package s3reader_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/s3reader"
)

// List with a delimiter and a key to start after: what it yields of any bucket, and
// what it refuses of a caller and of a server.

func level(delimiter, after string) func(*s3reader.ListOptions) {
	return func(o *s3reader.ListOptions) { o.Delimiter, o.StartAfter = delimiter, after }
}

// entriesOf returns the keys of a listing, and its common prefixes with a star.
func entriesOf(t *testing.T, r *s3reader.Reader, prefix string, optFns ...func(*s3reader.ListOptions)) (entries []string, err error) {
	t.Helper()
	for info, e := range r.List(t.Context(), prefix, optFns...) {
		if err != nil {
			t.Error("the sequence continued after an error")
		}
		switch err = e; {
		case err != nil:
		case !info.IsPrefix:
			entries = append(entries, info.Key)
		case *info != s3reader.Info{Key: info.Key, IsPrefix: true}:
			t.Errorf("a common prefix with more than its name: %+v", info)
		default:
			entries = append(entries, info.Key+"*")
		}
	}
	return entries, err
}

func TestListLevels(t *testing.T) {
	s := newShelf()
	for _, key := range []string{"Z", "a", "a-/x", "a/b", "a/c", "a/d/e", "dir/", "dir/x", "z", "é +%/1"} {
		s.Put(key, nil)
	}
	r := s.reader(t, mayList)
	for _, c := range []struct{ prefix, delimiter, after, want string }{
		{"", "/", "", "Z,a,a-/*,a/*,dir/*,z,é +%/*"},
		{"a", "/", "", "a,a-/*,a/*"},
		{"a/", "/", "", "a/b,a/c,a/d/*"},
		{"dir/", "/", "", "dir/,dir/x"},
		{"dir", "/", "", "dir/*"},
		{"nothing/", "/", "", ""},
		{"", "/b", "", "Z,a,a-/x,a/b*,a/c,a/d/e,dir/,dir/x,z,é +%/1"},
		{"", "", "a/c", "a/d/e,dir/,dir/x,z,é +%/1"},
		{"a", "", "a/c0", "a/d/e"},             // no key
		{"dir/", "", "0", "dir/,dir/x"},        // before the prefix
		{"dir/", "", "zz", ""},                 // behind it
		{"", "/", "a/b", "a/*,dir/*,z,é +%/*"}, // a/c is still to come
		{"", "/", "a/d/e", "dir/*,z,é +%/*"},
		{"", "/", "a/", "dir/*,z,é +%/*"}, // what a listing ended with
		{"", "/", "a", "a-/*,a/*,dir/*,z,é +%/*"},
		{"a/", "/", "a/d/", ""},
	} {
		got, err := entriesOf(t, r, c.prefix, level(c.delimiter, c.after))
		if err != nil || strings.Join(got, ",") != c.want {
			t.Errorf("%q with %q after %q: got %q, %v; want %s", c.prefix, c.delimiter, c.after, got, err, c.want)
		}
	}
}

// Of any bucket, List yields what the documentation says, and the last entry
// continues a listing.
func TestListLevelsOfAnyBucket(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		name := func(most int) string {
			b := make([]byte, rng.IntN(most+1))
			for i := range b {
				b[i] = "ab-/"[rng.IntN(4)]
			}
			return string(b)
		}
		s := newShelf()
		keys := map[string]bool{}
		for range 40 {
			key := "k" + name(5)
			keys[key] = true
			s.Put(key, nil)
		}
		r := s.reader(t, mayList)
		for range 8 {
			prefix, delimiter, after := ("k" + name(3))[rng.IntN(2):], []string{"", "/", "/", "-", "ab"}[rng.IntN(5)], "k"+name(5)
			if rng.IntN(3) == 0 {
				after = ""
			}
			want := map[string]bool{}
			for key := range keys {
				rest, ok := strings.CutPrefix(key, prefix)
				if !ok || key <= after {
					continue
				}
				if first, _, grouped := strings.Cut(rest, delimiter); grouped && delimiter != "" {
					key = prefix + first + delimiter
					if key == after {
						continue
					}
					key += "*"
				}
				want[key] = true
			}
			got, err := entriesOf(t, r, prefix, level(delimiter, after))
			sorted := slices.IsSortedFunc(got, func(a, b string) int {
				return strings.Compare(strings.TrimSuffix(a, "*"), strings.TrimSuffix(b, "*"))
			})
			missing := slices.ContainsFunc(got, func(entry string) bool { return !want[entry] })
			if err != nil || !sorted || missing || len(got) != len(want) {
				t.Fatalf("seed %d: %q with %q after %q: got %q, %v; want %v", seed, prefix, delimiter, after, got, err, want)
			}
			for i, last := range got {
				rest, err := entriesOf(t, r, prefix, level(delimiter, strings.TrimSuffix(last, "*")))
				if err != nil || !slices.Equal(rest, got[i+1:]) {
					t.Fatalf("seed %d: %q with %q continued after %q: got %q, %v; want %q", seed, prefix, delimiter, last, rest, err, got[i+1:])
				}
			}
		}
	}
}

func TestListLevelInPages(t *testing.T) {
	s := newShelf()
	var want []string
	for i := range 1250 {
		s.Put(fmt.Sprintf("%04d", i), nil)
		s.Put(fmt.Sprintf("%04d/a", i), nil)
		s.Put(fmt.Sprintf("%04d/b", i), nil)
		want = append(want, fmt.Sprintf("%04d", i), fmt.Sprintf("%04d/*", i))
	}
	r := s.reader(t, mayList)
	seq := func() ([]string, error) { return entriesOf(t, r, "", level("/", "0000")) }
	for range 2 {
		before := len(s.requests())
		if got, err := seq(); err != nil || !slices.Equal(got, want[1:]) {
			t.Errorf("got %d entries, %v", len(got), err)
		}
		if asked := len(s.requests()) - before; asked != 3 {
			t.Errorf("%d requests for 2,499 entries", asked)
		}
	}
}

func TestListOptionsThatCannotBe(t *testing.T) {
	s := newShelf()
	r := s.reader(t, mayList)
	for name, c := range map[string]struct {
		optFn func(*s3reader.ListOptions)
		kind  s3reader.Kind
		want  string
	}{
		"nil":            {nil, "", "optFns[0] is nil"},
		"panics":         {func(*s3reader.ListOptions) { panic("boom") }, s3reader.Panicked, "boom"},
		"long delimiter": {level(strings.Repeat("/", 1025), ""), s3reader.BadKey, "ListOptions.Delimiter has 1025 bytes, S3 allows 1024"},
		"long start":     {level("", strings.Repeat("k", 1025)), s3reader.BadKey, "ListOptions.StartAfter has 1025 bytes, S3 allows 1024"},
	} {
		got, err := entriesOf(t, r, "cats/", c.optFn)
		e, ok := errors.AsType[*s3reader.Error](err)
		if !ok || e.Op != "list" || e.Key != "cats/" || e.Kind != c.kind || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if got := s.requests(); len(got) != 0 {
		t.Errorf("requested %q", got)
	}
}

// What a server lists against the options is an error, and not a listing.
func TestListRefusesWhatDoesNotFit(t *testing.T) {
	type prefix struct{ Prefix string }
	type listing struct {
		page
		CommonPrefixes []prefix
	}
	for name, c := range map[string]struct {
		delimiter, after string
		pages            []listing
		want             string // empty: it fits
	}{
		"no delimiter asked for":  {"", "", []listing{{CommonPrefixes: []prefix{{"d/a/"}}}}, `"d/a/", which does not fit the delimiter ""`},
		"a key below":             {"/", "", []listing{{page: page{Contents: keys("d/a/b")}}}, `"d/a/b", which does not fit the delimiter "/"`},
		"a key that is a prefix":  {"/", "", []listing{{page: page{Contents: keys("d/a/")}}}, "does not fit"},
		"two levels":              {"/", "", []listing{{CommonPrefixes: []prefix{{"d/a/b/"}}}}, "does not fit"},
		"no delimiter at its end": {"/", "", []listing{{CommonPrefixes: []prefix{{"d/a"}}}}, "does not fit"},
		"the prefix itself":       {"/", "", []listing{{CommonPrefixes: []prefix{{"d/"}}}}, "does not fit"},
		"another prefix":          {"/", "", []listing{{CommonPrefixes: []prefix{{"e/a/"}}}}, "not under the prefix"},
		"a prefix without name":   {"/", "", []listing{{CommonPrefixes: []prefix{{""}}}}, "without a key"},
		"prefixes out of order":   {"/", "", []listing{{CommonPrefixes: []prefix{{"d/b/"}, {"d/a/"}}}}, `out of order: "d/a/" stands after "d/b/"`},
		"a prefix twice":          {"/", "", []listing{{CommonPrefixes: []prefix{{"d/a/"}, {"d/a/"}}}}, "out of order"},
		"pages out of order":      {"/", "", []listing{{page: page{Contents: keys("d/b")}}, {CommonPrefixes: []prefix{{"d/a/"}}}}, "out of order"},
		"a prefix on two pages":   {"/", "", []listing{{CommonPrefixes: []prefix{{"d/a/"}}}, {CommonPrefixes: []prefix{{"d/a/"}, {"d/b/"}}}}, ""},
		"not after":               {"/", "d/b", []listing{{page: page{Contents: keys("d/b", "d/c")}}}, `was to start after "d/b", and has "d/b"`},
		"a prefix not after":      {"/", "d/b", []listing{{CommonPrefixes: []prefix{{"d/a/"}}}}, `was to start after "d/b", and has "d/a/"`},
		"in the midst of it":      {"/", "d/a/x", []listing{{CommonPrefixes: []prefix{{"d/a/"}}}, {CommonPrefixes: []prefix{{"d/a/"}}, page: page{Contents: keys("d/a0")}}}, ""},
		"a key before it":         {"/", "d/a/x", []listing{{CommonPrefixes: []prefix{{"d/a/"}}, page: page{Contents: keys("d/a")}}}, "was to start after"},
		"the prefix it is":        {"/", "d/a/", []listing{{CommonPrefixes: []prefix{{"d/a/"}, {"d/b/"}}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			cfg := server(func(req *http.Request) *http.Response {
				q := req.URL.Query()
				if q.Get("delimiter") != c.delimiter || n == 0 && q.Get("start-after") != c.after || n > 0 && q.Get("continuation-token") == "" {
					t.Errorf("request %d: %s", n, req.URL.RawQuery)
				}
				l := c.pages[n]
				n++
				l.XMLName = xml.Name{Local: "ListBucketResult"}
				l.IsTruncated, l.NextContinuationToken = n < len(c.pages), fmt.Sprint(n)
				body, err := xml.Marshal(l)
				if err != nil {
					t.Error(err)
				}
				return answer(200, string(body))
			}).config()
			got, err := entriesOf(t, newReader(t, cfg, "pics"), "d/", level(c.delimiter, c.after))
			switch {
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %q, %v; want %s", got, err, c.want)
			case c.want == "" && (err != nil || len(got) == 0 || len(slices.Compact(got)) != len(got)):
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
