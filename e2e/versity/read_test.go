package versity_test

import (
	"testing"

	"github.com/crossrole/crossrole/e2e/readsuite"
)

// TestVersityRead reads a bucket in every way that s3reader supports.
func TestVersityRead(t *testing.T) {
	cfg := gateway(t).S3
	readsuite.Run(t, cfg, cfg, "library")
}
