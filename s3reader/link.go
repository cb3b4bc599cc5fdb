package s3reader

import (
	"context"
	"time"
)

// Link is a presigned URL: whoever has it may read the object until it expires.
type Link struct {
	URL     string
	Expires time.Time
}

// Presign makes a link to an object. It is not built yet.
func (r *Reader) Presign(ctx context.Context, key string, ttl time.Duration) (*Link, error) {
	return nil, errNotBuilt("Presign")
}
