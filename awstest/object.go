package awstest

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Object is a stored object, or one version of it.
type Object struct {
	Key, ETag, VersionID string // ETag with its quotes; VersionID is empty in a bucket without versions
	Size                 int64

	ContentType, ContentEncoding, StorageClass string // empty: binary/octet-stream, none, STANDARD
	Metadata                                   map[string]string

	LastModified time.Time // zero: now; S3 keeps whole seconds

	// PartSize is set for an object that was uploaded in parts of that many
	// bytes (the last may be shorter; of an upload by requests, the size of the
	// first part): its ETag is then the MD5 of the parts' MD5s with "-" and their
	// number. 0: uploaded by one PUT.
	PartSize int64

	// ChecksumAlgorithm is the checksum stored with the object: CRC64NVME (also
	// if empty, as S3 does for an upload without one), CRC32, CRC32C, SHA1, SHA256,
	// SHA512, MD5, XXHASH64, XXHASH3, XXHASH128, or NONE for an object from before S3
	// added its own.
	ChecksumAlgorithm string
	// ChecksumType is FULL_OBJECT or, with PartSize, COMPOSITE (a checksum of
	// the parts' checksums). Empty: what S3 makes of it, which is COMPOSITE for
	// parts unless the algorithm is CRC64NVME.
	ChecksumType string

	// CustomerKey is the key of 32 bytes with which the object is encrypted
	// (SSE-C): every GET and HEAD must send it. Nil: S3's own encryption.
	CustomerKey []byte

	// KMSKey is the key of KMS with which the object is encrypted (SSE-KMS): a
	// caller that reads it must be allowed kms:Decrypt. Nil: S3's own encryption.
	KMSKey *KMSKey

	// Headers are sent with the object as they are, in place of those of the
	// same name: for a checksum that lies, an x-amz-restore (an archived object
	// is readable with ongoing-request="false", until its expiry-date if there is
	// one), an x-amz-archive-status, a server-side encryption, a Cache-Control.
	Headers map[string]string
}

// version is one version of an object, or a delete marker. It never changes
// once stored.
type version struct {
	Object
	data   []byte
	ends   []int64 // where each part ends, of parts by request; nil: by PartSize
	marker bool

	mu   sync.Mutex
	sums map[int64]string // checksums that were asked for: by part, 0 for the whole object
}

// Put stores an object and returns what was stored. The optFns set what a plain
// PUT would set through headers, and what an upload in parts leaves behind; they
// must not set Key, ETag, VersionID and Size. Data is not copied: don't change
// it. Put panics on what S3 refuses: an empty key, one
// longer than 1,024 bytes or not in UTF-8, an unknown storage class or checksum.
func (b *Bucket) Put(key string, data []byte, optFns ...func(*Object)) Object {
	o := Object{}
	for _, fn := range optFns {
		fn(&o)
	}
	o.Key = key
	if o.KMSKey == nil && o.CustomerKey == nil {
		o.KMSKey = b.settings().defaultKey
	}
	err := o.check()
	if o.KMSKey != nil && o.KMSKey.account.cloud != b.owner.cloud {
		err = fmt.Errorf("the KMSKey belongs to another cloud; use one that an account of this cloud created")
	}
	if err != nil {
		panic(fmt.Sprintf("awstest: Put(%q) to bucket %s: %v", key, b.name, err))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.store(newVersion(o, data))
}

// Delete removes an object; in a versioned bucket it leaves a delete marker. A
// key that holds nothing is no error, as in S3.
func (b *Bucket) Delete(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(key)
}

func (o *Object) check() error {
	switch {
	case o.Key == "":
		return fmt.Errorf("an object's key is not empty; give it a name such as \"cat.jpg\"")
	case len(o.Key) > maxKeyLength:
		return fmt.Errorf("the key has %d bytes and S3 keeps at most %d; shorten it", len(o.Key), maxKeyLength)
	case !utf8.ValidString(o.Key):
		return fmt.Errorf("a key is UTF-8 text; encode it")
	case o.StorageClass != "" && !slices.Contains(storageClasses, o.StorageClass):
		return fmt.Errorf("no storage class %q; use one of %s", o.StorageClass, strings.Join(storageClasses, ", "))
	case o.CustomerKey != nil && len(o.CustomerKey) != customerKeySize:
		return fmt.Errorf("a CustomerKey of %d bytes; it has %d (AES-256)", len(o.CustomerKey), customerKeySize)
	case o.CustomerKey != nil && o.KMSKey != nil:
		return fmt.Errorf("a CustomerKey and a KMSKey: an object is encrypted with one key")
	case o.PartSize < 0:
		return fmt.Errorf("a PartSize of %d: it is a number of bytes, or 0 for an object uploaded by one PUT", o.PartSize)
	case o.ChecksumAlgorithm != "" && o.ChecksumAlgorithm != "NONE" && checksumNew[o.ChecksumAlgorithm] == nil:
		return fmt.Errorf("no checksum algorithm %q; use %s or NONE", o.ChecksumAlgorithm, strings.Join(checksumNames(), ", "))
	case o.ChecksumType == "COMPOSITE" && o.PartSize == 0:
		return fmt.Errorf("a COMPOSITE checksum belongs to an object in parts; set PartSize")
	case o.ChecksumType == "COMPOSITE" && (o.ChecksumAlgorithm == "" || o.ChecksumAlgorithm == "CRC64NVME"):
		return fmt.Errorf("CRC64NVME knows FULL_OBJECT only; use another ChecksumAlgorithm for COMPOSITE")
	case o.ChecksumType == "FULL_OBJECT" && o.PartSize > 0 && !slices.Contains([]string{"", "NONE", "CRC64NVME", "CRC32", "CRC32C"}, o.ChecksumAlgorithm):
		return fmt.Errorf("%s of an object in parts is COMPOSITE only; use a CRC for FULL_OBJECT", o.ChecksumAlgorithm)
	case !slices.Contains([]string{"", "FULL_OBJECT", "COMPOSITE"}, o.ChecksumType):
		return fmt.Errorf("no checksum type %q; use FULL_OBJECT or COMPOSITE", o.ChecksumType)
	}
	return nil
}

// newVersion completes a checked object with what S3 works out itself.
func newVersion(o Object, data []byte) *version { return newVersionOfParts(o, data, nil) }

// newVersionOfParts is newVersion for an object whose parts end at these offsets.
func newVersionOfParts(o Object, data []byte, ends []int64) *version {
	o.Size = int64(len(data))
	o.LastModified = storedTime(o.LastModified)
	o.Metadata, o.Headers = maps.Clone(o.Metadata), maps.Clone(o.Headers)
	if o.ContentType == "" {
		o.ContentType = "binary/octet-stream"
	}
	if o.StorageClass == "" {
		o.StorageClass = "STANDARD"
	}
	if o.ChecksumAlgorithm == "" {
		o.ChecksumAlgorithm = "CRC64NVME"
	}
	switch {
	case o.ChecksumAlgorithm == "NONE":
		o.ChecksumType = ""
	case o.ChecksumType != "":
	case o.PartSize > 0 && o.ChecksumAlgorithm != "CRC64NVME":
		o.ChecksumType = "COMPOSITE"
	default:
		o.ChecksumType = "FULL_OBJECT"
	}
	v := &version{Object: o, data: data, ends: ends}
	if !v.multipart() {
		sum := md5.Sum(data)
		if o.CustomerKey != nil || o.KMSKey != nil {
			// Such an ETag is no MD5 of the content (Object, "ETag").
			sum = md5.Sum(sum[:])
		}
		v.ETag = `"` + hex.EncodeToString(sum[:]) + `"`
		return v
	}
	whole := md5.New()
	for part := int64(1); part <= v.parts(); part++ {
		first, end := v.part(part)
		sum := md5.Sum(data[first:end])
		whole.Write(sum[:])
	}
	v.ETag = fmt.Sprintf(`"%x-%d"`, whole.Sum(nil), v.parts())
	return v
}

// store puts v on top of its key's versions and returns its object. Without
// versioning, and while it is suspended, v becomes the null version and replaces
// the one there was. b.mu must be held.
func (b *Bucket) store(v *version) Object {
	versions := b.objects[v.Key]
	if b.versioning == versioningEnabled {
		v.VersionID = newVersionID()
	} else {
		versions = withoutVersion(versions, "null")
	}
	b.put(v.Key, append(versions, v))
	o := v.Object
	o.Metadata, o.Headers = maps.Clone(o.Metadata), maps.Clone(o.Headers)
	return o
}

// remove deletes a key, which leaves a delete marker in a bucket that has or had
// versioning. It returns the marker, or nil. b.mu must be held.
func (b *Bucket) remove(key string) *version {
	if b.versioning == "" {
		b.put(key, nil)
		return nil
	}
	marker := &version{Object: Object{Key: key, LastModified: storedTime(time.Time{})}, marker: true}
	b.store(marker)
	return marker
}

// removeVersion deletes one version for good and returns it, or nil if there is
// no such version. b.mu must be held.
func (b *Bucket) removeVersion(key, id string) *version {
	versions := b.objects[key]
	i := slices.IndexFunc(versions, func(v *version) bool { return v.shownID() == id })
	if i < 0 {
		return nil
	}
	b.put(key, withoutVersion(versions, id))
	return versions[i]
}

// withoutVersion returns a copy of versions without the one that has this id.
func withoutVersion(versions []*version, id string) []*version {
	return slices.DeleteFunc(slices.Clone(versions), func(v *version) bool { return v.shownID() == id })
}

// put sets the versions of a key and keeps the sorted list of keys, if there is
// one, in step. b.mu must be held.
func (b *Bucket) put(key string, versions []*version) {
	_, known := b.objects[key]
	if len(versions) == 0 {
		delete(b.objects, key)
	} else {
		b.objects[key] = versions
	}
	if b.sorted == nil || known == (len(versions) > 0) {
		return
	}
	i, _ := slices.BinarySearch(b.sorted, key)
	if known {
		b.sorted = slices.Delete(b.sorted, i, i+1)
	} else {
		b.sorted = slices.Insert(b.sorted, i, key)
	}
}

// newest returns what a key holds now: nil if nothing, or if it was deleted. b.mu
// must be held.
func (b *Bucket) newest(key string) *version {
	versions := b.objects[key]
	if len(versions) == 0 || versions[len(versions)-1].marker {
		return nil
	}
	return versions[len(versions)-1]
}

// multipart reports whether the object was uploaded in parts.
func (v *version) multipart() bool { return v.PartSize > 0 || v.ends != nil }

// parts is the number of parts that the object was uploaded in; 1 for one PUT.
func (v *version) parts() int64 {
	switch {
	case v.ends != nil:
		return int64(len(v.ends))
	case v.PartSize == 0 || v.Size == 0:
		return 1
	}
	return (v.Size-1)/v.PartSize + 1
}

// part returns where part n, counted from 1, begins and ends.
func (v *version) part(n int64) (first, end int64) {
	switch {
	case v.ends != nil && n > 1:
		return v.ends[n-2], v.ends[n-1]
	case v.ends != nil:
		return 0, v.ends[0]
	case v.PartSize == 0:
		return 0, v.Size
	}
	return (n - 1) * v.PartSize, min(n*v.PartSize, v.Size)
}

// archive returns the elements of S3's error document that name the archive the
// object is in; nil for an object that can be read. An archived object must be restored first,
// and until that is done it cannot be read.
func (v *version) archive() []string {
	var restore, tier string
	for name, value := range v.Headers {
		switch strings.ToLower(name) {
		case "x-amz-restore":
			restore = value
		case "x-amz-archive-status":
			tier = value
		}
	}
	switch {
	case restored(restore):
		return nil
	case v.StorageClass == "GLACIER" || v.StorageClass == "DEEP_ARCHIVE":
		return []string{"StorageClass", v.StorageClass}
	case v.StorageClass == "INTELLIGENT_TIERING" && tier != "":
		return []string{"StorageClass", v.StorageClass, "AccessTier", tier}
	}
	return nil
}

// restored reports whether an x-amz-restore speaks of a copy that can be read.
func restored(header string) bool {
	if !strings.Contains(header, `ongoing-request="false"`) {
		return false
	}
	_, rest, _ := strings.Cut(header, `expiry-date="`)
	date, _, _ := strings.Cut(rest, `"`)
	end, err := http.ParseTime(date)
	return err != nil || time.Now().Before(end) // zero if the header has no date
}

// storedTime is a time of upload as S3 keeps it; zero stands for now.
func storedTime(t time.Time) time.Time {
	if t.IsZero() {
		t = time.Now()
	}
	return t.UTC().Truncate(time.Second)
}

const maxKeyLength = 1024

var storageClasses = []string{
	"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
	"GLACIER", "GLACIER_IR", "DEEP_ARCHIVE",
}
