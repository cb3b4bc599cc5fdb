package observe_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
	"github.com/crossrole/crossrole/trust"
)

// pod is a program on the hub route that is scraped every 30 seconds.
type pod struct {
	cloud    *awstest.Cloud
	dev      *awstest.Account
	hub      *awstest.Role
	pod      *awstest.Pod
	chain    *credentials.Chain
	requests *prometheus.CounterVec // as crossrole serve has them
}

func newPod(t *testing.T) (*pod, *prometheus.Registry) {
	t.Helper()
	const target = "arn:aws:iam::444455556666:role/S3_Pics"
	p := &pod{cloud: awstest.New()}
	p.dev = p.cloud.Account("111122223333")
	blue := p.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	p.dev.AddOIDCProvider(blue)
	p.hub = p.dev.CreateRole("hub", p.trusts(blue), trust.AssumePolicy([]string{target}).String())
	p.cloud.Account("444455556666").CreateRole("S3_Pics", trust.RolePolicy(p.hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	p.pod = blue.Pod(t.TempDir(), "default", "app", p.hub.ARN())
	collector := metrics.New()
	chain, err := credentials.New(p.cloud.Config(), credentials.Assume(target), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: p.pod.RoleARN(), TokenFile: p.pod.TokenFile()}
	}, collector.Observe)
	if err != nil {
		t.Fatal(err)
	}
	collector.Watch(chain)
	p.chain = chain
	p.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "crossrole_serve_requests_total"}, []string{"name", "status"})
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector, p.requests)
	return p, registry
}

func (p *pod) trusts(clusters ...*awstest.Cluster) string {
	var issuers []string
	for _, c := range clusters {
		issuers = append(issuers, c.Issuer())
	}
	return trust.WebIdentityPolicy(p.dev.ID(), issuers, []string{awstest.Subject("default", "app")}).String()
}

// sts makes STS fail until repair is called.
func (p *pod) sts(f awstest.Fault) (repair func()) {
	var removes []func()
	for _, operation := range []string{"AssumeRole", "AssumeRoleWithWebIdentity"} {
		f.Operation = operation
		removes = append(removes, p.cloud.Fault(f))
	}
	return func() {
		for _, remove := range removes {
			remove()
		}
	}
}

// stories lists what happens to the pod in six hours, and exactly which alerts fire.
var stories = map[string]struct {
	happens func(t *testing.T, p *pod)
	fires   []string
}{
	"nothing": {func(*testing.T, *pod) {}, nil},
	"STS is down for five minutes": {func(_ *testing.T, p *pod) {
		repair := p.sts(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		time.Sleep(5 * time.Minute)
		repair()
	}, nil},
	"STS is down for two hours": {func(_ *testing.T, p *pod) {
		repair := p.sts(awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		time.Sleep(2 * time.Hour)
		repair()
	}, []string{"CrossroleNoSession", "CrossroleRefreshFailing", "CrossroleSessionExpiresSoon"}},
	"STS hangs, and programs ask": {func(t *testing.T, p *pod) {
		repair := p.sts(awstest.Fault{Hang: true})
		for end := time.Now().Add(2 * time.Hour); time.Now().Before(end); time.Sleep(time.Second) {
			_, _ = p.chain.Retrieve(t.Context()) // fails in the second hour
		}
		repair()
	}, []string{"CrossroleCallersWait", "CrossroleNoSession", "CrossroleRefreshFailing", "CrossroleSTSSlow", "CrossroleSessionExpiresSoon"}},
	"STS is slow": {func(_ *testing.T, p *pod) { p.sts(awstest.Fault{Delay: 7 * time.Second}) }, []string{"CrossroleSTSSlow"}},
	"the role is revoked again and again": {func(t *testing.T, p *pod) {
		for range 5 {
			creds, err := p.chain.Retrieve(t.Context())
			if err != nil {
				t.Error(err)
			}
			p.chain.Invalidate(creds.AccessKeyID)
			time.Sleep(5 * time.Minute)
		}
	}, []string{"CrossroleSessionsRefused"}},
	"the pod gets tokens of another cluster": {func(_ *testing.T, p *pod) {
		green := p.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
		p.dev.AddOIDCProvider(green)
		p.hub.SetTrust(p.trusts(green))
		p.pod.Move(green)
	}, []string{"CrossroleIssuerChanged"}},
	"programs get no credentials": {func(_ *testing.T, p *pod) {
		for range 100 {
			p.requests.WithLabelValues("pics", "503").Inc()
			time.Sleep(10 * time.Second)
		}
	}, []string{"CrossroleServeFailing"}},
	"a program tries tokens": {func(_ *testing.T, p *pod) {
		for range 100 {
			p.requests.WithLabelValues("", "403").Inc()
			time.Sleep(time.Second)
		}
	}, []string{"CrossroleServeRefusing"}},
}

func TestAlerts(t *testing.T) {
	rules := rules(t)
	never := map[string]bool{}
	for _, r := range rules {
		never[r.Alert] = true
	}
	for name, story := range stories {
		for _, alert := range story.fires {
			delete(never, alert)
		}
		t.Run(name, func(t *testing.T) {
			var r *recording
			synctest.Test(t, func(t *testing.T) { r = live(t, story.happens) })
			fired := r.fired(t, rules)
			if got := slices.Sorted(maps.Keys(fired)); !slices.Equal(got, story.fires) {
				t.Errorf("fired: %v, want %v", fired, story.fires)
			}
			if soon, ok := fired["CrossroleSessionExpiresSoon"]; ok && soon >= fired["CrossroleNoSession"] {
				t.Errorf("the warning comes at %v, the end at %v", soon, fired["CrossroleNoSession"])
			}
		})
	}
	for alert := range never {
		t.Errorf("no story in which %s fires", alert)
	}
}

// live records six hours of a pod, in which something happens after the first hour. Call
// it in a synctest bubble.
func live(t *testing.T, happens func(*testing.T, *pod)) *recording {
	p, registry := newPod(t)
	p.requests.WithLabelValues("pics", "503")
	p.requests.WithLabelValues("", "403")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go p.chain.KeepFresh(ctx)
	go func() {
		time.Sleep(time.Hour + 7*time.Second) // between two scrapes
		happens(t, p)
	}()
	r := newRecording()
	for range 6 * 120 {
		time.Sleep(30 * time.Second)
		r.scrape(t, registry)
	}
	return r
}
