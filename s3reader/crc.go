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

// combine is the CRC of two pieces in a row, from that of each and the length of
// the second.
//
// A CRC is the remainder of the bytes, taken as a polynomial over GF(2), modulo
// another one. Behind the first piece come 8n more bits, which multiplies it by
// x^(8n); the second piece is then added. That the registers of these CRCs start
// with all bits set and end inverted cancels out.
func (k *crcKind) combine(first, second uint64, n int64) uint64 {
	return k.multiply(k.shift(n), first) ^ second
}

// shift is x^(8n) modulo the polynomial.
func (k *crcKind) shift(n int64) uint64 {
	power := uint64(1) << (k.bits - 9) // x^8; the lowest power has the highest bit
	result := uint64(1) << (k.bits - 1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = k.multiply(power, result)
		}
		power = k.multiply(power, power)
	}
	return result
}

// multiply is a times b modulo the polynomial, all of them reflected.
func (k *crcKind) multiply(a, b uint64) uint64 {
	var product uint64
	for bit := uint64(1) << (k.bits - 1); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 == 1 {
			b = b>>1 ^ k.poly
		} else {
			b >>= 1
		}
	}
	return product
}

// shifter remembers the last shift: most pieces have the same length.
type shifter struct {
	kind  *crcKind
	n     int64
	power uint64
}

func (s *shifter) combine(first, second uint64, n int64) uint64 {
	if s.n != n || s.power == 0 {
		s.n, s.power = n, s.kind.shift(n)
	}
	return s.kind.multiply(s.power, first) ^ second
}
