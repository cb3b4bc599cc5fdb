package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/crossrole/crossrole/tools/release/internal/image"
)

// The other two ways to get the program: `go install` and the image.

const modulePath = "github.com/crossrole/crossrole"

// install runs `go install` as a user would, with a module proxy in files that has this
// commit as its version.
func (r *release) install(ctx context.Context) (string, error) {
	b, err := r.buildTwice(ctx)
	if err != nil {
		return "", err
	}
	proxy := filepath.Join(r.temp, "proxy")
	versions := filepath.Join(proxy, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return "", err
	}
	var packed bytes.Buffer
	if err := zip.CreateFromVCS(&packed, module.Version{Path: modulePath, Version: b.version}, b.source, r.commit, ""); err != nil {
		return "", fmt.Errorf("the module's zip file: %w", err)
	}
	mod, err := os.ReadFile(filepath.Join(b.source, "go.mod"))
	if err != nil {
		return "", err
	}
	info := fmt.Appendf(nil, `{"Version": %q, "Time": %q}`, b.version, r.time.Format(time.RFC3339))
	if err := errors.Join(
		os.WriteFile(filepath.Join(versions, b.version+".zip"), packed.Bytes(), 0o644),
		os.WriteFile(filepath.Join(versions, b.version+".mod"), mod, 0o644),
		os.WriteFile(filepath.Join(versions, b.version+".info"), info, 0o644),
		os.WriteFile(filepath.Join(versions, "list"), []byte(b.version+"\n"), 0o644),
		os.WriteFile(filepath.Join(filepath.Dir(versions), "@latest"), info, 0o644),
	); err != nil {
		return "", err
	}
	cache, err := output(ctx, r.root, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return "", err
	}
	// The machine's module cache is a proxy for the dependencies, and stays as it is.
	// With -trimpath the dependencies need not be compiled again.
	bin := filepath.Join(r.temp, "bin")
	env := []string{
		"GOPROXY=file://" + filepath.ToSlash(proxy) + ",file://" + filepath.ToSlash(cache) + "/cache/download",
		"GOMODCACHE=" + filepath.Join(r.temp, "modules"), "GOBIN=" + bin, "GOFLAGS=-modcacherw -trimpath", "CGO_ENABLED=0", "GOSUMDB=off", "GOPRIVATE=", "GONOPROXY=none",
	}
	if _, err := output(ctx, r.temp, env, "go", "install", modulePath+"/cmd/crossrole@"+b.version); err != nil {
		return "", err
	}
	note := fmt.Sprintf("the module's zip file has %.1f MiB", float64(packed.Len())/(1<<20))
	program := platform{os: runtime.GOOS}.program()
	return note, says(b.version)(output(ctx, r.temp, nil, filepath.Join(bin, program), "--version"))
}

// image writes the image as an OCI archive, unpacks that, and runs the program.
func (r *release) image(ctx context.Context) (string, error) {
	b, err := r.buildTwice(ctx)
	if err != nil {
		return "", err
	}
	annotations := map[string]string{
		"org.opencontainers.image.title":       "crossrole",
		"org.opencontainers.image.description": "Checks, sets up and uses a pod's access to a role of another AWS account",
		"org.opencontainers.image.version":     b.version,
		"org.opencontainers.image.revision":    r.commit,
		"org.opencontainers.image.source":      "https://" + modulePath,
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
	var archives [2]bytes.Buffer
	var digest string
	for i, programs := range []map[platform][]byte{b.first, b.second} {
		linux := map[string][]byte{}
		for p, program := range programs {
			if p.os == "linux" && p.arch != "arm" {
				linux[p.arch] = program
			}
		}
		index, err := image.Index(linux, b.documents, annotations, r.time)
		if err != nil {
			return "", err
		}
		hash, err := index.Digest()
		if err != nil {
			return "", err
		}
		digest = hash.String()
		if err := image.Write(&archives[i], index, b.version, filepath.Join(r.temp, fmt.Sprint("layout", i)), r.time); err != nil {
			return "", err
		}
	}
	if !bytes.Equal(archives[0].Bytes(), archives[1].Bytes()) {
		return "", errors.New("the two builds differ")
	}
	dist := filepath.Join(r.root, "dist")
	name := fmt.Sprintf("crossrole_%s_image.tar", b.version)
	if err := errors.Join(os.MkdirAll(dist, 0o755), os.WriteFile(filepath.Join(dist, name), archives[0].Bytes(), 0o644), sums(dist)); err != nil {
		return "", err
	}
	note := fmt.Sprintf("dist/%s %.1f MiB, digest %s", name, float64(archives[0].Len())/(1<<20), digest)

	index, err := image.Read(&archives[0], filepath.Join(r.temp, "unpacked"))
	if err != nil {
		return note, err
	}
	if runtime.GOOS != "linux" {
		return note, notRun{"the image was built, but its program runs only on Linux"}
	}
	out, err := image.Run(ctx, index, runtime.GOARCH, filepath.Join(r.temp, "root"), "--version")
	if errors.Is(err, image.ErrNotRoot) {
		return note, notRun{"the image was built and unpacked, but its program was not run: " + err.Error()}
	}
	return note, says(b.version)(out, err)
}
