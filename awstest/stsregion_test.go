package awstest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
)

// in returns the code of an AssumeRole of the target role at the endpoint of a region.
func (w *world) in(t *testing.T, credentials aws.Credentials, region string) string {
	t.Helper()
	cfg := w.Config()
	cfg.Region, cfg.Credentials, cfg.RetryMaxAttempts = region, provider(credentials), 1
	_, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")})
	return code(err)
}

// exchangeIn returns the code of an exchange of a token for the hub role there.
func (w *world) exchangeIn(t *testing.T, region string) string {
	t.Helper()
	cfg := w.Config()
	cfg.Region, cfg.RetryMaxAttempts = region, 1
	_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new(hubARN), RoleSessionName: new("pod"), WebIdentityToken: new(w.blue.Token("default", "app")),
	})
	return code(err)
}

func TestDisabledSTSRegion(t *testing.T) {
	const disabled = "RegionDisabledException"
	for _, x := range []struct {
		name                        string
		account, region             string // where STS is disabled
		at                          string // the endpoint asked
		assume, exchange, afterward string
	}{
		{"role's account", sharedID, "eu-west-1", "eu-west-1", disabled, "", ""},
		{"another region", sharedID, "eu-west-1", "eu-west-2", "", "", ""},
		{"caller's account, default region", devID, "eu-west-1", "eu-west-1", "", disabled, ""},
		{"caller's account, opt-in region", devID, "ap-east-1", "ap-east-1", disabled, disabled, ""},
		{"role's account, opt-in region", sharedID, "ap-east-1", "ap-east-1", disabled, "", ""},
		{"global endpoint", sharedID, "eu-west-1", "aws-global", "", "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld()
			hub := w.hubSession(t)
			enable := w.Account(x.account).DisableSTSRegion(x.region)
			if got := w.in(t, hub, x.at); got != x.assume {
				t.Errorf("AssumeRole: %q, want %q\n%v", got, x.assume, w.Calls())
			}
			if got := w.exchangeIn(t, x.at); got != x.exchange {
				t.Errorf("AssumeRoleWithWebIdentity: %q, want %q\n%v", got, x.exchange, w.Calls())
			}
			enable()
			if assume, exchange := w.in(t, hub, x.at), w.exchangeIn(t, x.at); assume != "" || exchange != "" {
				t.Errorf("enabled again: %q and %q", assume, exchange)
			}
		})
	}
}

// TestDisabledSTSRegionAnswer shows AWS's response, and the fix in Call.Explain.
func TestDisabledSTSRegionAnswer(t *testing.T) {
	w := newWorld()
	w.dev.DisableSTSRegion("eu-west-1")
	a := post(t, w.Config().HTTPClient, "https://sts.eu-west-1.amazonaws.com", webIdentityForm(w), nil)
	a.expect(t, w, 403, "RegionDisabledException", "STS is not activated in this region for account:111122223333. Your account administrator can activate STS in this region using the IAM Console.")
	if got := w.Calls()[0].Explain; got != "STS in eu-west-1 is disabled for account 111122223333; use another region's endpoint, or enable it there" {
		t.Errorf("Explain is %q", got)
	}
}

// TestGlobalSessions shows where a session is valid that sts.amazonaws.com issued.
func TestGlobalSessions(t *testing.T) {
	w := newWorld()
	w.shared.CreateBucket("pics").SetRegion("ap-east-1")
	for _, x := range []struct{ issued, used, sts, s3 string }{
		{"sts.amazonaws.com", "ap-east-1", "InvalidClientTokenId", "InvalidToken"},
		{"sts.amazonaws.com", "eu-west-1", "", "PermanentRedirect"},
		{"sts.us-east-1.amazonaws.com", "ap-east-1", "", "AccessDenied"},
		{"sts.ap-east-1.amazonaws.com", "ap-east-1", "", "AccessDenied"},
	} {
		cfg := w.Config()
		cfg.Region, cfg.RetryMaxAttempts = x.used, 1
		client := sts.NewFromConfig(cfg, func(o *sts.Options) { o.BaseEndpoint = new("https://" + x.issued) })
		out, err := client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: new(hubARN), RoleSessionName: new("pod"), WebIdentityToken: new(w.blue.Token("default", "app")),
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Credentials = provider(credentialsOf(out.Credentials))
		_, err = sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
		if code(err) != x.sts {
			t.Errorf("%s used in %s: GetCallerIdentity: %v, want %q", x.issued, x.used, err, x.sts)
		}
		if calls := w.Calls(); x.sts != "" && !strings.Contains(calls[len(calls)-1].Explain, "ask the STS endpoint of a region") {
			t.Errorf("explained as %v", calls[len(calls)-1])
		}
		_, err = s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
		if code(err) != x.s3 {
			t.Errorf("%s used in %s: GetObject: %v, want %q", x.issued, x.used, err, x.s3)
		}
	}
}

func TestFaultOfRegion(t *testing.T) {
	w := newWorld()
	hub := w.hubSession(t)
	w.Fault(awstest.Fault{Region: "eu-west-1", Status: 503, Code: "ServiceUnavailable"})
	got := []string{w.exchangeIn(t, "eu-west-1"), w.exchangeIn(t, "us-east-1"), w.exchangeIn(t, "aws-global"), w.in(t, hub, "eu-west-1"), w.in(t, hub, "eu-west-2")}
	for _, region := range []string{"eu-west-1", "us-east-1"} {
		cfg := w.Config()
		cfg.Region, cfg.Credentials, cfg.RetryMaxAttempts = region, provider(hub), 1
		_, err := s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
		got = append(got, code(err))
	}
	const want = "[ServiceUnavailable   ServiceUnavailable  ServiceUnavailable NoSuchBucket]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

// TestFaultOfRegionOnListener shows that a listener goes by the signature.
func TestFaultOfRegionOnListener(t *testing.T) {
	w := newWorld()
	hub := w.hubSession(t)
	w.Fault(awstest.Fault{Region: "eu-west-1", Status: 503, Code: "ServiceUnavailable"})
	cfg := w.Config()
	cfg.BaseEndpoint, cfg.HTTPClient, cfg.Credentials, cfg.RetryMaxAttempts = new(w.Serve(t)), nil, provider(hub), 1
	for region, want := range map[string]string{"eu-west-1": "ServiceUnavailable", "us-east-1": ""} {
		cfg.Region = region
		if _, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil); code(err) != want {
			t.Errorf("%s: %v, want %q", region, err, want)
		}
	}
}

func ExampleAccount_DisableSTSRegion() {
	cloud := awstest.New()
	blue := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev := cloud.Account("111122223333")
	dev.AddOIDCProvider(blue)
	dev.CreateRole("app", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/BLUE"},
		"Action": "sts:AssumeRoleWithWebIdentity"}]}`, "")
	dev.DisableSTSRegion("eu-west-1")
	for _, region := range []string{"eu-west-1", "us-east-1"} {
		cfg := cloud.Config()
		cfg.Region = region
		_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(context.Background(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: new("arn:aws:iam::111122223333:role/app"), RoleSessionName: new("pod"), WebIdentityToken: new(blue.Token("default", "app")),
		})
		fmt.Println(region, code(err))
	}
	// Output:
	// eu-west-1 RegionDisabledException
	// us-east-1
}
