package awstest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The XML documents of S3's requests and responses.

// xmlTime is how S3 writes a time in XML.
const xmlTime = "2006-01-02T15:04:05.000Z"

// readXML decodes the request's document into into, whose XMLName names the root
// element. What is no such document, or longer than limit, is refused.
func readXML(s *s3Request, limit int, into any) *refusal {
	if len(s.body) > limit {
		return refuse(400, "MaxMessageLengthExceeded", "Your request was too big.", "MaxMessageLengthBytes", itoa(limit))
	}
	if len(s.body) == 0 {
		return refuse(400, "MissingRequestBodyError", "Request Body is empty")
	}
	decoder := xml.NewDecoder(bytes.NewReader(s.body))
	if err := decoder.Decode(into); err != nil {
		return malformedXML()
	}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if _, comment := token.(xml.Comment); err != nil || !comment && !isSpace(token) {
			return malformedXML()
		}
	}
}

func isSpace(token xml.Token) bool {
	text, ok := token.(xml.CharData)
	return ok && len(bytes.TrimSpace(text)) == 0
}

func malformedXML() *refusal {
	return refuse(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}

// s3XML writes S3's responses in XML. encoding/xml would replace the control
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

// checksum writes what S3 keeps of a version's checksum.
func (x *s3XML) checksum(v *version) {
	if sum := v.checksum(0); sum != "" {
		x.element("Checksum"+v.ChecksumAlgorithm, sum)
		x.element("ChecksumType", v.ChecksumType)
	}
}

// checksumKind writes which checksum S3 keeps of a version.
func (x *s3XML) checksumKind(v *version) {
	if v.ChecksumType != "" {
		x.element("ChecksumAlgorithm", v.ChecksumAlgorithm)
		x.element("ChecksumType", v.ChecksumType)
	}
}

// owner writes the owner of an object; nothing for nil.
func (x *s3XML) owner(a *Account) {
	if a != nil {
		x.open("Owner")
		x.element("ID", a.canonicalID())
		x.close("Owner")
	}
}

func (x *s3XML) commonPrefix(name string) {
	x.open("CommonPrefixes")
	x.element("Prefix", name)
	x.close("CommonPrefixes")
}
