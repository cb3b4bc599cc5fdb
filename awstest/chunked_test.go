package awstest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestStreamedUpload puts an object whose length and checksum the SDK learns
// while it sends, so that they come in chunks and a trailer.
func TestStreamedUpload(t *testing.T) {
	w, hub := newPics(t)
	cfg := w.Config()
	cfg.Credentials = provider(hub)
	client := s3.NewFromConfig(cfg)
	data := strings.Repeat("purr ", 40_000)
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: new("pics"), Key: new("cat"), Body: io.MultiReader(strings.NewReader(data)), ContentLength: new(int64(len(data))),
	})
	if err != nil {
		t.Fatalf("%v\n%v", err, w.Calls())
	}
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(out.Body); err != nil || string(got) != data || out.ContentEncoding != nil {
		t.Errorf("read %d bytes of %d, %v, encoding %v", len(got), len(data), err, out.ContentEncoding)
	}
}

func TestChunkedRefusals(t *testing.T) {
	const good = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
	tests := []struct {
		name, body, length, trailer string
		status                      int
		code                        string
	}{
		{"good", good, "5", "x-amz-checksum-crc32", 200, ""},
		{"other checksum", strings.Replace(good, "Nh", "nh", 1), "5", "x-amz-checksum-crc32", 400, "BadDigest"},
		{"cut", good[:12], "5", "x-amz-checksum-crc32", 400, "IncompleteBody"},
		{"chunk too long", strings.Replace(good, "5\r", "6\r", 1), "5", "x-amz-checksum-crc32", 400, "IncompleteBody"},
		{"chunk size is no number", "x" + good, "5", "x-amz-checksum-crc32", 400, "IncompleteBody"},
		{"other length", good, "6", "x-amz-checksum-crc32", 400, "IncompleteBody"},
		{"no length", good, "", "x-amz-checksum-crc32", 411, "MissingContentLength"},
		{"trailer missing", "5\r\nhello\r\n0\r\n\r\n", "5", "x-amz-checksum-crc32", 400, "MalformedTrailerError"},
		{"trailer not announced", good, "5", "", 400, "MalformedTrailerError"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, hub := newPics(t)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://pics.s3.us-east-1.amazonaws.com/cat", strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content-Encoding": "aws-chunked",
				"X-Amz-Decoded-Content-Length": test.length, "X-Amz-Trailer": test.trailer,
			} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			s3Sign(t, r, hub, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "s3", "us-east-1", time.Now())
			resp, err := w.Config().HTTPClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if want := fmt.Sprintf("<Code>%s</Code>", test.code); err != nil || resp.StatusCode != test.status || test.code != "" && !strings.Contains(string(body), want) {
				t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, test.status, test.code)
			}
		})
	}
}
