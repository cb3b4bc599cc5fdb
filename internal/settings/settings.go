// Package settings names the settings of a chain as the user of the running
// program sets them: by fields of the Go types, or by flags of the crossrole
// command.
package settings

import "sync/atomic"

var flags atomic.Bool

// UseFlags makes Name return flags from now on. The crossrole command calls it
// when it starts.
func UseFlags() { flags.Store(true) }

// Name is the name of a setting: goName in a Go program, flag in the crossrole
// command.
func Name(goName, flag string) string {
	if flags.Load() {
		return flag
	}
	return goName
}
