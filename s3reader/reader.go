package s3reader

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Options of a [Reader]. The zero value is ready to use.
type Options struct {
	Region              string // of the bucket; empty: cfg.Region
	ExpectedBucketOwner string // account id; empty: not checked
	RequestPayer        bool   // agree to pay for requests
	PartSize, Memory    int64  // bytes; 0: chosen for the object
	Concurrency         int    // connections; 0: chosen for the object
	Verify              Verify
	StallTimeout        time.Duration // 0: 30 s
	Progress            func(Progress)
	S3                  func(*s3.Options)
	Logger              *slog.Logger // nil: silent
}

// Verify says when the bytes of a whole object are compared with its checksum.
type Verify int

// The default is VerifyAuto.
const (
	VerifyAuto Verify = iota // where the object has a full-object checksum
	VerifyOff
)

// Progress of a download.
type Progress struct {
	Key          string
	Bytes, Total int64
}

// Info describes one version of an object.
type Info struct {
	Key, ETag, VersionID, ContentType, StorageClass string
	Size                                            int64
	LastModified                                    time.Time
	Verified                                        bool // the bytes read matched the object's checksum
}

// Reader reads one bucket.
type Reader struct{}

// New returns a Reader of bucket.
func New(cfg aws.Config, bucket string, optFns ...func(*Options)) (*Reader, error) {
	return nil, errNotBuilt("New")
}

// Client is the S3 client that the reader uses.
func (r *Reader) Client() *s3.Client { return nil }

// Stat describes an object without reading it.
func (r *Reader) Stat(ctx context.Context, key string) (*Info, error) {
	return nil, errNotBuilt("Stat")
}

// Get returns an object's bytes.
func (r *Reader) Get(ctx context.Context, key string) ([]byte, error) {
	return nil, errNotBuilt("Get")
}

// Open opens one version of an object.
func (r *Reader) Open(ctx context.Context, key string) (*Object, error) {
	return nil, errNotBuilt("Open")
}

// Download writes an object to w.
func (r *Reader) Download(ctx context.Context, key string, w io.WriterAt) (*Info, error) {
	return nil, errNotBuilt("Download")
}

// DownloadFile writes an object to a file.
func (r *Reader) DownloadFile(ctx context.Context, key, path string) (*Info, error) {
	return nil, errNotBuilt("DownloadFile")
}

// DirOptions of DownloadDir.
type DirOptions struct {
	Concurrency int
	Include     func(*Info) bool
}

// Summary of DownloadDir.
type Summary struct {
	Files   int
	Bytes   int64
	Skipped []Skipped // keys that cannot be a local name, with the reason
}

// Skipped is a key that DownloadDir left out.
type Skipped struct{ Key, Reason string }

// DownloadDir writes every object under prefix below dir.
func (r *Reader) DownloadDir(ctx context.Context, prefix, dir string, optFns ...func(*DirOptions)) (*Summary, error) {
	return nil, errNotBuilt("DownloadDir")
}

// List yields the objects under prefix.
func (r *Reader) List(ctx context.Context, prefix string) iter.Seq2[*Info, error] {
	return func(yield func(*Info, error) bool) { yield(nil, errNotBuilt("List")) }
}

// FS is the bucket as a file system.
func (r *Reader) FS(ctx context.Context) fs.FS { return notBuiltFS{} }

// Link is a presigned URL.
type Link struct {
	URL     string
	Expires time.Time
}

// Presign makes a link to an object.
func (r *Reader) Presign(ctx context.Context, key string, ttl time.Duration) (*Link, error) {
	return nil, errNotBuilt("Presign")
}
