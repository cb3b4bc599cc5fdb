package s3reader_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/s3reader"
)

// FuzzResponseHeaders holds that no header of a response makes an operation panic,
// return other bytes than the object's, or ask without end.
func FuzzResponseHeaders(f *testing.F) {
	f.Add(uint16(0), `"e"`, "", "10", "", "", "")
	f.Add(uint16(0), `"e-2"`, "", "0", "", "", "")
	f.Add(uint16(206), `"e"`, "bytes 2-4/10", "3", "AAAAAAAAAAA=", "FULL_OBJECT", "")
	f.Add(uint16(200), `"e"`, "bytes 2-4/9223372036854775807", "9223372036854775807", "x", "COMPOSITE", "gzip")
	f.Add(uint16(416), `W/"e"`, "bytes */0", "-1", "", "", "")
	f.Add(uint16(412), "", "bytes 0-0/1125899906842624", "1125899906842624", "", "", "")
	f.Add(uint16(307), `"e"`, "", "", "", "", "")
	f.Fuzz(func(t *testing.T, status uint16, etag, contentRange, length, checksum, checksumType, encoding string) {
		var lines []string
		for name, value := range map[string]string{
			"ETag": etag, "Content-Range": contentRange, "Content-Length": length,
			"X-Amz-Checksum-Crc64nvme": checksum, "X-Amz-Checksum-Crc32": checksum, "X-Amz-Checksum-Sha256": checksum,
			"X-Amz-Checksum-Type": checksumType, "Content-Encoding": encoding,
		} {
			if value != "" {
				lines = append(lines, name+": "+value)
			}
		}
		if status != 0 {
			status = 200 + status%400
		}
		for _, op := range hostileOperations {
			synctest.Test(t, func(t *testing.T) { tryHostile(t, op.run, int(status), lines...) })
		}
	})
}

// FuzzErrorDocuments holds that an error document, whatever is in it, becomes one
// readable line, without the token that it may quote.
func FuzzErrorDocuments(f *testing.F) {
	f.Add(uint16(403), "<Error><Code>AccessDenied</Code><Message>"+sessionToken+"</Message></Error>", "4442587FB7D0A2F9")
	f.Add(uint16(404), "<Error><Code>NoSuchKey</Code>", "\x00")
	f.Add(uint16(403), "<Error><Code>InvalidObjectState</Code><StorageClass>GLACIER</StorageClass></Error>", "")
	f.Add(uint16(200), "<Error><Code>InternalError</Code></Error>", "")
	f.Add(uint16(503), "<html>"+strings.Repeat("<a>", 20_000), "eu-west-1")
	f.Add(uint16(301), "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><Error>&a;</Error>", "evil.example/")
	f.Fuzz(func(t *testing.T, status uint16, document, header string) {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			r := newReader(t, signedConfig(server(func(*http.Request) *http.Response {
				requests++
				resp := answer(200+int(status)%400, document)
				for _, name := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "X-Amz-Bucket-Region", "Location", "Content-Range", "X-Amz-Retry-After"} {
					resp.Header.Set(name, header)
				}
				return resp
			})), "pics")
			for _, op := range hostileOperations {
				_, err := op.run(t.Context(), r)
				if err == nil || err == io.EOF {
					continue
				}
				text := err.Error()
				if errors.Is(err, s3reader.Panicked) || strings.ContainsAny(text, "\n\r\x00\x1b") || strings.Contains(text, sessionToken) || len(text) > 64<<10 {
					t.Errorf("%s: %q", op.name, text)
				}
			}
			if requests > 200 {
				t.Errorf("%d requests", requests)
			}
		})
	})
}
