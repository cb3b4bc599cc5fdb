package credentials_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/crossrole/crossrole/internal/bareenv"
)

func TestMain(m *testing.M) {
	bareenv.Clear()
	debug.SetGCPercent(400) // the tests hold little memory, so that a third of their time went into collecting it
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
