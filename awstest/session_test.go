package awstest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// code is the AWS error code of err; empty if it has none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hub := newPics(t)
		if _, err := w.as(hub).GetCallerIdentity(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		if _, err := w.as(hub).GetCallerIdentity(t.Context(), nil); err != nil {
			t.Errorf("a second before its end: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := w.as(hub).GetCallerIdentity(t.Context(), nil); code(err) != "ExpiredToken" {
			t.Errorf("at its end: %v", err)
		}
		r := getRequest(t, "https://pics.s3.us-east-1.amazonaws.com/?list-type=2")
		r.Header.Set("X-Amz-Content-Sha256", emptyHash)
		s3Sign(t, r, hub, emptyHash, "s3", "us-east-1", time.Now())
		expectS3(t, w, r, 400, "ExpiredToken")

		// A token lives for a day, the sessions that it yields for an hour each.
		token := w.blue.Token("default", "app")
		time.Sleep(24*time.Hour - time.Second)
		w.webIdentity(t, hubARN, token)
		time.Sleep(time.Second)
		_, err := sts.NewFromConfig(w.Config()).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: new(hubARN), RoleSessionName: new("pod"), WebIdentityToken: &token})
		if code(err) != "ExpiredTokenException" {
			t.Errorf("after a day: %v", err)
		}
	})
}

func TestExpirationIsInWholeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(300 * time.Millisecond)
		w := newWorld()
		out, err := w.assume(t, w.hubSession(t), targetARN)
		if err != nil {
			t.Fatal(err)
		}
		if end, want := out.Credentials.Expiration.UTC(), time.Now().UTC().Truncate(time.Second).Add(time.Hour); !end.Equal(want) {
			t.Errorf("ends at %v, want %v", end, want)
		}
		if n := len(*out.Credentials.SessionToken); n < 700 || n > 4096 {
			t.Errorf("a session token of %d bytes", n)
		}
	})
}

func TestRevokeSessions(t *testing.T) {
	w := newWorld()
	old := w.hubSession(t)
	w.hub.RevokeSessions()
	if _, err := w.as(old).GetCallerIdentity(t.Context(), nil); code(err) != "ExpiredToken" {
		t.Errorf("revoked: %v", err)
	}
	if _, err := w.as(w.hubSession(t)).GetCallerIdentity(t.Context(), nil); err != nil {
		t.Errorf("given out after: %v", err)
	}
}

// TestPoliciesApplyAtOnce shows that sessions have the policy that their role
// has now.
func TestPoliciesApplyAtOnce(t *testing.T) {
	w := newWorld()
	hub := w.hubSession(t)
	for _, allowed := range []bool{true, false, true} {
		policy := ""
		if allowed {
			policy = allowAssume
		}
		w.hub.SetPolicy(policy)
		if _, err := w.assume(t, hub, targetARN); (err == nil) != allowed {
			t.Errorf("allowed is %t: %v", allowed, err)
		}
	}
	w.hub.SetTrust(roleTrust(sharedID))
	if _, err := w.assume(t, hub, targetARN); err != nil {
		t.Errorf("after the trust policy changed, for a session given out before: %v", err)
	}
}

func TestUser(t *testing.T) {
	w := newWorld()
	ann := w.dev.UserCredentials("people/ann", "")
	out, err := w.as(ann).GetCallerIdentity(t.Context(), nil)
	if err != nil || aws.ToString(out.Arn) != "arn:aws:iam::111122223333:user/people/ann" || aws.ToString(out.Account) != devID {
		t.Errorf("%v, %v", out, err)
	}
	ann.SessionToken = "x"
	if _, err := w.as(ann).GetCallerIdentity(t.Context(), nil); code(err) != "InvalidClientTokenId" {
		t.Errorf("with a session token: %v", err)
	}
}
