package crossrole_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole"
	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/internal/bareenv"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

func TestMain(m *testing.M) { bareenv.Main(m) }

const target = "arn:aws:iam::444455556666:role/S3_Pics"

// enterPod creates two accounts, a cluster and a bucket, sets the environment of a pod
// whose service account is annotated with the hub role, and returns a function that
// undoes it.
func enterPod() (leave func()) {
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	hub := dev.CreateRole("hub",
		trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "app")}).String(),
		trust.AssumePolicy([]string{target}).String())
	shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))

	dir, err := os.MkdirTemp("", "crossrole-test-")
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(cloud.Handler())
	env := append(cluster.Pod(dir, "default", "app", hub.ARN()).Env(),
		"AWS_ENDPOINT_URL_STS="+server.URL, "AWS_ENDPOINT_URL_S3="+server.URL,
		"AWS_CONFIG_FILE="+filepath.Join(dir, "config"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(dir, "credentials"))
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		os.Setenv(name, value)
	}
	return func() {
		bareenv.Clear()
		server.Close()
		os.RemoveAll(dir)
	}
}

// Read an object from a bucket in another account.
func ExampleLoadConfig() {
	defer enterPod()() // simulates the pod and both accounts
	ctx := context.Background()

	cfg, err := crossrole.LoadConfig(ctx, credentials.Assume("arn:aws:iam::444455556666:role/S3_Pics"))
	if err != nil {
		log.Fatal(err)
	}
	pics, err := s3reader.New(cfg, "pics")
	if err != nil {
		log.Fatal(err)
	}
	cat, err := pics.Get(ctx, "indoor-cat.jpg")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", cat)
	// Output: meow
}

// The SDK's own search for credentials must not run: here it would find the static
// keys, and fail because the token file comes without a role.
func TestLoadConfigSearchesForNoCredentials(t *testing.T) {
	defer enterPod()()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIARIVAL")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "rival")
	role := os.Getenv("AWS_ROLE_ARN")
	t.Setenv("AWS_ROLE_ARN", "")

	cfg, err := crossrole.LoadConfig(t.Context(), credentials.Assume(target), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: role}
	})
	if err != nil {
		t.Fatal(err)
	}
	chain, ok := credentials.ChainOf(cfg)
	if !ok {
		t.Fatal("the configuration is not signed by a chain")
	}
	if _, err := cfg.Credentials.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := chain.Status().Hops[1].CallerARN; !strings.HasPrefix(got, "arn:aws:sts::444455556666:assumed-role/S3_Pics/") {
		t.Errorf("the chain ends as %s", got)
	}
	if cfg.Region != "us-east-1" {
		t.Errorf("region %q; want the pod's", cfg.Region)
	}
}

// With FromBase, the SDK's own credentials are loaded.
func TestLoadConfigFromBase(t *testing.T) {
	for name, source := range map[string]credentials.Source{"value": credentials.FromBase{}, "pointer": &credentials.FromBase{}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_REGION", "us-east-1")
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIALAPTOP")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "laptop")
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
			cfg, err := crossrole.LoadConfig(t.Context(), func(o *credentials.Options) { o.Source = source })
			if err != nil {
				t.Fatal(err)
			}
			if keys, err := cfg.Credentials.Retrieve(t.Context()); err != nil || keys.AccessKeyID != "AKIALAPTOP" {
				t.Errorf("got key %q, %v; want the base configuration's", keys.AccessKeyID, err)
			}
		})
	}
}

func TestLoadConfigReportsBadInput(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	var none *credentials.FromBase
	for name, tt := range map[string]struct {
		option func(*credentials.Options)
		names  string
	}{
		"nil option":  {nil, "optFns[0]"},
		"bad role":    {credentials.Assume("S3_Pics"), "S3_Pics"},
		"nil pointer": {func(o *credentials.Options) { o.Source = none }, "Options.Source"},
		"no region":   {credentials.Assume(target), "AWS_REGION"},
	} {
		cfg, err := crossrole.LoadConfig(t.Context(), tt.option)
		if !errors.Is(err, credentials.ConfigInvalid) || !strings.Contains(err.Error(), tt.names) {
			t.Errorf("%s: %v; want a ConfigInvalid that names %s", name, err, tt.names)
		}
		if cfg.Credentials != nil {
			t.Errorf("%s: LoadConfig returned a configuration with the error", name)
		}
	}
}

// If the profile does not exist, the error is the SDK's own.
func TestLoadConfigMissingProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[profile x\nnonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_PROFILE", "missing")
	if _, err := crossrole.LoadConfig(t.Context(), credentials.Assume(target)); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("%v; want the SDK's error about the profile", err)
	}
}

// TestVariablesThatSelectTheIdentity sets each variable that the SDK reads to the value of
// a rival. Only those that docs/routes.md lists may make a pod act as anyone else.
func TestVariablesThatSelectTheIdentity(t *testing.T) {
	defer enterPod()()
	_, section, _ := strings.Cut(pages(t)[filepath.Join("docs", "routes.md")], "## What selects the identity")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`(AWS_[A-Z_]+)`").FindAllStringSubmatch(section, -1) {
		listed[m[1]] = true
	}
	for _, name := range []string{
		"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	} {
		if !listed[name] {
			t.Errorf("docs/routes.md does not list %s", name)
		}
	}
	rival := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("a request for %s: no caller should ask", r.URL)
		http.Error(w, "no caller should ask", http.StatusTeapot)
	}))
	defer rival.Close()
	file := os.Getenv("AWS_CONFIG_FILE") // the profiles are there, whichever variable is set
	const keys = "aws_access_key_id = AKIARIVAL\naws_secret_access_key = rival\n"
	if err := os.WriteFile(file, []byte("[default]\n"+keys+"[profile rival]\n"+keys), 0o600); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{ // of variables that accept only certain values
		"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required", "AWS_DEFAULTS_MODE": "mobile", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6",
		"AWS_MAX_ATTEMPTS": "1", "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "1",
		"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required", "AWS_RESTRICT_FILE_PERMISSIONS": "unrestricted", "AWS_RETRY_MODE": "adaptive",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": rival.URL, "AWS_ENDPOINT_URL": rival.URL, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/rival",
		"AWS_CONFIG_FILE": file, "AWS_SHARED_CREDENTIALS_FILE": file,
	}
	// A file of certificates, and two that New refuses together with an endpoint.
	elsewhere := []string{"AWS_CA_BUNDLE", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"}
	switches := regexp.MustCompile("_DISABLED?(_|$)|_USE_|_ENABLE_")
	variables := sdkVariables(t)
	if len(variables) < 40 {
		t.Errorf("found %d variables of the SDK: %v", len(variables), variables)
	}
	for _, name := range variables {
		if listed[name] || slices.Contains(elsewhere, name) {
			continue
		}
		value := cmp.Or(values[name], "rival")
		if value == "rival" && switches.MatchString(name) {
			value = "true"
		}
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			cfg, err := crossrole.LoadConfig(t.Context(), credentials.Assume(target))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cfg.Credentials.Retrieve(t.Context()); err != nil {
				t.Fatal(err)
			}
			chain, _ := credentials.ChainOf(cfg)
			for i, want := range []string{"arn:aws:sts::111122223333:assumed-role/hub/", "arn:aws:sts::444455556666:assumed-role/S3_Pics/"} {
				if got := chain.Status().Hops[i].CallerARN; !strings.HasPrefix(got, want) {
					t.Errorf("hop %d is %s, want %s…", i+1, got, want)
				}
			}
		})
	}
}

// sdkVariables returns the environment variables that the SDK's config module reads.
func sdkVariables(t *testing.T) []string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/config").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "env_config.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`"(AWS_[A-Z0-9_]+)"`).FindAllStringSubmatch(string(source), -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}
