package s3reader

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
