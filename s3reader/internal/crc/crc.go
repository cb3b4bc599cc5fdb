// Package crc computes the cyclic redundancy checks that S3 stores with objects: for
// ranges in any order, whose CRCs it combines into that of the whole object.
package crc

import (
	"encoding/base64"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// Kind is an algorithm.
type Kind struct {
	Name   string // as in S3's API
	bits   uint
	poly   uint64 // reflected
	update func(crc uint64, p []byte) uint64

	// New returns a hash for bytes in order.
	New func() hash.Hash
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The kinds, the fastest first.
var (
	CRC64NVME = &Kind{"CRC64NVME", 64, 0x9a6c9329ac4bc9b5, crc64nvme.Update, func() hash.Hash { return crc64nvme.New() }}
	CRC32     = &Kind{"CRC32", 32, crc32.IEEE, func(crc uint64, p []byte) uint64 {
		return uint64(crc32.Update(uint32(crc), crc32.IEEETable, p))
	}, func() hash.Hash { return crc32.NewIEEE() }}
	CRC32C = &Kind{"CRC32C", 32, crc32.Castagnoli, func(crc uint64, p []byte) uint64 {
		return uint64(crc32.Update(uint32(crc), castagnoli, p))
	}, func() hash.Hash { return crc32.New(castagnoli) }}
)

// Update adds the bytes of p to crc, which is 0 at first.
func (k *Kind) Update(crc uint64, p []byte) uint64 { return k.update(crc, p) }

// Encode returns a sum as in S3's headers: base64 of its bytes, big-endian.
func (k *Kind) Encode(sum uint64) string {
	b := make([]byte, k.bits/8)
	for i := range b {
		b[i] = byte(sum >> (k.bits - 8 - 8*uint(i)))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// Combiner combines the sums of adjacent parts. It keeps the last shift, because most
// parts have the same length.
type Combiner struct {
	Kind  *Kind
	n     int64
	power uint64
}

// Combine returns the sum of two adjacent parts, from the sum of each and the
// length of the second.
//
// A CRC is the remainder of the bytes, as a polynomial over GF(2), modulo another
// polynomial. The 8n bits after the first part multiply it by x^(8n); the second part is
// then added. The registers of these CRCs start with all bits set and are inverted at the
// end, which cancels out.
func (c *Combiner) Combine(first, second uint64, n int64) uint64 {
	if c.n != n || c.power == 0 {
		c.n, c.power = n, c.Kind.shift(n)
	}
	return c.Kind.multiply(c.power, first) ^ second
}

// shift returns x^(8n) modulo the polynomial.
func (k *Kind) shift(n int64) uint64 {
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

// multiply returns a times b modulo the polynomial, all of them reflected.
func (k *Kind) multiply(a, b uint64) uint64 {
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
