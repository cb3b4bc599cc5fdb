// Package redact removes secrets from text that another program wrote: the
// error message of a server that quotes the request, a proxy's page, a
// provider's error.
//
// A server may quote a secret in another spelling than the one that was sent.
// The package finds it escaped for URLs, JSON, XML, HTML or Go, also several
// times over; in base64 and in hex; wrapped over lines; and fragments of a long
// one.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// Mark stands in the text where a secret was.
const Mark = "[redacted]"

const (
	// run is how many letters and digits in a row identify a long secret.
	run = 16

	// long is how many letters and digits a secret needs for its fragments to be
	// recognized, and whole for the secret to be recognized whatever characters
	// stand in between.
	long, whole = 32, 12

	// bounded is the length below which a secret counts only as a word of its own.
	// A shorter one would occur in ordinary words.
	bounded = 6

	// layers is how many times over an escaped text is unescaped.
	layers = 6
)

// A Redactor removes a set of secrets. The zero value knows no secret: it
// removes only what has a secret's usual shape or place. A Redactor does not
// change and may be used concurrently.
type Redactor struct {
	fragments []string // letters and digits of the long spellings
	wholes    []string // letters and digits of the others
	words     []string // spellings of what is too short for either
}

// New returns a Redactor for secrets. Those of fewer than two characters are
// ignored: the text would lose single letters, and show which.
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

// add files one spelling by its number of letters and digits.
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

// addEncoded adds the spellings in hex and base64. How base64 spells a secret
// depends on its position in the encoded text, modulo 3, and at both ends on its
// neighbours: those characters are left out.
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

// A cover holds which bytes of a text are hidden: at each index how many more
// hidden parts begin there than end.
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

// hideWord marks the places of a short secret.
func (l *layer) hideWord(word string, hidden cover) {
	occurrences(l.text, word, func(start, end int) {
		inside := start > 0 && isAlphanumeric(l.text[start-1]) || end < len(l.text) && isAlphanumeric(l.text[end])
		if len(word) >= bounded || !inside {
			l.hide(start, end, hidden)
		}
	})
}

// occurrences calls fn for each place of word in text, overlapping ones too, in
// linear time (Knuth, Morris and Pratt).
func occurrences(text []byte, word string, fn func(start, end int)) {
	border := make([]int, len(word)+1) // of each beginning of word
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

// hideRuns marks all that the text has in common with a secret, for at least run
// characters in a row.
func (l *layer) hideRuns(secrets []string, hidden cover) {
	found := map[uint64]bool{} // the runs of the text, and whether a secret has them
	var maybe [1 << 10]uint64  // a bit for each of them: secrets are long, and few of their runs are in the text
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

// rolling calls fn for each run of the text with a hash of it. Two runs with the
// same hash would be redacted alike, which does no harm.
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
