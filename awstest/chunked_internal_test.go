package awstest

import (
	"bytes"
	"testing"
	"time"
)

// TestSignedChunks verifies the example of the Amazon S3 API Reference,
// "Signature calculations for the Authorization header: transferring payload in
// multiple chunks". No client here signs chunks, so it is tested from within.
func TestSignedChunks(t *testing.T) {
	s := &signature{
		day: "20130524", region: "us-east-1", service: "s3", time: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC),
		hex: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
	}
	const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	a := bytes.Repeat([]byte{'a'}, 65536)
	var body bytes.Buffer
	body.WriteString("10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n")
	body.Write(a)
	body.WriteString("\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n")
	body.Write(a[:1024])
	body.WriteString("\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n")

	read := func(body []byte) *chunks {
		c := &chunks{signed: true}
		rest, ok := c.readChunks(body)
		if !ok || !c.readTrailer(rest) {
			t.Fatal("the example cannot be read")
		}
		return c
	}
	if !read(body.Bytes()).signedBy(s, secret) {
		t.Error("the example is refused")
	}
	if read(body.Bytes()).signedBy(s, secret+"x") {
		t.Error("another secret is accepted")
	}
	changed := bytes.Clone(body.Bytes())
	changed[len(changed)-200] = 'b'
	if read(changed).signedBy(s, secret) {
		t.Error("a changed byte is accepted")
	}
	trailer := bytes.Replace(body.Bytes(), []byte("449df9\r\n\r\n"), []byte("449df9\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), 1)
	if read(trailer).signedBy(s, secret) {
		t.Error("a trailer without signature is accepted")
	}
}
