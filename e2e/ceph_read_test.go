package e2e_test

import (
	"testing"

	"github.com/crossrole/crossrole/e2e/readsuite"
)

// TestCephRead reads a bucket in every way that s3reader supports.
func TestCephRead(t *testing.T) {
	s := cephScene(t)
	readsuite.Run(t, s.shared.Config, s.shared.Config, "library")
}
