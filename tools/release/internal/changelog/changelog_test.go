package changelog_test

import (
	"strings"
	"testing"

	"github.com/crossrole/crossrole/tools/release/internal/changelog"
)

func TestCheck(t *testing.T) {
	const head = "# Changelog\n\nText.\n\n## [Unreleased]\n\n"
	const first = "## [0.1.0] - 2026-11-30\n\n- text\n"
	for name, c := range map[string]struct {
		text, version string
		want          string // part of the error, or ""
	}{
		"before the first version":     {head, "", ""},
		"a version in preparation":     {head + "## [0.1.0] - unreleased\n- text\n", "", ""},
		"a release":                    {head + first, "v0.1.0", ""},
		"a later release":              {head + "## [0.2.0] - 2026-11-30\n- text\n\n" + strings.ReplaceAll(first, "30", "02"), "v0.2.0", ""},
		"lines of Windows":             {strings.ReplaceAll(head+first, "\n", "\r\n"), "v0.1.0", ""},
		"not dated":                    {head + "## [0.1.0] - unreleased\n- text\n", "v0.1.0", `write "## [0.1.0] - 2026-11-30"`},
		"another day":                  {head + strings.ReplaceAll(first, "30", "29"), "v0.1.0", "its commit is of 2026-11-30"},
		"another version":              {head + first, "v0.2.0", "no heading for v0.2.0"},
		"no version":                   {head, "v0.1.0", "no heading for v0.1.0"},
		"text that is not released":    {head + "- more\n" + first, "v0.1.0", "move it to v0.1.0"},
		"no Unreleased":                {first, "", "first heading"},
		"no headings":                  {"# Changelog\n", "", "first heading"},
		"a date that does not exist":   {head + strings.ReplaceAll(first, "30", "31"), "", `date "2026-11-31"`},
		"no date":                      {head + "## [0.1.0]\n- text\n", "", `date ""`},
		"a heading without brackets":   {head + "## 0.1.0\n", "", `heading "## 0.1.0"`},
		"a version with a v":           {head + "## [v0.1.0] - 2026-11-30\n- text\n", "", "such as 1.2.3"},
		"half a version":               {head + "## [0.1] - 2026-11-30\n- text\n", "", "such as 1.2.3"},
		"no text":                      {head + "## [0.1.0] - 2026-11-30\n", "v0.1.0", "no text"},
		"the wrong order":              {head + first + "## [0.2.0] - 2026-11-30\n- text\n", "", "newest version first"},
		"a version twice":              {head + first + first, "", "newest version first"},
		"an older one was never dated": {head + strings.ReplaceAll(first, "0.1.0", "0.2.0") + "## [0.1.0] - unreleased\n- text\n", "", "0.2.0 is newer"},
	} {
		err := changelog.Check(c.text, c.version, "2026-11-30")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
