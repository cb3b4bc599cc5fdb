//go:build unix

package credentials

import (
	"fmt"
	"io/fs"
	"syscall"
)

// owner returns uid:gid; empty if unknown.
func owner(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
	}
	return ""
}

// nonblocking makes open(2) return immediately where it would wait for another process.
const nonblocking = syscall.O_NONBLOCK
