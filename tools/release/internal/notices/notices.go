// Package notices collects the licenses of what is linked into a program. Most of them
// ask that a binary comes with their text.
package notices

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// names matches the files that have license texts.
var names = regexp.MustCompile(`(?i)^(license|licence|copying|notice|copyright|patents)([.-]\w+)*$`)

// source matches files that only have such a name.
var source = regexp.MustCompile(`\.(go|tmpl|json)$`)

// Text returns the license files of all modules that are linked into the program of the
// package pkg, of the module in the directory dir, and of Go. It lists the packages once
// for each of envs, which are added to the environment, such as GOOS=linux. A license
// file applies to its directory and those below. A module without one is an error.
func Text(ctx context.Context, dir, pkg string, envs [][]string) ([]byte, error) {
	found := map[string]map[string]bool{} // for each module, the paths of its files
	for _, env := range envs {
		list := exec.CommandContext(ctx, "go", "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}}{{"\t"}}{{.Dir}}{{"\t"}}{{$.Dir}}{{end}}{{end}}`, pkg)
		list.Dir, list.Env = dir, append(os.Environ(), env...)
		var stderr strings.Builder
		list.Stderr = &stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list %s: %w\n%s", pkg, err, &stderr)
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimSpace(line), "\t")
			if len(f) != 3 {
				continue // the module itself, or the standard library
			}
			if err := collect(found, f[0], f[1], f[2]); err != nil {
				return nil, err
			}
		}
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	goroot := strings.TrimSpace(string(root))
	if err := collect(found, "Go", goroot, goroot); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	modules := make([]string, 0, len(found))
	for m := range found {
		modules = append(modules, m)
	}
	slices.Sort(modules)
	for _, m := range modules {
		if len(found[m]) == 0 {
			return nil, fmt.Errorf("%s has no license file", m)
		}
		files := make([]string, 0, len(found[m]))
		for f := range found[m] {
			files = append(files, f)
		}
		slices.Sort(files)
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&text, "==== %s: %s ====\n\n%s\n\n", m, filepath.Base(f), bytes.TrimSpace(data))
		}
	}
	return text.Bytes(), nil
}

// collect adds the license files that apply to the directory pkg of a module.
func collect(found map[string]map[string]bool, module, moduleDir, pkg string) error {
	if found[module] == nil {
		found[module] = map[string]bool{}
	}
	for dir := pkg; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && names.MatchString(e.Name()) && !source.MatchString(e.Name()) {
				found[module][filepath.Join(dir, e.Name())] = true
			}
		}
		if dir == moduleDir || len(dir) <= len(moduleDir) {
			return nil
		}
	}
}
