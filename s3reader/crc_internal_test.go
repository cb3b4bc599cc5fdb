package s3reader

import (
	"hash/crc32"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// Whatever way bytes are divided, the pieces have the whole's checksum together.
func TestCombinedChecksums(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 5000)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	nvme := crc64.MakeTable(crc64NVME.poly)
	want := map[*crcKind]uint64{
		crc64NVME: crc64.Checksum(data, nvme),
		crc32IEEE: uint64(crc32.ChecksumIEEE(data)),
		crc32C:    uint64(crc32.Checksum(data, castagnoli)),
	}
	for kind, want := range want {
		for range 200 {
			f := fetched{}
			for at := 0; at < len(data); {
				n := 1 + rng.IntN(len(data)-at)
				f.add(piece{extent{int64(at), int64(at + n)}, kind.update(0, data[at:at+n])})
				at += n
			}
			rng.Shuffle(len(f.pieces), func(i, j int) { f.pieces[i], f.pieces[j] = f.pieces[j], f.pieces[i] })
			if got, err := f.whole(kind, int64(len(data))); err != nil || got != want {
				t.Fatalf("%s: got %x, want %x, %v", kind.name, got, want, err)
			}
		}
		// A second piece of 2^40 zero bytes, as from its halves.
		half := kind.combine(want, 0, 1<<39)
		if a, b := kind.combine(want, 0, 1<<40), kind.combine(half, 0, 1<<39); a != b {
			t.Errorf("%s: %x, %x", kind.name, a, b)
		}
	}
}
