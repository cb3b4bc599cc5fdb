//go:build unix

package credentials

import (
	"fmt"
	"io/fs"
	"syscall"
)

func owner(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf(", owner %d:%d", s.Uid, s.Gid)
	}
	return ""
}

// nonblocking has open(2) return at once where it would wait for another process.
const nonblocking = syscall.O_NONBLOCK
