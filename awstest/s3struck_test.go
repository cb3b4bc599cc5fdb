package awstest_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
)

// doFunc is an HTTP client made of a function.
type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// What a fault strikes is recorded with all that was asked, and a HEAD that is
// refused has no body, nor the length of one.
func TestStruckRequestsAreRecordedWhole(t *testing.T) {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	account.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
	keys := account.UserCredentials("anna", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	cfg := cloud.Config()
	var head *http.Response
	inner := cfg.HTTPClient
	cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := inner.Do(r)
		if r.Method == http.MethodHead {
			head = resp
		}
		return resp, err
	})
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
		o.RetryMaxAttempts = 1
	})
	cloud.Fault(awstest.Fault{Status: 503, Code: "SlowDown"})
	if _, err := client.GetObject(t.Context(), &s3.GetObjectInput{
		Bucket: aws.String("pics"), Key: aws.String("cat.jpg"), Range: aws.String("bytes=1-2"), IfMatch: aws.String(`"x"`),
	}); err == nil {
		t.Fatal("the fault did not strike")
	}
	calls := cloud.Calls()
	if p := calls[len(calls)-1].Params; p["Range"] != "bytes=1-2" || p["IfMatch"] != `"x"` {
		t.Errorf("recorded %v", p)
	}
	if _, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("pics"), Key: aws.String("cat.jpg")}); err == nil {
		t.Fatal("the fault did not strike")
	}
	if head.StatusCode != 503 || head.ContentLength > 0 {
		t.Errorf("a refused HEAD: status %d, Content-Length %d", head.StatusCode, head.ContentLength)
	}
}
