package s3reader

import (
	"os"
	"testing"
)

func TestCaseClashes(t *testing.T) {
	type step struct {
		path  string
		clash bool
	}
	steps := []step{
		{"a", false}, {"b/c", false}, {"A", true}, {"b/C", true}, {"B/d", false}, {"B", true},
		{"a/x", true}, {"A/x", true}, {"É", false}, {"é", true}, {"ſ", false}, {"s", true}, {"S/t", true}, {"d/e/f", false}, {"D/E", true}, {"D/e/g", false},
	}
	for _, folds := range []bool{true, false} {
		c := &casefold{folds: folds, keys: map[string]string{}, dirs: map[string]bool{}}
		for _, s := range steps {
			if got := c.clash(entry{&Info{Key: "k/" + s.path}, s.path}); (got != "") != (s.clash && folds) {
				t.Errorf("folds %v, %q: got %q", folds, s.path, got)
			}
		}
	}
}

func TestCasefoldLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := newCasefold(root); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
