// Package image builds a container image from nothing but a static program and root
// certificates, and runs it. The same arguments give the same image on every machine.
package image

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/crossrole/crossrole/tools/release/internal/archive"
)

// Program is the path of the program in the image, and its entry point.
const Program = "/crossrole"

// user is the one that distroless images call nonroot. It owns no file of the image.
const user = "65532:65532"

// Certificates is the path at which Go programs look for root certificates first.
const Certificates = "/etc/ssl/certs/ca-certificates.crt"

// variants are the versions of an architecture that registries name.
var variants = map[string]string{"arm64": "v8"}

// Index returns the image for the platforms linux/ARCH of programs, whose keys are
// values of GOARCH: each has the program as its entry point, root certificates, a user
// that is not root, and annotations, which are also labels. Documents such as licenses
// are added below /usr/share/doc/crossrole. Created is the time of every file.
func Index(programs map[string][]byte, documents []archive.File, annotations map[string]string, created time.Time) (v1.ImageIndex, error) {
	roots, err := layer([]archive.File{
		{Name: "etc/", Mode: 0o755}, {Name: "etc/ssl/", Mode: 0o755}, {Name: "etc/ssl/certs/", Mode: 0o755},
		{Name: Certificates[1:], Mode: 0o644, Data: certificates()},
	}, created)
	if err != nil {
		return nil, err
	}
	annotations = maps.Clone(annotations)
	annotations["org.opencontainers.image.created"] = created.UTC().Format(time.RFC3339)
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	index = mutate.Annotations(index, annotations).(v1.ImageIndex)
	for _, arch := range slices.Sorted(maps.Keys(programs)) {
		img, err := platform(arch, programs[arch], documents, roots, annotations, created)
		if err != nil {
			return nil, fmt.Errorf("image for linux/%s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch, Variant: variants[arch]}},
		})
	}
	return index, nil
}

func platform(arch string, program []byte, documents []archive.File, roots v1.Layer, annotations map[string]string, created time.Time) (v1.Image, error) {
	files := []archive.File{{Name: Program[1:], Mode: 0o755, Data: program}}
	if len(documents) > 0 {
		files = append(files, archive.File{Name: "usr/", Mode: 0o755}, archive.File{Name: "usr/share/", Mode: 0o755},
			archive.File{Name: "usr/share/doc/", Mode: 0o755}, archive.File{Name: "usr/share/doc/crossrole/", Mode: 0o755})
	}
	for _, d := range documents {
		files = append(files, archive.File{Name: "usr/share/doc/crossrole/" + d.Name, Mode: 0o644, Data: d.Data})
	}
	content, err := layer(files, created)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	// The layer that changes with every version comes last.
	img, err = mutate.Append(img,
		mutate.Addendum{Layer: roots, History: v1.History{Created: v1.Time{Time: created.UTC()}, CreatedBy: "root certificates"}},
		mutate.Addendum{Layer: content, History: v1.History{Created: v1.Time{Time: created.UTC()}, CreatedBy: "crossrole"}})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Variant = variants[arch]
	config.Created = v1.Time{Time: created.UTC()}
	config.Config = v1.Config{User: user, Entrypoint: []string{Program}, WorkingDir: "/", Labels: annotations}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(img, annotations).(v1.Image), nil
}

func layer(files []archive.File, created time.Time) (v1.Layer, error) {
	var buf bytes.Buffer
	if err := archive.Tar(&buf, files, created); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// certificates returns Mozilla's root certificates as PEM, from a module of the Go
// project, so that the image does not depend on the certificates of the machine. Roots
// that Mozilla trusts only for certificates from before a certain day are left out,
// because PEM cannot say that.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a Buffer has no errors
		}
	}
	return out.Bytes()
}
