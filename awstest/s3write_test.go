package awstest_test

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// writeRow is a request that writes, sent to a store of its own, and what S3
// answers. The header {md5} stands for the Content-MD5 of the body.
type writeRow struct {
	as      string // owner, if empty; "anonymous" does not sign
	request string
	headers string
	sent    string

	status int
	code   string
	answer string // headers, as in s3Row
	match  string // part of the body
}

// run sends the row and compares.
func (row writeRow) run(t *testing.T, s *store) answer {
	t.Helper()
	method, target, _ := strings.Cut(s.names.Replace(row.request), " ")
	sent := s.names.Replace(row.sent)
	sum := md5.Sum([]byte(sent))
	headers := strings.ReplaceAll(s.names.Replace(row.headers), "{md5}", "Content-MD5: "+base64.StdEncoding.EncodeToString(sum[:]))
	as := cmp.Or(row.as, "owner")
	if as == "anonymous" {
		as = ""
	}
	got := s.do(t, as, method, target, headers, sent)
	s.check(t, s3Row{status: row.status, code: row.code, answer: row.answer}, method, got)
	if !strings.Contains(got.body, s.names.Replace(row.match)) {
		t.Errorf("body %s, want %s in it", got.body, row.match)
	}
	return got
}

func runWrites(t *testing.T, rows []writeRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(strings.TrimSpace(row.as+" "+row.request+" "+row.headers+" "+row.sent[:min(len(row.sent), 60)]), func(t *testing.T) {
			row.run(t, newStore(t))
		})
	}
}

// codeOf is the code of an error of AWS; empty if there is none.
func codeOf(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		if err != nil {
			return err.Error()
		}
		return ""
	}
	return api.ErrorCode()
}

// read is the content of an object, or the code of the error.
func read(t *testing.T, client *s3.Client, bucket, key, versionID string) string {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if versionID != "" {
		in.VersionId = &versionID
	}
	out, err := client.GetObject(context.WithoutCancel(t.Context()), in)
	if err != nil {
		return codeOf(err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func putText(t *testing.T, client *s3.Client, bucket, key, text string) *s3.PutObjectOutput {
	t.Helper()
	out, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
