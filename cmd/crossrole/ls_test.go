package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/s3reader"
)

// A listing that breaks off is an error, and not the bucket as it is.
func TestLevelThatCannotGoOn(t *testing.T) {
	const some = "<Contents><Key>a</Key><Size>1</Size></Contents>"
	for name, tt := range map[string]struct{ page, want string }{
		"whole":         {some + "<IsTruncated>false</IsTruncated>", ""},
		"no listing":    {"<Message>welcome</Message>", "is not a listing"},
		"no token":      {some + "<IsTruncated>true</IsTruncated>", "does not say how to continue"},
		"the same page": {some + "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>", "in a circle"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "<ListBucketResult>"+tt.page+"</ListBucketResult>")
			}))
			defer server.Close()
			r, err := s3reader.New(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: &server.URL}, "pics")
			if err != nil {
				t.Fatal(err)
			}
			var rows []lsRow
			err = new(lsCmd).each(t.Context(), r, s3URL{bucket: "pics"}, func(row lsRow) error {
				rows = append(rows, row)
				return nil
			})
			switch {
			case tt.want == "" && (err != nil || len(rows) != 1 || rows[0].StorageClass != "STANDARD"):
				t.Errorf("%+v, %v", rows, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%+v, %v; want %q", rows, err, tt.want)
			}
		})
	}
}
