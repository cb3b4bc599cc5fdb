//go:build !unix

package s3reader_test

import "fmt"

func restrict(what string) error {
	if what != "" {
		return fmt.Errorf("CHILD_WITHOUT %q is for unix", what)
	}
	return nil
}
