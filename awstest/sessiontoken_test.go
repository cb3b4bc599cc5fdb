package awstest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// userSession is a session of the user that these credentials are of.
func userSession(t *testing.T, w *world, user aws.Credentials, seconds int32) aws.Credentials {
	t.Helper()
	c := ok(w.as(user).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: &seconds}))(t).Credentials
	return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken, Expires: *c.Expiration, CanExpire: true}
}

// TestGetSessionToken uses a user's session until it expires.
func TestGetSessionToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorld(), t.Context()
		user := w.dev.UserCredentials("staff/ann", allowAll)
		w.dev.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
		session := userSession(t, w, user, 900)
		if life := time.Until(session.Expires); life != 15*time.Minute {
			t.Errorf("expires in %v, want 15 minutes", life)
		}
		who := ok(w.as(session).GetCallerIdentity(ctx, nil))(t)
		if *who.Arn != "arn:aws:iam::111122223333:user/staff/ann" {
			t.Errorf("the session is of %s", *who.Arn)
		}
		if got := getObject(t, w.Cloud, session, "pics", "cat.jpg"); got != "meow" {
			t.Errorf("read %q", got)
		}
		w.shared.CreateRole("by-user", roleTrust("arn:aws:iam::111122223333:user/staff/ann"), "").SetMaxSessionDuration(2 * time.Hour)
		// The limit of an hour is one of role chaining.
		ok(w.as(session).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: new("arn:aws:iam::444455556666:role/by-user"), RoleSessionName: new("pod"), DurationSeconds: new(int32(7200))}))(t)

		_, err := iamOf(w.Cloud, session).GetRole(ctx, &iam.GetRoleInput{RoleName: new("hub")})
		iamRefuses(t, err, 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
		for name, credentials := range map[string]aws.Credentials{"a user's session": session, "a role's session": w.hubSession(t)} {
			_, err = w.as(credentials).GetSessionToken(ctx, nil)
			t.Log(name)
			iamRefuses(t, err, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
		}
		_, err = w.as(session).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: &user.AccessKeyID})
		iamRefuses(t, err, 403, "AccessDenied", "Cannot call GetAccessKeyInfo with session credentials")
		_, err = w.as(user).GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: new(int32(129601))})
		iamRefuses(t, err, 400, "ValidationError", "less than or equal to 129600")
		_, err = w.as(user).GetSessionToken(ctx, &sts.GetSessionTokenInput{SerialNumber: new("arn:aws:iam::111122223333:mfa/ann"), TokenCode: new("123456")})
		iamRefuses(t, err, 501, "NotImplemented", "SerialNumber")

		time.Sleep(15 * time.Minute)
		_, err = w.as(session).GetCallerIdentity(ctx, nil)
		iamRefuses(t, err, 403, "ExpiredToken", "")
	})
}

// TestGetSessionTokenWithoutPermission: no policy can deny it, and the session may
// do no more than the user.
func TestGetSessionTokenWithoutPermission(t *testing.T) {
	w := newWorld()
	w.dev.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
	session := userSession(t, w, w.dev.UserCredentials("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`), 3600)
	if got := getObject(t, w.Cloud, session, "pics", "cat.jpg"); got != "" {
		t.Errorf("read %q", got)
	}
	withMFA := w.dev.UserCredentials("bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"},
		{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}]}`)
	if got := getObject(t, w.Cloud, withMFA, "pics", "cat.jpg"); got != "meow" {
		t.Error("the long-term key, without which the condition key is absent, cannot read")
	}
	if got := getObject(t, w.Cloud, userSession(t, w, withMFA, 3600), "pics", "cat.jpg"); got != "" {
		t.Error("a session without MFA can read")
	}
}

// TestGetAccessKeyInfo returns the account of users' and sessions' keys.
func TestGetAccessKeyInfo(t *testing.T) {
	w, ctx := newWorld(), t.Context()
	user, asker := w.shared.UserCredentials("ann", ""), w.dev.UserCredentials("bob", allowAll)
	for _, key := range []string{user.AccessKeyID, userSession(t, w, user, 900).AccessKeyID} {
		if got := ok(w.as(asker).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: &key}))(t); *got.Account != sharedID {
			t.Errorf("%s is of %s", key, *got.Account)
		}
	}
	if got := ok(w.as(asker).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: new(w.hubSession(t).AccessKeyID)}))(t); *got.Account != devID {
		t.Errorf("the hub's session is of %s", *got.Account)
	}
	_, err := w.as(user).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: &asker.AccessKeyID})
	iamRefuses(t, err, 403, "AccessDenied", "sts:GetAccessKeyInfo")
	_, err = w.as(asker).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: new("AKIAAAAAAAAAAAAAAAAA")})
	iamRefuses(t, err, 501, "NotImplemented", "has not issued")
	_, err = w.as(asker).GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: new("short")})
	iamRefuses(t, err, 400, "ValidationError", "'accessKeyId'")
}

// TestDecodeAuthorizationMessage: nothing in the cloud encodes a message.
func TestDecodeAuthorizationMessage(t *testing.T) {
	w, ctx := newWorld(), t.Context()
	_, err := w.as(w.dev.UserCredentials("ann", allowAll)).DecodeAuthorizationMessage(ctx, &sts.DecodeAuthorizationMessageInput{EncodedMessage: new("x")})
	iamRefuses(t, err, 400, "InvalidAuthorizationMessageException", "")
	_, err = w.as(w.dev.UserCredentials("bob", "")).DecodeAuthorizationMessage(ctx, &sts.DecodeAuthorizationMessageInput{EncodedMessage: new("x")})
	iamRefuses(t, err, 403, "AccessDenied", "sts:DecodeAuthorizationMessage")
}
