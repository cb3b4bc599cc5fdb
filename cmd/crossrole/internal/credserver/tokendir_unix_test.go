//go:build unix

package credserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
)

// asRoot reports whether files can be given to other users: only root may do that.
func asRoot() bool { return os.Geteuid() == 0 }

// The files belong to the directory's group, which is fsGroup in a pod.
func TestTokenIsForTheDirectorysGroup(t *testing.T) {
	dir := t.TempDir()
	group := os.Getegid()
	if asRoot() {
		group = 2000
		if err := os.Chown(dir, 0, group); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tokenIn(t, dir, "pics"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "pics"))
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); int(stat.Gid) != group || info.Mode() != 0o640 {
		t.Errorf("group %d, mode %v; want %d and 0640", stat.Gid, info.Mode(), group)
	}
}

// A file of another user may hold a token that this user knows.
func TestTokenOfAnotherUserIsRefused(t *testing.T) {
	if !asRoot() {
		return
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "pics")
	if err := os.WriteFile(file, []byte(strings.Repeat("ab", 32)), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 1000, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := tokenIn(t, dir, "pics"); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("got %v", err)
	}
}

// A named pipe in the place of the directory is refused without waiting for its writer.
func TestNamedPipeIsNoTokenDirectory(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := credserver.OpenTokenDir(pipe); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("a named pipe is a token directory: %v", err)
	}
}
