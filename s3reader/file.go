package s3reader

import "context"

// DownloadFile writes an object to a file. It is not built yet.
func (r *Reader) DownloadFile(ctx context.Context, key, path string) (*Info, error) {
	return nil, errNotBuilt("DownloadFile")
}
