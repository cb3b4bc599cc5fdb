package localname_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/s3reader/internal/localname"
)

func TestCheck(t *testing.T) {
	const everywhere, onWindows, nowhere = "everywhere", "on Windows", "nowhere"
	for name, refused := range map[string]string{
		"a": nowhere, "a/b": nowhere, "file..txt": nowhere, "...": onWindows, ".hidden": nowhere, "a b": nowhere, "é": nowhere,
		"": everywhere, "a/": everywhere, "/": everywhere, "/a": everywhere, "a//b": everywhere,
		".": everywhere, "..": everywhere, "a/..": everywhere, "../a": everywhere, "a/./b": everywhere, "./a": everywhere,
		`a\b`: everywhere, `..\a`: everywhere, `C:\a`: everywhere, "a\x00b": everywhere, "\xff": everywhere,
		strings.Repeat("x", 255): nowhere, strings.Repeat("x", 256): everywhere, strings.Repeat("é", 128): everywhere,
		".f.crossrole-part": everywhere, "f.crossrole-part": nowhere, "d/.f.x.crossrole-part": everywhere,
		"C:a": onWindows, "a:b": onWindows, "a?": onWindows, "a*": onWindows, `a"`: onWindows, "a<b": onWindows, "a>b": onWindows, "a|b": onWindows, "a\nb": onWindows,
		"a.": onWindows, "a ": onWindows, "d./f": onWindows, "a .txt": nowhere,
		"NUL": onWindows, "nul.txt": onWindows, "d/con/f": onWindows, "aux .x": onWindows, "COM1": onWindows, "lpt9.x": onWindows, "COM¹": onWindows, "conin$": onWindows,
		"COM": nowhere, "COM10": nowhere, "CONSOLE": nowhere, "nulls": nowhere,
	} {
		for _, windows := range []bool{false, true} {
			reason := localname.Check(name, windows)
			if want := refused == everywhere || refused == onWindows && windows; (reason != "") != want {
				t.Errorf("%q, windows %v: got %q", name, windows, reason)
			}
			if reason == "" && !filepath.IsLocal(filepath.FromSlash(name)) {
				t.Errorf("%q is not local", name)
			}
		}
	}
}

func TestConflicts(t *testing.T) {
	type step struct {
		path     string
		conflict bool
	}
	steps := []step{
		{"a", false}, {"b/c", false}, {"A", true}, {"b/C", true}, {"B/d", false}, {"B", true},
		{"a/x", true}, {"A/x", true}, {"É", false}, {"é", true}, {"ſ", false}, {"s", true}, {"S/t", true}, {"d/e/f", false}, {"D/E", true}, {"D/e/g", false},
	}
	for _, folds := range []bool{true, false} {
		c := localname.NewConflicts(folds)
		for _, s := range steps {
			if got := c.Add(s.path, "k/"+s.path); (got != "") != (s.conflict && folds) {
				t.Errorf("folds %v, %q: got %q", folds, s.path, got)
			}
		}
	}
}

func TestFoldsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := localname.Folds(root); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
