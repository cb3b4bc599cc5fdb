//go:build unix

package childenv_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/childenv"
)

// What stands in the place of a profile file does not block exec.
func TestHomeFilesThatAreNoFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		put  func(path string) error
		want string
	}{
		"named pipe":        {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "is a named pipe"},
		"directory":         {func(path string) error { return os.Mkdir(path, 0o700) }, ""},
		"link to /dev/null": {func(path string) error { return os.Symlink("/dev/null", path) }, ""},
		"link to nothing":   {func(path string) error { return os.Symlink("absent", path) }, ""},
		"link to a pipe":    {func(path string) error { _ = syscall.Mkfifo(path+"-p", 0o600); return os.Symlink(path+"-p", path) }, "is a named pipe"},
		"link to a profile": {func(path string) error {
			_ = os.WriteFile(path+"-f", []byte("[default]\nrole_arn=x\n"), 0o600)
			return os.Symlink(path+"-f", path)
		}, "role_arn"},
		"link in a circle": {func(path string) error { return os.Symlink(path, path) }, "cannot be read"},
	} {
		home := t.TempDir()
		path := filepath.Join(home, ".aws", "credentials")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := tt.put(path); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			done <- childenv.CheckHome(func(name string) string { return map[string]string{"HOME": home}[name] })
		}()
		select {
		case err := <-done:
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s: %v, want %q", name, err, tt.want)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: exec waits", name)
		}
	}
}
