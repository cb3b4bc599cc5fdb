package s3reader_test

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// shown are the files of a bucket with these keys, as the documentation of FS
// tells: keys that are paths, but for those below a file.
func shown(keys []string) []string {
	stored, files := map[string]bool{}, map[string]bool{}
	for _, key := range keys {
		stored[key] = true
	}
	for key := range stored {
		below := false
		for i, c := range key {
			below = below || c == '/' && stored[key[:i]]
		}
		if fs.ValidPath(key) && key != "." && !strings.Contains(key, `\`) && !below {
			files[key] = true
		}
	}
	return slices.Sorted(maps.Keys(files))
}

// Any bucket is a file system, and its files are those that the model says.
func TestFSOfAnyBucket(t *testing.T) {
	t.Parallel()
	pieces := []string{"a", "b", "-", ".", "..", "/", "/", "//", "\\", " ", "+", "%2F", "é", "\x01", "?", "a/b"}
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s := newShelf()
		keys := make([]string, 1+rng.IntN(20))
		for i := range keys {
			for range 1 + rng.IntN(6) {
				keys[i] += pieces[rng.IntN(len(pieces))]
			}
			s.Put(keys[i], []byte("is "+keys[i]))
		}
		fsys, want := s.fs(t), shown(keys)
		var got []string
		err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				got = append(got, path)
			}
			return err
		})
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("seed %d, of %q: met %q, %v; want %q", seed, keys, got, err, want)
		}
		if seed%15 != 0 || len(want) == 0 { // TestFS takes its time, and must be told of a file if there is anything
			continue
		}
		if err := fstest.TestFS(fsys, want...); err != nil {
			t.Fatalf("seed %d, %q: %v", seed, keys, err)
		}
	}
}
