package awstest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// chunks is a body in aws-chunked encoding, taken apart (Amazon S3 API,
// "Signature calculations: transferring payload in multiple chunks").
type chunks struct {
	signed  bool
	list    []chunk
	trailer []string // "name:value", as received; without x-amz-trailer-signature

	trailerSignature string
}

type chunk struct {
	data      []byte
	signature string
}

// decodeBody replaces an aws-chunked body by the object's bytes, and puts
// what its trailer says into the request's Trailer. It returns nil for a body
// that comes as it is.
func decodeBody(r *request) (*chunks, *refusal) {
	kind := r.Header.Get("X-Amz-Content-Sha256")
	if r.service != serviceS3 || !strings.HasPrefix(kind, streaming) {
		return nil, nil
	}
	switch kind {
	case unsignedTrailer, signedChunks, signedChunksTrailer:
	default:
		return nil, &refusal{status: http.StatusNotImplemented, code: "NotImplemented", message: "awstest does not implement " + kind}
	}
	c := &chunks{signed: kind != unsignedTrailer}
	rest, ok := c.readChunks(r.body)
	if !ok || !c.readTrailer(rest) {
		return nil, &refusal{status: http.StatusBadRequest, code: "IncompleteBody", message: "The request body terminated unexpectedly"}
	}
	var body bytes.Buffer
	for _, chunk := range c.list {
		body.Write(chunk.data)
	}
	if length := r.Header.Get("X-Amz-Decoded-Content-Length"); length != strconv.Itoa(body.Len()) {
		if length == "" {
			return nil, &refusal{status: http.StatusLengthRequired, code: "MissingContentLength", message: "You must provide the Content-Length HTTP header."}
		}
		return nil, &refusal{status: http.StatusBadRequest, code: "IncompleteBody", message: "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header"}
	}
	trailer := http.Header{}
	for _, line := range c.trailer {
		name, value, _ := strings.Cut(line, ":")
		trailer.Set(name, strings.TrimSpace(value))
	}
	for name := range strings.SplitSeq(r.Header.Get("X-Amz-Trailer"), ",") {
		if name = strings.TrimSpace(name); name != "" && trailer.Get(name) == "" {
			return nil, malformedTrailer()
		}
	}
	for name := range trailer {
		if !strings.Contains(strings.ToLower(r.Header.Get("X-Amz-Trailer")), strings.ToLower(name)) {
			return nil, malformedTrailer()
		}
	}
	r.body, r.Trailer = body.Bytes(), trailer
	return c, nil
}

func malformedTrailer() *refusal {
	return &refusal{status: http.StatusBadRequest, code: "MalformedTrailerError", message: "The request contained trailing data that was not well-formed or did not conform to our published schema."}
}

// readChunks reads up to the last chunk, which is empty, and returns what comes
// after its header line.
func (c *chunks) readChunks(body []byte) (rest []byte, ok bool) {
	for {
		head, after, found := bytes.Cut(body, []byte("\r\n"))
		if !found {
			return nil, false
		}
		size, extension, _ := strings.Cut(string(head), ";")
		n, err := strconv.ParseUint(size, 16, 40)
		signature, hasSignature := strings.CutPrefix(extension, "chunk-signature=")
		if err != nil || hasSignature != c.signed {
			return nil, false
		}
		if n == 0 {
			c.list = append(c.list, chunk{signature: signature})
			return after, true
		}
		if uint64(len(after)) < n+2 || string(after[n:n+2]) != "\r\n" {
			return nil, false
		}
		c.list = append(c.list, chunk{data: after[:n], signature: signature})
		body = after[n+2:]
	}
}

// readTrailer reads the lines after the last chunk.
func (c *chunks) readTrailer(rest []byte) bool {
	for line := range strings.SplitSeq(string(rest), "\r\n") {
		name, value, found := strings.Cut(line, ":")
		switch {
		case line == "":
		case !found:
			return false
		case strings.EqualFold(name, "x-amz-trailer-signature"):
			c.trailerSignature = value
		default:
			c.trailer = append(c.trailer, line)
		}
	}
	return true
}

// signedBy verifies the chain of signatures that begins with the request's own.
// A body without signatures is taken as it is.
func (c *chunks) signedBy(s *signature, secret string) bool {
	if c == nil || !c.signed {
		return true
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	key := mac(mac(mac(mac([]byte("AWS4"+secret), s.day), s.region), s.service), "aws4_request")
	scope := s.day + "/" + s.region + "/" + s.service + "/aws4_request"
	sign := func(parts ...string) string {
		return hex.EncodeToString(mac(key, strings.Join(append([]string{parts[0], s.time.Format(timeFormat), scope}, parts[1:]...), "\n")))
	}
	previous, empty := s.hex, hashHex(nil)
	for _, chunk := range c.list {
		want := sign(signingAlgorithm+"-PAYLOAD", previous, empty, hashHex(chunk.data))
		if want != chunk.signature {
			return false
		}
		previous = want
	}
	if len(c.trailer) == 0 {
		return true
	}
	var canonical strings.Builder
	for _, line := range c.trailer {
		name, value, _ := strings.Cut(line, ":")
		canonical.WriteString(strings.ToLower(name) + ":" + strings.TrimSpace(value) + "\n")
	}
	return sign(signingAlgorithm+"-TRAILER", previous, hashHex([]byte(canonical.String()))) == c.trailerSignature
}

func hashHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
