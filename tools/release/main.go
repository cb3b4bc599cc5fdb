// Command release checks what must hold before a version is tagged, and writes the
// files of the release: binaries, their bills of materials, an image, and checksums.
// `make release-check` runs it. CONTRIBUTING.md describes how to release.
//
// Usage: release [-root DIR] [-version vX.Y.Z] [-base COMMIT] [STEP…]
//
// Exit status: 0 nothing failed; 1 a step failed, or an interrupt; 2 wrong usage; 3 a step that was
// named could not be run. Without named steps, those that could not be run are listed
// in the last line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/mod/semver"
)

// A release is what all steps know.
type release struct {
	root    string    // the checkout
	version string    // the version to be tagged, such as "v0.1.0", or empty
	base    string    // the commit with which the API is compared, or empty for the last tag
	commit  string    // HEAD
	time    time.Time // of that commit
	date    string    // the same in the committer's time zone, such as "2026-01-31"
	temp    string    // is removed at the end
	built   *builds   // the binaries, once they are built
}

// A step checks one thing. Run returns what it saw, for the reader of the output.
type step struct {
	name, about string
	run         func(*release, context.Context) (string, error)
}

// steps are in the order in which they run.
var steps = []step{
	{"checkout", "everything is committed, and the version is not tagged elsewhere", (*release).checkout},
	{"changelog", "CHANGELOG.md has the version and its date", (*release).changelog},
	{"tidy", "go.mod and go.sum of every module list what it uses", (*release).tidy},
	{"vet", "the library and its tests compile with the oldest and the newest Go", (*release).vet},
	{"vuln", "no function that we call has a known vulnerability", (*release).vuln},
	{"api", "the version's number allows the changes of the exported API", (*release).api},
	{"binaries", "two builds in different directories are equal", (*release).binaries},
	{"install", "go install from the module's zip file", (*release).install},
	{"image", "two builds of the image are equal, and its program runs", (*release).image},
}

// notRun is the error of a step that could not check anything, or not everything.
type notRun struct{ reason string }

func (e notRun) Error() string { return e.reason }

func main() {
	root := flag.String("root", ".", "the root of the checkout")
	version := flag.String("version", "", "the version to be tagged, such as v0.1.0")
	base := flag.String("base", "", "the commit or tag with which the API is compared (the last tag)")
	flag.Parse()
	for _, name := range flag.Args() {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
			fmt.Fprintf(os.Stderr, "release: no step %q\n", name)
			os.Exit(2)
		}
	}
	if *version != "" && (semver.Canonical(*version) != *version || semver.Build(*version) != "") {
		fmt.Fprintf(os.Stderr, "release: version %q: want the form v1.2.3\n", *version)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, *root, *version, *base, flag.Args()))
}

func run(ctx context.Context, root, version, base string, names []string) int {
	r, err := open(ctx, root, version, base)
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		return 1
	}
	defer os.RemoveAll(r.temp)
	var failed, skipped []string
	for _, s := range steps {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		fmt.Printf("== %s: %s\n", s.name, s.about)
		begin := time.Now()
		note, err := s.run(r, ctx)
		seconds := time.Since(begin).Round(time.Second)
		if note != "" {
			fmt.Println(note)
		}
		switch missing := (notRun{}); {
		case errors.As(err, &missing):
			fmt.Printf("NOT RUN %s: %s (%v)\n", s.name, missing.reason, seconds)
			skipped = append(skipped, s.name+" ("+missing.reason+")")
		case err != nil:
			fmt.Printf("FAIL %s: %v (%v)\n", s.name, err, seconds)
			failed = append(failed, s.name)
		default:
			fmt.Printf("ok %s (%v)\n", s.name, seconds)
		}
		if ctx.Err() != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
		fmt.Println("release: INTERRUPTED: not all steps ran")
		return 1
	case len(failed) > 0:
		fmt.Printf("release: FAILED: %s\n", strings.Join(failed, ", "))
		return 1
	case len(skipped) > 0:
		fmt.Printf("release: nothing failed, but NOT RUN: %s\n", strings.Join(skipped, "; "))
		if len(names) > 0 {
			return 3
		}
	case len(names) > 0:
		fmt.Println("release: ok")
	default:
		fmt.Println("release: ok, every step ran")
	}
	return 0
}

// open reads the state of the checkout.
func open(ctx context.Context, root, version, base string) (*release, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	r := &release{root: root, version: version, base: base}
	head, err := output(ctx, root, nil, "git", "log", "-1", "--format=%H %ct %cs")
	if err != nil {
		return nil, err
	}
	var seconds int64
	if _, err := fmt.Sscan(head, &r.commit, &seconds, &r.date); err != nil {
		return nil, fmt.Errorf("git log printed %q: %w", head, err)
	}
	r.time = time.Unix(seconds, 0).UTC()
	r.temp, err = os.MkdirTemp("", "crossrole-release")
	return r, err
}

// output runs a command and returns its standard output without the space around it.
// Env is added to the environment.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s: %w\n%s", strings.Join(append([]string{name}, args...), " "), err, strings.TrimSpace(text+"\n"+stderr.String()))
	}
	return text, nil
}
