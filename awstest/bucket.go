package awstest

// Bucket is an S3 bucket.
type Bucket struct{}

// Name is the bucket's name.
func (b *Bucket) Name() string { return "" }

// Put stores an object and returns what was stored. The optFns set what a plain
// PUT would set through headers. Data is not copied: don't change it.
func (b *Bucket) Put(key string, data []byte, optFns ...func(*Object)) Object { return Object{} }

// Delete removes an object; in a versioned bucket it leaves a delete marker.
func (b *Bucket) Delete(key string) {}

// SetPolicy sets the bucket policy; an empty string removes it. It panics on a
// policy that S3 refuses.
func (b *Bucket) SetPolicy(policyJSON string) {}

// SetVersioning switches versioning on; it is off at first.
func (b *Bucket) SetVersioning() {}

// SetRegion moves the bucket to another region: requests to a wrong region's
// endpoint are then answered as S3 does (301, 400) with x-amz-bucket-region.
func (b *Bucket) SetRegion(region string) {}

// Object is a stored object, or one version of it.
type Object struct {
	Key, ETag, VersionID string // VersionID is empty in a bucket without versions
	Size                 int64

	ContentType, ContentEncoding, StorageClass string
	Metadata                                   map[string]string

	// Headers are sent with the object as they are, after all others: for a
	// checksum that lies, an x-amz-restore, a server-side encryption.
	Headers map[string]string
}
