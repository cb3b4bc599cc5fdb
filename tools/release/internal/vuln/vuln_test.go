package vuln_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/tools/release/internal/vuln"
)

// Check distinguishes a vulnerability, a database that does not respond, and a
// govulncheck that fails.
func TestCheck(t *testing.T) {
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/index/db.json.gz" {
			http.NotFound(w, r)
		}
	}))
	defer database.Close()
	down := httptest.NewServer(nil)
	down.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no way out", http.StatusForbidden)
	}))
	defer proxy.Close()

	for name, c := range map[string]struct {
		database string
		exit     int // status of govulncheck
		want     error
		ran      bool
	}{
		"nothing found":          {database.URL, 0, nil, true},
		"a vulnerability":        {database.URL, 3, vuln.ErrFound, true},
		"govulncheck fails":      {database.URL, 1, nil, true},
		"no database":            {down.URL, 0, vuln.ErrUnreachable, false},
		"a proxy that refuses":   {proxy.URL, 0, vuln.ErrUnreachable, false},
		"no database, but found": {down.URL, 3, vuln.ErrUnreachable, false},
	} {
		program := filepath.Join(t.TempDir(), "govulncheck")
		script := fmt.Sprintf("#!/bin/sh\necho \"args: $*\"\nexit %d\n", c.exit)
		if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := vuln.Check(t.Context(), program, t.TempDir(), c.database)
		if ran := out == "args: -db "+c.database+" ./...\n"; ran != c.ran {
			t.Errorf("%s: output %q, want it to run: %v", name, out, c.ran)
		}
		if c.want != nil {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			continue
		}
		if failed := err != nil; failed != (c.exit != 0) || errors.Is(err, vuln.ErrFound) || errors.Is(err, vuln.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := vuln.Check(t.Context(), filepath.Join(t.TempDir(), "none"), t.TempDir(), database.URL); err == nil || !strings.Contains(err.Error(), "govulncheck") {
		t.Errorf("no program: %v", err)
	}
}

// The pinned govulncheck reports what Check expects: a function that is called, and
// nothing if only another function of the package is vulnerable.
func TestGovulncheck(t *testing.T) {
	program := filepath.Join(t.TempDir(), "govulncheck")
	build := exec.CommandContext(t.Context(), "go", "build", "-modfile=tools/go.mod", "-o", program, "golang.org/x/vuln/cmd/govulncheck")
	build.Dir = "../../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/m\n\ngo 1.26\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nimport \"errors\"\n\nfunc main() { _ = errors.New(\"\") }\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for symbol, want := range map[string]error{"New": vuln.ErrFound, "Join": nil} {
		database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			const id, modified = "GO-2026-0001", "2026-11-30T00:00:00Z"
			packed := gzip.NewWriter(w)
			defer packed.Close()
			switch r.URL.Path {
			case "/index/db.json.gz":
				fmt.Fprintf(packed, `{"modified": %q}`, modified)
			case "/index/modules.json.gz":
				fmt.Fprintf(packed, `[{"path": "stdlib", "vulns": [{"id": %q, "modified": %q}]}]`, id, modified)
			case "/ID/" + id + ".json.gz":
				fmt.Fprintf(packed, `{"schema_version": "1.3.1", "id": %q, "modified": %q, "published": %[2]q, "details": "a test", "database_specific": {"url": "https://pkg.go.dev/vuln/%[1]s"},
					"affected": [{"package": {"name": "stdlib", "ecosystem": "Go"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
					"ecosystem_specific": {"imports": [{"path": "errors", "symbols": [%[3]q]}]}}]}`, id, modified, symbol)
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		out, err := vuln.Check(t.Context(), program, dir, database.URL)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("a vulnerable errors.%s: %v, want %v\n%s", symbol, err, want, out)
		}
		database.Close()
	}
}
