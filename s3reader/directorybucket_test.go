package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/credentials"
)

// Why S3 Express directory buckets are not supported: what the SDK's sessions for them do
// when S3 refuses one. If a case fails, the SDK has changed, and it is time to think again.

const directoryBucket = "fast--use1-az4--x-s3"

// zone is the zonal endpoint of a directory bucket that has one object. All other
// requests go on to awstest.
type zone struct {
	inner interface {
		Do(*http.Request) (*http.Response, error)
	}
	mu       sync.Mutex
	sessions []string        // the keys that CreateSession was signed with
	refused  map[string]bool // keys that are refused: of the chain, and of sessions
	hang     chan struct{}   // CreateSession waits until it is closed; nil: it does not
}

func (z *zone) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Host != directoryBucket+".s3express-use1-az4.us-east-1.amazonaws.com" {
		return z.inner.Do(r)
	}
	if hang := z.hang; hang != nil && r.URL.Query().Has("session") {
		select {
		case <-hang:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, scope, _ := strings.Cut(rest, "/")
	if !strings.Contains(scope, "/us-east-1/s3express/aws4_request") {
		return nil, fmt.Errorf("signed for %q", scope)
	}
	if z.refused[key] {
		return answer(400, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"), nil
	}
	if !r.URL.Query().Has("session") {
		if r.Header.Get("X-Amz-S3session-Token") == "" || !strings.HasPrefix(key, "session") {
			return nil, fmt.Errorf("not signed with a session, but with %s", key)
		}
		return answer(200, "hello", "Content-Length: 5", `ETag: "e"`), nil
	}
	z.sessions = append(z.sessions, key)
	return answer(200, fmt.Sprintf("<CreateSessionResult><Credentials><AccessKeyId>session%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"+
		"<SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></CreateSessionResult>",
		len(z.sessions), time.Now().Add(5*time.Minute).UTC().Format(time.RFC3339))), nil
}

// expressClient returns the SDK's client of a directory bucket, signed by a chain.
func expressClient(t *testing.T) (*zone, aws.Config, func(context.Context) error) {
	t.Helper()
	_, _, cfg := gallery(t)
	z := &zone{inner: cfg.HTTPClient, refused: map[string]bool{}}
	cfg.HTTPClient = z
	cfg.Region = "us-east-1"
	return z, cfg, expressGet(cfg)
}

// expressGet returns a function that gets an object of a directory bucket.
func expressGet(cfg aws.Config) func(context.Context) error {
	client := s3.NewFromConfig(cfg)
	return func(ctx context.Context) error {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: new(directoryBucket), Key: new("k")})
		if err == nil {
			err = out.Body.Close()
		}
		return err
	}
}

// A chain's session that has expired is renewed, and the request fails all the same.
func TestDirectoryBucketWithExpiredSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z, cfg, get := expressClient(t)
		chain, _ := credentials.ChainOf(cfg)
		old, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		z.refused[old.AccessKeyID] = true
		if err := get(t.Context()); err == nil || !strings.Contains(err.Error(), "ExpiredToken") {
			t.Errorf("the first request: %v", err)
		}
		if err := get(t.Context()); err != nil {
			t.Errorf("the second request: %v", err)
		}
	})
}

// A bucket's session that S3 refuses is used for as long as it would have been valid.
func TestDirectoryBucketWithRefusedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z, cfg, _ := expressClient(t)
		// The SDK creates another session when the chain's is renewed, at a random time.
		fixed, err := cfg.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return fixed, nil })
		get := expressGet(cfg)
		if err := get(t.Context()); err != nil {
			t.Fatal(err)
		}
		z.mu.Lock()
		z.refused["session1"] = true
		z.mu.Unlock()
		began := time.Now()
		for get(t.Context()) != nil {
			time.Sleep(time.Second)
		}
		took := time.Since(began)
		t.Logf("requests failed for %v", took)
		if took < 4*time.Minute || took > 5*time.Minute {
			t.Errorf("requests failed for %v", took)
		}
	})
}

// The error of a caller whose context ends does not say so.
func TestDirectoryBucketWithEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z, _, get := expressClient(t)
		z.hang = make(chan struct{})
		defer close(z.hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := get(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
