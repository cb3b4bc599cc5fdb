// Package redact removes secrets from text that another program wrote: a server's
// error message that quotes the request, a proxy's error page, a provider's error.
//
// A server may encode a secret differently from how it was sent. The package finds
// secrets that are escaped for URLs, JSON, XML, HTML or Go, even repeatedly; in base64
// or hex; and wrapped over several lines. It also finds fragments of long secrets.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// Mark replaces each secret.
const Mark = "[redacted]"

const (
	// run is how many letters and digits in a row identify a long secret.
	run = 16

	// A secret with at least long letters and digits is recognized by its fragments.
	// One with at least whole is recognized whatever other characters are in between.
	long, whole = 32, 12

	// A secret shorter than bounded is recognized only as a separate word, because it
	// could be part of an ordinary word.
	bounded = 6

	// layers is how many times a text is unescaped at most.
	layers = 6
)

// A Redactor removes a set of secrets. The zero value has no secrets: it removes only
// what looks like a secret, or is where a secret usually is. A Redactor is immutable
// and safe for concurrent use.
type Redactor struct {
	fragments []string // letters and digits of the long spellings
	wholes    []string // letters and digits of the others
	words     []string // spellings of what is too short for either
}

// New returns a Redactor for secrets. It ignores secrets of one character: removing
// them would damage the text and reveal the character.
func New(secrets ...string) *Redactor {
	r := &Redactor{}
	for _, secret := range secrets {
		if len(secret) < 2 {
			continue
		}
		r.add(secret)
		if decoded := strings.ReplaceAll(secret, "+", " "); decoded != secret {
			r.add(decoded) // a form's + is a space
		}
		r.addEncoded(secret)
		if escaped := url.QueryEscape(secret); escaped != secret {
			r.addEncoded(escaped)
		}
	}
	return r
}

// add adds one spelling to the list for its number of letters and digits.
func (r *Redactor) add(spelling string) {
	list, entry := &r.words, spelling
	switch bare := alphanumeric(spelling); {
	case len(bare) >= long:
		list, entry = &r.fragments, bare
	case len(bare) >= whole:
		list, entry = &r.wholes, bare
	}
	if !slices.Contains(*list, entry) {
		*list = append(*list, entry)
	}
}

// urlAlphabet turns base64 into that of URLs (RFC 4648, section 5).
var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

// addEncoded adds the spellings in hex and base64. In base64, the spelling depends on
// the position of the secret in the encoded text, modulo 3, and the characters at both
// ends depend on what is next to the secret; addEncoded leaves those out.
func (r *Redactor) addEncoded(secret string) {
	lower := hex.EncodeToString([]byte(secret))
	spellings := []string{lower, strings.ToUpper(lower)}
	for shift := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		from := (shift*8 + 5) / 6
		to := (shift + len(secret)) * 8 / 6
		spellings = append(spellings, encoded[from:to])
		if to < len(encoded) && shift == 0 {
			spellings = append(spellings, encoded)
		}
	}
	for _, s := range spellings {
		if len(s) >= bounded {
			r.add(s)
			if strings.ContainsAny(s, "+/") {
				r.add(urlAlphabet.Replace(s))
			}
		}
	}
}

// String returns s with each secret replaced by [Mark]. Its time is linear in
// the length of s and of the secrets.
func (r *Redactor) String(s string) string {
	hidden := make(cover, len(s)+1)
	l := newLayer(s)
	for range layers {
		r.search(l, hidden)
		next, changed := l.unescaped()
		if !changed {
			break
		}
		l = next
	}
	return hidden.redact(s)
}

// A cover records which bytes of a text are hidden. At each index it has the number of
// hidden parts that begin there minus the number that end there.
type cover []int32

func (c cover) add(from, to int32) {
	c[from]++
	c[to]--
}

func (c cover) redact(s string) string {
	var (
		b     strings.Builder
		depth int32
	)
	for i := range len(s) {
		before := depth
		depth += c[i]
		switch {
		case depth == 0:
			b.WriteByte(s[i])
		case before == 0:
			b.WriteString(Mark)
		}
	}
	return b.String()
}

// search marks the bytes of the original text that hold a secret in this layer.
func (r *Redactor) search(l *layer, hidden cover) {
	for _, word := range r.words {
		l.hideWord(word, hidden)
	}
	l.hideShapes(hidden)
	if len(r.fragments) == 0 && len(r.wholes) == 0 {
		return
	}
	bare := l.alphanumeric()
	for _, secret := range r.wholes {
		occurrences(bare.text, secret, func(start, end int) { bare.hide(start, end, hidden) })
	}
	bare.hideRuns(r.fragments, hidden)
}

// hideWord marks the occurrences of a short secret.
func (l *layer) hideWord(word string, hidden cover) {
	occurrences(l.text, word, func(start, end int) {
		inside := start > 0 && isAlphanumeric(l.text[start-1]) || end < len(l.text) && isAlphanumeric(l.text[end])
		if len(word) >= bounded || !inside {
			l.hide(start, end, hidden)
		}
	})
}

// occurrences calls fn for each occurrence of word in text, including overlapping ones,
// in linear time (Knuth, Morris and Pratt).
func occurrences(text []byte, word string, fn func(start, end int)) {
	border := make([]int, len(word)+1) // of each prefix of word
	border[0] = -1
	for i, k := 0, -1; i < len(word); i++ {
		for k >= 0 && word[i] != word[k] {
			k = border[k]
		}
		k++
		border[i+1] = k
	}
	matched := 0
	for i, c := range text {
		for matched >= 0 && (matched == len(word) || word[matched] != c) {
			matched = border[matched]
		}
		matched++
		if matched == len(word) {
			fn(i+1-matched, i+1)
		}
	}
}

// hideRuns marks every part of the text, of at least run characters, that is also part
// of a secret.
func (l *layer) hideRuns(secrets []string, hidden cover) {
	found := map[uint64]bool{} // the runs of the text, and whether a secret has them
	var maybe [1 << 10]uint64  // a Bloom filter of found: secrets are long, and few of their runs are in the text
	rolling(l.text, func(_ int, hash uint64) {
		found[hash] = false
		maybe[hash>>54] |= 1 << (hash >> 48 & 63)
	})
	if len(found) == 0 {
		return
	}
	for _, secret := range secrets {
		rolling(secret, func(_ int, hash uint64) {
			if maybe[hash>>54]&(1<<(hash>>48&63)) == 0 {
				return
			}
			if _, ok := found[hash]; ok {
				found[hash] = true
			}
		})
	}
	rolling(l.text, func(start int, hash uint64) {
		if found[hash] {
			l.hide(start, start+run, hidden)
		}
	})
}

// rolling calls fn for each run of the text, with its hash. If two runs have the same
// hash, the other one is redacted too, which does no harm.
func rolling[T string | []byte](text T, fn func(start int, hash uint64)) {
	const base = 1099511628211 // the prime of 64-bit FNV
	var leading uint64 = 1     // base to the power of run
	for range run {
		leading *= base
	}
	var hash uint64
	for i := range len(text) {
		hash = hash*base + uint64(text[i])
		if i >= run {
			hash -= leading * uint64(text[i-run])
		}
		if i >= run-1 {
			fn(i-run+1, hash)
		}
	}
}
