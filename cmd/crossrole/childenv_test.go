package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rivals are the variables by which an SDK or a tool would act as another
// identity than the role, each with the value that it might have.
var rivals = map[string]string{
	// botocore, the CLI, and all others
	"AWS_ACCESS_KEY_ID": "AKIARIVAL", "AWS_SECRET_ACCESS_KEY": "rival", "AWS_SESSION_TOKEN": "rival", "AWS_SECURITY_TOKEN": "rival",
	"AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z",
	"AWS_PROFILE":               "rival", "AWS_DEFAULT_PROFILE": "rival",
	"AWS_CONFIG_FILE": "/rival", "AWS_SHARED_CREDENTIALS_FILE": "/rival",
	"AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/rival", "AWS_WEB_IDENTITY_TOKEN_FILE": "/rival", "AWS_ROLE_SESSION_NAME": "rival",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/rival", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/rival",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN": "rival", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/rival",
	"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6",
	"AWS_LOGIN_CACHE_DIRECTORY": "/rival",
	"AWS_BEARER_TOKEN_BEDROCK":  "rival", "AWS_BEARER_TOKEN_OTHER": "rival",
	// botocore and boto 2
	"AWS_CREDENTIAL_FILE": "/rival", "BOTO_CONFIG": "/rival", "BOTO_PATH": "/rival", "AWS_IMDS_USE_IPV6": "true",
	// Go v1, Ruby, s3cmd, Ansible
	"AWS_ACCESS_KEY": "AKIARIVAL", "AWS_SECRET_KEY": "rival",
	"EC2_ACCESS_KEY": "AKIARIVAL", "EC2_SECRET_KEY": "rival", "EC2_SECURITY_TOKEN": "rival",
	// JavaScript v2 and v3, Ruby
	"AMAZON_ACCESS_KEY_ID": "AKIARIVAL", "AMAZON_SECRET_ACCESS_KEY": "rival", "AMAZON_SESSION_TOKEN": "rival",
	"AWS_SDK_LOAD_CONFIG": "", "AWS_CREDENTIAL_SCOPE": "rival",
	// PHP
	"AWS_SDK_LOAD_NONDEFAULT_CONFIG": "1",
	// Java
	"AWS_CREDENTIAL_PROFILES_FILE": "/rival", "AWS_CONTAINER_SERVICE_ENDPOINT": "http://127.0.0.1:1",
	"JAVA_TOOL_OPTIONS": "-Daws.accessKeyId=rival", "CATALINA_OPTS": "-Daws.profile=rival",
	// GDAL, s3fs, minio-go, rclone, Terraform
	"CPL_AWS_CREDENTIALS_FILE": "/rival",
	"AWSACCESSKEYID":           "AKIARIVAL", "AWSSECRETACCESSKEY": "rival", "AWSSESSIONTOKEN": "rival",
	"MINIO_ACCESS_KEY": "AKIARIVAL", "MINIO_SECRET_KEY": "rival", "MINIO_ROOT_USER": "AKIARIVAL", "MINIO_ROOT_PASSWORD": "rival",
	"MINIO_SHARED_CREDENTIALS_FILE": "/rival", "MINIO_ALIAS": "rival",
	"RCLONE_S3_ACCESS_KEY_ID": "AKIARIVAL", "RCLONE_S3_SECRET_ACCESS_KEY": "rival", "RCLONE_S3_SESSION_TOKEN": "rival",
	"RCLONE_S3_PROFILE": "rival", "RCLONE_S3_SHARED_CREDENTIALS_FILE": "/rival",
	"RCLONE_S3_ROLE_ARN": "rival", "RCLONE_S3_ROLE_SESSION_NAME": "rival", "RCLONE_S3_ROLE_EXTERNAL_ID": "rival",
	"AWS_METADATA_URL": "http://127.0.0.1:1",
}

// neutral is what exec gives the program in place of a variable of its own.
var neutral = map[string]string{
	"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_CREDENTIAL_PROFILES_FILE": os.DevNull,
	"CPL_AWS_CREDENTIALS_FILE": os.DevNull, "BOTO_CONFIG": os.DevNull, "MINIO_SHARED_CREDENTIALS_FILE": os.DevNull,
	"AWS_SDK_LOAD_CONFIG": "1", "AWS_EC2_METADATA_DISABLED": "true",
	"JAVA_TOOL_OPTIONS": "", "CATALINA_OPTS": "",
}

// childVariables runs the command and returns the environment that its program
// lists. vars are added to the pod's.
func childVariables(t *testing.T, vars ...string) map[string]string {
	t.Helper()
	_, pod := newFakePod(t, t.TempDir())
	cmd := exec.CommandContext(t.Context(), "crossrole", "exec", "--role", target, "--", "env", "-0")
	cmd.Env = append(append(pod, "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir()), vars...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	got := map[string]string{}
	for variable := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(variable, "=")
		if _, twice := got[name]; twice {
			t.Errorf("%s is in the environment twice", name)
		}
		got[name] = value
	}
	return got
}

// Whatever variable selects another identity, the program gets the endpoint's
// and nothing else. The web identity of exec itself comes from variables that
// are rivals of the program, so those are not replaced here.
func TestExecHidesEveryOtherIdentity(t *testing.T) {
	if _, err := exec.LookPath("env"); err != nil {
		t.Skip("no env")
	}
	var vars []string
	for name, value := range rivals {
		switch name {
		case "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE":
		default:
			vars = append(vars, name+"="+value)
		}
	}
	got := childVariables(t, vars...)
	url := regexp.MustCompile(`^http://127\.0\.0\.1:\d+/v1/role$`)
	if uri := got["AWS_CONTAINER_CREDENTIALS_FULL_URI"]; !url.MatchString(uri) {
		t.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI=%q", uri)
	}
	if token := got["AWS_CONTAINER_AUTHORIZATION_TOKEN"]; !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(token) {
		t.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN has %d characters, want the token", len(token))
	}
	for name := range rivals {
		value, ok := got[name]
		want, replaced := neutral[name]
		switch {
		case name == "AWS_CONTAINER_CREDENTIALS_FULL_URI", name == "AWS_CONTAINER_AUTHORIZATION_TOKEN":
		case ok != replaced || value != want:
			t.Errorf("%s is %q, %v; want %q, %v", name, value, ok, want, replaced)
		}
	}
	for name, value := range neutral {
		if strings.Contains(value+got[name], "rival") {
			t.Errorf("%s=%s", name, got[name])
		}
	}
}

// Each variable alone, also twice and, where names have no case, in another one.
func TestChildEnv(t *testing.T) {
	for name, value := range rivals {
		for _, env := range [][]string{
			{"PATH=/bin", name + "=" + value},
			{name + "=" + value, "PATH=/bin", name + "=" + value},
			{"PATH=/bin", strings.ToLower(name) + "=" + value},
		} {
			foldCase := env[1] == strings.ToLower(name)+"="+value
			got := childEnv(env, "us-east-1", "http://127.0.0.1:1/v1/role", "token", foldCase)
			if !slices.Contains(got, "PATH=/bin") {
				t.Errorf("%q: no PATH in %q", env, got)
			}
			count := map[string]int{}
			for _, variable := range got {
				name, value, _ := strings.Cut(variable, "=")
				if count[strings.ToUpper(name)]++; strings.Contains(value, "rival") || count[strings.ToUpper(name)] > 1 && !strings.HasSuffix(name, "OPTS") && !strings.HasSuffix(name, "OPTIONS") {
					t.Errorf("%q: the program gets %q", env, variable)
				}
			}
		}
	}
	// Others stay, also those whose names look similar.
	keep := []string{
		"PATH=/bin", "AWS_ENDPOINT_URL=https://store", "AWS_ENDPOINT_URL_STS=https://sts", "AWS_CA_BUNDLE=/ca", "AWS_MAX_ATTEMPTS=9",
		"AWS_STS_REGIONAL_ENDPOINTS=regional", "AWS_ACCOUNT_ID=111122223333", "MC_HOST_store=https://a:b@store", "RCLONE_CONFIG_STORE_TYPE=s3",
		"TF_VAR_profile=dev", "aws_profile=a shell's own", "NODE_OPTIONS=--max-old-space-size=4096", "=C:=C:\\", "empty=",
	}
	for _, variable := range keep {
		if got := childEnv([]string{variable}, "", "", "", false); !slices.Contains(got, variable) {
			t.Errorf("%q does not stay", variable)
		}
	}
}

func TestChildEnvOfJava(t *testing.T) {
	for _, tt := range [][2]string{
		{"-Xmx1g -Daws.accessKeyId=AKIA -Daws.secretAccessKey=x -Daws.secretKey=x -ea", "-Xmx1g -ea"},
		{"-Daws.region=eu-west-1 -Daws.maxAttempts=9", "-Daws.region=eu-west-1 -Daws.maxAttempts=9"},
		{`-Dname="a  b" '-Daws.profile=the rival' -Da=b`, `-Dname="a  b" -Da=b`},
		{"-Daws.pro\"file=ri\"val\t-ea", "\t-ea"},
		{"-Dx=-Daws.profile=dev", "-Dx=-Daws.profile=dev"},
		{"-Daws.profiles=dev", "-Daws.profiles=dev"},
		{`-Dlast="open -Daws.profile=dev`, `-Dlast="open -Daws.profile=dev`},
		{"  -ea  ", "  -ea  "},
	} {
		if got := withoutProperties(tt[0]); got != tt[1] {
			t.Errorf("%q: got %q, want %q", tt[0], got, tt[1])
		}
	}
}

// The region is there for every SDK, wherever it came from.
func TestExecKeepsTheRegion(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[default]\nregion = eu-central-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		vars             []string
		region, fallback string
	}{
		"AWS_REGION":         {[]string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION="}, "eu-west-1", "eu-west-1"},
		"AWS_DEFAULT_REGION": {[]string{"AWS_REGION=", "AWS_DEFAULT_REGION=eu-west-2"}, "eu-west-2", "eu-west-2"},
		"both":               {[]string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-2"}, "eu-west-1", "eu-west-2"},
		"file":               {[]string{"AWS_REGION=", "AWS_DEFAULT_REGION=", "AWS_CONFIG_FILE=" + config}, "eu-central-1", "eu-central-1"},
	} {
		got := childVariables(t, tt.vars...)
		if got["AWS_REGION"] != tt.region || got["AWS_DEFAULT_REGION"] != tt.fallback {
			t.Errorf("%s: AWS_REGION=%s AWS_DEFAULT_REGION=%s, want %s and %s", name, got["AWS_REGION"], got["AWS_DEFAULT_REGION"], tt.region, tt.fallback)
		}
	}
}

// docs/serve.md names every variable that exec removes or sets.
func TestEveryIdentityVariableIsDocumented(t *testing.T) {
	page := pages(t)["serve.md"]
	for _, name := range slices.Concat(identityVariables, []string{bearerToken, "JAVA_TOOL_OPTIONS", "AWS_REGION", "AWS_DEFAULT_REGION"}) {
		if !strings.Contains(page, name) {
			t.Errorf("docs/serve.md: no %s", name)
		}
	}
	for _, name := range identityVariables {
		if _, ok := rivals[name]; !ok {
			t.Errorf("%s is removed, but not tried in rivals", name)
		}
	}
}
