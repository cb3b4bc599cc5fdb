package credentials_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// hostsSince returns the STS hosts that were asked since call n.
func (s *scene) hostsSince(n int) map[string]int {
	asked := map[string]int{}
	for _, c := range s.cloud.Calls()[n:] {
		asked[c.Host]++
	}
	return asked
}

// A user's test of a regional outage: awstest's own faults, a chain and a pool, and
// KeepFresh alone, for longer than a session lasts.
func TestRegionalOutage(t *testing.T) {
	for name, fault := range map[string]awstest.Fault{
		"503":   {Region: "us-east-1", Status: 503, Code: "ServiceUnavailable"},
		"drops": {Region: "us-east-1", Drop: true},
		"hangs": {Region: "us-east-1", Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				s.pod.Rotate(forAYear)
				target := s.targets(1)[0]
				chains := map[string]*credentials.Chain{
					"chain": s.hubChain(t, func(o *credentials.Options) { o.FallbackRegions = []string{"us-west-2"} }),
					"pool":  poolChain(t, s.pool(t, func(o *credentials.PoolOptions) { o.FallbackRegions = []string{"us-west-2"} }), target),
				}
				kept := s.hubChain(t, func(o *credentials.Options) { o.FallbackRegions = []string{"us-west-2"} })
				go kept.KeepFresh(t.Context())
				everyMinute := func(minutes int) {
					for range minutes {
						for which, chain := range chains {
							if _, err := chain.Retrieve(t.Context()); err != nil {
								t.Fatalf("%s: %v", which, err)
							}
						}
						if !kept.Status().Healthy() {
							t.Fatalf("KeepFresh: %+v", kept.Status())
						}
						time.Sleep(time.Minute)
					}
				}
				time.Sleep(time.Second)
				everyMinute(10)
				end := s.cloud.Fault(fault)
				everyMinute(150)
				for which, chain := range map[string]*credentials.Chain{"chain": chains["chain"], "pool": chains["pool"], "kept": kept} {
					for i, hop := range chain.Status().Hops {
						if hop.Region != "us-west-2" {
							t.Errorf("%s: hop %d is from %s during the outage", which, i+1, hop.Region)
						}
					}
				}
				end()
				everyMinute(60)
				before := len(s.cloud.Calls())
				everyMinute(60)
				if asked := s.hostsSince(before); len(asked) != 1 || asked[home] == 0 {
					t.Errorf("an hour after the outage: asked %v, want %s only", asked, home)
				}
			})
		})
	}
}

// Each account enables regions for itself: the chain asks the first fallback region where
// the account of the hop's role has STS activated.
func TestRegionDisabledByOneAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.shared.DisableSTSRegion("us-west-2")
		s.cloud.Fault(awstest.Fault{Region: "us-east-1", Drop: true})
		chain := s.hubChain(t, func(o *credentials.Options) { o.FallbackRegions = []string{"us-west-2", "us-east-2"} })
		_, err := chain.Retrieve(t.Context())
		check(t, err)
		if hops := chain.Status().Hops; hops[0].Region != "us-west-2" || hops[1].Region != "us-east-2" {
			t.Errorf("sessions from %s and %s", hops[0].Region, hops[1].Region)
		}
	})
}

// A denial is final in any region: of the role, of the account, of an organization, in the
// own region and in a fallback region.
func TestNoFallbackOnADenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, deny := range map[string]func(s *scene){
			"trust policy":           func(s *scene) { s.target.SetTrust(trust.RolePolicy("arn:aws:iam::444455556666:root").String()) },
			"region of the chain":    func(s *scene) { s.shared.DisableSTSRegion("eu-west-1") },
			"service control policy": func(s *scene) { s.inOrganization().AttachSCP("No", noAssumeRole) },
			"own region down as well": func(s *scene) {
				s.inOrganization().AttachSCP("No", noAssumeRole)
				s.cloud.Fault(awstest.Fault{Region: "eu-west-1", Drop: true})
			},
		} {
			s := newScene(t)
			deny(s)
			base := s.cloud.Config()
			base.Region = "eu-west-1"
			_, err := newChain(t, base, s.with("us-west-2", "us-east-2")).Retrieve(t.Context())
			if !errors.Is(err, credentials.AssumeDenied) && !errors.Is(err, credentials.RegionNotEnabled) {
				t.Errorf("%s: got %v", name, err)
			}
			denials := 0
			for _, c := range s.cloud.Calls() {
				if c.Status == 403 {
					denials++
				}
			}
			if denials != 1 {
				t.Errorf("%s: denied %d times, want once", name, denials)
			}
		}
	})
}

const noAssumeRole = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}`

func (s *scene) inOrganization() *awstest.Organization {
	org := s.cloud.Organization()
	org.Add(s.dev, s.shared)
	return org
}

// A deployment creates a role and uses it in the same minute.
func TestRoleCreatedAMomentAgo(t *testing.T) {
	for _, retry := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			s.cloud.SetPropagationDelay(12 * time.Second)
			created := s.shared.CreateRole("New", trust.RolePolicy(s.hub.ARN()).String(), "")
			chain := s.hubChain(t, func(o *credentials.Options) {
				o.Roles, o.Refresh.RetryDenied = []credentials.Role{{ARN: created.ARN()}}, retry
			})
			start := time.Now()
			_, err := chain.Retrieve(t.Context())
			switch took := time.Since(start); {
			case retry == 0 && (!errors.Is(err, credentials.AssumeDenied) || took > 0):
				t.Errorf("without RetryDenied: %v after %v, want %v immediately", err, took, credentials.AssumeDenied)
			case retry > 0 && (err != nil || took < 12*time.Second || took > 20*time.Second):
				t.Errorf("with RetryDenied: %v after %v", err, took)
			}
		})
	}
}
