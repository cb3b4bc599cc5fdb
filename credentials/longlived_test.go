package credentials_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// A client that was made once reads for five hours, with a token file that
// never changes (case B13).
func TestOneClientLivesForHours(t *testing.T) {
	for _, second := range []time.Duration{time.Hour, 15 * time.Minute} {
		t.Run(fmt.Sprint(second), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				client := s3.NewFromConfig(s.hubChain(t, func(o *credentials.Options) { o.Roles[0].Duration = second }).Config())
				for range 31 {
					out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
					if err != nil {
						t.Fatal(err)
					}
					out.Body.Close()
					time.Sleep(10 * time.Minute)
				}
				for _, c := range s.cloud.Calls() {
					if c.Code != "" {
						t.Errorf("refused: %v", c)
					}
				}
				// Every ten minutes: an hour's session is renewed between its 45th
				// and 60th, one of 15 minutes nearly each time.
				least, most := 5, 8
				if second == 15*time.Minute {
					least, most = 15, 31
				}
				if n := s.count("AssumeRole"); n < least || n > most {
					t.Errorf("hop 2: %d sessions in five hours, want %d to %d", n, least, most)
				}
				if n := s.count("AssumeRoleWithWebIdentity"); n < 3 || n > 8 {
					t.Errorf("hop 1: %d sessions in five hours, want 3 to 8", n)
				}
			})
		})
	}
}

// However many clients, however many reads: one session (case B14).
func TestClientsShareTheSession(t *testing.T) {
	s := newScene(t)
	cfg := s.hubChain(t).Config()
	var wg sync.WaitGroup
	for range 10 {
		client := s3.NewFromConfig(cfg)
		wg.Go(func() {
			for range 100 {
				out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
				if err != nil {
					t.Error(err)
					return
				}
				out.Body.Close()
			}
		})
	}
	wg.Wait()
	if web, assume := s.count("AssumeRoleWithWebIdentity"), s.count("AssumeRole"); web != 1 || assume != 1 {
		t.Errorf("%d + %d sessions for 1,000 reads, want 1 + 1", web, assume)
	}
}

// Fifty pods start in the same moment on an STS that takes five requests a
// second: all get through, none asks for more than its share, and their next
// refreshes are spread out (case B15).
func TestHerdOfPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		const pods, callers, perSecond = 50, 20, 5
		gate := &quota{inner: s.cloud.Config().HTTPClient, perSecond: perSecond, tokens: perSecond}
		base := s.cloud.Config()
		base.HTTPClient = gate
		var chains []*credentials.Chain
		for range pods {
			chains = append(chains, newChain(t, base, func(o *credentials.Options) {
				o.Source, o.Roles = s.web(), []credentials.Role{{ARN: s.target.ARN()}}
				o.Refresh.Timeout = 3 * time.Minute // there is nothing to serve until then
			}))
		}
		var wg sync.WaitGroup
		for _, c := range chains {
			for range callers {
				wg.Go(func() {
					if _, err := c.Retrieve(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if gate.asked > pods*2*10 {
			t.Errorf("%d requests for %d sessions", gate.asked, pods*2)
		}

		// When does each refresh? Ask all of them often and see.
		started := time.Now()
		var renewed []time.Duration
		seen := make([]string, pods)
		for i, c := range chains {
			creds, _ := c.Retrieve(t.Context())
			seen[i] = creds.AccessKeyID
		}
		gate.perSecond = 1000
		for time.Since(started) < time.Hour {
			time.Sleep(15 * time.Second)
			for i, c := range chains {
				if creds, err := c.Retrieve(t.Context()); err != nil {
					t.Fatal(err)
				} else if creds.AccessKeyID != seen[i] && len(renewed) < pods {
					seen[i] = creds.AccessKeyID
					renewed = append(renewed, time.Since(started))
				}
			}
		}
		slices.Sort(renewed)
		if spread := renewed[len(renewed)-1] - renewed[0]; spread < 20*time.Minute {
			t.Errorf("the pods' first refreshes lie within %v of each other", spread)
		}
	})
}

// quota throttles as STS does: by code, with a status of 400.
type quota struct {
	inner     aws.HTTPClient
	mu        sync.Mutex
	perSecond float64
	tokens    float64
	last      time.Time
	asked     int
}

func (q *quota) Do(r *http.Request) (*http.Response, error) {
	q.mu.Lock()
	now := time.Now()
	if !q.last.IsZero() {
		q.tokens = min(q.perSecond, q.tokens+q.perSecond*now.Sub(q.last).Seconds())
	}
	q.last = now
	q.asked++
	ok := q.tokens >= 1
	if ok {
		q.tokens--
	}
	q.mu.Unlock()
	if ok {
		return q.inner.Do(r)
	}
	return &http.Response{
		StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Content-Type": {"text/xml"}, "Date": {now.UTC().Format(http.TimeFormat)}},
		Request: r,
		Body: io.NopCloser(strings.NewReader(`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>` +
			`<Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>q</RequestId></ErrorResponse>`)),
	}, nil
}

// The server's clock is 40 minutes off either way: the session is renewed as if
// it were not, and the difference is logged once (case B22).
func TestClockSkew(t *testing.T) {
	for _, off := range []time.Duration{-40 * time.Minute, 40 * time.Minute} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				s.cloud.Fault(awstest.Fault{ServerClock: off})
				var j journal
				chain := s.hubChain(t, j.options)
				start := time.Now()
				for time.Since(start) < 3*time.Hour {
					before := time.Now()
					creds, err := chain.Retrieve(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if left := time.Until(creds.Expires); left <= 0 || left > time.Hour {
						t.Fatalf("%v left of a session of an hour", left)
					}
					if took := time.Since(before); took > 0 && !before.Equal(start) {
						t.Errorf("waited %v", took)
					}
					time.Sleep(time.Minute)
				}
				if n := s.count("AssumeRole"); n < 3 || n > 6 {
					t.Errorf("%d sessions in three hours, want 3 to 6", n)
				}
				if n := strings.Count(j.text(), "clock differs"); n != 1 {
					t.Errorf("the skew is logged %d times, want once", n)
				}
			})
		})
	}
}

// What STS gives counts, not what was asked for (case B12).
func TestTheRepliesExpirationCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		soon := time.Now().Add(20 * time.Minute)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, Expiration: &soon})
		chain := s.hubChain(t)
		creds, err := chain.Retrieve(t.Context())
		if err != nil || time.Until(creds.Expires) > 20*time.Minute {
			t.Fatalf("%v left, %v; want at most 20 minutes", time.Until(creds.Expires), err)
		}
		time.Sleep(20 * time.Minute)
		again, err := chain.Retrieve(t.Context())
		if err != nil || again.AccessKeyID == creds.AccessKeyID {
			t.Errorf("after 20 minutes still %s, %v", again.AccessKeyID, err)
		}
	})
}
