package xxhash_test

import (
	"fmt"
	"hash"
	"slices"
	"testing"

	"github.com/crossrole/crossrole/internal/xxhash"
)

// The reference implementation's hashes of n bytes, byte i of which is 7i+n, on both
// sides of every length at which the algorithms change.
func TestSums(t *testing.T) {
	for _, want := range []struct {
		n           int
		sum64, sum3 uint64
		sum128      string
	}{
		{0, 0xef46db3751d8e999, 0x2d06800538d394c2, "99aa06d3014798d86001c324468d497f"},
		{1, 0x8a4127811b21e730, 0xe12ef9d2eb86ceeb, "51025a4491835505e12ef9d2eb86ceeb"},
		{3, 0x31d2363f52e564c9, 0xa9088dda485b481c, "ce31763cbf8245a5a9088dda485b481c"},
		{4, 0xb4d516af63f9c743, 0x57648c318a7a307e, "dd40da4fb215e2141c39dbb553a705e0"},
		{8, 0xd5474d6ca50def58, 0xb0fb3e3c3f94990a, "f69a63d1bfe6b421ed2e15d607e65102"},
		{9, 0xa6d41e4e74bc10e4, 0x8aca5cb309437c2e, "e6437f593809a3c57d29026a8dab645b"},
		{16, 0xa7389f0915097a20, 0x2bd926d88792965a, "e8920f24c46d190e93e2125b8d5e83bd"},
		{17, 0xf9d1bbeed8d82f71, 0x621f018aad19b14a, "87a3d4506bedd5649f166f98e8c7d6d8"},
		{128, 0xdb69645e5f1b9117, 0xe9549af9a74093e6, "6366d7603fd45b4ae5ba6e4129933089"},
		{129, 0x01d56b13508b2a12, 0xb54ad1cd8a4c84b9, "29ff8922f1223360efe75d0059e9e2d3"},
		{240, 0xfe8516aa40bd2b56, 0x3e136902ec966624, "162f94b689da4e16fd17fecfdb5c1b45"},
		{241, 0x10485c3851214049, 0xbd7d29b6ba966d6a, "83e91254d35bcf72bd7d29b6ba966d6a"},
		{1024, 0xf065d3da7e82ebf1, 0xdc5acf0b043c445b, "8bbb9f7af37f2f52dc5acf0b043c445b"},
		{1025, 0xdcb3bd6722591006, 0xc856c953bbdbc807, "f66a602aa3eda73bc856c953bbdbc807"},
		{3000, 0x49831ab571182512, 0xb751069dffeae2cf, "61e2f15b03f1fcc6b751069dffeae2cf"},
	} {
		data := make([]byte, want.n)
		for i := range data {
			data[i] = byte(i*7 + want.n)
		}
		hi, lo := xxhash.Sum128(data)
		if sum64, sum3, sum128 := xxhash.Sum64(data), xxhash.Sum3(data), fmt.Sprintf("%016x%016x", hi, lo); sum64 != want.sum64 || sum3 != want.sum3 || sum128 != want.sum128 {
			t.Errorf("%d bytes: %#x %#x %s, want %#x %#x %s", want.n, sum64, sum3, sum128, want.sum64, want.sum3, want.sum128)
		}
		all := fmt.Sprintf("%016x %016x %s", want.sum64, want.sum3, want.sum128)
		for _, piece := range []int{1, 7, 31, 32, 33, 64, 1000, 1024, 1025, 4000} {
			if got := inPieces(data, piece); got != all {
				t.Errorf("%d bytes in pieces of %d: %s, want %s", want.n, piece, got, all)
			}
		}
	}
}

// inPieces returns the three hashes of data that is written in pieces, to hashes that
// have been used before. Sum in between changes nothing.
func inPieces(data []byte, size int) string {
	var sums [3][]byte
	for i, h := range []hash.Hash{xxhash.New64(), xxhash.New3(), xxhash.New128()} {
		h.Write([]byte("something else, longer than 32 bytes"))
		h.Reset()
		for piece := range slices.Chunk(data, size) {
			h.Write(piece)
			h.Sum(nil)
		}
		sums[i] = h.Sum(nil)
	}
	return fmt.Sprintf("%x %x %x", sums[0], sums[1], sums[2])
}
