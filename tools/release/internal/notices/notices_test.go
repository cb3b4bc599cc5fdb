package notices_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/tools/release/internal/notices"
)

// The notices of the command have the license of each module that is linked on any of
// the platforms, also those of code that a module has copied, and Go's.
func TestText(t *testing.T) {
	text, err := notices.Text(t.Context(), "../../../..", "./cmd/crossrole", [][]string{{"GOOS=linux", "GOARCH=amd64"}, {"GOOS=windows", "GOARCH=amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n==== Go: LICENSE ====\n\nCopyright 2009 The Go Authors.",
		"==== github.com/aws/aws-sdk-go-v2@v1.",
		": NOTICE.txt ====",
		"==== github.com/spf13/cobra@v1.",
		"==== github.com/inconshreveable/mousetrap@v1.", // only Windows
		"Apache License",
		"Redistribution and use in source and binary forms",
	} {
		if !strings.Contains("\n"+string(text), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(string(text), "github.com/rogpeppe/go-internal") {
		t.Error("a module that only tests use is listed")
	}
}

func TestTextWithoutLicense(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module example.com/m\n\ngo 1.26\n\nrequire example.com/other v1.0.0\n\nreplace example.com/other => ./other\n",
		"main.go":      "package main\n\nimport _ \"example.com/other\"\n\nfunc main() {}\n",
		"other/go.mod": "module example.com/other\n\ngo 1.26\n",
		"other/o.go":   "package other\n",
		"license.go":   "package main\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off"}
	if _, err := notices.Text(t.Context(), dir, ".", [][]string{env}); err == nil || !strings.Contains(err.Error(), "example.com/other@v1.0.0 has no license file") {
		t.Errorf("a module without a license: %v", err)
	}
}
