package credentials_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// wideSTS gives everybody who asks a session with a token of 1,024 bytes, as
// long as STS's are.
func wideSTS() aws.HTTPClient {
	var asked atomic.Int64
	return doFunc(func(r *http.Request) (*http.Response, error) {
		n := asked.Add(1)
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, err
		}
		account, name, _ := strings.Cut(strings.TrimPrefix(form.Get("RoleArn"), "arn:aws:iam::"), ":role/")
		body := fmt.Sprintf(`<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult>
<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:%[4]s</AssumedRoleId><Arn>arn:aws:sts::%[2]s:assumed-role/%[3]s/%[4]s</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA%016[5]d</AccessKeyId><SecretAccessKey>%040[5]d</SecretAccessKey><SessionToken>%01024[5]d</SessionToken><Expiration>%[6]s</Expiration></Credentials>
</%[1]sResult><ResponseMetadata><RequestId>%[5]d</RequestId></ResponseMetadata></%[1]sResponse>`,
			form.Get("Action"), account, name, form.Get("RoleSessionName"), n, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		return &http.Response{
			StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"text/xml"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
			Body:   io.NopCloser(strings.NewReader(body)),
		}, nil
	})
}

// BenchmarkPoolRetrieve compares one chain with many: a session that is valid
// costs about the same.
func BenchmarkPoolRetrieve(b *testing.B) {
	s := newScene(b)
	base := s.cloud.Config()
	base.HTTPClient = wideSTS()
	for _, n := range []int{1, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, err := credentials.NewPool(base, func(o *credentials.PoolOptions) { o.Source = s.web() })
			if err != nil {
				b.Fatal(err)
			}
			var chains []*credentials.Chain
			for i := range n {
				c := poolChain(b, p, credentials.Role{ARN: fmt.Sprintf("arn:aws:iam::%012d:role/audit", i)})
				if _, err := c.Retrieve(b.Context()); err != nil {
					b.Fatal(err)
				}
				chains = append(chains, c)
			}
			rand.Shuffle(n, func(i, j int) { chains[i], chains[j] = chains[j], chains[i] })
			ctx := b.Context()
			i := 0
			for b.Loop() {
				if _, err := chains[i].Retrieve(ctx); err != nil {
					b.Fatal(err)
				}
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}
