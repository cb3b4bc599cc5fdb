package credentials_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// OnEvent may call the chain, in whatever way.
func TestOnEventMayCallTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		var chain *credentials.Chain
		seen := map[credentials.EventType]int{}
		chain = s.hubChain(t, func(o *credentials.Options) {
			o.OnEvent = func(e credentials.Event) {
				seen[e.Type]++
				chain.Status()
				creds, err := chain.Retrieve(t.Context())
				if err != nil {
					t.Error(err)
				}
				if e.Type == credentials.Refreshed && e.Hop == 2 && seen[e.Type] < 6 {
					chain.Invalidate(creds.AccessKeyID)
				}
			}
		})
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if seen[credentials.Invalidated] == 0 || seen[credentials.Refreshed] < 4 {
			t.Errorf("events %v", seen)
		}
	})
}

// A client that was given other credentials for one operation is none of the
// chain's business.
func TestOtherCredentialsAreLeftAlone(t *testing.T) {
	s := newScene(t)
	chain := s.hubChain(t)
	client := s3.NewFromConfig(chain.Config())
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := s.shared.UserCredentials("anna", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", AccessKeyID: other.AccessKeyID, Status: 400, Code: "ExpiredToken"})
	before := s.count("GetObject")
	_, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")}, func(o *s3.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return other, nil })
	})
	if err == nil || errors.Is(err, credentials.CredentialsExpired) {
		t.Errorf("got %v, want S3's own error", err)
	}
	if asked, sessions := s.count("GetObject")-before, s.count("AssumeRole"); asked != 1 || sessions != 1 {
		t.Errorf("%d requests and %d sessions for a key that is not the chain's, want 1 and 1", asked, sessions)
	}
}

// Three hops, of which the last hangs: that is the one to name, within the time
// of one refresh.
func TestThirdHopHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		third := s.cloud.Account("777788889999").CreateRole("third", trust.RolePolicy(s.target.ARN()).String(), "")
		s.target.SetPolicy(trust.AssumePolicy([]string{third.ARN()}).String())
		remove := s.cloud.Fault(awstest.Fault{RoleARN: third.ARN(), Hang: true})
		chain := s.hubChain(t, func(o *credentials.Options) {
			o.Roles = append(o.Roles, credentials.Role{ARN: third.ARN()})
			o.ExpectedAccount = "777788889999"
		})
		before := time.Now()
		_, err := chain.Retrieve(t.Context())
		says(t, err, credentials.RefreshTimeout, "hop 3 of 3", third.ARN())
		if took := time.Since(before); took > 30*time.Second {
			t.Errorf("waited %v", took)
		}
		remove()
		time.Sleep(time.Second)
		creds, err := chain.Retrieve(t.Context())
		if err != nil || creds.AccountID != "777788889999" {
			t.Errorf("account %s, %v", creds.AccountID, err)
		}
		if n := s.count("AssumeRoleWithWebIdentity"); n != 1 {
			t.Errorf("%d sessions of hop 1, want 1", n)
		}
	})
}
