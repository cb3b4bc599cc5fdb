package awstest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/crossrole/crossrole/internal/xxhash"
)

// Checksums that S3 keeps with objects (Amazon S3 User Guide, "Checking object
// integrity"): the algorithms, what a request brings along, and what a stored
// version has.

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
	"SHA512":    sha512.New,
	"MD5":       md5.New,
	"XXHASH64":  xxhash.New64,
	"XXHASH3":   xxhash.New3,
	"XXHASH128": xxhash.New128,
}

// checksumNames returns the names of the algorithms, sorted.
func checksumNames() []string { return slices.Sorted(maps.Keys(checksumNew)) }

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

// givenChecksum returns algorithm and value of the checksum that the request
// brings, as a header, in its trailer, or as a parameter of a presigned URL; both
// are empty if it brings none.
func givenChecksum(s *s3Request) (algorithm, value string, refused *refusal) {
	given := map[string]string{}
	for _, from := range []map[string][]string{s.query, s.Header, s.Trailer} {
		for name, values := range from {
			algorithm, ok := strings.CutPrefix(strings.ToUpper(name), "X-AMZ-CHECKSUM-")
			if ok && algorithm != "TYPE" && algorithm != "ALGORITHM" && algorithm != "MODE" && len(values) > 0 {
				given[algorithm] = values[0]
			}
		}
	}
	stated := strings.ToUpper(s.option("X-Amz-Sdk-Checksum-Algorithm"))
	switch {
	case len(given) > 1:
		return "", "", refuse(400, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case len(given) == 0 && stated != "":
		return "", "", refuse(400, "InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case len(given) == 0:
		return "", "", nil
	}
	for algorithm, value = range given {
	}
	switch {
	case checksumNew[algorithm] == nil:
		return "", "", refuse(400, "InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
	case stated != "" && stated != algorithm:
		return "", "", refuse(400, "InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return algorithm, value, nil
}

// verifyChecksum compares the checksum that the request brings with its body and
// returns the algorithm, empty if it brings none.
func verifyChecksum(s *s3Request) (algorithm string, refused *refusal) {
	algorithm, value, refused := givenChecksum(s)
	if algorithm == "" || refused != nil {
		return "", refused
	}
	want, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(want) != checksumNew[algorithm]().Size() {
		return "", refuse(400, "InvalidRequest", "Value for x-amz-checksum-"+strings.ToLower(algorithm)+" header is invalid.")
	}
	if string(checksum(algorithm, s.body)) != string(want) {
		return "", refuse(400, "BadDigest", "The "+algorithm+" you specified did not match the calculated checksum.")
	}
	return algorithm, nil
}

// verifyMD5 compares the Content-MD5 of the request, if it has one, with its body.
func verifyMD5(s *s3Request) *refusal {
	given := s.Header.Get("Content-Md5")
	if given == "" {
		return nil
	}
	want, err := base64.StdEncoding.DecodeString(given)
	if err != nil || len(want) != md5.Size {
		return refuse(400, "InvalidDigest", "The Content-MD5 you specified was invalid.", "Content-MD5", given)
	}
	got := md5.Sum(s.body)
	if string(want) != string(got[:]) {
		return refuse(400, "BadDigest", "The Content-MD5 you specified did not match what we received.",
			"ExpectedDigest", given, "CalculatedDigest", base64.StdEncoding.EncodeToString(got[:]))
	}
	return nil
}

// setChecksum adds the checksum that is kept with a version to a response.
func setChecksum(h http.Header, v *version) {
	if sum := v.checksum(0); sum != "" {
		h.Set("X-Amz-Checksum-"+v.ChecksumAlgorithm, sum)
		h.Set("X-Amz-Checksum-Type", v.ChecksumType)
	}
}
