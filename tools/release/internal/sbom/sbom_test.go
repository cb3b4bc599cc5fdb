package sbom_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/crossrole/crossrole/tools/release/internal/sbom"
)

// program builds the command for the machine's platform.
func program(t *testing.T) (path string, content []byte) {
	path = filepath.Join(t.TempDir(), "crossrole")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/crossrole")
	build.Dir, build.Env = "../../../..", append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

// The document lists exactly the modules that `go version -m` prints, and Go itself.
func TestDocument(t *testing.T) {
	path, content := program(t)
	created := time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)
	text, err := sbom.Document(content, "crossrole_v1.2.3", created)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := sbom.Document(content, "crossrole_v1.2.3", created); err != nil || !bytes.Equal(text, again) {
		t.Errorf("the second document of the same program differs: %v", err)
	}
	if err := schema(t).Validate(decode(t, text)); err != nil {
		t.Errorf("not a CycloneDX document: %v", err)
	}

	type property struct{ Name, Value string }
	type component struct {
		Ref        string `json:"bom-ref"`
		Type       string
		Name       string
		Version    string
		Purl       string
		Hashes     []struct{ Alg, Content string }
		Properties []property
	}
	var doc struct {
		SerialNumber string
		Metadata     struct {
			Timestamp string
			Component component
		}
		Components   []component
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	main := doc.Metadata.Component
	if main.Type != "application" || main.Name != "github.com/crossrole/crossrole" || len(main.Hashes) != 1 || main.Hashes[0].Content != sha256sum(t, path) {
		t.Errorf("the program is %+v", main)
	}
	if doc.Metadata.Timestamp != "2026-11-30T01:02:03Z" {
		t.Errorf("timestamp %s", doc.Metadata.Timestamp)
	}
	found := false
	for _, p := range main.Properties {
		found = found || p == property{"go.build.GOARCH", runtime.GOARCH}
	}
	if !found {
		t.Errorf("GOARCH is missing: %v", main.Properties)
	}

	want := map[string]string{"stdlib": strings.TrimPrefix(runtime.Version(), "go")}
	sums := map[string]string{}
	out, err := exec.CommandContext(t.Context(), "go", "version", "-m", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)\t(\S+)$`).FindAllStringSubmatch(string(out), -1) {
		want[m[1]], sums[m[1]] = m[2], m[3]
	}
	if len(want) < 15 {
		t.Fatalf("go version -m printed only %d modules:\n%s", len(want), out)
	}
	got := map[string]string{}
	for _, c := range doc.Components {
		got[c.Name] = c.Version
		if c.Type != "library" || c.Purl != "pkg:golang/"+c.Name+"@"+strings.ReplaceAll(c.Version, "+", "%2B") || c.Ref != c.Purl {
			t.Errorf("component %+v", c)
		}
		if sum := sums[c.Name]; sum != "" && (len(c.Properties) != 1 || c.Properties[0] != property{"go.sum", sum}) {
			t.Errorf("%s has the properties %v, want its sum %s", c.Name, c.Properties, sum)
		}
	}
	for name, version := range want {
		if got[name] != version {
			t.Errorf("%s is %q in the document, want %q", name, got[name], version)
		}
	}
	if len(got) != len(want) || len(doc.Components) != len(want) {
		t.Errorf("%d components, want %d", len(doc.Components), len(want))
	}
	if d := doc.Dependencies; len(d) != len(want)+1 || d[0].Ref != main.Ref || len(d[0].DependsOn) != len(want) {
		t.Errorf("%d dependencies, want one for the program and each module", len(d))
	}
}

func TestDocumentOfOtherFile(t *testing.T) {
	if _, err := sbom.Document([]byte("#!/bin/sh\n"), "script.sh", time.Time{}); err == nil || !strings.Contains(err.Error(), "script.sh") {
		t.Errorf("a file that is no Go program: %v", err)
	}
}

// A replaced module has no name and version by which a scanner could find it.
func TestDocumentReplaced(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module example.com/m\n\ngo 1.26\n\nrequire example.com/other v1.0.0\n\nreplace example.com/other => ./other\n",
		"main.go":      "package main\n\nimport _ \"example.com/other\"\n\nfunc main() {}\n",
		"other/go.mod": "module example.com/other\n\ngo 1.26\n",
		"other/o.go":   "package other\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "program", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sbom.Document(content, "program", time.Time{}); err == nil || !strings.Contains(err.Error(), "example.com/other is replaced by ./other") {
		t.Errorf("a replaced module: %v", err)
	}
}

// schema returns CycloneDX' own schema, which is a file of the module cyclonedx-go.
func schema(t *testing.T) *jsonschema.Schema {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	const base = "http://cyclonedx.org/schema/"
	compiler := jsonschema.NewCompiler()
	for name, file := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(base+name, decode(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := compiler.Compile(base + "bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decode(t *testing.T, text []byte) any {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func sha256sum(t *testing.T, path string) string {
	out, err := exec.CommandContext(t.Context(), "sha256sum", path).Output()
	if err != nil {
		t.Skip("no sha256sum: ", err)
	}
	return strings.Fields(string(out))[0]
}
