package redact

import "github.com/crossrole/crossrole/internal/lazyregexp"

const secretNames = `X-Amz-Signature|X-Amz-Security-Token|X-Amz-Credential|WebIdentityToken|SignatureProvided|Signature|SessionToken|SecretAccessKey|ExternalId`

var (
	// token matches a JSON web token or a fragment of one: the base64 of its header and
	// that of its claims begin with the same characters, as both are JSON objects.
	token = lazyregexp.New(`\beyJ[\w-]{8,}(?:\.[\w-]*)*`)

	// parameter matches a value that belongs to the name of a secret, in a URL, a form, a
	// header, a canonical request or an XML element.
	parameter = lazyregexp.New(`(?i)\b(?:` + secretNames + `)["']?(?:=["']?([^&\s"'<>,;]+)|\s*[:>]\s*["']?([^&\s"'<>,;]{16,}))`)
)

// hideShapes marks everything that looks like a secret.
func (l *layer) hideShapes(hidden cover) {
	for _, m := range token().FindAllIndex(l.text, -1) {
		l.hide(m[0], m[1], hidden)
	}
	for _, m := range parameter().FindAllSubmatchIndex(l.text, -1) {
		for group := 2; group < len(m); group += 2 {
			if m[group] >= 0 {
				l.hide(m[group], m[group+1], hidden)
			}
		}
	}
}
