// Package bareenv keeps what the shell says of AWS out of tests: each of them says
// itself what its environment holds.
package bareenv

import (
	"os"
	"strings"
	"testing"
)

// Main is a TestMain without any AWS_ variable.
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
