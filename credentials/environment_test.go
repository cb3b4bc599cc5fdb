package credentials_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// absent is the value of a variable that is not there at all.
const absent = "<absent>"

func setenv(t *testing.T, name, value string) {
	t.Helper()
	if value != absent {
		t.Setenv(name, value)
		return
	}
	t.Setenv(name, "") // restores it in the end
	check(t, os.Unsetenv(name))
}

// The environment fills the source field by field, with the variables as the
// webhook injects them; nothing else is ever used in their place.
func TestIdentityFromTheEnvironment(t *testing.T) {
	const there = "there"
	for _, role := range []string{there, absent, ""} {
		for _, file := range []string{there, absent, ""} {
			for _, podIdentity := range []bool{false, true} {
				t.Run(fmt.Sprintf("role %q, file %q", role, file), func(t *testing.T) {
					s := newScene(t)
					bait := newBait(t)
					if !podIdentity {
						setenv(t, "AWS_CONTAINER_CREDENTIALS_FULL_URI", absent)
					}
					for name, value := range map[string]string{"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": file} {
						if value == there {
							value = map[string]string{"AWS_ROLE_ARN": s.hub.ARN(), "AWS_WEB_IDENTITY_TOKEN_FILE": s.pod.TokenFile()}[name]
						}
						setenv(t, name, value)
					}
					cfg, err := credentials.Wrap(s.cloud.Config(), credentials.Assume(s.target.ARN()))
					if role == there && file == there {
						check(t, err)
						if got, err := fetch(t.Context(), cfg); err != nil || got != photo {
							t.Errorf("got %q, %v", got, err)
						}
						bait.untouched(t)
						return
					}
					if !errors.Is(err, credentials.ConfigInvalid) {
						t.Fatalf("got %v, want %v", err, credentials.ConfigInvalid)
					}
					for name, missing := range map[string]bool{
						"AWS_ROLE_ARN: not set, nor is WebIdentity.RoleARN":                  role != there,
						"AWS_WEB_IDENTITY_TOKEN_FILE: not set, nor is WebIdentity.TokenFile": file != there,
						"eks.amazonaws.com/role-arn annotation":                              true,
						"(IMDS) is deliberately not used":                                    true,
						"this pod has EKS Pod Identity":                                      podIdentity && role != there && file != there,
					} {
						if strings.Contains(err.Error(), name) != missing {
							t.Errorf("%q in the message: %t, want %t:\n%v", name, !missing, missing, err)
						}
					}
					if calls := s.cloud.Calls(); len(calls) > 0 {
						t.Errorf("requests were sent: %v", calls)
					}
					bait.untouched(t)
				})
			}
		}
	}
}

// Half of the identity may stand in the program and half in the environment.
func TestIdentityFromBoth(t *testing.T) {
	s := newScene(t)
	t.Setenv("AWS_ROLE_ARN", s.hub.ARN())
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/not/this/one")
	t.Setenv("AWS_ROLE_SESSION_NAME", "from-the-environment")
	chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{TokenFile: s.pod.TokenFile()}
		o.Roles = []credentials.Role{{ARN: s.target.ARN()}}
	})
	_, err := chain.Retrieve(t.Context())
	check(t, err)
	for _, call := range s.cloud.Calls() {
		if name := call.Params["RoleSessionName"]; name != "from-the-environment" {
			t.Errorf("session name %q: %v", name, call)
		}
	}
}

// The region is base's, AWS_REGION or AWS_DEFAULT_REGION, in this order.
func TestRegionFromTheEnvironment(t *testing.T) {
	for _, row := range []struct{ base, region, defaultRegion, want string }{
		{"eu-west-1", "us-west-2", "us-west-1", "eu-west-1"},
		{"", "us-west-2", "us-west-1", "us-west-2"},
		{"", "", "us-west-1", "us-west-1"},
		{"", absent, "us-west-1", "us-west-1"},
	} {
		s := newScene(t)
		setenv(t, "AWS_REGION", row.region)
		setenv(t, "AWS_DEFAULT_REGION", row.defaultRegion)
		base := s.cloud.Config()
		base.Region = row.base
		chain := newChain(t, base, func(o *credentials.Options) { o.Source = s.web() })
		_, err := chain.Retrieve(t.Context())
		check(t, err)
		if host := s.cloud.Calls()[0].Host; host != "sts."+row.want+".amazonaws.com" {
			t.Errorf("%+v: asked %s", row, host)
		}
		if got := chain.Config().Region; got != row.want {
			t.Errorf("%+v: the wrapped region is %s", row, got)
		}
	}
}

// A hop that is refused or throttled ends in its own error and nowhere else.
func TestNoFailureSelectsAnotherSource(t *testing.T) {
	for code, kind := range map[string]credentials.Kind{"AccessDenied": credentials.TrustDenied, "Throttling": credentials.Throttled} {
		bait := newBait(t)
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			s.cloud.Fault(awstest.Fault{Operation: "AssumeRoleWithWebIdentity", Status: 400, Code: code})
			if _, err := s.hubChain(t).Retrieve(t.Context()); !errors.Is(err, kind) {
				t.Errorf("%s: got %v, want %v", code, err, kind)
			}
			baitInMemory(s)(t)
		})
		bait.untouched(t)
	}
}

// shadows are what the SDK's default chain would prefer to the pod's identity.
func shadows(t *testing.T) map[string]string {
	file := filepath.Join(t.TempDir(), "shared")
	write(t, file, "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = SecretOfTheFile\n")
	return map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "SecretOfTheEnvironment", "AWS_SESSION_TOKEN": "TokenOfTheEnvironment",
		"AWS_PROFILE": "nope", "AWS_DEFAULT_PROFILE": "nope-either", "AWS_SHARED_CREDENTIALS_FILE": file, "AWS_CONFIG_FILE": file,
	}
}

// Keys and profiles in the environment change nothing, and the log names them
// once, without their values.
func TestShadowingVariables(t *testing.T) {
	s := newScene(t)
	variables := shadows(t)
	for name, value := range variables {
		t.Setenv(name, value)
	}
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials")
	var log journal
	options := func(o *credentials.Options) {
		o.Source = s.web()
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		credentials.Assume(s.target.ARN())(o)
	}
	chain := newChain(t, s.cloud.Config(), options)
	for range 3 {
		if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	calls := s.cloud.Calls()
	if key := calls[len(calls)-1].AccessKeyID; !strings.HasPrefix(key, "ASIA") {
		t.Errorf("the request to S3 is signed by %s, want a key of the chain", key)
	}
	for name, value := range variables {
		if n := strings.Count(log.text(), name); n != 1 {
			t.Errorf("the log names %s %d times, want once:\n%s", name, n, log.text())
		}
		if strings.Contains(log.text(), value) {
			t.Errorf("the log shows the value of %s:\n%s", name, log.text())
		}
	}
	for _, part := range []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "the source is web identity", `"level":"WARN"`} {
		if !strings.Contains(log.text(), part) {
			t.Errorf("the log lacks %q:\n%s", part, log.text())
		}
	}
	_, err := credentials.New(s.cloud.Config(), options, func(o *credentials.Options) { o.Strict = true })
	if !errors.Is(err, credentials.ConfigInvalid) {
		t.Fatalf("strict: got %v, want %v", err, credentials.ConfigInvalid)
	}
	for name, value := range variables {
		if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), value) {
			t.Errorf("strict: want the name of %s and not its value: %v", name, err)
		}
	}
}

// With both of EKS's mechanisms in the pod, the settings decide and one notice
// names the other one.
func TestIRSAAndPodIdentity(t *testing.T) {
	irsa := []string{"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}
	agent := []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}
	for name, row := range map[string]struct {
		source  credentials.Source
		string  string
		notices []string // variables that the notice names
		silent  []string
	}{
		"default":      {nil, "web identity → " + hubARN, agent, irsa},
		"web identity": {credentials.WebIdentity{}, "web identity → " + hubARN, agent, irsa},
		"pod identity": {credentials.PodIdentity{}, "EKS Pod Identity", irsa, agent},
		"node role":    {credentials.NodeRole{}, "EC2 node role", append(irsa, agent...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_ROLE_ARN", hubARN)
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/agent-token")
			var log journal
			chain := newChain(t, awstest.New().Config(), credentials.Assume(targetARN), func(o *credentials.Options) {
				o.Source = row.source
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			if got, want := chain.String(), row.string+" → "+targetARN; got != want {
				t.Errorf("the chain is %q, want %q", got, want)
			}
			if n := strings.Count(log.text(), "\n"); n != 1 {
				t.Errorf("%d lines in the log, want one:\n%s", n, log.text())
			}
			for _, variable := range row.notices {
				if !strings.Contains(log.text(), variable) {
					t.Errorf("the notice does not name %s: %s", variable, log.text())
				}
			}
			for _, variable := range row.silent {
				if strings.Contains(log.text(), variable) {
					t.Errorf("the notice names %s, which is used: %s", variable, log.text())
				}
			}
		})
	}
}
