package s3reader

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/internal/xxhash"
	"github.com/crossrole/crossrole/s3reader/internal/crc"
)

// Checksum is a checksum of all bytes of an object that S3 has stored with it. The zero
// value means that there is none.
type Checksum struct {
	// Algorithm is the name in S3's API: CRC64NVME, CRC32, CRC32C, XXHASH3, XXHASH128,
	// XXHASH64, SHA256, SHA1, MD5 or SHA512.
	Algorithm string

	Value string // as in S3's headers: base64, of big-endian bytes
}

// checksum is a Checksum that can be computed.
type checksum struct {
	Checksum
	new func() hash.Hash
	crc *crc.Kind // nil: it cannot be combined from the checksums of ranges
}

// checksums are all of the complete object that are stored with it, the fastest to
// compute first. Most objects have one.
type checksums []checksum

// storedChecksums returns the checksums in a response, the fastest to compute first.
func storedChecksums(out *s3.HeadObjectOutput) checksums {
	var all checksums
	for _, c := range []struct {
		value     *string
		algorithm types.ChecksumAlgorithm
		new       func() hash.Hash
		crc       *crc.Kind
	}{
		{out.ChecksumCRC64NVME, types.ChecksumAlgorithmCrc64nvme, crc.CRC64NVME.New, crc.CRC64NVME},
		{out.ChecksumCRC32, types.ChecksumAlgorithmCrc32, crc.CRC32.New, crc.CRC32},
		{out.ChecksumCRC32C, types.ChecksumAlgorithmCrc32c, crc.CRC32C.New, crc.CRC32C},
		{out.ChecksumXXHASH64, types.ChecksumAlgorithmXxhash64, xxhash.New64, nil},
		{out.ChecksumXXHASH3, types.ChecksumAlgorithmXxhash3, xxhash.New3, nil},
		{out.ChecksumXXHASH128, types.ChecksumAlgorithmXxhash128, xxhash.New128, nil},
		{out.ChecksumSHA256, types.ChecksumAlgorithmSha256, sha256.New, nil},
		{out.ChecksumSHA1, types.ChecksumAlgorithmSha1, sha1.New, nil},
		{out.ChecksumMD5, types.ChecksumAlgorithmMd5, md5.New, nil},
		{out.ChecksumSHA512, types.ChecksumAlgorithmSha512, sha512.New, nil},
	} {
		if value := aws.ToString(c.value); value != "" {
			all = append(all, checksum{Checksum{string(c.algorithm), value}, c.new, c.crc})
		}
	}
	return all
}

// wholeChecksums returns the checksums in a response that are of all bytes. The others,
// of type COMPOSITE, are computed over the checksums of an upload's parts (composite.go);
// where the type is not given, they end in "-" and the number of parts.
func wholeChecksums(out *s3.HeadObjectOutput) checksums {
	if out.ChecksumType == types.ChecksumTypeComposite {
		return nil
	}
	return slices.DeleteFunc(storedChecksums(out), func(c checksum) bool { return strings.Contains(c.Value, "-") })
}

// first returns the first of the checksums, if there is one.
func (c checksums) first() Checksum {
	if len(c) == 0 {
		return Checksum{}
	}
	return c[0].Checksum
}

// parallel returns the first kind that can be combined from the checksums of ranges, or
// nil.
func (c checksums) parallel() *crc.Kind {
	for _, sum := range c {
		if sum.crc != nil {
			return sum.crc
		}
	}
	return nil
}

// compare fails unless got, of all size bytes, is the checksum.
func (c *checksum) compare(got string, size int64) error {
	if got == c.Value {
		return nil
	}
	return &Error{Kind: ChecksumMismatch, Err: fmt.Errorf("%s of the %d bytes received is %s, the object's is %s", c.Algorithm, size, got, c.Value)}
}

// orderedSum compares the bytes of an object with its checksums, as they are read in
// order.
type orderedSum interface {
	// add hashes the bytes at pos. It fails if a checksum does not match. Bytes out of
	// order are not hashed, so that the sum never becomes complete; reading from the
	// start again begins a new one.
	add(pos int64, p []byte) error

	// matched reports whether all bytes were hashed, and all checksums match.
	matched() bool
}

// wholeSum is an orderedSum of checksums of all bytes.
type wholeSum struct {
	of       checksums
	hashes   []hash.Hash // of each
	at, size int64       // hashed so far, of this many bytes
	done     bool
}

// inOrder returns a wholeSum for an object of size bytes; nil if there is nothing to
// compare with.
func (c checksums) inOrder(size int64) orderedSum {
	if len(c) == 0 {
		return nil
	}
	s := &wholeSum{of: c, size: size}
	for _, sum := range c {
		s.hashes = append(s.hashes, sum.new())
	}
	return s
}

func (s *wholeSum) matched() bool { return s.done }

func (s *wholeSum) add(pos int64, p []byte) error {
	if s.done {
		return nil
	}
	if pos == 0 && s.at != 0 {
		for _, h := range s.hashes {
			h.Reset()
		}
		s.at = 0
	}
	if pos != s.at {
		return nil
	}
	for _, h := range s.hashes {
		h.Write(p) // a hash.Hash never returns an error
	}
	s.at += int64(len(p))
	if s.at < s.size {
		return nil
	}
	for i, h := range s.hashes {
		if err := s.of[i].compare(base64.StdEncoding.EncodeToString(h.Sum(nil)), s.size); err != nil {
			return err
		}
	}
	s.done = true
	return nil
}
