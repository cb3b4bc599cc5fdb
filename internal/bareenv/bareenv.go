// Package bareenv keeps the shell's AWS variables out of tests, so that each test sets
// all the variables it needs.
package bareenv

import (
	"os"
	"strings"
	"testing"
)

// Main runs the tests of a package without any AWS_ variable; call it from TestMain.
func Main(m *testing.M) {
	Clear()
	os.Exit(m.Run())
}

// Clear unsets all AWS_ variables.
func Clear() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
}
