package s3reader

import "context"

// DirOptions of [Reader.DownloadDir].
type DirOptions struct {
	Concurrency int              // objects at a time; 0: chosen
	Include     func(*Info) bool // nil: every object
}

// Summary of a [Reader.DownloadDir].
type Summary struct {
	Files   int
	Bytes   int64
	Skipped []Skipped // keys that cannot be a local name, with the reason
}

// Skipped is a key that DownloadDir left out.
type Skipped struct{ Key, Reason string }

// DownloadDir writes every object under prefix below dir. It is not built yet.
func (r *Reader) DownloadDir(ctx context.Context, prefix, dir string, optFns ...func(*DirOptions)) (*Summary, error) {
	return nil, errNotBuilt("DownloadDir")
}
