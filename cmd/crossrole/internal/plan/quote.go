package plan

import (
	"strconv"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// Names and policies come from flags and files. These functions quote them for a shell, a
// YAML parser and Terraform, so that each stays one value.

// shellQuote quotes a word for a POSIX shell.
func shellQuote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

var (
	plainScalar = lazyregexp.New(`^[a-z][A-Za-z0-9+=,.@_/-]*(:[A-Za-z0-9+=,.@_/-]+|::[A-Za-z0-9+=,.@_/-]+)*$`)
	// What YAML 1.1 or 1.2 does not read as a string.
	notAString = lazyregexp.New(`^(?i:true|false|yes|no|on|off|y|n|null)$`)
)

// yamlString returns a string as a YAML scalar.
func yamlString(s string) string {
	if plainScalar().MatchString(s) && !notAString().MatchString(s) {
		return s
	}
	return yamlQuoted(s)
}

// yamlQuoted returns a string in double quotes; YAML has all of Go's escapes.
func yamlQuoted(s string) string { return strconv.QuoteToASCII(strings.ToValidUTF8(s, "\uFFFD")) }

// hclString returns a string literal of HCL.
func hclString(s string) string {
	return hclTemplate.Replace(strconv.Quote(strings.ToValidUTF8(s, "\uFFFD")))
}

// hclTemplate escapes what begins an interpolation or a directive in a string of HCL.
var hclTemplate = strings.NewReplacer("${", "$${", "%{", "%%{")

var jsonKey = lazyregexp.New(`(?m)^(\s*"(?:[^"\\]|\\.)*"): `)

// hclPolicy returns an expression of HCL for a policy. JSON is also an object of HCL,
// except for ${ and %{ in its strings. The rest is how terraform fmt writes it.
func hclPolicy(p *trust.Policy, indent string) string {
	text := jsonKey().ReplaceAllString(hclTemplate.Replace(p.String()), "$1 : ")
	return "jsonencode(" + strings.ReplaceAll(text, "\n", "\n"+indent) + ")"
}
