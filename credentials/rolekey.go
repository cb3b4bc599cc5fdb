package credentials

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// roleKey tells roles apart that differ in any field. It is a hash, so that a
// key holds neither an external id nor much memory.
type roleKey [sha256.Size]byte

func keyOf(r Role) roleKey {
	var b []byte
	text := func(s string) { // with its length: "ab","c" is not "a","bc"
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	list := func(l []string) {
		b = binary.AppendUvarint(b, uint64(len(l)))
		for _, s := range l {
			text(s)
		}
	}
	text(r.ARN)
	text(r.SessionName)
	text(r.ExternalID)
	text(r.SourceIdentity)
	text(r.Policy)
	list(r.PolicyARNs)
	b = binary.AppendVarint(b, int64(r.Duration))
	keys := slices.Sorted(maps.Keys(r.Tags))
	list(keys)
	for _, k := range keys {
		text(r.Tags[k])
	}
	list(r.TransitiveTagKeys)
	return sha256.Sum256(b)
}
