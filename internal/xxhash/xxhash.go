// Package xxhash computes the hashes XXH64, XXH3 of 64 bits and XXH3 of 128 bits,
// with seed 0 and the default secret, as S3 keeps them with objects
// (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
package xxhash

import (
	"encoding/binary"
	"math/bits"
)

const (
	prime32x1 = 0x9E3779B1
	prime32x2 = 0x85EBCA77
	prime32x3 = 0xC2B2AE3D

	prime64x1 = 0x9E3779B185EBCA87
	prime64x2 = 0xC2B2AE3D27D4EB4F
	prime64x3 = 0x165667B19E3779F9
	prime64x4 = 0x85EBCA77C2B2AE63
	prime64x5 = 0x27D4EB2F165667C5

	primeMX1 = 0x165667919E3779F9
	primeMX2 = 0x9FB21C651E98DF25
)

func u32(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// avalanche64 is the last step of XXH64, which XXH3 has for short inputs too.
func avalanche64(h uint64) uint64 {
	h ^= h >> 33
	h *= prime64x2
	h ^= h >> 29
	h *= prime64x3
	return h ^ h>>32
}

// Sum64 returns XXH64 of data.
func Sum64(data []byte) uint64 {
	acc := lanesStart
	return end64(&acc, acc.add(data), uint64(len(data)))
}

// lanes are the accumulators of XXH64.
type lanes [4]uint64

var lanesStart = func() lanes {
	one, two := uint64(prime64x1), uint64(prime64x2)
	return lanes{one + two, two, 0, -one}
}()

func round64(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*prime64x2, 31) * prime64x1
}

// add reads stripes of 32 bytes and returns the rest.
func (l *lanes) add(data []byte) (rest []byte) {
	for ; len(data) >= 32; data = data[32:] {
		l[0] = round64(l[0], u64(data))
		l[1] = round64(l[1], u64(data[8:]))
		l[2] = round64(l[2], u64(data[16:]))
		l[3] = round64(l[3], u64(data[24:]))
	}
	return data
}

// end64 returns XXH64 of an input of n bytes, of which the lanes have all but the rest.
func end64(l *lanes, rest []byte, n uint64) uint64 {
	h := uint64(prime64x5)
	if n >= 32 {
		h = bits.RotateLeft64(l[0], 1) + bits.RotateLeft64(l[1], 7) + bits.RotateLeft64(l[2], 12) + bits.RotateLeft64(l[3], 18)
		for _, a := range l {
			h = (h^round64(0, a))*prime64x1 + prime64x4
		}
	}
	h += n
	for ; len(rest) >= 8; rest = rest[8:] {
		h = bits.RotateLeft64(h^round64(0, u64(rest)), 27)*prime64x1 + prime64x4
	}
	if len(rest) >= 4 {
		h = bits.RotateLeft64(h^u32(rest)*prime64x1, 23)*prime64x2 + prime64x3
		rest = rest[4:]
	}
	for _, c := range rest {
		h = bits.RotateLeft64(h^uint64(c)*prime64x5, 11) * prime64x1
	}
	return avalanche64(h)
}
