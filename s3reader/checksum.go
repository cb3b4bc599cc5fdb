package s3reader

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
)

// checksum is the checksum of all bytes of an object that S3 has stored with it.
type checksum struct {
	name string
	want string // as in the header: base64, big-endian
	new  func() hash.Hash
	crc  *crc.Kind // nil: it cannot be combined from the checksums of ranges
}

// wholeChecksum returns the checksum in a response that is the fastest to compute,
// or nil. Checksums of type COMPOSITE are computed over those of an upload's parts;
// where the type is not given, they end in "-" and the number of parts.
func wholeChecksum(out *s3.HeadObjectOutput) *checksum {
	if out.ChecksumType == types.ChecksumTypeComposite {
		return nil
	}
	for _, c := range []struct {
		want *string
		checksum
	}{
		{out.ChecksumCRC64NVME, checksum{name: "CRC64NVME", new: crc.CRC64NVME.New, crc: crc.CRC64NVME}},
		{out.ChecksumCRC32, checksum{name: "CRC32", new: crc.CRC32.New, crc: crc.CRC32}},
		{out.ChecksumCRC32C, checksum{name: "CRC32C", new: crc.CRC32C.New, crc: crc.CRC32C}},
		{out.ChecksumSHA256, checksum{name: "SHA256", new: sha256.New}},
		{out.ChecksumSHA1, checksum{name: "SHA1", new: sha1.New}},
	} {
		if want := aws.ToString(c.want); want != "" && !strings.Contains(want, "-") {
			c.checksum.want = want
			return &c.checksum
		}
	}
	return nil
}

// compare fails unless got, of all size bytes, is the checksum.
func (c *checksum) compare(got string, size int64) error {
	if got == c.want {
		return nil
	}
	return &Error{Kind: ChecksumMismatch, Err: fmt.Errorf("%s of the %d bytes received is %s, the object's is %s", c.name, size, got, c.want)}
}

// wholeSum compares the bytes of an object, as they are read in order, with the
// object's checksum.
type wholeSum struct {
	hash.Hash
	of       *checksum
	at, size int64 // hashed so far, of this many bytes
	matched  bool
}

// inOrder returns a wholeSum for an object of size bytes; nil if c is nil.
func (c *checksum) inOrder(size int64) *wholeSum {
	if c == nil {
		return nil
	}
	return &wholeSum{Hash: c.new(), of: c, size: size}
}

// add hashes the bytes at pos. It fails if they complete the object and the checksum
// does not match. Bytes out of order are not hashed, so that the sum never becomes
// complete; reading from the start again begins a new one.
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
	err := s.of.compare(base64.StdEncoding.EncodeToString(s.Sum(nil)), s.size)
	s.matched = err == nil
	return err
}
