//go:build !unix

package credentials

import "io/fs"

func owner(fs.FileInfo) string { return "" }

const nonblocking = 0 // no files that block on open
