package s3reader

import (
	"encoding/base64"
	"hash/crc32"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"
)

// crcKind is a checksum that can be computed of ranges, in any order, and put
// together to that of the whole.
type crcKind struct {
	name   string
	bits   uint
	poly   uint64 // reflected
	update func(crc uint64, p []byte) uint64
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	crc64NVME = &crcKind{"CRC64NVME", 64, 0x9a6c9329ac4bc9b5, crc64nvme.Update}
	crc32IEEE = &crcKind{"CRC32", 32, crc32.IEEE, func(crc uint64, p []byte) uint64 {
		return uint64(crc32.Update(uint32(crc), crc32.IEEETable, p))
	}}
	crc32C = &crcKind{"CRC32C", 32, crc32.Castagnoli, func(crc uint64, p []byte) uint64 {
		return uint64(crc32.Update(uint32(crc), castagnoli, p))
	}}
)

// encode is a sum as S3 writes it: base64 of the bytes, the highest first.
func (k *crcKind) encode(sum uint64) string {
	b := make([]byte, k.bits/8)
	for i := range b {
		b[i] = byte(sum >> (k.bits - 8 - 8*uint(i)))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// storedSums are the checksums that an answer names.
type storedSums struct {
	kind                     types.ChecksumType
	crc64nvme, crc32, crc32c *string
}

// wholeCRC is one of them that is of all the bytes; nil if there is none. See
// fullObjectSum.
func (s storedSums) wholeCRC() (*crcKind, string) {
	if s.kind == types.ChecksumTypeComposite {
		return nil, ""
	}
	for _, c := range []struct {
		kind *crcKind
		want *string
	}{{crc64NVME, s.crc64nvme}, {crc32IEEE, s.crc32}, {crc32C, s.crc32c}} {
		if c.want != nil && *c.want != "" && !strings.Contains(*c.want, "-") {
			return c.kind, *c.want
		}
	}
	return nil, ""
}
