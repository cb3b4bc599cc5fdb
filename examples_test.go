package crossrole_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExamplesCompileWhenCopied copies examples/ into another module, as a user would
// who starts from one of them, and compiles the programs and their tests
// there. Nothing is downloaded: go.mod and go.sum are this module's.
func TestExamplesCompileWhenCopied(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	entries, err := os.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}
	const path = "github.com/crossrole/crossrole"
	copied := 0
	for _, entry := range entries {
		from := filepath.Join("examples", entry.Name())
		if sources, _ := filepath.Glob(filepath.Join(from, "*.go")); len(sources) == 0 {
			continue // manifests
		}
		if _, err := os.Stat(filepath.Join(from, "go.mod")); err == nil {
			continue // a separate module
		}
		if err := os.CopyFS(filepath.Join(dir, entry.Name()), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		copied++
		sources, _ := filepath.Glob(filepath.Join(from, "*.go"))
		for _, source := range sources {
			if text, err := os.ReadFile(source); err != nil || strings.Contains(string(text), `"`+path+"/examples/") {
				t.Errorf("%s imports an example by its path: a copy would use the original (%v)", source, err)
			}
		}
	}
	if copied < 8 {
		t.Fatalf("%d examples were found; are they still in examples/?", copied)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	module := strings.Replace(string(mod), "module "+path, "module example.com/copied", 1) +
		fmt.Sprintf("\nrequire %s v0.0.0\nreplace %[1]s => %s\n", path, filepath.ToSlash(root))
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"go.mod": module, "go.sum": string(sum)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "-mod=mod", "./...")
	vet.Dir = dir
	vet.Env = append(vet.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("the copies do not compile: %v\n%s", err, out)
	}
}
