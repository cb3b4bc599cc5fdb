// Package buildversion says from which version of the module a program was built.
package buildversion

import (
	"runtime/debug"
	"strings"
)

// revisionLength is the number of hexadecimal digits of a commit that Go's
// pseudo-versions have.
const revisionLength = 12

// String returns the module's version and Go's, such as "v0.1.0 go1.26.8". A program
// that was built from a checkout has a pseudo-version, which contains the commit and
// ends in "+dirty" if files were modified; if Go recorded only the commit, String
// returns that, with "(modified)". If info has neither, the version is "(devel)". A nil
// info is one that the program does not contain.
func String(info *debug.BuildInfo) string {
	if info == nil {
		return "(unknown)"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text, revision := info.Main.Version, settings["vcs.revision"]
	if len(revision) > revisionLength {
		revision = revision[:revisionLength]
	}
	switch {
	case revision != "" && (text == "" || text == "(devel)"):
		text = revision
	case text == "":
		text = "(devel)"
	}
	if settings["vcs.modified"] == "true" && !strings.HasSuffix(text, "+dirty") {
		text += " (modified)"
	}
	return text + " " + info.GoVersion
}
