package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/crossrole/crossrole/tools/release/internal/archive"
)

// Write writes index as an OCI image layout in a tar file, which is called an OCI
// archive. Name is the image's name in it, such as "v1.2.3". The directory temp is used
// for the files and must not exist.
func Write(w io.Writer, index v1.ImageIndex, name, temp string, created time.Time) error {
	path, err := layout.Write(temp, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": name})); err != nil {
		return err
	}
	var files []archive.File
	err = filepath.WalkDir(temp, func(file string, entry fs.DirEntry, err error) error { // in lexical order
		if err != nil || file == temp {
			return err
		}
		rel, err := filepath.Rel(temp, file)
		if err != nil {
			return err
		}
		f := archive.File{Name: filepath.ToSlash(rel), Mode: 0o644}
		if entry.IsDir() {
			f.Name, f.Mode = f.Name+"/", 0o755
		} else if f.Data, err = os.ReadFile(file); err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return err
	}
	return archive.Tar(w, files, created)
}

// Read unpacks what Write wrote into the new directory dir, compares every file with
// its digest, and returns the image's index.
func Read(r io.Reader, dir string) (v1.ImageIndex, error) {
	if err := unpack(r, dir); err != nil {
		return nil, err
	}
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("the layout has %d images, want 1", len(manifest.Manifests))
	}
	index, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		return nil, err
	}
	return index, validate.Index(index)
}

// ErrNotRoot is the error of Run for users other than root, whom the system does not
// let change the root directory.
var ErrNotRoot = errors.New("only root can change the root directory of a process")

// Run unpacks the image for linux/arch into the new directory dir, and runs its entry
// point there with the arguments, as the image's user and with dir as the root
// directory. It returns what the program printed.
func Run(ctx context.Context, index v1.ImageIndex, arch, dir string, args ...string) (string, error) {
	img, err := imageFor(index, arch)
	if err != nil {
		return "", err
	}
	files := mutate.Extract(img)
	defer files.Close()
	if err := unpack(files, dir); err != nil {
		return "", err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return "", err
	}
	uid, gid, _ := strings.Cut(config.Config.User, ":")
	u, err1 := strconv.ParseUint(uid, 10, 32)
	g, err2 := strconv.ParseUint(gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return "", fmt.Errorf("the image's user is %q, want two numbers: %w", config.Config.User, err)
	}
	if os.Geteuid() != 0 {
		return "", ErrNotRoot
	}
	entry := config.Config.Entrypoint
	cmd := exec.CommandContext(ctx, entry[0], append(entry[1:], args...)...)
	cmd.Dir, cmd.Env = config.Config.WorkingDir, config.Config.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: uint32(u), Gid: uint32(g)}}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s in the image: %w\n%s", entry[0], err, &stderr)
	}
	return stdout.String(), nil
}

func imageFor(index v1.ImageIndex, arch string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	matches := match.Platforms(v1.Platform{OS: "linux", Architecture: arch})
	for _, d := range manifest.Manifests {
		if matches(d) {
			return index.Image(d.Digest)
		}
	}
	return nil, fmt.Errorf("no image for linux/%s", arch)
}

// unpack writes the directories and regular files of a tar file below the new directory
// dir, with their permissions.
func unpack(r io.Reader, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for in := tar.NewReader(r); ; {
		header, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.FromSlash(strings.TrimSuffix(header.Name, "/"))
		switch mode := header.FileInfo().Mode(); header.Typeflag {
		case tar.TypeDir:
			err = root.Mkdir(name, mode.Perm())
		case tar.TypeReg:
			var data []byte
			if data, err = io.ReadAll(in); err == nil {
				err = root.WriteFile(name, data, mode.Perm())
			}
		default:
			err = fmt.Errorf("%s is neither a regular file nor a directory", header.Name)
		}
		if err != nil {
			return err
		}
	}
}
