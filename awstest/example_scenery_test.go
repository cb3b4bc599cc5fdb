package awstest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// stage is what the examples below begin with: a cluster, its provider and a role.
type stage struct {
	cloud   *awstest.Cloud
	account *awstest.Account
	blue    *awstest.Cluster
	role    *awstest.Role
}

func newStage() stage {
	cloud := awstest.New()
	account := cloud.Account("111122223333")
	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	account.AddOIDCProvider(blue)
	policy := trust.WebIdentityPolicy(account.ID(), []string{blue.Issuer()}, []string{awstest.Subject("default", "app")})
	return stage{cloud, account, blue, account.CreateRole("app", policy.String(), "")}
}

// exchange asks STS for a session of the role and says how that ends.
func (s stage) exchange(token string) {
	_, err := sts.NewFromConfig(s.cloud.Config()).AssumeRoleWithWebIdentity(context.Background(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new(s.role.ARN()), RoleSessionName: new("app"), WebIdentityToken: &token,
	})
	var refused smithy.APIError
	switch {
	case errors.As(err, &refused):
		fmt.Println(refused.ErrorCode(), refused.ErrorMessage())
	default:
		fmt.Println("ok", err)
	}
}

func ExampleSubject() {
	fmt.Println(awstest.Subject("default", "app"))
	// Output: system:serviceaccount:default:app
}

// An account that has not registered the cluster's issuer refuses its tokens,
// whatever the role's trust policy says.
func ExampleAccount_RemoveOIDCProvider() {
	s := newStage()
	s.exchange(s.blue.Token("default", "app"))
	s.account.RemoveOIDCProvider(s.blue)
	s.exchange(s.blue.Token("default", "app"))
	// Output:
	// ok <nil>
	// InvalidIdentityToken No OpenIDConnect provider found in your account for https://oidc.eks.us-east-1.amazonaws.com/id/BLUE
}

// A provider admits the audiences that it was registered with.
func ExampleAccount_AddOIDCProvider() {
	s := newStage()
	s.account.AddOIDCProvider(s.blue, "vault")
	s.exchange(s.blue.Token("default", "app"))
	// Output:
	// InvalidIdentityToken Incorrect token audience
}

// A policy that IAM would not store stops the test at once.
func ExampleAccount_CreateRole() {
	defer func() { fmt.Println(recover()) }()
	awstest.New().Account("444455556666").CreateRole("reader", trust.RolePolicy("arn:aws:iam::111122223333:role/hub").String(), "")
	// Output:
	// awstest: CreateRole("reader"): Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:role/hub": no such role; create it first (IAM stores its unique id)
}

// A role that is not there is refused in the words of one that may not be assumed.
func ExampleAccount_DeleteRole() {
	s := newStage()
	s.account.DeleteRole(s.role)
	s.exchange(s.blue.Token("default", "app"))
	// Output:
	// AccessDenied Not authorized to perform sts:AssumeRoleWithWebIdentity
}

// A user's keys are what a laptop's profile has.
func ExampleAccount_UserCredentials() {
	cloud := awstest.New()
	cfg := cloud.Config()
	keys := cloud.Account("111122223333").UserCredentials("ann", "")
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*out.Arn, keys.CanExpire)
	// Output: arn:aws:iam::111122223333:user/ann false
}

// A token signed before the keys were rotated stays good until the old key is
// gone from the key set.
func ExampleCluster_RotateKeys() {
	s := newStage()
	old := s.blue.Token("default", "app")
	s.blue.RotateKeys()
	s.exchange(old)
	s.blue.DropOldKeys()
	s.exchange(old)
	s.exchange(s.blue.Token("default", "app"))
	// Output:
	// ok <nil>
	// InvalidIdentityToken The ID Token provided could not be validated: no key of the identity provider has its key id
	// ok <nil>
}

// Rotate swaps the token as kubelet does. An edit changes its claims.
func ExamplePod_Rotate() {
	s := newStage()
	dir, err := os.MkdirTemp("", "pod") // t.TempDir() in a test
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	pod := s.blue.Pod(dir, "default", "app", s.role.ARN())
	for _, edit := range []func(*trust.Token){
		func(*trust.Token) {},
		func(t *trust.Token) { t.Subject = awstest.Subject("default", "other") },
		func(t *trust.Token) { t.Audience = []string{"vault"} },
	} {
		pod.Rotate(edit)
		token, err := stscreds.IdentityTokenFile(pod.TokenFile()).GetIdentityToken()
		if err != nil {
			fmt.Println(err)
			return
		}
		s.exchange(string(token))
	}
	// Output:
	// ok <nil>
	// AccessDenied Not authorized to perform sts:AssumeRoleWithWebIdentity
	// InvalidIdentityToken Incorrect token audience
}

// SetTrust is how a test lets another cluster in, or shuts one out.
func ExampleRole_SetTrust() {
	s := newStage()
	green := s.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/GREEN")
	s.account.AddOIDCProvider(green)
	s.exchange(green.Token("default", "app"))
	s.role.SetTrust(trust.WebIdentityPolicy(s.account.ID(), []string{s.blue.Issuer(), green.Issuer()}, []string{awstest.Subject("default", "app")}).String())
	s.exchange(green.Token("default", "app"))
	// Output:
	// AccessDenied Not authorized to perform sts:AssumeRoleWithWebIdentity
	// ok <nil>
}

// Sessions are an hour long unless the role may have longer ones.
func ExampleRole_SetMaxSessionDuration() {
	s := newStage()
	ask := func() {
		out, err := sts.NewFromConfig(s.cloud.Config()).AssumeRoleWithWebIdentity(context.Background(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: new(s.role.ARN()), RoleSessionName: new("app"), WebIdentityToken: new(s.blue.Token("default", "app")), DurationSeconds: new(int32(7200)),
		})
		if err != nil {
			fmt.Println("refused")
			return
		}
		fmt.Println(time.Until(*out.Credentials.Expiration).Round(time.Minute))
	}
	ask()
	s.role.SetMaxSessionDuration(2 * time.Hour)
	ask()
	// Output:
	// refused
	// 2h0m0s
}

// RevokeSessions ends the sessions that were given out, as a test of a program
// that must recover wants it.
func ExampleRole_RevokeSessions() {
	s := newStage()
	cfg := s.cloud.Config()
	session, err := stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), s.role.ARN(), token(s.blue.Token("default", "app"))).Retrieve(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	s.role.RevokeSessions()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return session, nil })
	_, err = sts.NewFromConfig(cfg).GetCallerIdentity(context.Background(), nil)
	var refused smithy.APIError
	fmt.Println(errors.As(err, &refused) && refused.ErrorCode() == "ExpiredToken")
	// Output: true
}

// token is an stscreds.IdentityTokenRetriever.
type token string

func (t token) GetIdentityToken() ([]byte, error) { return []byte(t), nil }
