package crc_test

import (
	"hash/crc32"
	"hash/crc64"
	"math/rand/v2"
	"testing"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
)

const nvmePoly = 0x9a6c9329ac4bc9b5

// However bytes are divided, the parts together have the sum of the whole.
func TestCombine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 5000)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for kind, want := range map[*crc.Kind]uint64{
		crc.CRC64NVME: crc64.Checksum(data, crc64.MakeTable(nvmePoly)),
		crc.CRC32:     uint64(crc32.ChecksumIEEE(data)),
		crc.CRC32C:    uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))),
	} {
		for range 200 {
			combiner := crc.Combiner{Kind: kind}
			var got uint64
			for at := 0; at < len(data); {
				n := 1 + rng.IntN(len(data)-at)
				got = combiner.Combine(got, kind.Update(0, data[at:at+n]), int64(n))
				at += n
			}
			if got != want {
				t.Fatalf("%s: got %x, want %x", kind.Name, got, want)
			}
		}
		// A second part of 2^40 zero bytes has the same sum as its two halves.
		combiner := crc.Combiner{Kind: kind}
		half := combiner.Combine(want, 0, 1<<39)
		if a, b := combiner.Combine(want, 0, 1<<40), combiner.Combine(half, 0, 1<<39); a != b {
			t.Errorf("%s: %x at once, %x in halves", kind.Name, a, b)
		}
	}
}

// Sums as S3 shows them, of the nine bytes "123456789": the check values of the
// CRC catalogue (https://reveng.sourceforge.io/crc-catalogue/).
func TestEncode(t *testing.T) {
	check := []byte("123456789")
	for kind, want := range map[*crc.Kind]string{
		crc.CRC64NVME: "rosUhgp5mIg=", // ae8b14860a799888
		crc.CRC32:     "y/Q5Jg==",     // cbf43926
		crc.CRC32C:    "4waSgw==",     // e3069283
	} {
		if got := kind.Encode(kind.Update(0, check)); got != want {
			t.Errorf("%s: got %s (%x), want %s", kind.Name, got, kind.Update(0, check), want)
		}
	}
}
