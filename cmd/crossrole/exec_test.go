package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

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
	text, err := os.ReadFile(filepath.Join("internal", "childenv", "testdata", "rivals.env"))
	if err != nil {
		t.Fatal(err)
	}
	var vars, rivals []string
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		rivals = append(rivals, name)
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
	if len(rivals) < 60 {
		t.Errorf("%d variables were tried", len(rivals))
	}
	for _, name := range rivals {
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
