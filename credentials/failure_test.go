package credentials_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// Each response of STS has its kind and its number of requests. Each
// fault is then removed and the same chain must recover.
func TestEachFailureHasItsKindAndItsRetries(t *testing.T) {
	const web, assume = "AssumeRoleWithWebIdentity", "AssumeRole"
	tests := []struct {
		name, operation string
		status          int
		code, message   string
		kind            credentials.Kind
		calls           int // of the operation; 0: more than one
	}{
		{"wrong audience", web, 400, "InvalidIdentityToken", "Incorrect token audience", credentials.AudienceMismatch, 1},
		{"no provider", web, 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://oidc.example/x", credentials.OIDCProviderMissing, 1},
		{"thumbprint", web, 400, "InvalidIdentityToken", "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint", credentials.OIDCProviderMissing, 2},
		{"bad signature", web, 400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT", credentials.TokenRejected, 1},
		{"an unknown text", web, 400, "InvalidIdentityToken", "?", credentials.TokenRejected, 2},
		{"keys unreachable", web, 400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements", credentials.IssuerUnreachable, 0},
		{"issuer down", web, 400, "IDPCommunicationError", "", credentials.IssuerUnreachable, 0},
		{"trust policy", web, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", credentials.TrustDenied, 1},
		{"token expired, file unchanged", web, 400, "ExpiredTokenException", "Token expired: current date/time 1 must be before the expiration date/time 0", credentials.TokenExpired, 1},
		{"longer than the role allows", web, 400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", credentials.DurationTooLong, 1},
		{"some other setting", web, 400, "ValidationError", "1 validation error detected", credentials.ConfigInvalid, 1},
		{"throttled", web, 400, "Throttling", "Rate exceeded", credentials.Throttled, 0},
		{"region off", web, 403, "RegionDisabledException", "STS is not activated in this region", credentials.RegionNotEnabled, 1},
		{"an unknown code", web, 400, "SomethingNew", "?", credentials.Unknown, 1},
		{"server error", web, 500, "InternalFailure", "", credentials.STSUnreachable, 0},
		{"not a code at all", web, 502, "", "", credentials.STSUnreachable, 0},

		{"target refuses", assume, 403, "AccessDenied", "User: x is not authorized to perform: sts:AssumeRole on resource: y", credentials.AssumeDenied, 1},
		{"tags refused", assume, 403, "AccessDenied", "User: x is not authorized to perform: sts:TagSession on resource: y", credentials.AssumeDenied, 1},
		{"chaining cap", assume, 400, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining", credentials.DurationTooLong, 1},
		{"packed too large", assume, 400, "PackedPolicyTooLarge", "Packed size of session tags consumes 112% of allotted space", credentials.TagsTooLarge, 1},
		{"the hub's session discarded", assume, 403, "ExpiredToken", "The security token included in the request is expired", credentials.CredentialsExpired, 2},
		{"the hub's session unknown", assume, 403, "InvalidClientTokenId", "The security token included in the request is invalid", credentials.RegionNotEnabled, 2},
		{"clock", assume, 403, "SignatureDoesNotMatch", "Signature expired: 20261125T000000Z is now earlier than 20261125T010000Z", credentials.Unknown, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				f := awstest.Fault{Operation: tt.operation, Status: tt.status, Code: tt.code, Message: tt.message}
				if tt.code == "" {
					f.Body = "<html>bad gateway</html>"
				}
				remove := s.cloud.Fault(f)
				chain := s.hubChain(t)
				_, err := chain.Retrieve(t.Context())
				if !errors.Is(err, tt.kind) {
					t.Fatalf("got %v, want %v", err, tt.kind)
				}
				isBrief(t, err)
				e, _ := errors.AsType[*credentials.Error](err)
				wantHop := map[string]int{web: 1, assume: 2}[tt.operation]
				if e.Hop != wantHop || e.Code != tt.code || e.Operation != tt.operation {
					t.Errorf("hop %d, code %q, operation %q; want %d, %q, %q", e.Hop, e.Code, e.Operation, wantHop, tt.code, tt.operation)
				}
				n := s.count(tt.operation)
				if tt.calls > 0 && n != tt.calls || tt.calls == 0 && n < 2 {
					t.Errorf("%d requests, want %d (0: more than one)", n, tt.calls)
				}
				if _, again := chain.Retrieve(t.Context()); again != err {
					t.Errorf("inside the pause: %v; want the same error at once", again)
				}
				if s.count(tt.operation) != n {
					t.Error("a request inside the pause")
				}
				remove()
				time.Sleep(2 * time.Second)
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("after the fault: %v", err)
				}
			})
		})
	}
}

func TestPausesGrowToTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied"})
		chain := s.hubChain(t, func(o *credentials.Options) { o.Refresh.FailureCap = 20 * time.Second })
		var pauses []time.Duration
		for range 8 {
			_, err := chain.Retrieve(t.Context())
			e, ok := errors.AsType[*credentials.Error](err)
			if !ok {
				t.Fatal(err)
			}
			pauses = append(pauses, time.Until(e.NextAttempt))
			time.Sleep(time.Until(e.NextAttempt))
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 20, 20, 20} {
			if p := pauses[i]; p > want*time.Second || p < want*time.Second*8/10 {
				t.Errorf("pause %d is %v, want %v less at most a fifth", i+1, p, want*time.Second)
			}
		}
		if n := len(s.cloud.Calls()); n != 8 {
			t.Errorf("%d requests, want 8", n)
		}
	})
}

func TestRotationEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		s.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Hour) })
		for range 5 { // into the long pauses
			_, err := chain.Retrieve(t.Context())
			if !errors.Is(err, credentials.TokenExpired) {
				t.Fatalf("got %v, want %v", err, credentials.TokenExpired)
			}
			e, _ := errors.AsType[*credentials.Error](err)
			time.Sleep(time.Until(e.NextAttempt))
		}
		if _, err := chain.Retrieve(t.Context()); err == nil {
			t.Fatal("the token is expired still")
		}
		before, err := os.Stat(s.pod.TokenFile())
		if err != nil {
			t.Fatal(err)
		}
		s.pod.Rotate()
		// Within one tick of the file system's clock: size and time are the old ones.
		if err := os.Chtimes(s.pod.TokenFile(), time.Time{}, before.ModTime()); err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Errorf("right after the rotation: %v", err)
		}
	})
}

// A file that is replaced between its reading and the refusal has not been
// tried: the next caller does not wait out the pause.
func TestRotationDuringTheFailingCall(t *testing.T) {
	s := newScene(t)
	cloud := s.cloud.Config()
	base := cloud.Copy()
	base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := cloud.HTTPClient.Do(r)
		if s.count("AssumeRoleWithWebIdentity") == 1 {
			s.pod.Rotate()
		}
		return resp, err
	})
	s.pod.Rotate(func(token *trust.Token) { token.Audience = []string{"elsewhere"} })
	chain := newChain(t, base, func(o *credentials.Options) { o.Source = s.web() })
	if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.AudienceMismatch) {
		t.Fatalf("got %v, want %v", err, credentials.AudienceMismatch)
	}
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Errorf("with the new token: %v", err)
	}
}

// The token is read anew for every attempt, within one refresh too.
func TestExpiredTokenIsReplacedDuringTheCall(t *testing.T) {
	s := newScene(t)
	cloud := s.cloud.Config()
	base := cloud.Copy()
	base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := cloud.HTTPClient.Do(r)
		if s.count("AssumeRoleWithWebIdentity") == 1 {
			s.pod.Rotate() // the response to the old token is on its way
		}
		return resp, err
	})
	s.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Hour) })
	chain := newChain(t, base, func(o *credentials.Options) {
		o.Source = s.web()
		o.Roles = []credentials.Role{{ARN: s.target.ARN()}}
	})
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.count("AssumeRoleWithWebIdentity"); n != 2 {
		t.Errorf("%d requests, want 2: the old token and the new one", n)
	}
}

func TestUnusableReplies(t *testing.T) {
	past := time.Unix(0, 0)
	tests := []struct {
		name  string
		fault awstest.Fault
		want  string
	}{
		{"no end", awstest.Fault{NoExpiration: true}, "Expiration"},
		{"past end", awstest.Fault{Expiration: &past}, "past"},
		{"another role", awstest.Fault{WrongRole: "arn:aws:iam::444455556666:role/Other"}, "Other"},
		{"another account", awstest.Fault{WrongRole: "arn:aws:iam::777788889999:role/S3_Pics"}, "777788889999"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				tt.fault.Operation = "AssumeRole"
				remove := s.cloud.Fault(tt.fault)
				chain := s.hubChain(t)
				for range 20 {
					creds, err := chain.Retrieve(t.Context())
					if !errors.Is(err, credentials.WrongSession) || creds.HasKeys() {
						t.Fatalf("keys %v, %v; want none and %v", creds.HasKeys(), err, credentials.WrongSession)
					}
					isBrief(t, err)
					if e, _ := errors.AsType[*credentials.Error](err); !strings.Contains(e.Error(), tt.want) {
						t.Errorf("%q does not say %q", e, tt.want)
					}
				}
				if n := s.count("AssumeRole"); n != 1 {
					t.Errorf("%d requests for 20 calls, want 1", n)
				}
				remove()
				chain.Invalidate("") // not a key of anything: changes nothing
				if st := chain.Status().Hops[1]; st.Err == nil || st.NextAttempt.IsZero() {
					t.Error("Status does not show the failure")
				}
				time.Sleep(time.Second) // in the bubble of synctest
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("after the fault: %v", err)
				}
			})
		})
	}
}

// A store that speaks STS may refuse an expired token without a reason. That it
// had expired by the clock of the response is a fact.
func TestExpiredTokenRefusedWithoutAReason(t *testing.T) {
	s := newScene(t)
	s.cloud.Fault(awstest.Fault{Status: 403, Body: "<Error><Code>AccessDenied</Code><Message></Message><RequestId>tx1</RequestId></Error>"})
	s.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-2 * time.Hour) })
	_, err := s.hubChain(t).Retrieve(t.Context())
	if !errors.Is(err, credentials.TokenExpired) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v, want %v", err, credentials.TokenExpired)
	}
	s.pod.Rotate()
	_, err = s.hubChain(t).Retrieve(t.Context())
	if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Kind != credentials.TrustDenied || strings.Contains(err.Error(), "UnknownError") || e.RequestID == "" {
		t.Errorf("got %v, want %v with the request id", err, credentials.TrustDenied)
	}
}

func forAYear(token *trust.Token) { token.Expires = time.Now().Add(365 * 24 * time.Hour) }

// A role of a pool that refuses for six hours, and then for as long as it takes to
// refuse a hundred times: the pauses never shrink and never exceed the cap.
func TestALongStreakKeepsThePauses(t *testing.T) {
	for _, tt := range []struct {
		name     string
		fault    awstest.Fault
		base     time.Duration
		limit    time.Duration
		refusals int
	}{
		{"denied for six hours", awstest.Fault{Status: 403, Code: "AccessDenied"}, 30 * time.Second, 15 * time.Minute, 31},
		{"denied 100 times", awstest.Fault{Status: 403, Code: "AccessDenied"}, 30 * time.Second, 15 * time.Minute, 100},
		{"throttled 100 times", awstest.Fault{Status: 400, Code: "Throttling"}, time.Second, 20 * time.Second, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				s.pod.Rotate(forAYear)
				role := s.targets(1)[0]
				fault := tt.fault
				fault.RoleARN = role.ARN
				remove := s.cloud.Fault(fault)
				chain := poolChain(t, s.pool(t), role)
				doubled := tt.base
				for n := 1; n <= tt.refusals; n++ {
					if _, err := chain.Retrieve(t.Context()); err == nil {
						t.Fatal("no error")
					}
					pause := time.Until(chain.Status().Hops[1].NextAttempt)
					want := min(tt.limit, doubled)
					if doubled < tt.limit {
						doubled *= 2
					}
					if pause > want || pause < want*8/10 {
						t.Fatalf("pause %d is %v, want %v less a random fifth at most", n, pause, want)
					}
					asked := s.count("AssumeRole")
					for range 3 {
						chain.Retrieve(t.Context())
					}
					if got := s.count("AssumeRole"); got != asked {
						t.Fatalf("%d requests within pause %d", got-asked, n)
					}
					time.Sleep(pause)
				}
				remove()
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("after the streak: %v", err)
				}
			})
		})
	}
}

// KeepFresh keeps to the pauses, too.
func TestKeepFreshOfARoleThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.pod.Rotate(forAYear)
		role := s.targets(1)[0]
		s.cloud.Fault(awstest.Fault{RoleARN: role.ARN, Status: 403, Code: "AccessDenied"})
		chain := poolChain(t, s.pool(t), role)
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		if err := chain.KeepFresh(ctx); err != nil {
			t.Fatal(err)
		}
		if n := s.count("AssumeRole"); n < 180 || n > 260 {
			t.Errorf("%d requests in two days, want about one every quarter of an hour", n)
		}
	})
}

// Settings of absurd size take nothing from the rules: pauses still begin at a
// second, and a session is still renewed ahead of time.
func TestAbsurdDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.pod.Rotate(forAYear)
		chain := s.directChain(t, func(o *credentials.Options) {
			o.Refresh = credentials.Refresh{Window: math.MaxInt64, Timeout: math.MaxInt64, FailureCap: math.MaxInt64}
		})
		remove := s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied"})
		last := time.Duration(0)
		for n := range 60 {
			if _, err := chain.Retrieve(t.Context()); !errors.Is(err, credentials.TrustDenied) {
				t.Fatalf("attempt %d: %v", n, err)
			}
			pause := time.Until(chain.Status().Hops[0].NextAttempt)
			if pause <= 0 || pause < last/2 {
				t.Fatalf("pause %d is %v after %v", n, pause, last)
			}
			if last = pause; pause > 1000*time.Hour {
				break
			}
			time.Sleep(pause)
		}
		remove()
		remove = s.cloud.Fault(awstest.Fault{Status: 400, Code: "Throttling"})
		time.Sleep(last)
		s.pod.Rotate(forAYear)
		busy := s.directChain(t, func(o *credentials.Options) { o.Refresh.Timeout = math.MaxInt64 })
		start := time.Now()
		if _, err := busy.Retrieve(t.Context()); !errors.Is(err, credentials.Throttled) || time.Since(start) > time.Hour {
			t.Errorf("throttled without a timeout: %v after %v", err, time.Since(start))
		}
		remove()
		s.pod.Rotate(forAYear)
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(53 * time.Minute) // due at 7/8 of the hour, at the latest
		chain.Retrieve(t.Context())
		time.Sleep(6 * time.Minute)
		if left := time.Until(chain.Status().Hops[0].Expires); left < 40*time.Minute {
			t.Errorf("not renewed ahead of time: %v left", left)
		}

		brief := s.directChain(t, func(o *credentials.Options) {
			o.Refresh = credentials.Refresh{Window: 1, Timeout: 1, FailureCap: 1}
		})
		if _, err := brief.Retrieve(t.Context()); !errors.Is(err, credentials.RefreshTimeout) {
			t.Errorf("a refresh of one nanosecond: %v", err)
		}
	})
}

// Providers date their sessions as they like.
func TestExpirationsOfAnySize(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends time.Time
		ok   bool
	}{
		{"year 9999", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), true},
		{"292 years ahead", time.Now().Add(math.MaxInt64), true},
		{"beyond any calendar", time.Unix(1<<60, 0), true},
		{"the epoch", time.Unix(0, 0), false},
		{"before Christ", time.Unix(-1<<60, 0), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			chain := newChain(t, newScene(t).cloud.Config(), func(o *credentials.Options) {
				o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
					asked++
					return aws.Credentials{AccessKeyID: "ASIAVAULT", SecretAccessKey: "secret", CanExpire: true, Expires: tt.ends}, nil
				})}
			})
			for range 20 {
				creds, err := chain.Retrieve(t.Context())
				if tt.ok && (err != nil || time.Until(creds.Expires) < 200*365*24*time.Hour) {
					t.Fatalf("expires %v, %v", creds.Expires, err)
				}
				if !tt.ok && !errors.Is(err, credentials.WrongSession) {
					t.Fatalf("got %v", err)
				}
			}
			if asked != 1 {
				t.Errorf("the provider was asked %d times, want once", asked)
			}
			if _, err := json.Marshal(chain.Status()); err != nil {
				t.Errorf("the status is not JSON: %v", err)
			}
		})
	}
}
