package s3reader_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
)

func namesOf(entries []fs.DirEntry) []string {
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names
}

// piecemeal reads a directory n entries at a time.
func piecemeal(t *testing.T, fsys fs.FS, name string, n int) []fs.DirEntry {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []fs.DirEntry
	for {
		some, err := f.(fs.ReadDirFile).ReadDir(n)
		all = append(all, some...)
		if err == io.EOF && len(some) == 0 {
			return all
		}
		if err != nil || len(some) == 0 || len(some) > n {
			t.Fatalf("ReadDir(%d): %d entries, %v", n, len(some), err)
		}
	}
}

// fs.ReadDir sorts the names. An open directory is read in the order of S3's keys.
// Both return each name once, wherever the pages end, and request each page once.
func TestFSPagesAreInOrder(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s := newShelf()
		const low = "!+-. /0a" // three of them come before the slash
		for range 3000 {
			name := make([]byte, 1+rng.IntN(7))
			for i := range name {
				name[i] = low[rng.IntN(len(low))]
			}
			s.Put(string(name), nil)
		}
		fsys := s.fs(t)
		before := len(s.requests())
		whole, err := fs.ReadDir(fsys, ".")
		if err != nil {
			t.Fatal(err)
		}
		want := namesOf(whole)
		if !slices.IsSortedFunc(whole, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }) || len(want) < 1000 {
			t.Fatalf("seed %d: %d names, not in order", seed, len(want))
		}
		pages := len(s.requests()) - before
		slices.Sort(want) // "a-" before "a/"
		if got := namesOf(piecemeal(t, fsys, ".", 1+rng.IntN(50))); !slices.Equal(got, want) {
			t.Errorf("seed %d: read in pieces, %d names; want %d", seed, len(got), len(want))
		}
		if asked := len(s.requests()) - before - pages; asked != pages {
			t.Errorf("seed %d: %d requests for %d pages", seed, asked, pages)
		}
	}
}

// The first entries of a large directory are there after one request.
func TestFSFirstEntriesOfMany(t *testing.T) {
	s := newShelf()
	for i := range 5000 {
		s.Put(fmt.Sprintf("logs/2026-%04d.log", i), nil)
	}
	s.Put("logs/2026/index", nil)
	f, err := s.fs(t).Open("logs")
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.requests())
	first, err := f.(fs.ReadDirFile).ReadDir(2)
	if err != nil || !slices.Equal(namesOf(first), []string{"2026-0000.log", "2026-0001.log"}) {
		t.Errorf("got %q, %v", namesOf(first), err)
	}
	if asked := s.requests()[before:]; len(asked) != 1 {
		t.Errorf("asked for %q", asked)
	}
	rest, err := f.(fs.ReadDirFile).ReadDir(-1)
	if err != nil || len(rest) != 4999 || rest[4997].Name() != "2026-4999.log" || namesOf(rest)[4998] != "2026/" {
		t.Errorf("%d more, %v", len(rest), err)
	}
}

// Names of many parts cost no request but those for their pages.
func TestFSNamesOfManyParts(t *testing.T) {
	s := newShelf()
	for i := range 3000 {
		s.Put(strings.Repeat("-", 300)+fmt.Sprintf("%04d", i), nil)
	}
	got := piecemeal(t, s.fs(t), ".", 100)
	if len(got) != 3000 || len(s.requests()) != 3 {
		t.Errorf("%d names, %d requests", len(got), len(s.requests()))
	}
}

// A directory that failed in the middle is read on from there.
func TestFSGoesOnAfterAnError(t *testing.T) {
	s := newShelf()
	for i := range 2500 {
		s.Put(fmt.Sprintf("d/%04d", i), nil)
	}
	for _, n := range []int{-1, 10} {
		fsys := s.fs(t)
		f, err := fsys.Open("d")
		if err != nil {
			t.Fatal(err)
		}
		s.cloud.Fault(awstest.Fault{Operation: "ListObjectsV2", Skip: 1, Times: 1, Status: 403, Code: "AccessDenied"})
		var got []string
		failed := 0
		for {
			some, err := f.(fs.ReadDirFile).ReadDir(n)
			got = append(got, namesOf(some)...)
			if err == io.EOF || err == nil && n < 0 {
				break
			}
			if err != nil {
				if failed++; failed > 1 || !errors.Is(err, fs.ErrPermission) {
					t.Fatal(err)
				}
				if len(got) != 1000 {
					t.Errorf("n %d: %d entries before the error, want the page that there was", n, len(got))
				}
			}
		}
		if len(got) != 2500 || failed != 1 || got[2499] != "2499" {
			t.Errorf("n %d: %d entries, %d errors", n, len(got), failed)
		}
		s.cloud.Fault(awstest.Fault{Operation: "ListObjectsV2", Skip: 1, Times: 1, Status: 403, Code: "AccessDenied"})
		if some, err := fs.ReadDir(fsys, "d"); len(some) != 1000 || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("fs.ReadDir: %d entries, %v", len(some), err)
		}
	}
}

// What a server lists where it does not belong is an error, and stays one.
func TestFSRefusesWhatDoesNotBelong(t *testing.T) {
	type prefix struct{ Prefix string }
	type listing struct {
		page
		CommonPrefixes []prefix
	}
	for name, l := range map[string]listing{
		"another prefix":     {page: page{Contents: keys("e/a")}},
		"a key below":        {page: page{Contents: keys("d/a/b")}},
		"a key as prefix":    {page: page{Contents: keys("d/a/")}},
		"out of order":       {page: page{Contents: keys("d/b", "d/a")}},
		"twice":              {page: page{Contents: keys("d/a", "d/a")}},
		"no slash":           {CommonPrefixes: []prefix{{"d/a"}}},
		"two levels":         {CommonPrefixes: []prefix{{"d/a/b/"}}},
		"the prefix itself":  {CommonPrefixes: []prefix{{"d/"}}},
		"prefixes unordered": {CommonPrefixes: []prefix{{"d/b/"}, {"d/a/"}}},
		"no prefix":          {CommonPrefixes: []prefix{{""}}},
		"undecodable":        {page: page{EncodingType: "url"}, CommonPrefixes: []prefix{{"d/%zz/"}}},
	} {
		t.Run(name, func(t *testing.T) {
			l.XMLName = xml.Name{Local: "ListBucketResult"}
			body, err := xml.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			cfg := server(func(*http.Request) *http.Response { return answer(200, string(body)) }).config()
			fsys := newReader(t, cfg, "pics").FS(t.Context())
			if _, err := fs.ReadDir(fsys, "d"); err == nil || !strings.Contains(err.Error(), "the listing has ") && !strings.Contains(err.Error(), "out of order") {
				t.Errorf("got %v", err)
			}
		})
	}
}
