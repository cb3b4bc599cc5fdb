package awstest

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// s3XML writes S3's answers in XML. encoding/xml would replace the control
// characters of a key; S3 writes them as character references, which XML 1.0
// does not allow and parsers refuse.
type s3XML struct {
	b     strings.Builder
	depth int
}

const s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

func (x *s3XML) open(name string) {
	if x.depth == 0 {
		x.b.WriteString(xml.Header + "<" + name + ` xmlns="` + s3Namespace + `">`)
	} else {
		x.b.WriteString("<" + name + ">")
	}
	x.depth++
}

func (x *s3XML) close(name string) {
	x.depth--
	x.b.WriteString("</" + name + ">")
}

func (x *s3XML) element(name, text string) {
	x.open(name)
	x.text(text)
	x.close(name)
}

func (x *s3XML) text(text string) {
	for _, r := range text {
		switch {
		case r == '&':
			x.b.WriteString("&amp;")
		case r == '<':
			x.b.WriteString("&lt;")
		case r == '>':
			x.b.WriteString("&gt;")
		case r == '"':
			x.b.WriteString("&quot;")
		case r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff:
			fmt.Fprintf(&x.b, "&#x%x;", r)
		default:
			x.b.WriteRune(r)
		}
	}
}

func (x *s3XML) response() *response {
	resp := &response{status: 200, header: http.Header{}, body: []byte(x.b.String())}
	resp.header.Set("Content-Type", "application/xml")
	return resp
}

// urlEncoded is text as encoding-type=url gives it: as an HTML form encodes it,
// but for the slash, which stays (ListObjectsV2, "test_file(3).png will appear
// as test_file%283%29.png").
func urlEncoded(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-_.*", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }
