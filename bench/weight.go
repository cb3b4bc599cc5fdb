package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	weightFileRow         = "weight/binary-mib"
	weightModulesRow      = "weight/modules"
	weightChainFileRow    = "weight/chain-binary-mib"
	weightChainModulesRow = "weight/chain-modules"
)

var weight = group{
	rows: []Row{
		lower(weightFileRow, "MiB"), lower(weightModulesRow, "modules"),
		lower(weightChainFileRow, "MiB"), lower(weightChainModulesRow, "modules"),
	},
	measure: measureWeight,
}

// measureWeight builds the three programs of weight/ for the current platform.
func measureWeight(ctx context.Context, _ settings) (got figures, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	got = figures{}
	for _, p := range []struct {
		path, contender, file, modules string
	}{
		{"./weight/reader", ours, weightFileRow, weightModulesRow},
		{"./weight/plain", sdk, weightFileRow, weightModulesRow},
		{"./weight/chain", ours, weightChainFileRow, weightChainModulesRow},
		{"./weight/plain", sdk, weightChainFileRow, weightChainModulesRow},
	} {
		file := filepath.Join(dir, "program")
		if _, err := goTool(ctx, "build", "-trimpath", "-ldflags=-s -w", "-o", file, p.path); err != nil {
			return nil, err
		}
		stat, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		list, err := goTool(ctx, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", p.path)
		if err != nil {
			return nil, err
		}
		modules := map[string]bool{}
		for path := range strings.FieldsSeq(list) {
			modules[path] = true
		}
		got.add(p.file, p.contender, float64(stat.Size())/(1<<20))
		got.add(p.modules, p.contender, float64(len(modules)))
	}
	return got, nil
}

// goTool runs the go command in the current directory.
func goTool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}
