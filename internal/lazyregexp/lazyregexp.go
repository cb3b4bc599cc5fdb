// Package lazyregexp compiles regular expressions on first use. Most programs need few
// of the library's expressions, and the command starts with each pod.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that compiles expr at its first call and returns the same
// expression at every call. That call panics if expr is not valid. The function may be
// called concurrently.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
