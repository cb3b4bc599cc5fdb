// Package api compares the exported API of two versions of a module.
package api

import (
	"context"
	"errors"
	"fmt"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
	"golang.org/x/mod/semver"
	"golang.org/x/tools/go/packages"
)

// A Diff lists changes, one a line, such as "./trust.Parse: removed".
type Diff struct {
	Incompatible []string // break programs that compile with the old version
	Compatible   []string // new names
}

// Compare compares the packages of the module in the directory old with those in the
// directory new. It leaves out commands and internal packages, which no program can
// import, and any package whose path has one of the prefixes, such as "…/examples/".
func Compare(ctx context.Context, old, new string, ignored ...string) (Diff, error) {
	before, err := load(ctx, old, ignored)
	if err != nil {
		return Diff{}, fmt.Errorf("the old version: %w", err)
	}
	after, err := load(ctx, new, ignored)
	if err != nil {
		return Diff{}, fmt.Errorf("the new version: %w", err)
	}
	var diff Diff
	for _, c := range apidiff.ModuleChanges(before, after).Changes {
		if c.Compatible {
			diff.Compatible = append(diff.Compatible, c.Message)
		} else {
			diff.Incompatible = append(diff.Incompatible, c.Message)
		}
	}
	return diff, nil
}

func load(ctx context.Context, dir string, ignored []string) (*apidiff.Module, error) {
	loaded, err := packages.Load(&packages.Config{
		Context: ctx,
		Dir:     dir,
		Mode:    packages.NeedName | packages.NeedTypes | packages.NeedModule,
		// What is the same in both directories is compiled once.
		BuildFlags: []string{"-trimpath"},
	}, "./...")
	if err != nil {
		return nil, err
	}
	var module apidiff.Module
	var errs []error
	for _, p := range loaded {
		for _, e := range p.Errors {
			errs = append(errs, e)
		}
		if p.Module != nil {
			module.Path = p.Module.Path
		}
		if importable(p.Types, p.PkgPath) && !slices.ContainsFunc(ignored, func(prefix string) bool { return strings.HasPrefix(p.PkgPath, prefix) }) {
			module.Packages = append(module.Packages, p.Types)
		}
	}
	if len(errs) == 0 && len(module.Packages) == 0 {
		return nil, fmt.Errorf("%s has no package that a program can import", dir)
	}
	return &module, errors.Join(errs...)
}

func importable(p *types.Package, path string) bool {
	return p != nil && p.Name() != "main" && !slices.Contains(strings.Split(path, "/"), "internal")
}

// Allow returns an error if the version next, after the version last, may not have the
// changes: from v1 on, an incompatible change needs a new major version, and a new name
// needs a new minor version. Before v1, an incompatible change needs a new minor
// version.
func Allow(last, next string, diff Diff) error {
	if semver.Compare(last, next) >= 0 {
		return fmt.Errorf("%s is not newer than %s", next, last)
	}
	major := semver.Major(last) != semver.Major(next)
	minor := major || semver.MajorMinor(last) != semver.MajorMinor(next)
	stable := semver.Major(last) != "v0"
	switch {
	case len(diff.Incompatible) > 0 && stable && !major:
		return fmt.Errorf("incompatible changes since %s need a new major version, not %s", last, next)
	case len(diff.Incompatible) > 0 && !minor:
		return fmt.Errorf("incompatible changes since %s need a new minor version, not %s", last, next)
	case len(diff.Compatible) > 0 && stable && !minor:
		return fmt.Errorf("new names since %s need a new minor version, not %s", last, next)
	}
	return nil
}
