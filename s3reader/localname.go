package s3reader

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxName is the longest name of a file, in bytes, on nearly all file systems.
const maxName = 255

// notLocal says why the path of an object in the bucket's directory cannot be
// that of a file; empty if it can.
func notLocal(path string, windows bool) string {
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return "it ends with a slash, as a marker of a directory does"
	case strings.HasPrefix(path, "/"):
		return "it is an absolute path below the prefix"
	}
	for name := range strings.SplitSeq(path, "/") {
		reason := ""
		switch {
		case name == "":
			reason = "it has two slashes in a row"
		case name == "." || name == "..":
			reason = fmt.Sprintf("it has the element %q", name)
		case strings.ContainsRune(name, '\\'):
			reason = "it has a backslash, which separates directories on Windows"
		case strings.ContainsRune(name, 0):
			reason = "it has a NUL"
		case len(name) > maxName:
			reason = fmt.Sprintf("it has an element of %d bytes, file systems take %d", len(name), maxName)
		case !utf8.ValidString(name):
			reason = "it is not UTF-8"
		case isPartialName(name):
			reason = "the name is one of those that parts of files have"
		case windows:
			reason = notWindows(name)
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

// notWindows says why a name cannot be that of a file on Windows
// (https://learn.microsoft.com/windows/win32/fileio/naming-a-file).
func notWindows(name string) string {
	if i := strings.IndexFunc(name, func(c rune) bool { return c < ' ' || strings.ContainsRune(`<>:"|?*`, c) }); i >= 0 {
		return fmt.Sprintf("it has a %q, which Windows does not allow", name[i])
	}
	if strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return "it has an element that ends with a dot or a space, which Windows removes"
	}
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	device := false
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		device = true
	}
	for _, kind := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, kind); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("0123456789¹²³", n) {
			device = true
		}
	}
	if device {
		return fmt.Sprintf("%q is the name of a device on Windows", name)
	}
	return ""
}
