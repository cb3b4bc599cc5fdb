package childenv

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rivals returns the variables by which an SDK or a tool would act as another identity
// than the role, each with the value that it might have.
func rivals(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "rivals.env"))
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok && !strings.HasPrefix(line, "#") {
			vars[name] = value
		}
	}
	if len(vars) < 60 {
		t.Fatalf("%d variables were found", len(vars))
	}
	return vars
}

// Each variable alone, also twice and, where names have no case, in another one.
func TestChildEnv(t *testing.T) {
	for name, value := range rivals(t) {
		for _, env := range [][]string{
			{"PATH=/bin", name + "=" + value},
			{name + "=" + value, "PATH=/bin", name + "=" + value},
			{"PATH=/bin", strings.ToLower(name) + "=" + value},
		} {
			foldCase := env[1] == strings.ToLower(name)+"="+value
			got := Environ(env, "us-east-1", "http://127.0.0.1:1/v1/role", "token", foldCase)
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
		if got := Environ([]string{variable}, "", "", "", false); !slices.Contains(got, variable) {
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

// docs/serve.md names every variable that exec removes or sets.
func TestEveryIdentityVariableIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "serve.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, tried := string(text), rivals(t)
	for _, name := range slices.Concat(identityVariables, []string{bearerToken, "JAVA_TOOL_OPTIONS", "AWS_REGION", "AWS_DEFAULT_REGION"}) {
		if !strings.Contains(page, name) {
			t.Errorf("docs/serve.md: no %s", name)
		}
	}
	for _, name := range identityVariables {
		if _, ok := tried[name]; !ok {
			t.Errorf("%s is removed, but not tried in rivals", name)
		}
	}
}
