package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/crossrole/crossrole/tools/release/internal/archive"
	"github.com/crossrole/crossrole/tools/release/internal/image"
)

var created = time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)

func index(t *testing.T, programs map[string][]byte) v1.ImageIndex {
	documents := []archive.File{{Name: "LICENSE", Mode: 0o644, Data: []byte("license\n")}}
	index, err := image.Index(programs, documents, map[string]string{"org.opencontainers.image.version": "v1.2.3"}, created)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// pack returns the image as an OCI archive.
func pack(t *testing.T, index v1.ImageIndex) []byte {
	var out bytes.Buffer
	if err := image.Write(&out, index, "v1.2.3", filepath.Join(t.TempDir(), "layout"), created); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestIndex(t *testing.T) {
	programs := map[string][]byte{"amd64": []byte("program for amd64"), "arm64": []byte("program for arm64")}
	packed := pack(t, index(t, programs))
	if again := pack(t, index(t, programs)); !bytes.Equal(packed, again) {
		t.Error("two builds of the same image differ")
	}
	if other := pack(t, index(t, map[string][]byte{"amd64": []byte("another program"), "arm64": programs["arm64"]})); bytes.Equal(packed, other) {
		t.Error("builds with different programs are equal")
	}

	read, err := image.Read(bytes.NewReader(packed), filepath.Join(t.TempDir(), "unpacked"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := read.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, d := range manifest.Manifests {
		platforms = append(platforms, d.Platform.OS+"/"+d.Platform.Architecture)
	}
	if !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Fatalf("platforms %q", platforms)
	}
	if manifest.Annotations["org.opencontainers.image.version"] != "v1.2.3" || manifest.Annotations["org.opencontainers.image.created"] != "2026-11-30T01:02:03Z" {
		t.Errorf("annotations of the index: %v", manifest.Annotations)
	}
	for _, d := range manifest.Manifests {
		img, err := read.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != d.Platform.Architecture || config.OS != "linux" || !config.Created.Equal(created) {
			t.Errorf("config of %v: %s/%s of %v", d.Platform, config.OS, config.Architecture, config.Created)
		}
		if c := config.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/crossrole"}) || len(c.Env) > 0 || c.Labels["org.opencontainers.image.version"] != "v1.2.3" {
			t.Errorf("config of %v: %+v", d.Platform, c)
		}
		for _, h := range config.History {
			if !h.Created.Equal(created) {
				t.Errorf("history of %v has the time %v", d.Platform, h.Created)
			}
		}
		files := contents(t, img)
		if got := files["crossrole"]; string(got) != "program for "+d.Platform.Architecture {
			t.Errorf("the program for %v is %q", d.Platform, got)
		}
		if got := files["usr/share/doc/crossrole/LICENSE"]; string(got) != "license\n" {
			t.Errorf("LICENSE is %q", got)
		}
		checkRoots(t, files["etc/ssl/certs/ca-certificates.crt"])
		if len(files) != 3 {
			t.Errorf("the image for %v has %d files, want 3", d.Platform, len(files))
		}
	}
}

// contents returns the regular files of an image. All belong to root, who alone may
// write them.
func contents(t *testing.T, img v1.Image) map[string][]byte {
	files := map[string][]byte{}
	extracted := mutate.Extract(img)
	defer extracted.Close()
	for in := tar.NewReader(extracted); ; {
		header, err := in.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Mode&0o7022 != 0 || !header.ModTime.Equal(created) {
			t.Errorf("%s belongs to %d:%d, has mode %o and the time %v", header.Name, header.Uid, header.Gid, header.Mode, header.ModTime)
		}
		if header.Typeflag == tar.TypeReg {
			if files[header.Name], err = io.ReadAll(in); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkRoots checks that the certificates include those with which AWS signs.
func checkRoots(t *testing.T, text []byte) {
	var names []string
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Subject.CommonName)
	}
	for _, want := range []string{"Amazon Root CA 1", "Amazon Root CA 2", "Amazon Root CA 3", "Amazon Root CA 4", "Starfield Services Root Certificate Authority - G2"} {
		if !slices.Contains(names, want) {
			t.Errorf("no root certificate %q", want)
		}
	}
	if len(names) < 80 {
		t.Errorf("only %d root certificates", len(names))
	}
}

// A changed byte in a layer is an error.
func TestReadDamaged(t *testing.T) {
	packed := pack(t, index(t, map[string][]byte{"amd64": bytes.Repeat([]byte("program"), 1000)}))
	at := bytes.Index(packed, []byte("\x1f\x8b\x08")) // a layer begins
	packed[at+600] ^= 1
	if _, err := image.Read(bytes.NewReader(packed), filepath.Join(t.TempDir(), "unpacked")); err == nil {
		t.Error("no error for a damaged layer")
	}
}

// A program in the image runs as its user, sees only the image, and finds the root
// certificates.
func TestRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the image is for Linux")
	}
	dir := t.TempDir()
	source := `package main

import (
	"crypto/x509"
	"fmt"
	"os"
)

func main() {
	roots, err := x509.SystemCertPool()
	entries, _ := os.ReadDir("/")
	fmt.Println(os.Args[1:], os.Getuid(), os.Getgid(), len(entries), len(os.Environ()), err, !roots.Equal(x509.NewCertPool()))
}
`
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644),
		os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/m\n\ngo 1.26\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "program", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	images := index(t, map[string][]byte{runtime.GOARCH: program})
	out, err := image.Run(t.Context(), images, runtime.GOARCH, filepath.Join(dir, "root"), "serve", "--help")
	if errors.Is(err, image.ErrNotRoot) {
		t.Skip(err)
	}
	if want := "[serve --help] 65532 65532 3 0 <nil> true\n"; err != nil || out != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
	if _, err := image.Run(t.Context(), images, "s390x", filepath.Join(dir, "other")); err == nil {
		t.Error("no error for a platform without an image")
	}
}
