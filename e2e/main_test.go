package e2e_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// theScene starts the gateway that all tests of this binary share.
var theScene = sync.OnceValues(func() (*scene, error) {
	dir, err := os.MkdirTemp("", "ceph-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := newScene(ctx, dir)
	if err == nil {
		suite.AtEnd(s.close)
	}
	return s, err
})

// cephScene returns the accounts, the roles and the bucket on a gateway that all tests
// share. If Ceph is not installed, the test is skipped; in CI it fails. A failing test
// prints the end of the gateway's log.
func cephScene(t *testing.T) *scene {
	t.Helper()
	if missing := ceph.Missing(); len(missing) > 0 {
		say := t.Skipf
		if os.Getenv("CI") == "true" {
			say = t.Fatalf
		}
		say("Ceph is not installed (no %v in PATH); install it with: %s", missing, ceph.Install)
	}
	s, err := theScene()
	if err != nil {
		t.Fatal("no Ceph to test with: ", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.cluster.GatewayLog())
		}
	})
	return s
}
