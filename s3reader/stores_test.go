package s3reader_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/s3reader"
)

// unsignedEncoding stands in docs/other-stores.md, word for word.
func unsignedEncoding(o *s3.Options) {
	const header = "Accept-Encoding"
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		var value string
		move := func(name string, change func(http.Header)) middleware.FinalizeMiddleware {
			return middleware.FinalizeMiddlewareFunc(name, func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				if req, ok := in.Request.(*smithyhttp.Request); ok {
					change(req.Header)
				}
				return next.HandleFinalize(ctx, in)
			})
		}
		remove := move("encodingRemoved", func(h http.Header) { value = h.Get(header); h.Del(header) })
		restore := move("encodingRestored", func(h http.Header) { h.Set(header, value) })
		if err := stack.Finalize.Insert(remove, "Signing", middleware.Before); err != nil {
			return err
		}
		return stack.Finalize.Insert(restore, "Signing", middleware.After)
	})
}

// frontEnd changes a header on the way, as Google's does.
type frontEnd struct{ aws.HTTPClient }

func (f frontEnd) Do(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if req.Header.Get("Accept-Encoding") == "identity" {
		req.Header.Set("Accept-Encoding", "identity,gzip(gfe)")
	}
	return f.HTTPClient.Do(req)
}

func TestUnsignedEncoding(t *testing.T) {
	s := newShelf()
	data := noise(5 * partSize)
	s.Put("k", data)
	cfg := s.config(mayList)
	cfg.HTTPClient = frontEnd{cfg.HTTPClient}
	if _, err := newReader(t, cfg, "pics").Get(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
		t.Errorf("without it: %v", err)
	}
	r := newReader(t, cfg, "pics", parts, func(o *s3reader.Options) { o.S3 = unsignedEncoding })
	var w memory
	if _, err := r.Download(t.Context(), "k", &w); err != nil {
		t.Fatal(err)
	}
	same(t, w.data, data)
}

// The page names tests that exist, and the function above.
func TestOtherStoresPage(t *testing.T) {
	page, err := os.ReadFile("../docs/other-stores.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			tests.Write(onDisk(t, f.Name()))
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllSubmatch(page, -1)
	for _, m := range named {
		if !strings.Contains(tests.String(), "func "+string(m[1])+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
	if len(named) < 10 {
		t.Errorf("%d tests are named", len(named))
	}
	source := tests.String()
	from := strings.Index(source, "func unsignedEncoding(")
	text, _, _ := strings.Cut(source[from:], "\n}\n")
	if !strings.Contains(string(page), text) {
		t.Error("unsignedEncoding is another one in the page")
	}
}
