package credentials_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

const (
	hubARN    = "arn:aws:iam::111122223333:role/hub"
	targetARN = "arn:aws:iam::444455556666:role/S3_Pics"
)

// wrongSetting is one wrong setting in a pod that is otherwise
// as the webhook makes it.
type wrongSetting struct {
	name   string
	env    map[string]string
	base   func(*aws.Config)
	set    func(*credentials.Options)
	faults int      // 0: one
	want   []string // parts of the message: the input, its value, the rule or fix
	never  string   // must not be in the message
}

func (w wrongSetting) run(t *testing.T) {
	cloud := awstest.New()
	bait := newBait(t)
	t.Setenv("AWS_ROLE_ARN", hubARN)
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token")
	for name, value := range w.env {
		t.Setenv(name, value)
	}
	base := cloud.Config()
	if w.base != nil {
		w.base(&base)
	}
	set := func(o *credentials.Options) {
		if w.set != nil {
			w.set(o)
		}
	}
	before := time.Now()
	_, err := credentials.New(base, set)
	if took := time.Since(before); took > time.Second {
		t.Errorf("New took %v: it must not ask anybody", took)
	}
	if !errors.Is(err, credentials.ConfigInvalid) {
		t.Fatalf("got %v, want %v", err, credentials.ConfigInvalid)
	}
	for _, part := range w.want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the message lacks %q:\n%v", part, err)
		}
	}
	if w.never != "" && strings.Contains(err.Error(), w.never) {
		t.Errorf("the message shows %q:\n%v", w.never, err)
	}
	if got, want := len(faultsOf(err)), max(1, w.faults); got != want {
		t.Errorf("%d faults, want %d:\n%v", got, want, err)
	}
	if _, other := credentials.Wrap(base, set); other == nil || other.Error() != err.Error() {
		t.Errorf("Wrap says %v, New %v", other, err)
	}
	if calls := cloud.Calls(); len(calls) > 0 {
		t.Errorf("requests were sent: %v", calls)
	}
	bait.untouched(t)
}

// faultsOf are the single faults of a ConfigInvalid.
func faultsOf(err error) []error {
	type several interface {
		error
		Unwrap() []error
	}
	if list, ok := errors.AsType[several](err); ok {
		return list.Unwrap()
	}
	return nil
}

// web changes the default source.
func web(change func(*credentials.WebIdentity)) func(*credentials.Options) {
	return func(o *credentials.Options) {
		var w credentials.WebIdentity
		change(&w)
		o.Source = w
	}
}

func TestWrongSourceSettings(t *testing.T) {
	for _, row := range []wrongSetting{
		{
			name: "session name with a slash",
			set:  web(func(w *credentials.WebIdentity) { w.SessionName = "team/app" }),
			want: []string{"WebIdentity.SessionName", `"team/app" has 8 characters`, "2–64", "without '/'"},
		},
		{
			name: "session name with an umlaut",
			set:  web(func(w *credentials.WebIdentity) { w.SessionName = "käse" }),
			want: []string{"WebIdentity.SessionName", `"käse" has 4 characters`, "without 'ä'"},
		},
		{
			name: "session name of one letter, from the environment",
			env:  map[string]string{"AWS_ROLE_SESSION_NAME": "a"},
			want: []string{"AWS_ROLE_SESSION_NAME", `"a" has 1 characters`, "2–64"},
		},
		{
			name: "session name too long",
			set:  web(func(w *credentials.WebIdentity) { w.SessionName = strings.Repeat("x", 65) }),
			want: []string{"WebIdentity.SessionName", strings.Repeat("x", 65), "65 characters", "2–64"},
		},
		{
			name: "session name with a final newline",
			env:  map[string]string{"AWS_ROLE_SESSION_NAME": "reader\n"},
			want: []string{"AWS_ROLE_SESSION_NAME", `"reader\n"`, `without '\n'`},
		},
		{
			name: "duration below 15 minutes",
			set:  web(func(w *credentials.WebIdentity) { w.Duration = 899 * time.Second }),
			want: []string{"WebIdentity.Duration", "14m59s (899 s)", "at least 15 minutes (900 s)"},
		},
		{
			name: "negative duration",
			set:  web(func(w *credentials.WebIdentity) { w.Duration = -time.Hour }),
			want: []string{"WebIdentity.Duration", "-1h0m0s", "at least 15 minutes"},
		},
		{
			name: "duration above 12 hours",
			set:  web(func(w *credentials.WebIdentity) { w.Duration = 43201 * time.Second }),
			want: []string{"WebIdentity.Duration", "(43201 s)", "12h0m0s (43200 s)"},
		},
		{
			name: "duration with a fraction of a second",
			set:  web(func(w *credentials.WebIdentity) { w.Duration = time.Hour + time.Millisecond }),
			want: []string{"WebIdentity.Duration", "1h0m0.001s", "whole seconds"},
		},
		{
			name: "policy that is no JSON",
			set:  web(func(w *credentials.WebIdentity) { w.Policy = "s3:GetObject" }),
			want: []string{"WebIdentity.Policy", "JSON"},
		},
		{
			name: "policy too long",
			set:  web(func(w *credentials.WebIdentity) { w.Policy = sessionPolicy(2049) }),
			want: []string{"WebIdentity.Policy", "2049 characters", "2048", "PolicyARNs"},
		},
		{
			name: "managed policy by name",
			set:  web(func(w *credentials.WebIdentity) { w.PolicyARNs = []string{"ReadOnlyAccess"} }),
			want: []string{"WebIdentity.PolicyARNs[0]", `"ReadOnlyAccess"`, "policy/<name>"},
		},
		{
			name: "eleven managed policies",
			set: web(func(w *credentials.WebIdentity) {
				for range 11 {
					w.PolicyARNs = append(w.PolicyARNs, "arn:aws:iam::aws:policy/ReadOnlyAccess")
				}
			}),
			want: []string{"WebIdentity.PolicyARNs", "11 ARNs", "at most 10"},
		},
		{
			name: "FromBase without credentials",
			set:  func(o *credentials.Options) { o.Source = credentials.FromBase{} },
			want: []string{"aws.Config.Credentials", "anonymous", "FromBase", "config.WithSharedConfigProfile"},
		},
		{
			name: "FromBase with nil credentials",
			base: func(c *aws.Config) { c.Credentials = nil },
			set:  func(o *credentials.Options) { o.Source = credentials.FromBase{} },
			want: []string{"aws.Config.Credentials", "nil", "FromBase"},
		},
		{
			name: "FromBase with a cached anonymous provider",
			base: func(c *aws.Config) { c.Credentials = aws.NewCredentialsCache(aws.AnonymousCredentials{}) },
			set:  func(o *credentials.Options) { o.Source = credentials.FromBase{} },
			want: []string{"aws.Config.Credentials", "anonymous"},
		},
		{
			name: "Provider without a provider",
			set:  func(o *credentials.Options) { o.Source = credentials.Provider{Name: "vault"} },
			want: []string{"Provider.Credentials", "nil", "set the provider"},
		},
		{
			name: "Provider with a nil chain",
			set: func(o *credentials.Options) {
				o.Source = credentials.Provider{Credentials: (*credentials.Chain)(nil)}
			},
			want: []string{"Provider.Credentials", "a nil *credentials.Chain", "set the provider"},
		},
		{
			name: "Provider with a nil pointer of the SDK's",
			set: func(o *credentials.Options) {
				o.Source = credentials.Provider{Credentials: (*aws.CredentialsCache)(nil)}
			},
			want: []string{"Provider.Credentials", "a nil *aws.CredentialsCache"},
		},
		{
			name: "Provider with a nil function",
			set: func(o *credentials.Options) {
				o.Source = credentials.Provider{Credentials: aws.CredentialsProviderFunc(nil)}
			},
			want: []string{"Provider.Credentials", "a nil aws.CredentialsProviderFunc"},
		},
		{
			name: "a nil pointer as source",
			set:  func(o *credentials.Options) { o.Source = (*credentials.WebIdentity)(nil) },
			want: []string{"Options.Source", "nil *credentials.WebIdentity", "WebIdentity{}"},
		},
	} {
		t.Run(row.name, row.run)
	}
}

func TestWrongChainSettings(t *testing.T) {
	for _, row := range []wrongSetting{
		{
			name: "no region",
			base: func(c *aws.Config) { c.Region = "" },
			want: []string{"region: not set", "aws.Config.Region", "AWS_REGION", "AWS_DEFAULT_REGION"},
		},
		{
			name: "region is a zone",
			base: func(c *aws.Config) { c.Region = "us-east-1a" },
			want: []string{"aws.Config.Region", `"us-east-1a"`, "like us-east-1"},
		},
		{
			name: "region is an endpoint, from the environment",
			base: func(c *aws.Config) { c.Region = "" },
			env:  map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "sts.us-east-1"},
			want: []string{"AWS_DEFAULT_REGION", `"sts.us-east-1"`, "like us-east-1"},
		},
		{
			name: "region of another partition than the role",
			base: func(c *aws.Config) { c.Region = "cn-north-1" },
			want: []string{"partition", "AWS_ROLE_ARN " + hubARN, "partition aws,", "cn-north-1 is of aws-cn"},
		},
		{
			name: "target of another partition than the hub",
			set:  credentials.Assume("arn:aws-us-gov:iam::444455556666:role/S3_Pics"),
			want: []string{"Options.Roles[0].ARN", "aws-us-gov", "partition"},
		},
		{
			name: "another account expected than the target's",
			set: func(o *credentials.Options) {
				credentials.Assume(targetARN)(o)
				o.ExpectedAccount = "777788889999"
			},
			want: []string{"Options.ExpectedAccount", `"777788889999"`, targetARN, "of account 444455556666"},
		},
		{
			name: "expected account is no account",
			set:  func(o *credentials.Options) { o.ExpectedAccount = "shared" },
			want: []string{"Options.ExpectedAccount", `"shared"`, "12 digits"},
		},
		{
			name: "negative refresh window",
			set:  func(o *credentials.Options) { o.Refresh.Window = -time.Minute },
			want: []string{"Options.Refresh.Window", "-1m0s is negative", "zero"},
		},
		{
			name: "negative timeout",
			set:  func(o *credentials.Options) { o.Refresh.Timeout = -time.Second },
			want: []string{"Options.Refresh.Timeout", "-1s is negative", "30s"},
		},
		{
			name: "negative failure cap",
			set:  func(o *credentials.Options) { o.Refresh.FailureCap = -time.Second },
			want: []string{"Options.Refresh.FailureCap", "-1s is negative", "60s"},
		},
		{
			name:  "STS endpoint that is no URL",
			env:   map[string]string{"AWS_ENDPOINT_URL_STS": "user:hunter2@sts.internal"},
			want:  []string{"AWS_ENDPOINT_URL_STS", "https://host"},
			never: "hunter2",
		},
		{
			name: "STS endpoint that is no URL, in the options",
			set: func(o *credentials.Options) {
				o.STS = func(s *sts.Options) { s.BaseEndpoint = aws.String("sts.internal:hunter2") }
			},
			want:  []string{"Options.STS", "https://host"},
			never: "hunter2",
		},
		{
			name: "FIPS and an endpoint",
			env:  map[string]string{"AWS_ENDPOINT_URL_STS": "https://sts.internal"},
			set: func(o *credentials.Options) {
				o.STS = func(s *sts.Options) { s.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled }
			},
			want: []string{"STS endpoint", "FIPS", "Options.STS"},
		},
		{
			name: "strict, with keys in the environment",
			env:  map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_PROFILE": "nope"},
			set:  func(o *credentials.Options) { o.Strict = true },
			want: []string{"Options.Strict", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "web identity", "unset them"}, never: "AKIAENV",
		},
		{
			name: "everything at once",
			base: func(c *aws.Config) { c.Region = "" },
			env:  map[string]string{"AWS_ROLE_ARN": "hub", "AWS_WEB_IDENTITY_TOKEN_FILE": ""},
			set: func(o *credentials.Options) {
				o.Roles = []credentials.Role{{ARN: "arn:aws:iam::11112222333:role/x", Duration: 2 * time.Hour}}
				o.Refresh.Timeout = -time.Second
			},
			faults: 6,
			want: []string{
				"6 settings are wrong", "region: not set", `AWS_ROLE_ARN: "hub"`, "AWS_WEB_IDENTITY_TOKEN_FILE: not set",
				`Options.Roles[0].ARN: "arn:aws:iam::11112222333:role/x"`, "Options.Roles[0].Duration: 2h0m0s", "Options.Refresh.Timeout",
			},
		},
	} {
		t.Run(row.name, row.run)
	}
}

// A region that is not set must not be asked of an instance metadata service
// that never responds; an empty variable counts as not set.
func TestMissingRegionIsSeenAtOnce(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	wrongSetting{base: func(c *aws.Config) { c.Region = "" }, want: []string{"region: not set"}}.run(t)
}
