package xxhash

import (
	"encoding/binary"
	"hash"
)

// New64, New3 and New128 return hashes for bytes that arrive in pieces. Sum appends the
// hash in big-endian order, as S3 encodes it.

// New64 returns a hash that computes XXH64.
func New64() hash.Hash { return &stream64{lanes: lanesStart} }

// New3 returns a hash that computes XXH3 of 64 bits.
func New3() hash.Hash { return &stream3{acc: accStart, size: 8} }

// New128 returns a hash that computes XXH3 of 128 bits.
func New128() hash.Hash { return &stream3{acc: accStart, size: 16} }

// stream64 computes XXH64. rest[:n%32] has not been read into the lanes.
type stream64 struct {
	lanes lanes
	rest  [32]byte
	n     uint64 // bytes so far
}

func (s *stream64) Write(p []byte) (int, error) {
	length := len(p)
	if kept := int(s.n % 32); kept > 0 {
		added := copy(s.rest[kept:], p)
		p = p[added:]
		if kept+added == 32 {
			s.lanes.add(s.rest[:])
		}
	}
	if rest := s.lanes.add(p); len(p) > 0 {
		copy(s.rest[:], rest)
	}
	s.n += uint64(length)
	return length, nil
}

func (s *stream64) Sum(b []byte) []byte {
	return binary.BigEndian.AppendUint64(b, end64(&s.lanes, s.rest[:s.n%32], s.n))
}

func (s *stream64) Reset()         { *s = stream64{lanes: lanesStart} }
func (s *stream64) Size() int      { return 8 }
func (s *stream64) BlockSize() int { return 32 }

// stream3 computes XXH3. The end of an input is read in another way than its blocks, so
// a block is kept until more bytes follow.
type stream3 struct {
	acc  [8]uint64
	size int    // of the hash, in bytes
	n    uint64 // bytes so far

	// The last stripe of the previous block, and the bytes after that block.
	buf  [stripe + blockBytes]byte
	kept int
}

func (s *stream3) Write(p []byte) (int, error) {
	length := len(p)
	s.n += uint64(length)
	for s.kept+len(p) > blockBytes {
		block := p
		if s.kept > 0 {
			p = p[copy(s.buf[stripe+s.kept:], p):]
			block = s.buf[stripe:]
			s.kept = 0
		} else {
			p = p[blockBytes:]
		}
		addBlock(&s.acc, block)
		copy(s.buf[:stripe], block[blockBytes-stripe:blockBytes])
	}
	s.kept += copy(s.buf[stripe+s.kept:], p)
	return length, nil
}

func (s *stream3) Sum(b []byte) []byte {
	rest := s.buf[stripe : stripe+s.kept]
	if s.n <= longest {
		if s.size == 8 {
			return binary.BigEndian.AppendUint64(b, Sum3(rest))
		}
		hi, lo := Sum128(rest)
		return appendWide(b, hi, lo)
	}
	acc := s.acc
	addEnd(&acc, rest, s.buf[s.kept:s.kept+stripe])
	if s.size == 8 {
		return binary.BigEndian.AppendUint64(b, long3(acc, s.n))
	}
	hi, lo := long128(acc, s.n)
	return appendWide(b, hi, lo)
}

func appendWide(b []byte, hi, lo uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, hi), lo)
}

func (s *stream3) Reset()         { *s = stream3{acc: accStart, size: s.size} }
func (s *stream3) Size() int      { return s.size }
func (s *stream3) BlockSize() int { return stripe }
