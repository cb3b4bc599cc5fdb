package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain unsets the AWS variables of the shell, so that the tests give the
// same result on every machine.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
