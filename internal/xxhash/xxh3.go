package xxhash

import "math/bits"

// XXH3: one of five ways, by the length of the input.

// secret is the default secret.
var secret = [192]byte{
	0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
	0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
	0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
	0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
	0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
	0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
	0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
	0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
	0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
	0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
	0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
	0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
}

const (
	stripe     = 64                          // bytes that are read into the accumulators at a time
	blockBytes = (192 - stripe) / 8 * stripe // bytes between two scrambles
	lastOffset = 192 - stripe - 7            // of the secret for the last stripe
	midOffset  = 136 - 17                    // of the secret for the last bytes of a middle input
	longest    = 240                         // bytes of a middle input
)

func avalanche3(h uint64) uint64 {
	h ^= h >> 37
	h *= primeMX1
	return h ^ h>>32
}

// fold multiplies to 128 bits and xors the halves.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix folds 16 bytes of input with 16 of the secret.
func mix(in, s []byte) uint64 { return fold(u64(in)^u64(s), u64(in[8:])^u64(s[8:])) }

// ends combines first, middle and last byte of an input of 1 to 3 bytes.
func ends(in []byte) uint32 {
	n := len(in)
	return uint32(in[0])<<16 | uint32(in[n/2])<<24 | uint32(in[n-1]) | uint32(n)<<8
}

// Sum3 returns XXH3 of 64 bits of data.
func Sum3(data []byte) uint64 {
	n := uint64(len(data))
	s := secret[:]
	switch {
	case n == 0:
		return avalanche64(u64(s[56:]) ^ u64(s[64:]))
	case n <= 3:
		return avalanche64(uint64(ends(data)) ^ u32(s) ^ u32(s[4:]))
	case n <= 8:
		h := (u32(data[n-4:]) + u32(data)<<32) ^ u64(s[8:]) ^ u64(s[16:])
		h ^= bits.RotateLeft64(h, 49) ^ bits.RotateLeft64(h, 24)
		h *= primeMX2
		h ^= h>>35 + n
		h *= primeMX2
		return h ^ h>>28
	case n <= 16:
		lo, hi := u64(data)^u64(s[24:])^u64(s[32:]), u64(data[n-8:])^u64(s[40:])^u64(s[48:])
		return avalanche3(n + bits.ReverseBytes64(lo) + hi + fold(lo, hi))
	case n <= 128:
		acc := n * prime64x1
		for i := (n - 1) / 32; ; i-- {
			acc += mix(data[16*i:], s[32*i:]) + mix(data[n-16*(i+1):], s[32*i+16:])
			if i == 0 {
				return avalanche3(acc)
			}
		}
	case n <= longest:
		acc := n * prime64x1
		for i := range uint64(8) {
			acc += mix(data[16*i:], s[16*i:])
		}
		acc = avalanche3(acc)
		for i := uint64(8); i < n/16; i++ {
			acc += mix(data[16*i:], s[16*(i-8)+3:])
		}
		return avalanche3(acc + mix(data[n-16:], s[midOffset:]))
	}
	return long3(accumulate(data), n)
}

// long3 and long128 return the hashes of a long input of n bytes.
func long3(acc [8]uint64, n uint64) uint64 { return merge(&acc, secret[11:], n*prime64x1) }

func long128(acc [8]uint64, n uint64) (hi, lo uint64) {
	return merge(&acc, secret[192-stripe-11:], ^(n * prime64x2)), long3(acc, n)
}

// accumulate reads a long input.
func accumulate(data []byte) [8]uint64 {
	acc := accStart
	last := data[len(data)-stripe:]
	for len(data) > blockBytes {
		addBlock(&acc, data)
		data = data[blockBytes:]
	}
	addEnd(&acc, data, last)
	return acc
}

// accStart is the accumulators before any input.
var accStart = [8]uint64{prime32x3, prime64x1, prime64x2, prime64x3, prime64x4, prime32x2, prime64x5, prime32x1}

// addBlock reads the first block of data, which is not the last bytes of the input.
func addBlock(acc *[8]uint64, data []byte) {
	for i := range blockBytes / stripe {
		add(acc, data[stripe*i:], secret[8*i:])
	}
	for i := range acc {
		acc[i] = (acc[i] ^ acc[i]>>47 ^ u64(secret[192-stripe+8*i:])) * prime32x1
	}
}

// addEnd reads what follows the last block, and the last stripe of the input again.
func addEnd(acc *[8]uint64, data, last []byte) {
	for i := range (len(data) - 1) / stripe {
		add(acc, data[stripe*i:], secret[8*i:])
	}
	add(acc, last, secret[lastOffset:])
}

// add reads one stripe.
func add(acc *[8]uint64, in, s []byte) {
	for i := range acc {
		v := u64(in[8*i:])
		key := v ^ u64(s[8*i:])
		acc[i^1] += v
		acc[i] += key & 0xffffffff * (key >> 32)
	}
}

// merge makes a hash of the accumulators.
func merge(acc *[8]uint64, s []byte, h uint64) uint64 {
	for i := range 4 {
		h += fold(acc[2*i]^u64(s[16*i:]), acc[2*i+1]^u64(s[16*i+8:]))
	}
	return avalanche3(h)
}

// wide is a hash of 128 bits.
type wide struct{ hi, lo uint64 }

// mix reads 32 bytes.
func (w *wide) mix(one, two, s []byte) {
	w.lo = w.lo + mix(one, s) ^ (u64(two) + u64(two[8:]))
	w.hi = w.hi + mix(two, s[16:]) ^ (u64(one) + u64(one[8:]))
}

// end is the last step for a middle input.
func (w *wide) end(n uint64) (hi, lo uint64) {
	return -avalanche3(w.lo*prime64x1 + w.hi*prime64x4 + n*prime64x2), avalanche3(w.lo + w.hi)
}

// Sum128 returns XXH3 of 128 bits of data.
func Sum128(data []byte) (hi, lo uint64) {
	n := uint64(len(data))
	s := secret[:]
	switch {
	case n == 0:
		return avalanche64(u64(s[80:]) ^ u64(s[88:])), avalanche64(u64(s[64:]) ^ u64(s[72:]))
	case n <= 3:
		c := ends(data)
		swapped := bits.RotateLeft32(bits.ReverseBytes32(c), 13)
		return avalanche64(uint64(swapped) ^ u32(s[8:]) ^ u32(s[12:])), avalanche64(uint64(c) ^ u32(s) ^ u32(s[4:]))
	case n <= 8:
		hi, lo = bits.Mul64((u32(data)+u32(data[n-4:])<<32)^u64(s[16:])^u64(s[24:]), prime64x1+n<<2)
		hi += lo << 1
		lo ^= hi >> 3
		lo ^= lo >> 35
		lo *= primeMX2
		return avalanche3(hi), lo ^ lo>>28
	case n <= 16:
		first, last := u64(data), u64(data[n-8:])
		hi, lo = bits.Mul64(first^last^u64(s[32:])^u64(s[40:]), prime64x1)
		lo += (n - 1) << 54
		last ^= u64(s[48:]) ^ u64(s[56:])
		hi += last + last&0xffffffff*(prime32x2-1)
		lo ^= bits.ReverseBytes64(hi)
		high, low := bits.Mul64(lo, prime64x2)
		return avalanche3(high + hi*prime64x2), avalanche3(low)
	case n <= 128:
		w := wide{lo: n * prime64x1}
		for i := (n - 1) / 32; ; i-- {
			w.mix(data[16*i:], data[n-16*(i+1):], s[32*i:])
			if i == 0 {
				return w.end(n)
			}
		}
	case n <= longest:
		w := wide{lo: n * prime64x1}
		for i := range uint64(4) {
			w.mix(data[32*i:], data[32*i+16:], s[32*i:])
		}
		w.lo, w.hi = avalanche3(w.lo), avalanche3(w.hi)
		for i := uint64(4); i < n/32; i++ {
			w.mix(data[32*i:], data[32*i+16:], s[3+32*(i-4):])
		}
		w.mix(data[n-16:], data[n-32:], s[midOffset-16:])
		return w.end(n)
	}
	return long128(accumulate(data), n)
}
