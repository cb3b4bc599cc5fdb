package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/crossrole/crossrole/tools/release/internal/api"
	"github.com/crossrole/crossrole/tools/release/internal/changelog"
	"github.com/crossrole/crossrole/tools/release/internal/vuln"
)

// The steps that only read: checkout, changelog, tidy, vet, vuln and api.

func (r *release) checkout(ctx context.Context) (string, error) {
	note := fmt.Sprintf("commit %s of %s", r.commit[:12], r.date)
	status, err := output(ctx, r.root, nil, "git", "status", "--porcelain")
	if err != nil {
		return note, err
	}
	if status != "" {
		if r.version != "" {
			return note, fmt.Errorf("commit or remove these files:\n%s", status)
		}
		return note + "; the binaries and the image are built from the commit, without the modified files:\n" + status, nil
	}
	if r.version != "" {
		tagged, err := output(ctx, r.root, nil, "git", "rev-parse", "--verify", "--quiet", r.version+"^{commit}")
		if err == nil && tagged != r.commit {
			return note, fmt.Errorf("%s is already the tag of commit %s: choose another version", r.version, tagged[:12])
		}
	}
	return note, nil
}

func (r *release) changelog(context.Context) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	note := "no VERSION: only the form of the headings was checked"
	if r.version != "" {
		note = ""
	}
	return note, changelog.Check(string(text), r.version, r.date)
}

func (r *release) tidy(ctx context.Context) (string, error) {
	list, err := output(ctx, r.root, nil, "git", "ls-files", "go.mod", "*/go.mod")
	if err != nil {
		return "", err
	}
	var errs []error
	files := strings.Fields(list)
	for _, file := range files {
		dir := filepath.Dir(file)
		if out, err := output(ctx, filepath.Join(r.root, dir), nil, "go", "mod", "tidy", "-diff"); err != nil || out != "" {
			errs = append(errs, fmt.Errorf("run: (cd %s && go mod tidy)\n%s%w", dir, out, err))
		}
	}
	return fmt.Sprintf("%d modules", len(files)), errors.Join(errs...)
}

// vet runs go vet, which also compiles the tests, with the version in go.mod's go line
// and with the newest one.
func (r *release) vet(ctx context.Context) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "go.mod"))
	if err != nil {
		return "", err
	}
	mod, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		return "", err
	}
	versions := []string{"go" + mod.Go.Version}
	var missing error
	if newest, err := output(ctx, r.root, nil, "go", "list", "-m", "-f", "{{.Version}}", "go@latest"); err != nil {
		missing = notRun{"the newest version of Go is unknown: " + lastLine(err)}
	} else if "go"+newest != versions[0] {
		versions = append(versions, "go"+newest)
	} else {
		missing = notRun{"no Go is newer than the oldest supported one, " + versions[0]}
	}
	var vetted []string
	for _, v := range versions {
		env := []string{"GOTOOLCHAIN=" + v}
		if got, err := output(ctx, r.root, env, "go", "env", "GOVERSION"); err != nil || got != v {
			missing = notRun{v + " cannot be had: " + lastLine(err)}
			continue
		}
		if _, err := output(ctx, r.root, env, "go", "vet", "./..."); err != nil {
			return "", err
		}
		vetted = append(vetted, v)
	}
	return "vetted with " + strings.Join(vetted, " and "), missing
}

// lastLine returns the last line of err's text, which in the output of the go command
// says most.
func lastLine(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	return strings.TrimSpace(text[strings.LastIndex(text, "\n")+1:])
}

func (r *release) vuln(ctx context.Context) (string, error) {
	program := filepath.Join(r.temp, "govulncheck")
	if _, err := output(ctx, r.root, nil, "go", "build", "-modfile=tools/go.mod", "-o", program, "golang.org/x/vuln/cmd/govulncheck"); err != nil {
		return "", err
	}
	text, err := vuln.Check(ctx, program, r.root, vuln.Database)
	switch {
	case errors.Is(err, vuln.ErrUnreachable):
		return text, notRun{err.Error()}
	case errors.Is(err, vuln.ErrFound):
		return text, fmt.Errorf("%w: upgrade the modules above", err)
	}
	return text, err
}

// api compares the exported API with that of the base.
func (r *release) api(ctx context.Context) (string, error) {
	base := r.base
	if base == "" {
		args := []string{"describe", "--tags", "--abbrev=0", "--match=v[0-9]*"}
		if r.version != "" {
			args = append(args, "--exclude="+r.version)
		}
		tag, none := output(ctx, r.root, nil, "git", args...)
		if none != nil {
			tags, err := output(ctx, r.root, nil, "git", "tag", "--list", "v[0-9]*", "--merged", "HEAD")
			if err != nil {
				return "", err
			}
			if tags != "" && tags != r.version {
				return "", fmt.Errorf("these tags exist: %s, but %w", strings.Join(strings.Fields(tags), ", "), none)
			}
			return "no tag: every exported name is new", nil
		}
		base = tag
	}
	old, err := r.clone(ctx, "base", base)
	if err != nil {
		return "", err
	}
	next, err := r.clone(ctx, "next", r.commit)
	if err != nil {
		return "", err
	}
	const module = "github.com/crossrole/crossrole/"
	diff, err := api.Compare(ctx, old, next, module+"examples/", module+"e2e/", module+"bench/")
	if err != nil {
		return "", err
	}
	var note strings.Builder
	fmt.Fprintf(&note, "compared with %s: %d incompatible changes, %d new names", base, len(diff.Incompatible), len(diff.Compatible))
	for _, line := range diff.Incompatible {
		fmt.Fprintf(&note, "\n  incompatible: %s", line)
	}
	for _, line := range diff.Compatible {
		fmt.Fprintf(&note, "\n  compatible: %s", line)
	}
	if r.version == "" || !semver.IsValid(base) {
		return note.String(), nil
	}
	return note.String(), api.Allow(base, r.version, diff)
}
