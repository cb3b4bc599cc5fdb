package served

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Duration returns how long [Serve.Fifty] runs: a minute, or the value of the variable
// SERVE_FOR.
func Duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SERVE_FOR")
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SERVE_FOR: %v", err)
	}
	return d
}

// Fifty reads with fifty clients of the Go SDK in parallel. It returns the number of
// reads; any error fails the test.
func (s *Serve) Fifty(t *testing.T, d time.Duration) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var reads atomic.Int64
	var clients sync.WaitGroup
	for i := range 50 {
		client := s.client()
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := s.read(t.Context(), client); err != nil {
					t.Errorf("client %d, %d reads in all: %v", i, reads.Load(), err)
					return
				}
				reads.Add(1)
				select {
				case <-ctx.Done():
				case <-time.After(250*time.Millisecond + rand.N(500*time.Millisecond)):
				}
			}
		})
	}
	clients.Wait()
	return reads.Load()
}

// client returns a client that config.LoadDefaultConfig configures from the two
// variables.
func (s *Serve) client() *s3.Client {
	provider := endpointcreds.New(s.URL, func(o *endpointcreds.Options) {
		o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
			token, err := os.ReadFile(s.TokenFile)
			return string(token), err
		})
	})
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute }),
	})
}

func (s *Serve) read(ctx context.Context, client *s3.Client) error {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.Bucket, Key: &s.Key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err == nil && string(data) != s.Content {
		err = fmt.Errorf("%d bytes that are not the object", len(data))
	}
	return err
}
