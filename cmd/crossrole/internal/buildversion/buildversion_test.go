package buildversion_test

import (
	"runtime/debug"
	"testing"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/buildversion"
)

func TestString(t *testing.T) {
	const revision = "d7b37d3d0e6f0a1b2c3d4e5f60718293a4b5c6d7"
	for name, c := range map[string]struct {
		version, revision, modified string
		want                        string
	}{
		"go install module@version":       {version: "v0.1.0", want: "v0.1.0 go1.26.8"},
		"a checkout of a tag":             {"v0.1.0", revision, "false", "v0.1.0 go1.26.8"},
		"a checkout of a later commit":    {"v0.1.1-0.20261130010000-d7b37d3d0e6f", revision, "false", "v0.1.1-0.20261130010000-d7b37d3d0e6f go1.26.8"},
		"a modified checkout":             {"v0.1.0+dirty", revision, "true", "v0.1.0+dirty go1.26.8"},
		"a modified checkout, by its VCS": {"v0.1.0", revision, "true", "v0.1.0 (modified) go1.26.8"},
		"only the commit":                 {"(devel)", revision, "false", "d7b37d3d0e6f go1.26.8"},
		"only the commit, modified":       {"(devel)", revision, "true", "d7b37d3d0e6f (modified) go1.26.8"},
		"only the commit, no version":     {"", revision, "false", "d7b37d3d0e6f go1.26.8"},
		"a short commit":                  {"", "42", "false", "42 go1.26.8"},
		"without -buildvcs":               {version: "(devel)", want: "(devel) go1.26.8"},
		"a test binary":                   {want: "(devel) go1.26.8"},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Path: "github.com/crossrole/crossrole", Version: c.version}}
		if c.revision != "" {
			info.Settings = []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: c.revision}, {Key: "vcs.modified", Value: c.modified}}
		}
		if got := buildversion.String(info); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := buildversion.String(nil); got != "(unknown)" {
		t.Errorf("no information: %q", got)
	}
}
