package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
	"github.com/crossrole/crossrole/trust"
)

// scene is a hub route in a cloud of its own.
type scene struct {
	cloud  *awstest.Cloud
	pod    *awstest.Pod
	dev    *awstest.Account
	hub    *awstest.Role
	target string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{cloud: awstest.New(), target: "arn:aws:iam::444455556666:role/S3_Pics"}
	blue := s.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	s.dev = s.cloud.Account("111122223333")
	s.dev.AddOIDCProvider(blue)
	s.hub = s.dev.CreateRole("hub", s.trusts(blue), trust.AssumePolicy([]string{s.target}).String())
	s.cloud.Account("444455556666").CreateRole("S3_Pics", trust.RolePolicy(s.hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	s.pod = blue.Pod(t.TempDir(), "default", "app", s.hub.ARN())
	return s
}

func (s *scene) trusts(clusters ...*awstest.Cluster) string {
	var issuers []string
	for _, c := range clusters {
		issuers = append(issuers, c.Issuer())
	}
	return trust.WebIdentityPolicy(s.dev.ID(), issuers, []string{awstest.Subject("default", "app")}).String()
}

func (s *scene) chain(t *testing.T, optFns ...func(*credentials.Options)) *credentials.Chain {
	t.Helper()
	chain, err := credentials.New(s.cloud.Config(), append([]func(*credentials.Options){
		credentials.Assume(s.target),
		func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: s.pod.RoleARN(), TokenFile: s.pod.TokenFile()}
		},
	}, optFns...)...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// expect compares a scrape with what is wanted of it.
func expect(t *testing.T, when string, got, want map[string]float64) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[name]; !ok || v != want[name] {
			t.Errorf("%s: %s is %v (there: %t), want %v", when, name, v, ok, want[name])
		}
	}
}

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Delay: 3 * time.Second})
		collector := metrics.New()
		chain := s.chain(t, collector.Observe)
		collector.Watch(chain)
		expect(t, "before the first session", scrape(t, collector), map[string]float64{
			"crossrole_session_remaining_seconds{hop=1,last=false,role=hub}":    0,
			"crossrole_session_remaining_seconds{hop=2,last=true,role=S3_Pics}": 0,
			"crossrole_failing_seconds{hop=2,role=S3_Pics}":                     0,
			"crossrole_next_attempt_seconds{hop=2,role=S3_Pics}":                0,
			"crossrole_waiting_callers{hop=2,role=S3_Pics}":                     0,
			"crossrole_refreshes_total{hop=2,result=success,role=S3_Pics}":      0,
			"crossrole_invalidations_total{hop=2,role=S3_Pics}":                 0,
		})
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() { chain.Retrieve(t.Context()) })
		}
		synctest.Wait()
		expect(t, "at the first refresh", scrape(t, collector), map[string]float64{
			"crossrole_waiting_callers{hop=1,role=hub}":     1,
			"crossrole_waiting_callers{hop=2,role=S3_Pics}": 5,
		})
		callers.Wait()
		synctest.Wait() // events are delivered after the waiting callers were served
		expect(t, "with a session", scrape(t, collector), map[string]float64{
			// STS's Date has whole seconds: the session is taken to be a second shorter.
			"crossrole_session_remaining_seconds{hop=2,last=true,role=S3_Pics}":        3599,
			"crossrole_waiting_callers{hop=2,role=S3_Pics}":                            0,
			"crossrole_refreshes_total{hop=1,result=success,role=hub}":                 1,
			"crossrole_refreshes_total{hop=2,result=success,role=S3_Pics}":             1,
			"crossrole_exchange_duration_seconds_count{hop=1,result=success,role=hub}": 1,
			"crossrole_exchange_duration_seconds_sum{hop=1,result=success,role=hub}":   3,
		})

		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 2, Status: 403, Code: "AccessDenied", Delay: time.Second})
		chain.Invalidate(creds.AccessKeyID)
		for range 2 {
			if _, err := chain.Retrieve(t.Context()); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(4 * time.Second)
		}
		synctest.Wait()
		expect(t, "failing", scrape(t, collector), map[string]float64{
			"crossrole_session_remaining_seconds{hop=2,last=true,role=S3_Pics}":              0,
			"crossrole_failing_seconds{hop=2,role=S3_Pics}":                                  9,
			"crossrole_failing_seconds{hop=1,role=hub}":                                      0,
			"crossrole_invalidations_total{hop=2,role=S3_Pics}":                              1,
			"crossrole_refreshes_total{hop=2,kind=AssumeDenied,result=failure,role=S3_Pics}": 2,
			"crossrole_exchange_duration_seconds_sum{hop=2,result=failure,role=S3_Pics}":     2,
		})
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		expect(t, "recovered", scrape(t, collector), map[string]float64{
			"crossrole_failing_seconds{hop=2,role=S3_Pics}":                0,
			"crossrole_refreshes_total{hop=2,result=success,role=S3_Pics}": 2,
		})
	})
}

func TestCollectorTellsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		collector := metrics.New()
		chain := s.chain(t, collector.Observe)
		collector.Watch(chain)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		chain.Retrieve(t.Context())
		pause := scrape(t, collector)["crossrole_next_attempt_seconds{hop=2,role=S3_Pics}"]
		if pause < .8 || pause > 1 {
			t.Errorf("the first pause is %v s, want about one", pause)
		}
		time.Sleep(time.Second)
		expect(t, "after it", scrape(t, collector), map[string]float64{"crossrole_next_attempt_seconds{hop=2,role=S3_Pics}": 0})
		runtime.KeepAlive(chain) // the series of a chain disappear with it
	})
}

func TestCollectorCountsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		collector := metrics.New()
		var events int
		chain := s.chain(t, func(o *credentials.Options) { o.OnEvent = func(credentials.Event) { events++ } }, collector.Observe)
		chain.Retrieve(t.Context())
		green := s.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
		s.dev.AddOIDCProvider(green)
		s.hub.SetTrust(s.trusts(green))
		s.pod.Move(green)
		time.Sleep(2 * time.Hour)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		expect(t, "on green", scrape(t, collector), map[string]float64{
			"crossrole_token_rotations_total{hop=1,role=hub}": 1,
			"crossrole_issuer_changes_total{hop=1,role=hub}":  1,
		})
		if events != 6 {
			t.Errorf("OnEvent that was set before was called %d times, want 6", events)
		}
	})
}

// Of several chains through the same hop the worst is shown; a chain that is no
// longer held is not.
func TestCollectorOfManyChains(t *testing.T) {
	s := newScene(t)
	collector := metrics.New()
	good := s.chain(t, collector.Observe)
	if _, err := good.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	collector.Watch(good)
	collector.Watch(good)
	const left = "crossrole_session_remaining_seconds{hop=2,last=true,role=S3_Pics}"
	if got := scrape(t, collector)[left]; got < 3590 {
		t.Errorf("one chain: %v s left, want about an hour", got)
	}
	idle := s.chain(t, collector.Observe)
	collector.Watch(idle)
	expect(t, "with a chain that has no session", scrape(t, collector), map[string]float64{left: 0})
	runtime.KeepAlive(idle)
	for range 10 {
		runtime.GC()
		if got := scrape(t, collector); got[left] > 0 {
			runtime.KeepAlive(good)
			return
		}
	}
	t.Error("a chain that is no longer held still has series")
}

// A pool's chains are shown without watching each; the hop that they share is
// shown once.
func TestCollectorOfAPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		collector := metrics.New()
		pool, err := credentials.NewPool(s.cloud.Config(), func(o *credentials.PoolOptions) {
			o.Source = credentials.WebIdentity{RoleARN: s.pod.RoleARN(), TokenFile: s.pod.TokenFile()}
			collector.Observe(&o.Options)
		})
		if err != nil {
			t.Fatal(err)
		}
		collector.WatchPool(pool)
		for _, external := range []string{"", "tenant-1", "tenant-2"} {
			chain, err := pool.Chain(credentials.Role{ARN: s.target, ExternalID: external})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := chain.Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		expect(t, "with three chains", scrape(t, collector), map[string]float64{
			"crossrole_session_remaining_seconds{hop=1,last=false,role=hub}":    3599,
			"crossrole_session_remaining_seconds{hop=2,last=true,role=S3_Pics}": 3599,
			"crossrole_refreshes_total{hop=1,result=success,role=hub}":          1,
			"crossrole_refreshes_total{hop=2,result=success,role=S3_Pics}":      3,
		})
	})
}

// A pool that lets chains go leaves none of their series behind, also those that were
// never scraped; what is still held keeps its counts.
func TestSeriesEndWithTheChain(t *testing.T) {
	s := newScene(t)
	collector := metrics.New()
	pool, err := credentials.NewPool(s.cloud.Config(), func(o *credentials.PoolOptions) {
		o.Source = credentials.WebIdentity{RoleARN: s.pod.RoleARN(), TokenFile: s.pod.TokenFile()}
		o.MaxChains = 2
		collector.Observe(&o.Options)
	})
	if err != nil {
		t.Fatal(err)
	}
	collector.WatchPool(pool)
	retrieve := func(role string) *credentials.Chain {
		chain, err := pool.Chain(credentials.Role{ARN: role})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = chain.Retrieve(t.Context()) // most of them are refused
		return chain
	}
	kept := retrieve(s.target)
	for i := range 300 {
		retrieve(fmt.Sprintf("arn:aws:iam::444455556666:role/tenant-%d", i))
		if i == 100 {
			scrape(t, collector)
		}
	}
	const good = "crossrole_refreshes_total{hop=2,result=success,role=S3_Pics}"
	var got map[string]float64
	for range 100 {
		runtime.GC()
		if got = scrape(t, collector); len(got) < 100 {
			break
		}
		runtime.Gosched() // cleanups and the last events
	}
	tenants := 0
	for name := range got {
		if strings.Contains(name, "tenant-") {
			tenants++
		}
	}
	if most := 2 * 30; tenants > most {
		t.Errorf("%d series of tenants for at most 2 chains", tenants)
	}
	if got[good] != 1 {
		t.Errorf("the count of a chain that is held: %v, want 1", got[good])
	}
	runtime.KeepAlive(kept)
}

// Without a scrape nothing grows, either.
func TestUnscrapedSeriesAreBounded(t *testing.T) {
	s := newScene(t)
	collector := metrics.New()
	for i := range 2000 {
		chain := s.chain(t, collector.Observe, func(o *credentials.Options) {
			o.Roles = []credentials.Role{{ARN: fmt.Sprintf("arn:aws:iam::444455556666:role/tenant-%d", i)}}
		})
		collector.Watch(chain)
		if i%100 == 0 {
			runtime.GC()
		}
	}
	series := make(chan prometheus.Metric, 100_000)
	for range 3 {
		runtime.GC()
	}
	for i := range 300 { // enough to have the rest swept
		collector.Watch(s.chain(t, func(o *credentials.Options) {
			o.Roles = []credentials.Role{{ARN: fmt.Sprintf("arn:aws:iam::444455556666:role/other-%d", i)}}
		}))
	}
	collector.Collect(series)
	if n := len(series); n > 5000 {
		t.Errorf("%d series", n)
	}
}

// Keys without an expiry are no missing session.
func TestKeysWithoutAnExpiry(t *testing.T) {
	s := newScene(t)
	collector := metrics.New()
	chain, err := credentials.New(s.cloud.Config(), collector.Observe, func(o *credentials.Options) {
		o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAVAULT", SecretAccessKey: "secret"}, nil
		})}
	})
	if err != nil {
		t.Fatal(err)
	}
	collector.Watch(chain)
	const left = "crossrole_session_remaining_seconds{hop=1,last=true}"
	if got := scrape(t, collector)[left]; got != 0 {
		t.Errorf("before the first call %v", got)
	}
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := scrape(t, collector)[left]; !math.IsInf(got, 1) {
		t.Errorf("%v seconds left of keys without an expiry", got)
	}
}

// A chain with fallback regions reports which region's STS it uses.
func TestRegionOfSTS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		base := s.cloud.Config()
		down := true
		inner := base.HTTPClient
		base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			if down && r.URL.Host == "sts.us-east-1.amazonaws.com" {
				return nil, errors.New("connection refused")
			}
			return inner.Do(r)
		})
		collector := metrics.New()
		chain, err := credentials.New(base, credentials.Assume(s.target), collector.Observe, func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: s.pod.RoleARN(), TokenFile: s.pod.TokenFile()}
			o.FallbackRegions = []string{"us-east-2"}
		})
		if err != nil {
			t.Fatal(err)
		}
		collector.Watch(chain)
		const here, there = "crossrole_sts_region{hop=2,region=us-east-1,role=S3_Pics}", "crossrole_sts_region{hop=2,region=us-east-2,role=S3_Pics}"
		only := func(when, want, not string) {
			t.Helper()
			got := scrape(t, collector)
			if _, ok := got[not]; ok || want != "" && got[want] != 1 {
				t.Errorf("%s: %s is %v, %s is there: %t", when, want, got[want], not, ok)
			}
		}
		only("before the first session", "", here)
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		only("in the outage", there, here)
		down = false
		time.Sleep(time.Minute)
		chain.Invalidate(creds.AccessKeyID)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		only("after the outage", here, there)
	})
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// TestMetricsContainNoSecrets scrapes a chain with an external ID after a refresh, a
// denial that quotes the request, and an invalidation.
func TestMetricsContainNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const externalID = "crossrole-canary-7f3a"
		s := newScene(t)
		token, err := os.ReadFile(s.pod.TokenFile())
		if err != nil {
			t.Fatal(err)
		}
		collector := metrics.New()
		chain := s.chain(t, collector.Observe, func(o *credentials.Options) { o.Roles[0].ExternalID = externalID })
		collector.Watch(chain)
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string]string{
			"token": string(token), "external ID": externalID, "access key ID": creds.AccessKeyID,
			"secret access key": creds.SecretAccessKey, "session token": creds.SessionToken,
		}
		quoted := strings.Join(slices.Collect(maps.Values(secrets)), " ")
		s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied", Message: "the request was " + quoted})
		chain.Invalidate(creds.AccessKeyID)
		if _, err := chain.Retrieve(t.Context()); err == nil {
			t.Fatal("no error")
		}
		synctest.Wait() // for the events
		text := page(t, collector)
		if !strings.Contains(text, `kind="AssumeDenied"`) || !strings.Contains(text, "crossrole_invalidations_total") {
			t.Errorf("the scrape does not show what happened:\n%s", text)
		}
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a metric contains the %s:\n%s", what, text)
			}
		}
	})
}
