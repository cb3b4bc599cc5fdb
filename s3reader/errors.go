package s3reader

// Kind is why a read failed. It is an error itself: errors.Is(err,
// s3reader.Archived).
type Kind string

// The kinds of failure.
const (
	AccessDenied     Kind = "access denied"
	NotFound         Kind = "not found"
	NoSuchBucket     Kind = "no such bucket"
	Archived         Kind = "archived"
	ObjectChanged    Kind = "object changed"
	Truncated        Kind = "truncated"
	RangeMismatch    Kind = "range mismatch"
	ChecksumMismatch Kind = "checksum mismatch"
	WrongRegion      Kind = "wrong region"
	BadKey           Kind = "bad key"
)

func (k Kind) Error() string { return string(k) }

// Error is every error of this package that has to do with the bucket.
type Error struct {
	Op, Bucket, Key          string
	Kind                     Kind
	Code, RequestID, RoleARN string
	Err                      error
}

func (e *Error) Error() string { return e.Op }
func (e *Error) Unwrap() error { return e.Err }
