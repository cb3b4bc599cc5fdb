//go:build unix

package credentials_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/credentials"
)

// Opening a pipe that nobody writes to hangs like a volume whose server is gone.
func TestCheckOfAVolumeThatHangs(t *testing.T) {
	s := newScene(t)
	path := filepath.Join(t.TempDir(), "token")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // lets go of those who hang still
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
		f.Close()
	})
	chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
		w := s.web()
		w.TokenFile = path
		o.Source = w
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	report := chain.Check(ctx)
	if !errors.Is(report.Token.Err, context.DeadlineExceeded) || !errors.Is(report.Hops[0].Err, context.DeadlineExceeded) {
		t.Errorf("got\n%s", report)
	}
}
