package api_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/tools/release/internal/api"
)

// module writes a module of a few packages and returns its directory.
func module(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCompare(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOPROXY", "off")
	old := module(t, map[string]string{
		"go.mod":                "module example.com/m\n\ngo 1.26\n",
		"m.go":                  "package m\nfunc Kept() {}\nfunc Removed() {}\nfunc Changed(int) {}\n",
		"gone/gone.go":          "package gone\nconst C = 1\n",
		"internal/in/in.go":     "package in\nfunc Internal() {}\n",
		"cmd/tool/main.go":      "package main\nfunc Exported() {}\nfunc main() {}\n",
		"examples/ex/sample.go": "package sample\nfunc Sample() {}\n",
	})
	new := module(t, map[string]string{
		"go.mod":           "module example.com/m\n\ngo 1.26\n",
		"m.go":             "package m\nfunc Kept() {}\nfunc Changed(string) {}\nfunc Added() {}\n",
		"cmd/tool/main.go": "package main\nfunc main() {}\n",
	})
	diff, err := api.Compare(t.Context(), old, new, "example.com/m/examples/")
	if err != nil {
		t.Fatal(err)
	}
	incompatible := []string{
		"./.Changed: changed from func(int) to func(string)",
		"./.Removed: removed",
		"package example.com/m/gone: removed",
	}
	// apidiff's own spelling of a name in the root package differs between its versions.
	got := slices.Clone(diff.Incompatible)
	for i := range got {
		if !strings.HasPrefix(got[i], "package") && !strings.HasPrefix(got[i], "./") {
			got[i] = "./." + strings.TrimPrefix(got[i], ".")
		}
	}
	if !slices.Equal(got, incompatible) {
		t.Errorf("incompatible: %q, want %q", diff.Incompatible, incompatible)
	}
	if len(diff.Compatible) != 1 || !strings.HasSuffix(diff.Compatible[0], "Added: added") {
		t.Errorf("compatible: %q, want only Added", diff.Compatible)
	}
	if diff, err := api.Compare(t.Context(), new, new); err != nil || len(diff.Incompatible)+len(diff.Compatible) > 0 {
		t.Errorf("a module compared with itself: %v, %v", diff, err)
	}
}

func TestCompareBroken(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOPROXY", "off")
	good := module(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26\n", "m.go": "package m\n"})
	bad := module(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26\n", "m.go": "package m\nfunc F() { undefined() }\n"})
	if _, err := api.Compare(t.Context(), bad, good); err == nil || !strings.Contains(err.Error(), "the old version") || !strings.Contains(err.Error(), "undefined") {
		t.Errorf("an old version that does not compile: %v", err)
	}
	if _, err := api.Compare(t.Context(), good, filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "the new version") {
		t.Errorf("a directory that does not exist: %v", err)
	}
}

func TestAllow(t *testing.T) {
	removed, added := api.Diff{Incompatible: []string{"F: removed"}}, api.Diff{Compatible: []string{"F: added"}}
	for _, c := range []struct {
		last, next string
		diff       api.Diff
		want       string // part of the error, or ""
	}{
		{"v0.1.0", "v0.1.1", api.Diff{}, ""},
		{"v0.1.0", "v0.1.1", added, ""},
		{"v0.1.0", "v0.1.1", removed, "new minor version"},
		{"v0.1.0", "v0.2.0", removed, ""},
		{"v0.9.0", "v1.0.0", removed, ""},
		{"v1.2.0", "v1.2.1", api.Diff{}, ""},
		{"v1.2.0", "v1.2.1", added, "new minor version"},
		{"v1.2.0", "v1.3.0", added, ""},
		{"v1.2.0", "v1.3.0", removed, "new major version"},
		{"v1.2.0", "v2.0.0", removed, ""},
		{"v0.1.0", "v0.1.0", api.Diff{}, "not newer"},
		{"v0.2.0", "v0.1.9", api.Diff{}, "not newer"},
	} {
		err := api.Allow(c.last, c.next, c.diff)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s after %s with %v: %v, want %q", c.next, c.last, c.diff, err, c.want)
		}
	}
}
