package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/internal/anchor"
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

// TestClustersPerHubRole compares the table in docs/many-clusters.md with the trust policies
// that setup prints for clusters of EKS.
func TestClustersPerHubRole(t *testing.T) {
	size := func(clusters int) int {
		args := []string{"setup", "--route", "hub", "--format", "json", "--cluster-account", "111122223333", "--shared-account", "444455556666",
			"--bucket", "pics", "--service-account", "default/s3-shared-content"}
		for i := range clusters {
			args = append(args, "--issuer", fmt.Sprintf("https://oidc.eks.us-east-1.amazonaws.com/id/%032X", i))
		}
		stdout, _, err := crossrole(t.Context(), args...)
		if err != nil && strings.Contains(err.Error(), "IAM allows at most 8192") {
			return 8193 // or more: setup prints no such policy
		}
		if err != nil {
			t.Fatal(err)
		}
		return hubPolicySize(t, stdout)
	}
	rows := regexp.MustCompile(`(?m)^\| ([0-9,]+)[^|]*\| ([0-9]+) \|$`).FindAllStringSubmatch(pages(t)["many-clusters.md"], -1)
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		limit, err1 := strconv.Atoi(strings.ReplaceAll(row[1], ",", ""))
		clusters, err2 := strconv.Atoi(row[2])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if fits, next := size(clusters), size(clusters+1); fits > limit || next <= limit {
			t.Errorf("%s: the policy for %d clusters has %d characters, for one more %d", row[0], clusters, fits, next)
		}
	}
	if each := size(2) - size(1); each < 460 || each > 480 {
		t.Errorf("a statement has %d characters, not about 470", each)
	}
}

// TestEveryKindIsDocumented looks for the section about each Kind in docs/errors.md: where
// doctor's address of the page leads to, and that there is no section about anything else.
func TestEveryKindIsDocumented(t *testing.T) {
	page := pages(t)["errors.md"]
	anchors := anchor.Of(page)
	for pkg, tt := range map[string]struct {
		section string
		least   int // of kinds that there are
	}{
		"credentials": {`(?m)^## (\w+)\n(.*)$`, 19},
		"s3reader":    {`(?m)^### (\w+)\n(.*)$`, 11},
	} {
		kinds := kindsOf(t, pkg)
		if len(kinds) < tt.least {
			t.Fatalf("%s: found %d kinds", pkg, len(kinds))
		}
		for kind := range kinds {
			address, fragment, _ := strings.Cut(pageOf(kind), "#")
			if address != "https://github.com/crossrole/crossrole/blob/main/docs/errors.md" || !anchors[fragment] {
				t.Errorf("%s.%s: doctor prints the page %s, which is not in docs/errors.md", pkg, kind, pageOf(kind))
			}
		}
		for _, m := range regexp.MustCompile(tt.section).FindAllStringSubmatch(page, -1) {
			if !kinds[m[1]] || m[2] == "" {
				t.Errorf("docs/errors.md: %s is not a Kind of %s, or its section is empty", m[1], pkg)
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
