// Package sbom lists the modules in a Go program as a CycloneDX document: what
// `go version -m` prints, for scanners.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// Document returns the CycloneDX 1.6 document, as JSON, of the Go program whose
// executable is given. Name is the file's name in the release, created the time of the
// document. The same arguments give the same bytes. A program that was built with a
// replaced module is an error: its name and version would not say what is in it.
func Document(program []byte, name string, created time.Time) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.Sum256(program)
	main := module(cyclonedx.ComponentTypeApplication, info.Main)
	main.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	settings := []cyclonedx.Property{{Name: "file", Value: name}, {Name: "go.package", Value: info.Path}}
	for _, s := range info.Settings {
		settings = append(settings, cyclonedx.Property{Name: "go.build." + s.Key, Value: s.Value})
	}
	main.Properties = &settings

	// Vulnerability databases call the standard library "stdlib"; its versions have no
	// "go".
	modules := []cyclonedx.Component{module(cyclonedx.ComponentTypeLibrary, debug.Module{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")})}
	for _, d := range info.Deps {
		if d.Replace != nil {
			return nil, fmt.Errorf("%s: module %s is replaced by %s: build without the replace directive", name, d.Path, d.Replace.Path)
		}
		modules = append(modules, module(cyclonedx.ComponentTypeLibrary, *d))
	}
	slices.SortFunc(modules, func(a, b cyclonedx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	// A program records its modules, but not which module requires which.
	var refs []string
	graph := []cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	for _, m := range modules {
		refs = append(refs, m.BOMRef)
		graph = append(graph, cyclonedx.Dependency{Ref: m.BOMRef})
	}

	doc := cyclonedx.NewBOM()
	doc.SerialNumber = serial(sum)
	doc.Metadata = &cyclonedx.Metadata{Timestamp: created.UTC().Format(time.RFC3339), Component: &main}
	doc.Components = &modules
	doc.Dependencies = &graph
	var out bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true)
	if err := encoder.EncodeVersion(doc, cyclonedx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out.Bytes(), nil
}

func module(kind cyclonedx.ComponentType, m debug.Module) cyclonedx.Component {
	// In a package URL, a plus sign in the version is escaped.
	url := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	c := cyclonedx.Component{BOMRef: url, Type: kind, Name: m.Path, Version: m.Version, PackageURL: url}
	if m.Sum != "" {
		c.Properties = &[]cyclonedx.Property{{Name: "go.sum", Value: m.Sum}}
	}
	return c
}

// serial returns a UUID of version 8 (RFC 9562): one whose bits its maker chooses, here
// the program's hash.
func serial(sum [sha256.Size]byte) string {
	id := sum[:16]
	id = slices.Clone(id)
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
