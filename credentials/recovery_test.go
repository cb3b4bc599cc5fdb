package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

func TestExpiredTokenFromAServiceIsRecovered(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	cfg := chain.Config()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if worker == 0 && i == 10 {
					s.target.RevokeSessions()
				}
				if got, err := fetch(t.Context(), cfg); err != nil || got != photo {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.count("AssumeRole"); n != 2 {
		t.Errorf("%d sessions for one revocation, want 2", n)
	}
}

// A session that is refused although it is new: one refresh, then the pauses.
func TestAServiceThatRefusesEverySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		chain := s.hubChain(t)
		cfg := chain.Config()
		if _, err := fetch(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		remove := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 400, Code: "ExpiredToken"})
		for range 100 {
			_, err := fetch(t.Context(), cfg)
			if !errors.Is(err, credentials.CredentialsExpired) {
				t.Fatalf("got %v, want %v", err, credentials.CredentialsExpired)
			}
			if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "ExpiredToken" {
				t.Fatalf("the service's own code is lost: %v", err)
			}
		}
		if n := s.count("AssumeRole"); n != 2 {
			t.Errorf("%d sessions for 100 refused requests, want 2", n)
		}
		time.Sleep(2 * time.Second)
		for range 100 {
			fetch(t.Context(), cfg)
		}
		if n := s.count("AssumeRole"); n != 3 {
			t.Errorf("%d sessions after the first pause, want 3", n)
		}
		remove()
		if _, err := fetch(t.Context(), cfg); err != nil {
			t.Errorf("after the fault: %v", err)
		}
	})
}

func TestAccessDeniedCostsNoSession(t *testing.T) {
	s := newScene(t)
	s.target.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`)
	chain := s.hubChain(t)
	if _, err := fetch(t.Context(), chain.Config()); err == nil || errors.Is(err, credentials.CredentialsExpired) {
		t.Errorf("got %v", err)
	}
	if n := s.count("AssumeRole"); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

// An upload is repeated from its first byte, or not at all.
func TestBodiesAreRewoundOrNotRepeated(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	client := s3.NewFromConfig(chain.Config())
	put := func(body io.Reader, optFns ...func(*s3.Options)) error {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("pics"), Key: aws.String("new"), Body: body, ContentLength: aws.Int64(5),
		}, optFns...)
		return err
	}
	if err := put(strings.NewReader("first")); err != nil {
		t.Fatal(err)
	}
	s.target.RevokeSessions()
	if err := put(bytes.NewReader([]byte("again"))); err != nil {
		t.Errorf("a body that can be rewound: %v", err)
	}
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("new")})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(out.Body); string(got) != "again" {
		t.Errorf("stored %q, want %q", got, "again")
	}

	s.target.RevokeSessions()
	sessions := s.count("AssumeRole")
	err = put(io.MultiReader(strings.NewReader("strea")), s3.WithAPIOptions(unsignedPayload))
	if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "ExpiredToken" {
		t.Errorf("a body that cannot be rewound: %v, want the service's ExpiredToken", err)
	}
	if n := s.count("AssumeRole"); n != sessions {
		t.Errorf("%d new sessions for a request that is not repeated", n-sessions)
	}
}

// Services of other protocols recover too: STS's own query protocol here.
func TestQueryProtocolRecovers(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	client := sts.NewFromConfig(chain.Config())
	for range 2 {
		out, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil || aws.ToString(out.Account) != s.shared.ID() {
			t.Fatalf("%v", err)
		}
		s.target.RevokeSessions()
	}
	if n := s.count("AssumeRole"); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
}

func TestPresignedRequestsAreLeftAlone(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	req, err := s3.NewPresignClient(s3.NewFromConfig(chain.Config())).PresignGetObject(t.Context(),
		&s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
	if err != nil {
		t.Fatal(err)
	}
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, req.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.cloud.Config().HTTPClient.Do(get)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != photo || err != nil {
		t.Errorf("the link gives %q, %v", got, err)
	}
}

// A chain wrapped in the SDK's cache, against the advice: as the SDK alone.
func TestCacheAroundAChainDoesNoHarm(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	cfg := chain.Config()
	cfg.Credentials = aws.NewCredentialsCache(chain)
	if got, err := fetch(t.Context(), cfg); err != nil || got != photo {
		t.Fatalf("%q, %v", got, err)
	}
	s.target.RevokeSessions()
	for range 10 {
		if _, err := fetch(t.Context(), cfg); err == nil {
			t.Fatal("the cache should still hold the dead key: is this test about anything?")
		}
	}
	if n := s.count("AssumeRole"); n > 2 {
		t.Errorf("%d sessions, want at most one more than the first", n)
	}
	if n := s.count("GetObject"); n != 11 {
		t.Errorf("%d requests for 11 reads, want one for each", n)
	}
}

// The SDK retries around the recovery: a 503 after the repeat is its business.
func TestRecoveryInsideTheRetryLoop(t *testing.T) {
	s := newScene(t)
	var gets atomic.Int64
	cloud := s.cloud.Config()
	base := cloud.Copy()
	base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			switch gets.Add(1) {
			case 1, 3:
				s.cloud.Fault(awstest.Fault{Operation: "GetObject", Times: 1, Status: 400, Code: "ExpiredToken"})
			case 2:
				s.cloud.Fault(awstest.Fault{Operation: "GetObject", Times: 1, Status: 500, Code: "InternalError"})
			}
		}
		return cloud.HTTPClient.Do(r)
	})
	chain := newChain(t, base, func(o *credentials.Options) {
		o.Source, o.Roles = s.web(), []credentials.Role{{ARN: s.target.ARN()}}
	})
	synced := func() (string, error) { return fetch(t.Context(), chain.Config()) }
	got, err := synced()
	var summary []string
	for _, c := range s.cloud.Calls() {
		summary = append(summary, fmt.Sprint(c.Operation, " ", c.Code))
	}
	// Refused, repeated (500), retried by the SDK and refused: the pause holds.
	if err == nil || !errors.Is(err, credentials.CredentialsExpired) {
		t.Errorf("%q, %v after %q", got, err, summary)
	}
	if got, err := synced(); err != nil || got != photo {
		t.Errorf("the next call: %q, %v", got, err)
	}
}

// A role is deleted and created again: AWS no longer knows its sessions, and says so
// with other codes than for those that expired. Requests go on with a new session,
// which costs one STS request.
func TestRoleIsDeletedAndCreatedAgain(t *testing.T) {
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","sts:*"],"Resource":"*"}]}`
	recreate := func(a *awstest.Account, r *awstest.Role, name, policy string) *awstest.Role {
		a.DeleteRole(r)
		return a.CreateRole(name, policy, all)
	}
	for _, route := range []string{"direct", "hub", "hub of the hub route"} {
		t.Run(route, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				chain := s.hubChain(t)
				if route == "direct" {
					chain = s.directChain(t)
				}
				cfg := chain.Config()
				if _, err := fetch(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				pod := []string{awstest.Subject("default", "s3-shared-content")}
				both := func() string {
					p := trust.WebIdentityPolicy(s.shared.ID(), []string{s.blue.Issuer()}, pod)
					p.Statements = append(p.Statements, trust.RolePolicy(s.hub.ARN()).Statements...)
					return p.String()
				}
				web, assume := s.count("AssumeRoleWithWebIdentity"), s.count("AssumeRole")
				wantWeb, wantAssume := 0, 1
				switch route {
				case "direct":
					wantWeb, wantAssume = 1, 0
				case "hub of the hub route":
					wantWeb, wantAssume = 1, 2 // hop 2 asks as the old session first
					s.hub = recreate(s.dev, s.hub, "hub", trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, pod).String())
				}
				s.target = recreate(s.shared, s.target, "S3_Pics", both())
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						if got, err := fetch(t.Context(), cfg); err != nil || got != photo {
							t.Errorf("%q, %v", got, err)
						}
					})
				}
				wg.Wait()
				if w, a := s.count("AssumeRoleWithWebIdentity")-web, s.count("AssumeRole")-assume; w != wantWeb || a != wantAssume {
					t.Errorf("%d + %d STS requests, want %d + %d", w, a, wantWeb, wantAssume)
				}
			})
		})
	}
}

// Each code that refuses a session renews it once; those that refuse something else
// renew nothing.
func TestCodesThatRefuseASession(t *testing.T) {
	for _, tt := range []struct {
		status        int
		code, message string
		renews        bool
	}{
		{400, "ExpiredToken", "", true},
		{400, "ExpiredTokenException", "", true},
		{400, "InvalidToken", "", true},
		{400, "TokenRefreshRequired", "", true},
		{403, "InvalidAccessKeyId", "", true},
		{403, "InvalidClientTokenId", "", true},
		{403, "InvalidTokenId", "", true},
		{400, "UnrecognizedClientException", "", true},
		{401, "AuthFailure", "AWS was not able to validate the provided access credentials", true},
		{401, "AuthFailure", "Not authorized for images: [ami-1]", false},
		{403, "AccessDenied", "", false},
		{403, "SignatureDoesNotMatch", "", false},
		{403, "UnauthorizedOperation", "", false},
		{400, "InvalidRequest", "", false},
	} {
		t.Run(tt.code, func(t *testing.T) {
			s := newScene(t)
			chain := s.hubChain(t)
			if _, err := fetch(t.Context(), chain.Config()); err != nil {
				t.Fatal(err)
			}
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: tt.status, Code: tt.code, Message: tt.message, Times: 1})
			want, requests := 1, s.count("GetObject")+1
			if tt.renews {
				want, requests = 2, requests+1
			}
			if _, err := fetch(t.Context(), chain.Config()); (err == nil) != tt.renews {
				t.Errorf("got %v", err)
			}
			if n := s.count("AssumeRole"); n != want {
				t.Errorf("%d sessions, want %d", n, want)
			}
			if n := s.count("GetObject"); n != requests {
				t.Errorf("%d requests, want %d", n, requests)
			}
		})
	}
}

// A response to HEAD has no code. Status 400 is what S3 says to an expired session,
// and not only to that.
func TestHeadWithARevokedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		client := s3.NewFromConfig(s.hubChain(t).Config())
		head := func() error {
			_, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
			return err
		}
		if err := head(); err != nil {
			t.Fatal(err)
		}
		s.target.RevokeSessions()
		if err := head(); err != nil {
			t.Errorf("after the revocation: %v", err)
		}
		time.Sleep(10 * time.Minute)
		s.cloud.Fault(awstest.Fault{Operation: "HeadObject", Status: 400, Code: "InvalidRequest"})
		sessions := s.count("AssumeRole")
		for range 100 {
			if err := head(); err == nil || errors.Is(err, credentials.CredentialsExpired) {
				t.Fatalf("a bad request: %v", err)
			}
		}
		if n := s.count("AssumeRole") - sessions; n > 1 {
			t.Errorf("%d sessions for 100 bad requests", n)
		}
	})
}

// STS refuses every session of the hub: it is renewed at the pace of failures, for
// all chains of a pool together.
func TestHubsSessionIsRefusedAgainAndAgain(t *testing.T) {
	for _, code := range []string{"InvalidClientTokenId", "ExpiredToken", "UnrecognizedClientException"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				p, roles := s.pool(t), s.targets(60)
				s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: code})
				for range 10 {
					for _, role := range roles {
						_, err := poolChain(t, p, role).Retrieve(t.Context())
						if !errors.Is(err, credentials.CredentialsExpired) && !errors.Is(err, credentials.RegionNotEnabled) {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Minute)
				}
				if n := s.count("AssumeRoleWithWebIdentity"); n > 30 {
					t.Errorf("%d sessions of the hub in ten minutes", n)
				}
			})
		})
	}
}

// A hub whose sessions are revoked again and again is renewed each time, as long as
// each new session works in between.
func TestHubIsRevokedInQuickSuccession(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	for i := range 5 {
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatalf("after %d revocations: %v", i, err)
		}
		s.hub.RevokeSessions()
		chain.Invalidate(creds.AccessKeyID)
	}
	if n := s.count("AssumeRoleWithWebIdentity"); n != 5 {
		t.Errorf("%d sessions of the hub, want 5", n)
	}
}

// Keys of a user that are mistyped are the service's error, at the first request and
// at the next.
func TestMistypedKeysAreTheServicesError(t *testing.T) {
	s := newScene(t)
	base := s.cloud.Config()
	base.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIAMISTYPED", SecretAccessKey: "secret"}, nil
	})
	chain := newChain(t, base, func(o *credentials.Options) { o.Source = credentials.FromBase{} })
	for range 3 {
		_, err := fetch(t.Context(), chain.Config())
		if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "InvalidAccessKeyId" || errors.Is(err, credentials.CredentialsExpired) {
			t.Errorf("got %v", err)
		}
	}
	if n := s.count("GetObject"); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}
