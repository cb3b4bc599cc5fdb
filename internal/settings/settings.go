// Package settings chooses how errors refer to a setting of a chain: by the field of a
// Go type, or, in the crossrole command, by the flag.
package settings

import "sync/atomic"

var flags atomic.Bool

// UseFlags makes Name return flags from now on. The crossrole command calls it when it
// starts. It is safe for concurrent use, as is Name.
func UseFlags() { flags.Store(true) }

// Name returns the name of a setting: goName in a Go program, flag in the crossrole
// command.
func Name(goName, flag string) string {
	if flags.Load() {
		return flag
	}
	return goName
}
