package credentials_test

import (
	"fmt"
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
	code := 0
	if playReader == nil || !playReader() {
		code = m.Run()
	}
	if err := os.RemoveAll(exampleDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// playReader, where a platform has it, lets this program play another process
// of the tests, if it was started as that.
var playReader func() bool
