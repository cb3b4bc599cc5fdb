package versity_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/suite"
	"github.com/crossrole/crossrole/e2e/versity"
)

func TestMain(m *testing.M) { suite.Main(m) }

// theGateway starts the gateway that all tests of this binary share.
var theGateway = sync.OnceValues(func() (*versity.Gateway, error) {
	dir, err := os.MkdirTemp("", "versity-")
	if err != nil {
		return nil, err
	}
	program, err := versity.Program(context.Background(), "tool")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	g, err := versity.Start(ctx, program, dir)
	if err == nil {
		suite.AtEnd(g.Stop)
	}
	return g, err
})

// gateway returns the gateway that all tests share. A failing test prints the
// ends of its logs.
func gateway(t *testing.T) *versity.Gateway {
	t.Helper()
	g, err := theGateway()
	if err != nil {
		t.Fatal("no versitygw to test with: ", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.Logs())
		}
	})
	return g
}
