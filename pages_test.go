package crossrole_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/internal/anchor"
	"github.com/crossrole/crossrole/trust"
)

// inPages lists the packages that code in README.md and docs/ may use, by name.
var inPages = map[string]string{
	"aws":         "github.com/aws/aws-sdk-go-v2/aws",
	"awstest":     "github.com/crossrole/crossrole/awstest",
	"config":      "github.com/aws/aws-sdk-go-v2/config",
	"context":     "context",
	"credentials": "github.com/crossrole/crossrole/credentials",
	"crossrole":   "github.com/crossrole/crossrole",
	"errors":      "errors",
	"fmt":         "fmt",
	"http":        "net/http",
	"metrics":     "github.com/crossrole/crossrole/credentials/metrics",
	"prometheus":  "github.com/prometheus/client_golang/prometheus",
	"s3":          "github.com/aws/aws-sdk-go-v2/service/s3",
	"s3reader":    "github.com/crossrole/crossrole/s3reader",
	"slog":        "log/slog",
	"sts":         "github.com/aws/aws-sdk-go-v2/service/sts",
	"stscreds":    "github.com/aws/aws-sdk-go-v2/credentials/stscreds",
	"time":        "time",
	"tracing":     "github.com/aws/smithy-go/tracing",
	"trust":       "github.com/crossrole/crossrole/trust",
}

// TestGoInPages type-checks every block of Go in the pages. A block is a complete
// file, or statements of a function that has ctx and, unless the block declares it,
// base.
func TestGoInPages(t *testing.T) {
	imports := compiled(t)
	blocks := 0
	for page, text := range pages(t) {
		for _, at := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatchIndex(text, -1) {
			blocks++
			line := 1 + strings.Count(text[:at[2]], "\n")
			if err := typeCheck(imports, text[at[2]:at[3]]); err != nil {
				t.Errorf("%s: the block at line %d: %v", page, line, err)
			}
		}
	}
	if blocks < 12 {
		t.Errorf("%d blocks were found; are the pages still there?", blocks)
	}
	for name, bad := range map[string]string{
		"field":  "c := credentials.Options{Sauce: nil}",
		"name":   "cfg, err := credentials.Warp(base)",
		"type":   "cfg, err := credentials.Wrap(ctx)",
		"syntax": "if {",
	} {
		if typeCheck(imports, bad) == nil {
			t.Errorf("%s: %q passes the check", name, bad)
		}
	}
}

// typeCheck type-checks a block. It ignores omissions (…) and unused variables.
func typeCheck(imports types.Importer, block string) error {
	source := strings.ReplaceAll(block, "…", "")
	if !strings.HasPrefix(source, "package ") {
		var head strings.Builder
		for name, path := range inPages {
			fmt.Fprintf(&head, "import %s %q; ", name, path)
		}
		given := "ctx context.Context"
		if !strings.Contains(source, "base, err :=") {
			given += ", base aws.Config"
		}
		source = fmt.Sprintf("package page; %s func _(%s) error {\n//line :1\n%s\nreturn nil }", head.String(), given, source)
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var wrong []error
	check := types.Config{Importer: imports, Error: func(err error) {
		if e, ok := errors.AsType[types.Error](err); !ok || !e.Soft { // soft: not used
			wrong = append(wrong, err)
		}
	}}
	_, _ = check.Check("page", files, []*ast.File{file}, nil) // wrong has all of it
	return errors.Join(wrong...)
}

// compiled returns an importer of the packages in inPages, as compiled by go list.
func compiled(t *testing.T) types.Importer {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	for _, path := range inPages {
		args = append(args, path)
	}
	list := exec.CommandContext(t.Context(), "go", args...)
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		data, err := os.ReadFile(exports[path])
		return io.NopCloser(bytes.NewReader(data)), err
	})
}

// TestLinksInPages follows the links between pages, and those to headings.
func TestLinksInPages(t *testing.T) {
	all := pages(t)
	for page, text := range all {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			to := filepath.Join(filepath.Dir(page), m[1])
			if m[1] == "" {
				to = page
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s: %v", page, m[0], err)
			} else if m[2] != "" && !anchor.Of(all[to])[m[2][1:]] {
				t.Errorf("%s: %s: no such heading", page, m[0])
			}
		}
	}
}

// TestOperatingIsComplete compares docs/operating.md with what it describes: every
// metric, every alert and every line of the log.
func TestOperatingIsComplete(t *testing.T) {
	page := pages(t)[filepath.Join("docs", "operating.md")]
	for _, of := range []struct {
		what, pattern string
		in            []string
		least         int
	}{
		{"metric", `"(crossrole_\w+)"`, sources(t, filepath.Join("credentials", "metrics")), 9},
		{"alert", `- alert: (\w+)`, []string{filepath.Join("examples", "deploy", "alerts.yaml")}, 9},
		{"line of the log", `(?:\.(?:warn|info|warnOnce\("\w+"|Warn|Info)[(,]|slog\.Level\w+,)\s*"([^"]+)"`, sources(t, "credentials"), 8},
	} {
		found := map[string]bool{}
		for _, file := range of.in {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(of.pattern).FindAllStringSubmatch(string(text), -1) {
				found[m[1]] = true
			}
		}
		if len(found) < of.least {
			t.Errorf("found %d names of the kind %q, want at least %d: does %s still fit the sources?", len(found), of.what, of.least, of.pattern)
		}
		for name := range found {
			if !strings.Contains(page, name) {
				t.Errorf("docs/operating.md does not describe the %s %q", of.what, name)
			}
		}
	}
}

// sources returns the Go files in dir and below it that are not tests.
func sources(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// pages returns the texts of the Markdown files in the root, docs/ and e2e/.
func pages(t *testing.T) map[string]string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.md", filepath.Join("docs", "*.md"), filepath.Join("e2e", "*.md")} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no pages %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	pages := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[file] = string(text)
	}
	return pages
}

// TestErrorInReadme compares the error in README.md, which is wrapped there, with the
// error of a pod on the direct route whose issuer is not registered in the target account.
func TestErrorInReadme(t *testing.T) {
	cloud := awstest.New()
	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	green := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
	shared := cloud.Account("444455556666")
	shared.AddOIDCProvider(blue)
	role := shared.CreateRole("S3_Pics",
		trust.WebIdentityPolicy(shared.ID(), []string{blue.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		trust.ReadBucketPolicy("pics", "").String())
	for _, variable := range green.Pod(t.TempDir(), "default", "app", role.ARN()).Env() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	cfg, err := credentials.Wrap(cloud.Config())
	if err != nil {
		t.Fatal(err)
	}
	_, err = cfg.Credentials.Retrieve(t.Context())
	if err == nil {
		t.Fatal("an issuer that is not registered gets a session")
	}
	readme := strings.Join(strings.Fields(pages(t)["README.md"]), " ")
	if !strings.Contains(readme, "``` "+err.Error()+" ```") {
		t.Errorf("README.md does not show today's text:\n%v", err)
	}
}
