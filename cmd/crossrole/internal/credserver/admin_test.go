package credserver_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
)

func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const extra = "arn:aws:iam::444455556666:role/extra"
		var remove func()
		s := newSidecar(t, func(s *sidecar) {
			remove = s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", RoleARN: target, Status: 403, Code: "AccessDenied"})
		}, "own", "pics="+target, "extra="+extra+",optional")
		time.Sleep(10 * time.Second)
		if status, body := s.look("/healthz"); status != http.StatusOK || body != "ok\n" {
			t.Errorf("healthz: %d %s", status, body)
		}
		want := "own: ready\npics: no session: hop 2 of 2: AssumeDenied\nextra: no session (optional): hop 2 of 2: AssumeDenied\n"
		if status, body := s.look("/readyz"); status != http.StatusServiceUnavailable || body != want {
			t.Errorf("readyz: %d %s", status, body)
		}
		remove()
		time.Sleep(time.Minute)
		if status, body := s.look("/readyz"); status != http.StatusOK || !strings.Contains(body, "pics: ready\n") {
			t.Errorf("readyz when only an optional role has none: %d %s", status, body)
		}
		// An outage does not take the pod out of service while sessions last.
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 503, Code: "ServiceUnavailable"})
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Status: 503, Code: "ServiceUnavailable"})
		time.Sleep(50 * time.Minute)
		if status, _ := s.look("/readyz"); status != http.StatusOK {
			t.Errorf("readyz in an outage, with sessions: %d", status)
		}
		time.Sleep(time.Hour)
		if status, body := s.look("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "pics: no session: hop 1 of 2: STSUnreachable") {
			t.Errorf("readyz without sessions: %d %s", status, body)
		}
	})
}

func TestStatusPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, nil, "pics="+target+",external-id=hush-hush")
		time.Sleep(time.Minute)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		began := time.Now()
		time.Sleep(58*time.Minute + 30*time.Second)
		code, body := s.look("/status")
		var got struct {
			Ready bool
			Roles []struct {
				Name, Chain     string
				Ready, Required bool
				Hops            []struct {
					Role, Caller, Kind, Error string
					Endpoint                  string
					HasSession                bool `json:"has_session"`
					Expires                   time.Time
					FailingSince              time.Time `json:"failing_since"`
					NextAttempt               time.Time `json:"next_attempt"`
				}
			}
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK || len(got.Roles) != 1 || len(got.Roles[0].Hops) != 2 {
			t.Fatalf("%d %v\n%s", code, err, body)
		}
		role, hop := got.Roles[0], got.Roles[0].Hops[1]
		if !got.Ready || !role.Ready || !role.Required || role.Name != "pics" || !strings.HasPrefix(role.Chain, "web identity → ") {
			t.Errorf("role: %s", body)
		}
		if hop.Role != target || !hop.HasSession || !strings.HasPrefix(hop.Endpoint, "sts.") || !strings.HasPrefix(hop.Caller, "arn:aws:sts::444455556666:assumed-role/S3_Pics/") || !hop.Expires.After(time.Now()) ||
			hop.Kind != "AssumeDenied" || !strings.Contains(hop.Error, "hop 2 of 2") || hop.FailingSince.Before(began) || hop.NextAttempt.Before(time.Now()) {
			t.Errorf("hop: %s", body)
		}
		if strings.Contains(body, "hush-hush") {
			t.Error("the external id is shown")
		}
	})
}

// A scrape parses, and includes the endpoint's metrics.
func TestMetricsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, nil, "pics="+target)
		s.ask("pics", s.tokenOf("pics"))
		s.ask("pics", "wrong")
		s.ask("nothing", "wrong")
		_, body := s.look("/metrics")
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(body))
		if err != nil {
			t.Fatalf("%v in\n%s", err, body)
		}
		for _, name := range []string{"crossrole_session_remaining_seconds", "crossrole_refreshes_total", "go_goroutines"} {
			if families[name] == nil {
				t.Errorf("no %s", name)
			}
		}
		for _, line := range []string{
			`crossrole_serve_requests_total{name="pics",status="200"} 1`,
			`crossrole_serve_requests_total{name="pics",status="403"} 1`,
			`crossrole_serve_requests_total{name="",status="403"} 1`,
		} {
			if !strings.Contains(body, line+"\n") {
				t.Errorf("no line %s", line)
			}
		}
	})
}

// For /readyz, keys without an expiry count as a session.
func TestReadinessOfKeysWithoutExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t.TempDir())
		given := make(chan struct{})
		chain, err := credentials.New(p.cloud.Config(), func(o *credentials.Options) {
			o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				<-given
				return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"}, nil
			})}
		})
		if err != nil {
			t.Fatal(err)
		}
		s := &sidecar{fakePod: p, t: t, endpoint: newPipes(9911), admin: newPipes(9912)}
		s.server = credserver.Server{
			Roles:  []*credserver.Role{credserver.NewRole("keys", credserver.NewToken(), chain, false)},
			Logger: slog.New(slog.DiscardHandler), Metrics: metrics.New(),
		}
		s.run()
		if status, body := s.look("/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("ready before there is a session: %d %s", status, body)
		}
		close(given)
		for _, wait := range []time.Duration{time.Second, 48 * time.Hour} {
			time.Sleep(wait)
			if status, body := s.look("/readyz"); status != http.StatusOK || body != "keys: ready\n" {
				t.Errorf("after %v: %d %s", wait, status, body)
			}
		}
	})
}
