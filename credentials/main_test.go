package credentials_test

import (
	"os"
	"strings"
	"testing"
)

// The machine that runs the tests may have AWS variables of its own: here each
// test says what the environment holds.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	if playReader != nil && playReader() {
		return
	}
	os.Exit(m.Run())
}

// playReader, where a platform has it, lets this program play another process
// of the tests, if it was started as that.
var playReader func() bool
