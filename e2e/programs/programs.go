// Package programs finds the third-party programs that the suites run, and gives them an
// environment without any AWS settings of the machine.
package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Find returns the path of a program. If it is not installed, the test is skipped; in CI
// it fails.
func Find(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	missing(t, "no %s here: %s", name, install)
	return ""
}

// missing skips the test, or fails it in CI.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// AWS returns the path of a working AWS CLI: version managers leave placeholders behind.
func AWS(t *testing.T) string {
	t.Helper()
	path := Find(t, "aws", "install the AWS CLI (Debian: awscli)")
	if out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput(); err != nil {
		missing(t, "aws --version: %v\n%s", err, out)
	}
	return path
}

// Node finds Node.js and npm. It installs the dependencies of the package.json in dir,
// together with the scripts, into a new directory for the test, and returns that.
func Node(t *testing.T, dir string, scripts ...string) (node, installed string) {
	t.Helper()
	node = Find(t, "node", "install Node.js 18 or newer (Debian: nodejs)")
	npm := Find(t, "npm", "install npm (Debian: npm)")
	installed = t.TempDir()
	for _, name := range append([]string{"package.json", "package-lock.json"}, scripts...) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(installed, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = installed
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return node, installed
}

// Python is an interpreter that can import some module.
type Python struct{ Path, Version string } // version of the module

// Pythons returns the interpreters that can import a module, with different versions of
// it: Debian's, and the one on PATH. If there is none, the test is skipped; in CI it fails.
func Pythons(t *testing.T, module, install string) []Python {
	t.Helper()
	var found []Python
	for _, path := range []string{"/usr/bin/python3", "python3"} {
		out, err := exec.CommandContext(t.Context(), path, "-c", "import "+module+"; print("+module+".__version__)").Output()
		version := strings.TrimSpace(string(out))
		if err == nil && !slices.ContainsFunc(found, func(p Python) bool { return p.Version == version }) {
			found = append(found, Python{path, version})
		}
	}
	if len(found) == 0 {
		missing(t, "no Python module %s here: %s", module, install)
	}
	return found
}

// Alone returns an environment with only the given variables, in which programs use no
// other servers than the test's.
func Alone(t *testing.T, variables ...string) []string {
	t.Helper()
	home := t.TempDir()
	env := []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.Getenv("TMPDIR"),
		"AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CONFIG_FILE=" + filepath.Join(home, "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(home, "credentials"),
		"AWS_PAGER=", "NO_PROXY=*",
	}
	// Version managers keep their programs in the original HOME.
	for _, name := range []string{"PYENV_ROOT", "NVM_DIR"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, variables...)
}
