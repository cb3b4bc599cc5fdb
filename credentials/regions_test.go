package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
)

const (
	home    = "sts.us-east-1.amazonaws.com"
	nearby  = "sts.us-east-2.amazonaws.com"
	faraway = "sts.eu-west-1.amazonaws.com"
)

// outages is an HTTP client whose requests to some hosts fail, each in its way.
type outages struct {
	inner aws.HTTPClient

	mu    sync.Mutex
	down  map[string]func(*http.Request) (*http.Response, error) // by host
	asked []string
}

func newOutages(s *scene) *outages {
	return &outages{inner: s.cloud.Config().HTTPClient, down: map[string]func(*http.Request) (*http.Response, error){}}
}

func (o *outages) Do(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.asked = append(o.asked, r.URL.Host)
	fail := o.down[r.URL.Host]
	o.mu.Unlock()
	if fail != nil {
		return fail(r)
	}
	return o.inner.Do(r)
}

// set makes requests to host fail; nil ends the outage.
func (o *outages) set(host string, fail func(*http.Request) (*http.Response, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down[host] = fail
}

// hosts returns the hosts that were asked since the last call.
func (o *outages) hosts() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked := o.asked
	o.asked = nil
	return asked
}

func refuses(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func never(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// replies returns a client that sends the same STS error to every request.
func replies(status int, code, message string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		resp := answer(status, "text/xml", fmt.Sprintf("<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", code, message))
		for i := 0; i < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		resp.Request = r
		return resp, nil
	}
}

// with returns the options of the scene's hub route with fallback regions.
func (s *scene) with(regions ...string) func(*credentials.Options) {
	return func(o *credentials.Options) {
		o.Source, o.Roles, o.FallbackRegions = s.web(), []credentials.Role{{ARN: s.target.ARN()}}, regions
	}
}

// abroad returns the scene's hub route with fallback regions, and its client.
func (s *scene) abroad(t *testing.T, regions ...string) (*credentials.Chain, *outages) {
	client := newOutages(s)
	base := s.cloud.Config()
	base.HTTPClient = client
	return newChain(t, base, s.with(regions...)), client
}

// A region that gives no usable response is left for the next one, whatever the way it
// fails, and both hops know.
func TestFallbackRegion(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fail   func(*http.Request) (*http.Response, error)
		within time.Duration
	}{
		{"refused", refuses, time.Second},
		{"hangs", never, 11 * time.Second},
		{"503", replies(503, "ServiceUnavailable", ""), time.Second},
		{"gateway page", func(*http.Request) (*http.Response, error) { return answer(502, "text/html", "<html>"), nil }, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				chain, client := s.abroad(t, "us-east-2", "eu-west-1")
				client.set(home, tt.fail)
				start := time.Now()
				if _, err := fetch(t.Context(), chain.Config()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > tt.within {
					t.Errorf("the first session took %v, want at most %v", took, tt.within)
				}
				if got := client.hosts()[:3]; !slices.Equal(got, []string{home, nearby, nearby}) {
					t.Errorf("asked %v", got)
				}
				for _, hop := range chain.Status().Hops {
					if hop.Endpoint != nearby {
						t.Errorf("hop of %s: endpoint %q, want %s", hop.RoleARN, hop.Endpoint, nearby)
					}
				}
			})
		})
	}
}

// The chain's own region is away for three hours while sessions last one: no call fails.
// When it is back, the next renewals ask it again.
func TestRegionAwayForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.pod.Rotate(forAYear)
		chain, client := s.abroad(t, "us-east-2")
		play := func(what string, length time.Duration) []string {
			t.Helper()
			client.hosts()
			for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(20 * time.Second) {
				start := time.Now()
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if took := time.Since(start); took > 0 && what != "first" {
					t.Fatalf("%s: a call with a valid session waited %v", what, took)
				}
			}
			return client.hosts()
		}
		play("first", time.Minute)
		client.set(home, never)
		for _, host := range play("own region away", 3*time.Hour) {
			if host != home && host != nearby {
				t.Errorf("asked %s", host)
			}
		}
		client.set(home, nil)
		play("back", time.Hour)
		asked := play("an hour later", 2*time.Hour)
		if len(asked) < 3 || slices.ContainsFunc(asked, func(host string) bool { return host != home }) {
			t.Errorf("an hour after the outage: asked %v, want the own region only", asked)
		}
	})
}

// A refusal and throttling are responses: no other region is asked.
func TestNoFallbackOnARefusal(t *testing.T) {
	for _, tt := range []struct {
		code, message string
		status        int
		kind          credentials.Kind
	}{
		{"AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403, credentials.TrustDenied},
		{"InvalidIdentityToken", "No OpenIDConnect provider found in your account", 400, credentials.OIDCProviderMissing},
		{"IDPCommunicationError", "", 400, credentials.IssuerUnreachable},
		{"RegionDisabledException", "STS is not activated in this region", 403, credentials.RegionNotEnabled},
		{"Throttling", "Rate exceeded", 400, credentials.Throttled},
		{"ThrottlingException", "Rate exceeded", 503, credentials.Throttled},
	} {
		t.Run(tt.code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chain, client := newScene(t).abroad(t, "us-east-2")
				client.set(home, replies(tt.status, tt.code, tt.message))
				if _, err := chain.Retrieve(t.Context()); !errors.Is(err, tt.kind) {
					t.Errorf("got %v, want %v", err, tt.kind)
				}
				if slices.Contains(client.hosts(), nearby) {
					t.Error("another region was asked")
				}
			})
		})
	}
}

// A fallback region that the account has not enabled is skipped, and not asked again.
func TestFallbackRegionThatIsDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain, client := s.abroad(t, "us-east-2", "eu-west-1")
		client.set(home, refuses)
		client.set(nearby, replies(403, "RegionDisabledException", "STS is not activated in this region"))
		creds, err := chain.Retrieve(t.Context())
		check(t, err)
		// Once for the account of each hop's role.
		if got, want := client.hosts(), []string{home, nearby, faraway, nearby, faraway}; !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
		chain.Invalidate(creds.AccessKeyID)
		time.Sleep(time.Minute)
		_, err = chain.Retrieve(t.Context())
		check(t, err)
		if got, want := client.hosts(), []string{home, faraway}; !slices.Equal(got, want) {
			t.Errorf("later: asked %v, want %v", got, want)
		}
	})
}

// A fallback in an opt-in region does not know the sessions of accounts that have not
// enabled it. That says nothing about the hub's session, which stays in use.
func TestFallbackRegionThatDoesNotKnowTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain, client := s.abroad(t, "us-east-2", "eu-west-1")
		creds, err := chain.Retrieve(t.Context())
		check(t, err)
		client.hosts()
		client.set(home, refuses)
		client.set(nearby, replies(403, "InvalidClientTokenId", "The security token included in the request is invalid"))
		chain.Invalidate(creds.AccessKeyID)
		_, err = chain.Retrieve(t.Context())
		check(t, err)
		if got, want := client.hosts(), []string{home, nearby, faraway}; !slices.Equal(got, want) {
			t.Errorf("asked %v, want %v", got, want)
		}
	})
}

// The hub's sessions are revoked while the own region is away: the fallback renews them.
func TestRevokedHubDuringARegionalOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain, client := s.abroad(t, "us-east-2")
		creds, err := chain.Retrieve(t.Context())
		check(t, err)
		client.set(home, refuses)
		s.hub.RevokeSessions()
		chain.Invalidate(creds.AccessKeyID)
		_, err = chain.Retrieve(t.Context())
		check(t, err)
	})
}

// Each region gets its share of the refresh's time: the last one is asked in time.
func TestRegionsShareTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain, client := s.abroad(t, "us-east-2", "us-west-1", "us-west-2", "eu-west-1")
		for _, region := range []string{"us-east-1", "us-east-2", "us-west-1", "us-west-2"} {
			client.set("sts."+region+".amazonaws.com", never)
		}
		start := time.Now()
		_, err := chain.Retrieve(t.Context())
		check(t, err)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// When no region gives a usable response, the error names every endpoint.
func TestNoRegionResponds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain, client := s.abroad(t, "us-east-2", "eu-west-1")
		client.set(home, never)
		client.set(nearby, refuses)
		client.set(faraway, replies(403, "RegionDisabledException", "STS is not activated in this region"))
		start := time.Now()
		_, err := chain.Retrieve(t.Context())
		says(t, err, credentials.STSUnreachable, home, nearby, faraway, "RegionDisabledException", "connection refused")
		isBrief(t, err)
		if took := time.Since(start); took < 20*time.Second || took > 30*time.Second {
			t.Errorf("ended after %v, want Refresh.Timeout", took)
		}
		if strings.Count(err.Error(), nearby) > 2 {
			t.Errorf("repeats itself: %v", err)
		}
	})
}

// If the previous hop finds no region that responds, the callers of the last hop get its
// complete error: every endpoint, and when the next attempt is made.
func TestNoRegionRespondsToThePreviousHop(t *testing.T) {
	for hops := 2; hops <= 3; hops++ {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			for range 20 {
				chain, client := s.abroad(t, "us-east-2")
				if hops == 3 {
					base := s.cloud.Config()
					base.HTTPClient = client
					chain = newChain(t, base, s.with("us-east-2"), credentials.Assume("arn:aws:iam::444455556666:role/Third"))
				}
				client.set(home, refuses)
				client.set(nearby, never)
				_, err := chain.Retrieve(t.Context())
				says(t, err, credentials.STSUnreachable, "hop 1 of", "connection refused", "no session either from "+nearby)
				if e, ok := errors.AsType[*credentials.Error](err); !ok || e.NextAttempt.IsZero() {
					t.Fatalf("of %d hops: no time of the next attempt in %v", hops, err)
				}
			}
		})
	}
}

// The error of a caller that stopped waiting is its own: it does not change when the
// refresh ends.
func TestErrorOfAnImpatientCallerDoesNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, client := newScene(t).abroad(t, "us-east-2")
		client.set(home, refuses)
		client.set(nearby, never)
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		_, err := chain.Retrieve(ctx)
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		attempts, text := e.Attempts, e.Error()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = chain.Retrieve(context.Background())
		}()
		for waits := true; waits; { // read it until the refresh has ended
			select {
			case <-done:
				waits = false
			default:
				time.Sleep(50 * time.Millisecond)
			}
			if e.Attempts != attempts || e.Error() != text {
				t.Fatalf("attempts %d, now %d; %q, now %q", attempts, e.Attempts, text, e.Error())
			}
		}
	})
}

// The chains of a pool share what is known of a region: one of them waits for the own
// region, the others do not.
func TestPoolSharesTheRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		roles := s.targets(20)
		client := newOutages(s)
		base := s.cloud.Config()
		base.HTTPClient = client
		pool, err := credentials.NewPool(base, func(o *credentials.PoolOptions) {
			o.Source, o.FallbackRegions = s.web(), []string{"us-east-2"}
		})
		check(t, err)
		client.set(home, never)
		start := time.Now()
		check(t, pool.Warm(t.Context(), roles, nil))
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("20 roles took %v", took)
		}
		asked := 0
		for _, host := range client.hosts() {
			if host == home {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("the region that hangs was asked %d times, want once", asked)
		}
		time.Sleep(time.Minute) // its pause is over: one chain tries it, for all
		for _, role := range roles {
			chain := poolChain(t, pool, role)
			creds, err := chain.Retrieve(t.Context())
			check(t, err)
			chain.Invalidate(creds.AccessKeyID)
		}
		start = time.Now()
		var callers sync.WaitGroup
		var mu sync.Mutex
		var waited []time.Duration
		for _, role := range roles {
			callers.Go(func() {
				_, err := poolChain(t, pool, role).Retrieve(context.Background())
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				waited = append(waited, time.Since(start))
			})
		}
		callers.Wait()
		slices.Sort(waited)
		if waited[len(waited)-2] > time.Second {
			t.Errorf("more than one chain waited for the region that hangs: %v", waited)
		}
	})
}

// Options.STS is called once for each region and can choose an endpoint by it.
func TestOptionsSTSSeesEachRegion(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL_STS", "https://sts.internal")
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		client := newOutages(s)
		base := s.cloud.Config()
		base.HTTPClient = client
		var regions []string
		chain := newChain(t, base, s.with("us-east-2"), func(o *credentials.Options) {
			o.STS = func(o *sts.Options) {
				regions = append(regions, o.Region)
				o.BaseEndpoint = aws.String("https://sts." + o.Region + ".amazonaws.com")
			}
		})
		if !slices.Equal(regions, []string{"us-east-1", "us-east-2"}) {
			t.Errorf("called for %v", regions)
		}
		client.set(home, refuses)
		_, err := chain.Retrieve(t.Context())
		check(t, err)
	})
}

func TestFallbackRegionsThatCannotWork(t *testing.T) {
	endpoint := func(url func(region string) string) func(*credentials.Options) {
		return func(o *credentials.Options) {
			o.STS = func(o *sts.Options) { o.BaseEndpoint = aws.String(url(o.Region)) }
		}
	}
	for _, tt := range []struct {
		name     string
		variable string
		regions  []string
		option   func(*credentials.Options)
		want     string // in the error; empty: it works
	}{
		{name: "two regions", regions: []string{"us-east-2", "eu-west-1"}},
		{name: "malformed", regions: []string{"Ohio"}, want: "FallbackRegions[0]"},
		{name: "empty", regions: []string{"us-east-2", ""}, want: "FallbackRegions[1]"},
		{name: "its own", regions: []string{"us-east-1"}, want: "FallbackRegions[0]"},
		{name: "twice", regions: []string{"eu-west-1", "eu-west-1"}, want: "FallbackRegions[1]"},
		{name: "another partition", regions: []string{"cn-north-1"}, want: "cn-north-1"},
		{name: "one endpoint by variable", variable: "https://sts.internal", regions: []string{"us-east-2"}, want: "AWS_ENDPOINT_URL_STS"},
		{name: "told apart", variable: "https://sts.internal", regions: []string{"us-east-2"},
			option: endpoint(func(region string) string { return "https://sts.internal/" + region })},
		{name: "one endpoint by option", regions: []string{"us-east-2"},
			option: endpoint(func(string) string { return "https://sts.internal" }), want: "Options.STS"},
		{name: "two spellings", regions: []string{"us-east-2"},
			option: endpoint(func(region string) string {
				return map[string]string{"us-east-1": "https://sts.internal", "us-east-2": "https://STS.Internal.:443/"}[region]
			}), want: "the same endpoint"},
		{name: "the endpoint of the other region", regions: []string{"us-east-2"},
			option: func(o *credentials.Options) {
				o.STS = func(o *sts.Options) {
					if o.Region == "us-east-2" {
						o.BaseEndpoint = aws.String("https://sts.us-east-1.amazonaws.com/")
					}
				}
			}, want: "the same endpoint"},
		{name: "one region for all", regions: []string{"us-east-2"},
			option: func(o *credentials.Options) { o.STS = func(o *sts.Options) { o.Region = "eu-west-1" } }, want: "the same endpoint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("AWS_ENDPOINT_URL_STS", tt.variable)
			s := newScene(t)
			options := []func(*credentials.Options){s.with(tt.regions...)}
			if tt.option != nil {
				options = append(options, tt.option)
			}
			_, err := credentials.New(s.cloud.Config(), options...)
			if tt.want == "" {
				check(t, err)
				return
			}
			says(t, err, credentials.ConfigInvalid, tt.want)
		})
	}
}
