//go:build unix

package s3reader_test

import (
	"fmt"
	"os"
	"syscall"
)

// restrict takes something away from the process.
func restrict(what string) error {
	switch what {
	case "":
		return nil
	case "space":
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 3 * partSize, Max: 3 * partSize})
	case "root":
		if os.Geteuid() != 0 {
			return nil
		}
		return syscall.Setuid(65534) // nobody
	}
	return fmt.Errorf("CHILD_WITHOUT %q", what)
}
