package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The commands in the sh blocks of docs/ work as they stand there, in a pod.
func TestCommandsInDocs(t *testing.T) {
	_, vars := newFakePod(t, t.TempDir())
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	ran := 0
	for page, text := range pages(t) {
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(block[1]) {
				args := strings.Fields(line)
				if len(args) == 0 || args[0] != "crossrole" {
					t.Errorf("%s: %q is no command of ours; put others outside sh blocks", page, line)
					continue
				}
				var out strings.Builder
				root := newRoot()
				root.SetArgs(args[1:])
				root.SetOut(&out)
				if err := root.ExecuteContext(t.Context()); err != nil {
					t.Errorf("%s: %s: %v\n%s", page, line, err, &out)
				}
				ran++
			}
		}
	}
	if ran < 10 {
		t.Errorf("%d commands were found; are the pages still there?", ran)
	}
}

// Each Kind of a chain's errors has its section in docs/errors.md, each of a
// bucket's its row, and there are no others.
func TestEveryKindIsDocumented(t *testing.T) {
	for pkg, tt := range map[string]struct {
		entry string
		least int // of kinds that there are
	}{
		"credentials": {`(?m)^## (\w+)\n(.*)$`, 19},
		"s3reader":    {`(?m)^\| ([A-Z]\w+) \| (.+) \|$`, 11},
	} {
		kinds := kindsOf(t, pkg)
		if len(kinds) < tt.least {
			t.Fatalf("%s: found %d kinds", pkg, len(kinds))
		}
		for _, m := range regexp.MustCompile(tt.entry).FindAllStringSubmatch(pages(t)["errors.md"], -1) {
			if !kinds[m[1]] || m[2] == "" {
				t.Errorf("docs/errors.md: %s is of no Kind of %s, or empty", m[1], pkg)
			}
			delete(kinds, m[1])
		}
		for kind := range kinds {
			t.Errorf("docs/errors.md: nothing about %s of %s", kind, pkg)
		}
	}
}

// kindsOf returns the kinds that a package declares. Their names are the same in
// Go as in errors, logs and metrics.
func kindsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join("..", "..", pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, file := range sources {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\t(\w+) +Kind = "(.*?)"`).FindAllStringSubmatch(string(source), -1) {
			if kinds[m[1]] = true; m[1] != m[2] {
				t.Errorf("%s.%s is spelt %q", pkg, m[1], m[2])
			}
		}
	}
	return kinds
}

func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	pages := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(file)] = string(text)
	}
	return pages
}
