package credentials_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// A server's clock that was wrong once must not lock the pod out.
func TestWrongServerClockIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		hour := func(token *trust.Token) { token.Expires = time.Now().Add(time.Hour) }
		s.pod.Rotate(hour)
		chain := s.directChain(t)
		remove := s.cloud.Fault(awstest.Fault{ServerClock: 2 * time.Hour})
		chain.Retrieve(t.Context())
		remove()
		failed := 0
		for range 20 {
			time.Sleep(30 * time.Minute)
			s.pod.Rotate(hour)
			if _, err := chain.Retrieve(t.Context()); err != nil {
				failed++
			}
		}
		if failed > 1 {
			t.Errorf("%d of 20 calls failed after the clock was mended", failed)
		}
	})
}

// One bucket that refuses every session does not cost a session a request, even
// if others succeed.
func TestOneRefusingBucketAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.shared.CreateBucket("far").Put("indoor-cat.jpg", []byte(photo))
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Bucket: "far", Status: 400, Code: "InvalidToken"})
		cfg := s.hubChain(t).Config()
		for range 100 {
			if _, err := fetch(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("far"), Key: aws.String("indoor-cat.jpg")})
		}
		if n := s.count("AssumeRole"); n > 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
}

// OnEvent may ask for credentials also while a flight gives the hub's up.
func TestOnEventDuringAFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		var chain *credentials.Chain
		chain = s.hubChain(t, func(o *credentials.Options) {
			o.OnEvent = func(e credentials.Event) {
				if e.Type == credentials.Invalidated {
					chain.Retrieve(t.Context())
				}
			}
		})
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, Status: 400, Code: "ExpiredTokenException"})
		before := time.Now()
		if _, err := chain.Retrieve(t.Context()); err != nil || time.Since(before) > time.Second {
			t.Errorf("%v after %v", err, time.Since(before))
		}
	})
}

// An upload that cannot be repeated still gives the dead session up.
func TestStreamsGetANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		client := s3.NewFromConfig(s.hubChain(t).Config())
		put := func() error {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String("pics"), Key: aws.String("new"), Body: io.MultiReader(strings.NewReader("strea")), ContentLength: aws.Int64(5),
			}, s3.WithAPIOptions(unsignedPayload))
			return err
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
		s.target.RevokeSessions()
		if put() == nil {
			t.Fatal("the dead key was taken")
		}
		if err := put(); err != nil {
			t.Errorf("the next upload: %v", err)
		}
	})
}

// A provider's error may quote keys, and a logger may panic.
func TestProvidersErrorsAndPanickingLoggers(t *testing.T) {
	const secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"
	s := newScene(t)
	chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
		o.Logger = slog.New(panicking{})
		o.Source = credentials.Provider{Name: "process", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New(`invalid output: warning {"AccessKeyId":"AKIAX","SecretAccessKey":"` + secret + `"}`)
		})}
	}, credentials.Assume(s.target.ARN()))
	_, err := chain.Retrieve(t.Context())
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}

type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { return true }

func (panicking) Handle(context.Context, slog.Record) error { panic("disk full") }
