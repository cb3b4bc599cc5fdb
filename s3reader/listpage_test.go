package s3reader_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/crossrole/crossrole/s3reader"
)

// A page of a listing means the same, however a store spells it.

const pageHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`

// contents is an object of a page.
func contents(elements string) string {
	return "<Contents>" + elements + "</Contents>"
}

// pageBodies are bodies of pages.
var pageBodies = []string{
	"<IsTruncated>false</IsTruncated>",
	"<Name>pics</Name><Prefix></Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>" +
		contents("<Key>a/b%2Bc</Key><LastModified>2026-11-02T15:04:05.000Z</LastModified><ETag>&quot;e&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>7</Size><StorageClass>STANDARD</StorageClass>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a&amp;b&lt;&gt;&apos;</Key><Size>7</Size><StorageClass>GLACIER</StorageClass>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a&#38;b</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a&nbsp;b</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a&b</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>é</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>\xff</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a\r\nb</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a]]>b</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key><![CDATA[a<b]]></Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a<!-- b --></Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key> a </Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a</Key><Key>b</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a</Key><Size>seven</Size>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a</Key><Size/>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a</Key><Size>+7</Size><LastModified>yesterday</LastModified>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a</Key><Size>7</Size><Owner><ID>1</ID></Owner><RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus>"),
	"<IsTruncated>false</IsTruncated>" + contents("<key>a</key><SIZE>7</SIZE>"),
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a</Key><Size>7</Size>") + "between" + contents("<Key>b</Key><Size>7</Size>"),
	"<IsTruncated>maybe</IsTruncated>" + contents("<Key>a</Key><Size>7</Size>"),
	"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>" + contents("<Key>a</Key><Size>7</Size>"),
	"<MaxKeys>many</MaxKeys><IsTruncated>false</IsTruncated>",
	"<IsTruncated>false</IsTruncated>\n  " + contents("\n\t<Key>a</Key>\n\t<Size>7</Size>\n") + "\n",
	"<IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>" + contents("<Key>a</Key><Size>7</Size>"),
	"<IsTruncated>false</IsTruncated><CommonPrefixes></CommonPrefixes>",
	"<IsTruncated>false</IsTruncated><Contents/>",
	"<IsTruncated>false</IsTruncated>" + contents("<Key>a</Size>"),
	"<IsTruncated>false</IsTruncated><Unknown><Contents>" + contents("<Key>a</Key>") + "</Contents></Unknown>",
}

// pageOf returns what a reader lists of a bucket whose every page is doc: the entries, and
// whether there was an error.
func pageOf(t *testing.T, doc string) (entries []string, failed bool) {
	cfg := server(func(*http.Request) *http.Response {
		return answer(200, doc, "Content-Type: application/xml")
	}).config()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	for info, err := range newReader(t, cfg, "pics").List(t.Context(), "", func(o *s3reader.ListOptions) { o.Delimiter = "/" }) {
		if err != nil {
			return entries, true
		}
		entries = append(entries, fmt.Sprintf("%+v", *info))
	}
	return entries, false
}

// FuzzPageSpelling compares a page with the same page and a comment after it. This package reads
// pages as S3 writes them, and leaves others to the SDK, such as those with comments.
func FuzzPageSpelling(f *testing.F) {
	for _, body := range pageBodies {
		f.Add(pageHead + body + "</ListBucketResult>")
	}
	f.Add("<ListBucketResult>" + pageBodies[1] + "</ListBucketResult>\n")
	f.Add(`<?xml version="1.0" encoding="ISO-8859-1"?><ListBucketResult>` + pageBodies[1] + "</ListBucketResult>")
	f.Add(`<s:ListBucketResult xmlns:s="x"><s:IsTruncated>false</s:IsTruncated></s:ListBucketResult>`)
	f.Add(pageHead + pageBodies[1])
	f.Add("")
	f.Fuzz(func(t *testing.T, doc string) {
		got, failed := pageOf(t, doc)
		want, wantFailed := pageOf(t, doc+"<!-- -->")
		if failed != wantFailed || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%q\n%q, failed %v; the SDK: %q, failed %v", doc, got, failed, want, wantFailed)
		}
	})
}

// A page as S3 writes it takes few allocations per key, of which two are the key and the
// ETag.
func TestListAllocations(t *testing.T) {
	const keys = 1000
	var page strings.Builder
	page.WriteString(pageHead + "<Name>pics</Name><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>")
	for i := range keys {
		page.WriteString(contents(fmt.Sprintf("<Key>photos/%06d</Key><LastModified>2026-11-02T15:04:05.000Z</LastModified><ETag>&quot;%032x&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass>", i, i)))
	}
	page.WriteString("</ListBucketResult>")
	r := newReader(t, server(func(*http.Request) *http.Response { return answer(200, page.String()) }).config(), "pics")
	per := testing.AllocsPerRun(5, func() {
		n := 0
		for _, err := range r.List(t.Context(), "photos/") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != keys {
			t.Fatalf("%d keys", n)
		}
	}) / keys
	if per > 6 {
		t.Errorf("%.1f allocations per key", per)
	}
}

// ownDeserializer is a user's, in place of the SDK's.
type ownDeserializer struct{ page *s3.ListObjectsV2Output }

func (ownDeserializer) ID() string { return "OperationDeserializer" }

func (d ownDeserializer) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	out.Result = d.page
	return out, metadata, err
}

// A deserializer that Options.S3 puts in place of the SDK's reads the pages.
func TestListWithOwnDeserializer(t *testing.T) {
	own := ownDeserializer{&s3.ListObjectsV2Output{IsTruncated: aws.Bool(false), Contents: []s3types.Object{{Key: aws.String("theirs"), Size: aws.Int64(7)}}}}
	doc := pageHead + "<IsTruncated>false</IsTruncated>" + contents("<Key>ours</Key><Size>7</Size>") + "</ListBucketResult>"
	r := newReader(t, server(func(*http.Request) *http.Response { return answer(200, doc) }).config(), "pics", func(o *s3reader.Options) {
		o.S3 = func(o *s3.Options) {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
				_, err := stack.Deserialize.Swap("OperationDeserializer", own)
				return err
			})
		}
	})
	for info, err := range r.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Key != "theirs" {
			t.Errorf("got %q", info.Key)
		}
	}
}
