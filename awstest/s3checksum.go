package awstest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"sync"
)

// nvme is the polynomial of CRC64NVME in the bit order of hash/crc64 (NVM
// Express NVM Command Set Specification 1.0, section 5.2.1.3.4).
var nvme = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(0x9a6c9329ac4bc9b5) })

// checksumNew makes the hashes that S3 keeps with objects, by the names of
// x-amz-sdk-checksum-algorithm.
var checksumNew = map[string]func() hash.Hash{
	"CRC64NVME": func() hash.Hash { return crc64.New(nvme()) },
	"CRC32":     func() hash.Hash { return crc32.NewIEEE() },
	"CRC32C":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"SHA1":      sha1.New,
	"SHA256":    sha256.New,
}

// checksum is the checksum of data by the named algorithm.
func checksum(algorithm string, data []byte) []byte {
	h := checksumNew[algorithm]()
	h.Write(data)
	return h.Sum(nil)
}

// checksum is the checksum that S3 sends with the whole object (part 0) or with
// one part, in base64; empty when it keeps none.
func (v *version) checksum(part int64) string {
	if v.ChecksumAlgorithm == "NONE" {
		return ""
	}
	// Held while computing, so that many requests for a large object that arrive
	// together compute it once.
	v.mu.Lock()
	defer v.mu.Unlock()
	sum, ok := v.sums[part]
	if !ok {
		sum = v.computeChecksum(part)
		if v.sums == nil {
			v.sums = map[int64]string{}
		}
		v.sums[part] = sum
	}
	return sum
}

func (v *version) computeChecksum(part int64) string {
	switch {
	case part > 0:
		first, end := v.part(part)
		return base64.StdEncoding.EncodeToString(checksum(v.ChecksumAlgorithm, v.data[first:end]))
	case v.ChecksumType == "COMPOSITE":
		h := checksumNew[v.ChecksumAlgorithm]()
		for n := int64(1); n <= v.parts(); n++ {
			first, end := v.part(n)
			h.Write(checksum(v.ChecksumAlgorithm, v.data[first:end]))
		}
		return fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(h.Sum(nil)), v.parts())
	}
	return base64.StdEncoding.EncodeToString(checksum(v.ChecksumAlgorithm, v.data))
}
