package credserver_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
)

// program returns another program of the pod: an S3 client of the Go SDK with the
// container credentials provider that config.LoadDefaultConfig makes from the two
// variables.
func (s *sidecar) program(name string) *s3.Client {
	provider := endpointcreds.New(s.url(name), func(o *endpointcreds.Options) {
		o.HTTPClient = s.endpoint.client(s.t)
		o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) { return s.tokenOf(name), nil })
	})
	cfg := s.cloud.Config()
	cfg.Credentials = aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
	return s3.NewFromConfig(cfg)
}

func read(ctx context.Context, client *s3.Client) error {
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
	if err != nil {
		return err
	}
	defer object.Body.Close()
	_, err = io.Copy(io.Discard, object.Body)
	return err
}

// Fifty programs read for three hours without an error, and STS gets one call per hop and
// refresh, however many programs there are.
func TestFiftyPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, nil, "pics="+target)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Delay: 80 * time.Millisecond})
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Delay: 80 * time.Millisecond})
		var programs sync.WaitGroup
		for i := range 50 {
			programs.Go(func() {
				client := s.program("pics")
				time.Sleep(time.Duration(i) * time.Second)
				for range 3 * 20 {
					if err := read(t.Context(), client); err != nil {
						t.Errorf("program %d at %v: %v", i, time.Now(), err)
					}
					time.Sleep(3 * time.Minute)
				}
			})
		}
		programs.Wait()
		s.stop()
		// A session of an hour is renewed 20 to 25 minutes before it expires; the
		// first one earlier.
		hub, target := s.sessions("AssumeRoleWithWebIdentity"), s.sessions("AssumeRole")
		if target < 4 || target > 7 || hub < 3 || hub > target {
			t.Errorf("%d sessions of the hub, %d of the target in three hours", hub, target)
		}
		s.keepsSilent(s.tokenOf("pics"))
	})
}

// A program that renews 15 minutes early, as most SDKs do, never gets a session with less
// than 20 minutes left.
func TestSessionsAreLongEnough(t *testing.T) {
	for _, tt := range []struct {
		setting string
		least   time.Duration
	}{
		{"", 20 * time.Minute},
		{",duration=30m", 20 * time.Minute},
		{",duration=15m", 7 * time.Minute}, // 20 minutes are impossible
	} {
		t.Run(tt.setting, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSidecar(t, nil, "pics="+target+tt.setting)
				token := s.tokenOf("pics")
				time.Sleep(time.Second)
				for range 6 * 60 * 2 {
					resp, body := s.ask("pics", token)
					if resp.StatusCode != http.StatusOK {
						t.Fatalf("%d %s", resp.StatusCode, body)
					}
					if left := time.Until(expiration(t, body)); left < tt.least {
						t.Errorf("a session with %v left was served", left)
					}
					time.Sleep(30 * time.Second)
				}
			})
		})
	}
}

// STS fails for a session's length minus a minute: no program sees an error, in whatever
// way it fails.
func TestOutage(t *testing.T) {
	for name, fault := range map[string]awstest.Fault{
		"refuses": {Status: http.StatusForbidden, Code: "AccessDenied"},
		"is down": {Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"},
		"hangs":   {Hang: true},
		"drops":   {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSidecar(t, nil, "pics="+target)
				client := s.program("pics")
				if err := read(t.Context(), client); err != nil {
					t.Fatal(err)
				}
				// Start with a new session: the previous one may be of any age.
				sessions := s.sessions("AssumeRole")
				for s.sessions("AssumeRole") == sessions {
					time.Sleep(time.Second)
				}
				var removes []func()
				for _, operation := range []string{"AssumeRole", "AssumeRoleWithWebIdentity"} {
					fault.Operation = operation
					removes = append(removes, s.cloud.Fault(fault))
				}
				late := s.program("pics") // starts in the outage
				for begin := time.Now(); time.Since(begin) < time.Hour-time.Minute-2*time.Second; time.Sleep(10 * time.Second) {
					for _, c := range []*s3.Client{client, late} {
						before := time.Now()
						if err := read(t.Context(), c); err != nil {
							t.Fatalf("%v into the outage: %v", time.Since(begin), err)
						}
						if took := time.Since(before); took > time.Second {
							t.Errorf("%v into the outage a program waited %v", time.Since(begin), took)
						}
					}
				}
				// The session is served until its last seconds.
				for range 50 {
					before := time.Now()
					resp, body := s.ask("pics", s.tokenOf("pics"))
					if took := time.Since(before); resp.StatusCode != http.StatusOK || took >= time.Second {
						t.Errorf("%v before it expires: %d after %v", time.Until(expiration(t, body)), resp.StatusCode, took)
					}
					time.Sleep(time.Until(before.Add(time.Second)))
				}
				for _, remove := range removes {
					remove()
				}
				// A request that hangs times out after 30 s; the next one is sent a minute
				// later.
				time.Sleep(30*time.Second + time.Minute + time.Second)
				if err := read(t.Context(), client); err != nil {
					t.Errorf("after the outage: %v", err)
				}
			})
		})
	}
}
