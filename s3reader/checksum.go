package s3reader

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
)

// wholeSum compares the bytes of an object, as they are read in order, with the
// object's checksum.
type wholeSum struct {
	hash.Hash
	algorithm, want string // want as in the header: base64, big-endian
	at, size        int64  // hashed so far, of this many bytes
	matched         bool
}

// fullObjectSum is nil if the answer carries no checksum of all the bytes. Where
// the type is not given, a sum without the "-parts" suffix of composite ones is
// one of all the bytes.
func fullObjectSum(out *s3.GetObjectOutput, size int64) *wholeSum {
	if out.ChecksumType == types.ChecksumTypeComposite {
		return nil
	}
	// The fastest first.
	for _, c := range []struct {
		algorithm string
		want      *string
		new       func() hash.Hash
	}{
		{"CRC64NVME", out.ChecksumCRC64NVME, func() hash.Hash { return crc64nvme.New() }},
		{"CRC32", out.ChecksumCRC32, func() hash.Hash { return crc32.NewIEEE() }},
		{"CRC32C", out.ChecksumCRC32C, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
		{"SHA256", out.ChecksumSHA256, sha256.New},
		{"SHA1", out.ChecksumSHA1, sha1.New},
	} {
		if c.want != nil && *c.want != "" && !strings.Contains(*c.want, "-") {
			return &wholeSum{Hash: c.new(), algorithm: c.algorithm, want: *c.want, size: size}
		}
	}
	return nil
}

// storedSums are the checksums that a response names.
type storedSums struct {
	kind                     types.ChecksumType
	crc64nvme, crc32, crc32c *string
}

// wholeCRC returns a CRC of all the bytes of the object, the fastest to compute;
// nil if there is none. See fullObjectSum.
func (s storedSums) wholeCRC() (*crc.Kind, string) {
	if s.kind == types.ChecksumTypeComposite {
		return nil, ""
	}
	for _, c := range []struct {
		kind *crc.Kind
		want *string
	}{{crc.CRC64NVME, s.crc64nvme}, {crc.CRC32, s.crc32}, {crc.CRC32C, s.crc32c}} {
		if c.want != nil && *c.want != "" && !strings.Contains(*c.want, "-") {
			return c.kind, *c.want
		}
	}
	return nil, ""
}

// add takes the bytes at pos. It fails if they complete the object and the sum
// is another. Bytes out of order are not hashed, and the sum is then never
// complete; reading again from the start begins it anew.
func (s *wholeSum) add(pos int64, p []byte) error {
	if s.matched {
		return nil
	}
	if pos == 0 && s.at != 0 {
		s.Reset()
		s.at = 0
	}
	if pos != s.at {
		return nil
	}
	s.Write(p) // a hash.Hash never returns an error
	s.at += int64(len(p))
	if s.at < s.size {
		return nil
	}
	if got := base64.StdEncoding.EncodeToString(s.Sum(nil)); got != s.want {
		return &Error{Kind: ChecksumMismatch, Err: fmt.Errorf("%s of the %d bytes received is %s, the object's is %s", s.algorithm, s.size, got, s.want)}
	}
	s.matched = true
	return nil
}
