package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/crossrole/crossrole/tools/release/internal/archive"
	"github.com/crossrole/crossrole/tools/release/internal/notices"
	"github.com/crossrole/crossrole/tools/release/internal/sbom"
)

// The binaries: built twice, compared, and packed with their licenses.

// platforms are those for which a release has binaries. GOARM and the like have the
// values that every processor of the architecture has, or nearly.
var platforms = []platform{
	{"linux", "amd64", "GOAMD64=v1"},
	{"linux", "arm64", "GOARM64=v8.0"},
	{"linux", "arm", "GOARM=7"},
	{"darwin", "amd64", "GOAMD64=v1"},
	{"darwin", "arm64", "GOARM64=v8.0"},
	{"windows", "amd64", "GOAMD64=v1"},
}

type platform struct{ os, arch, level string }

func (p platform) String() string { return p.os + "/" + p.arch }

func (p platform) env() []string {
	return []string{"CGO_ENABLED=0", "GOOS=" + p.os, "GOARCH=" + p.arch, p.level, "GOWORK=off", "GOFLAGS=-mod=readonly"}
}

// program returns the name of the program's file.
func (p platform) program() string {
	if p.os == "windows" {
		return "crossrole.exe"
	}
	return "crossrole"
}

// builds are two builds of the program for each platform.
type builds struct {
	source    string // the checkout of the first
	version   string // that Go recorded in each program
	first     map[platform][]byte
	second    map[platform][]byte
	documents []archive.File // our license, and those of what is linked
}

// clone checks commit out in a directory of its own, which has the version's tag.
func (r *release) clone(ctx context.Context, name, commit string) (string, error) {
	dir := filepath.Join(r.temp, name, "crossrole")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if _, err := output(ctx, r.root, nil, "git", "clone", "--quiet", "--shared", "--no-checkout", r.root, dir); err != nil {
		return "", err
	}
	commit, err := output(ctx, r.root, nil, "git", "rev-parse", "--verify", commit+"^{commit}")
	if err != nil {
		return "", err
	}
	if _, err := output(ctx, dir, nil, "git", "checkout", "--quiet", "--detach", commit); err != nil {
		return "", err
	}
	if r.version != "" && commit == r.commit {
		// Go records the version of the tag in the binaries.
		if _, err := output(ctx, dir, nil, "git", "tag", "--force", r.version); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// build returns the programs of all platforms, built in the directory source. Env is
// added to the environment of the first platform's build.
func (r *release) build(ctx context.Context, source string, env ...string) (map[platform][]byte, error) {
	programs := map[platform][]byte{}
	for i, p := range platforms {
		if i > 0 {
			env = nil
		}
		file := filepath.Join(r.temp, "program")
		args := []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s", "-o", file, "./cmd/crossrole"}
		if _, err := output(ctx, source, append(p.env(), env...), "go", args...); err != nil {
			return nil, fmt.Errorf("%v: %w", p, err)
		}
		program, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		programs[p] = program
	}
	return programs, nil
}

// known are the build settings that the programs of a release may have. Any other, such
// as GOEXPERIMENT, comes from the builder's environment.
var known = []string{
	"-buildmode", "-compiler", "-trimpath", "-ldflags", "DefaultGODEBUG", "CGO_ENABLED",
	"GOARCH", "GOOS", "GOAMD64", "GOARM64", "GOARM", "vcs", "vcs.revision", "vcs.time", "vcs.modified",
}

// buildTwice builds all programs in two directories and returns an error if they differ
// or have other settings than they should. The second build of the first platform compiles
// everything; the others take unchanged packages from the build cache, and link again.
func (r *release) buildTwice(ctx context.Context) (*builds, error) {
	if r.built != nil {
		return r.built, nil
	}
	b := &builds{}
	var err error
	if b.source, err = r.clone(ctx, "first", r.commit); err != nil {
		return nil, err
	}
	if b.first, err = r.build(ctx, b.source); err != nil {
		return nil, err
	}
	second, err := r.clone(ctx, filepath.Join("second", "in-a-directory-with-a-longer-name"), r.commit)
	if err != nil {
		return nil, err
	}
	if b.second, err = r.build(ctx, second, "GOCACHE="+filepath.Join(r.temp, "cache")); err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range platforms {
		if !bytes.Equal(b.first[p], b.second[p]) {
			errs = append(errs, fmt.Errorf("%v: the builds differ: sha256 %x and %x", p, sha256.Sum256(b.first[p]), sha256.Sum256(b.second[p])))
		}
		info, err := buildinfo.Read(bytes.NewReader(b.first[p]))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", p, err)
		}
		b.version = info.Main.Version
		if r.version != "" && b.version != r.version {
			errs = append(errs, fmt.Errorf("%v: the program's version is %s, want %s", p, b.version, r.version))
		}
		for _, s := range info.Settings {
			switch {
			case !slices.Contains(known, s.Key):
				errs = append(errs, fmt.Errorf("%v: built with %s=%s: unset it (see go env)", p, s.Key, s.Value))
			case s.Key == "vcs.revision" && s.Value != r.commit, s.Key == "vcs.modified" && s.Value != "false":
				errs = append(errs, fmt.Errorf("%v: built with %s=%s, want the unmodified commit %s", p, s.Key, s.Value, r.commit))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if b.documents, err = r.documents(ctx, b.source); err != nil {
		return nil, err
	}
	r.built = b
	return b, nil
}

// documents returns the license and the notices of what is linked on any platform.
func (r *release) documents(ctx context.Context, source string) ([]archive.File, error) {
	license, err := os.ReadFile(filepath.Join(source, "LICENSE"))
	if err != nil {
		return nil, err
	}
	var envs [][]string
	for _, p := range platforms {
		envs = append(envs, p.env())
	}
	text, err := notices.Text(ctx, source, "./cmd/crossrole", envs)
	if err != nil {
		return nil, err
	}
	return []archive.File{
		{Name: "LICENSE", Mode: 0o644, Data: license},
		{Name: "THIRD_PARTY_NOTICES", Mode: 0o644, Data: text},
	}, nil
}

// binaries writes an archive and a bill of materials for each platform, and the
// checksums of all, and runs the program of this machine's platform.
func (r *release) binaries(ctx context.Context) (string, error) {
	b, err := r.buildTwice(ctx)
	if err != nil {
		return "", err
	}
	dist, err := r.dist()
	if err != nil {
		return "", err
	}
	var note strings.Builder
	fmt.Fprintf(&note, "version %s; written to dist:", b.version)
	for _, p := range platforms {
		name := fmt.Sprintf("crossrole_%s_%s_%s", b.version, p.os, p.arch)
		files := append([]archive.File{{Name: p.program(), Mode: 0o755, Data: b.first[p]}}, b.documents...)
		var packed bytes.Buffer
		ext := ".tar.gz"
		if p.os == "windows" {
			ext, err = ".zip", archive.Zip(&packed, files, r.time)
		} else {
			err = archive.TarGz(&packed, files, r.time)
		}
		if err != nil {
			return "", err
		}
		document, err := sbom.Document(b.first[p], name+ext+"/"+p.program(), r.time)
		if err != nil {
			return "", err
		}
		if err := errors.Join(os.WriteFile(filepath.Join(dist, name+ext), packed.Bytes(), 0o644),
			os.WriteFile(filepath.Join(dist, name+".cdx.json"), document, 0o644)); err != nil {
			return "", err
		}
		fmt.Fprintf(&note, "\n  %s%s %.1f MiB, sha256 of the program %x", name, ext, float64(packed.Len())/(1<<20), sha256.Sum256(b.first[p]))
	}
	if err := sums(dist); err != nil {
		return "", err
	}
	return note.String(), r.runHere(ctx, b)
}

// runHere runs the program of this machine's platform.
func (r *release) runHere(ctx context.Context, b *builds) error {
	for p, program := range b.first {
		if p.os != runtime.GOOS || p.arch != runtime.GOARCH {
			continue
		}
		file := filepath.Join(r.temp, p.program())
		if err := os.WriteFile(file, program, 0o755); err != nil {
			return err
		}
		return says(b.version)(output(ctx, r.temp, nil, file, "--version"))
	}
	return notRun{fmt.Sprintf("no program of the release runs on %s/%s", runtime.GOOS, runtime.GOARCH)}
}

// says returns a function that checks the output of crossrole --version.
func says(version string) func(string, error) error {
	return func(out string, err error) error {
		if err != nil {
			return err
		}
		out = strings.TrimSpace(out)
		if f := strings.Fields(out); len(f) != 4 || f[0] != "crossrole" || f[2] != version || strings.Contains(out, "\n") {
			return fmt.Errorf("crossrole --version printed %q, want the version %s", out, version)
		}
		return nil
	}
}

// dist returns the directory for the files of the release, without those of an earlier
// one.
func (r *release) dist() (string, error) {
	dist := filepath.Join(r.root, "dist")
	old, err := filepath.Glob(filepath.Join(dist, "crossrole_*"))
	if err != nil {
		return "", err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return "", err
		}
	}
	return dist, os.MkdirAll(dist, 0o755)
}

// sums writes SHA256SUMS, in the form of sha256sum, for all files of the release.
func sums(dist string) error {
	files, err := filepath.Glob(filepath.Join(dist, "crossrole_*")) // in lexical order
	if err != nil {
		return err
	}
	var out strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(data), filepath.Base(file))
	}
	return os.WriteFile(filepath.Join(dist, "SHA256SUMS"), []byte(out.String()), 0o644)
}
