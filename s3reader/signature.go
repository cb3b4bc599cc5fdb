package s3reader

import (
	"hash/fnv"
	"time"
)

// signature is the time of modification by which a file is recognised to be the
// version of an object that info describes: the second in which that was stored,
// and below it a hash of the ETag, in units that every file system with such
// digits keeps. Two versions of one second and one length are told apart by
// these. It is zero if the object has no time or no ETag.
func signature(info *Info) time.Time {
	if info.LastModified.IsZero() || info.ETag == "" {
		return time.Time{}
	}
	const unit = 100 * time.Nanosecond // of NTFS
	h := fnv.New64a()
	h.Write([]byte(info.ETag)) // never fails
	digits := time.Duration(h.Sum64()%uint64(time.Second/unit)) * unit
	return info.LastModified.Truncate(time.Second).Add(digits)
}
