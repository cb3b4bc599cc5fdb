//go:build unix

package credserver

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

const (
	openNoFollow = syscall.O_NOFOLLOW
	hasModes     = true
)

// checkOwner refuses a file of another user: its owner would know the token.
func checkOwner(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return fmt.Errorf("it belongs to another user than this process (uid %d)", os.Geteuid())
	}
	return nil
}

// chownToGroup gives the file to the group of the directory.
func chownToGroup(f *os.File, info, dir fs.FileInfo) error {
	have, ok := info.Sys().(*syscall.Stat_t)
	want, ok2 := dir.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || have.Gid == want.Gid {
		return nil
	}
	return f.Chown(-1, int(want.Gid))
}
