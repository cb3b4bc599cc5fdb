package vuln_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/tools/release/internal/vuln"
)

// Check tells apart a vulnerability, a database that does not respond, and a
// govulncheck that fails.
func TestCheck(t *testing.T) {
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/index/db.json" {
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
