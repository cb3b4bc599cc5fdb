package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The scripts that setup prints pass the names on as they are, and nothing else runs.
func TestSetupScriptIsSafe(t *testing.T) {
	issuers := []string{"https://x.example/$(touch$IFS'ran')", "https://x.example/a;touch$IFS'ran';", "https://x.example/$(touch${IFS}ran)", "https://x.example/it's", "https://x.example/a&touch$IFS'ran'", "https://x.example/a > ran", "https://x.example/`touch ran`", "https://x.example/\"a\""}
	for i, issuer := range issuers {
		name := []string{"=ls", "@a,b", "-rf", "S3_Pics"}[i%4]
		route, account := []string{"--route=hub", "--cluster-account=111122223333", "--hub=" + name}, "111122223333"
		if i%2 == 1 {
			route, account = []string{"--route=direct"}, "444455556666"
		}
		s := newScript(t)
		text, _, err := crossrole(t.Context(), append([]string{"setup", "--issuer", issuer, "--shared-account", "444455556666", "--bucket", "pics", "--prefix", "a$(touch ran)'\nEND\ntouch ran\n", "--service-account", "default/app", "--role=" + name}, route...)...)
		if strings.ContainsAny(issuer, " \"`>{}|\\^") && errors.As(err, new(usageError)) {
			continue // no URL that IAM would take
		}
		if err != nil {
			t.Fatalf("%s %s: %v", issuer, name, err)
		}
		if changes, output, err := s.run(text, account); err != nil || !slices.Contains(changes, "iam:put-role-policy") {
			t.Errorf("%s %s: %v, %v\n%s", issuer, name, err, changes, output)
		}
		args := strings.Split(s.read("bin/args"), "\x00")
		for _, want := range []string{"--url=" + issuer, "--role-name=" + name} {
			if !slices.Contains(args, want) {
				t.Errorf("no %q in %q", want, args)
			}
		}
		if ran, err := os.ReadDir(filepath.Join(s.dir, "work")); err != nil || len(ran) > 0 {
			t.Errorf("%s %s: something ran: %v, %v", issuer, name, ran, err)
		}
	}
}

// Names that Kubernetes allows and YAML reads as something else are quoted.
func TestSetupPrintsYAMLStrings(t *testing.T) {
	for name, want := range map[string]string{
		"default/app": "  name: app\n  namespace: default\n",
		"true/no":     "  name: \"no\"\n  namespace: \"true\"\n",
		"null/y":      "  name: \"y\"\n  namespace: \"null\"\n",
		"123/1e3":     "  name: \"1e3\"\n  namespace: \"123\"\n",
		"0x1f/1.5":    "  name: \"1.5\"\n  namespace: \"0x1f\"\n",
		"1-2/a.b":     "  name: a.b\n  namespace: \"1-2\"\n",
	} {
		stdout, _, err := crossrole(t.Context(), "setup", "--issuer", "https://x.example", "--cluster-account", "111122223333", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", name)
		if err != nil || !strings.Contains(stdout, want) {
			t.Errorf("%s: %v\n%s", name, err, stdout)
		}
	}
	for _, name := range []string{"default/*", "default:*", "*/app", "Default/app", "default/App", "a.b/app", "-a/app", "a-/app", "default/.a", "default/a..b", "default/a/b", "/app", "default/", "default", "default/a\nb", strings.Repeat("a", 64) + "/app", "default/" + strings.Repeat("a", 254), "default/$(x)"} {
		_, _, err := crossrole(t.Context(), "setup", "--issuer", "https://x.example", "--cluster-account", "111122223333", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", name)
		if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "--service-account ") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"Default/app", "default/-a*", "de.fault/*", "default/a*/b", "default/a:*"} {
		_, _, err := crossrole(t.Context(), "trust", "token", "--account", "111122223333", "--issuer", "https://x.example", "--service-account", name)
		if !errors.As(err, new(usageError)) {
			t.Errorf("trust token of %q: %v", name, err)
		}
	}
	if _, _, err := crossrole(t.Context(), "trust", "token", "--account", "111122223333", "--issuer", "https://x.example", "--service-account", "team-*/reader-?"); err != nil {
		t.Error(err)
	}
}

// Accounts of the other partitions get ARNs of theirs.
func TestPartitions(t *testing.T) {
	for _, tt := range []struct {
		issuer, region, flag, want string
	}{
		{"https://oidc.eks.us-east-1.amazonaws.com/id/BLUE", "", "", "aws"},
		{"https://oidc.eks.us-gov-west-1.amazonaws.com/id/BLUE", "", "", "aws-us-gov"},
		{"https://oidc.eks.us-gov-west-1.amazonaws.com/id/BLUE", "us-east-1", "", "aws-us-gov"},
		{"https://oidc.eks.cn-north-1.amazonaws.com.cn/id/BLUE", "", "", "aws-cn"},
		{"https://oidc.eks.eusc-de-east-1.amazonaws.eu/id/BLUE", "", "", "aws-eusc"},
		{"https://oidc-eks.us-gov-east-1.api.aws/id/BLUE", "", "", "aws-us-gov"},
		{"https://oidc.eks.us-iso-east-1.c2s.ic.gov/id/BLUE", "", "", "aws-iso"},
		{"https://us-east-1.s3.us-gov-west-1.amazonaws.com", "", "", "aws-us-gov"},
		{"https://s3-us-gov-west-1.amazonaws.com/issuer", "", "", "aws-us-gov"},
		{"https://OIDC.EKS.US-GOV-WEST-1.AMAZONAWS.COM./id/BLUE", "", "", "aws-us-gov"},
		{"https://oidc.eks.us-gov-west-1.amazonaws.com.attacker.example/id/BLUE", "", "", "aws"},
		{"https://issuer.example", "", "", "aws"},
		{"https://issuer.example", "us-gov-east-1", "", "aws-us-gov"},
		{"https://issuer.example", "cn-northwest-1", "", "aws-cn"},
		{"https://issuer.example", "eusc-de-east-1", "", "aws-eusc"},
		{"https://issuer.example", "moon-base-1", "", "aws"},
		{"https://oidc.eks.cn-north-1.amazonaws.com.cn/id/BLUE", "", "aws-us-gov", "aws-us-gov"},
		{"https://issuer.example", "", "aws-eusc", "aws-eusc"},
	} {
		t.Setenv("AWS_REGION", tt.region)
		for _, args := range [][]string{
			{"setup", "--route", "hub", "--cluster-account", "111122223333", "--shared-account", "444455556666", "--bucket", "pics", "--issuer", tt.issuer, "--service-account", "default/app"},
			{"setup", "--route", "direct", "--shared-account", "444455556666", "--bucket", "pics", "--issuer", tt.issuer, "--service-account", "default/app"},
			{"trust", "token", "--account", "111122223333", "--issuer", tt.issuer, "--service-account", "default/app"},
		} {
			if tt.flag != "" {
				args = append(args, "--partition", tt.flag)
			}
			stdout, _, err := crossrole(t.Context(), args...)
			if err != nil {
				t.Errorf("%q: %v", args, err)
			}
			if n := strings.Count(stdout, "arn:aws"); n == 0 || n != strings.Count(stdout, "arn:"+tt.want+":") {
				t.Errorf("%q with region %q: not all ARNs are of %s:\n%s", args, tt.region, tt.want, stdout)
			}
		}
	}
	t.Setenv("AWS_REGION", "")
	for _, args := range [][]string{
		{"--issuer", "https://oidc.eks.cn-north-1.amazonaws.com.cn/id/BLUE", "--issuer", "https://oidc.eks.us-east-1.amazonaws.com/id/GREEN"},
		{"--issuer", "https://issuer.example", "--partition", "amazon"},
		{"--issuer", "https://issuer.example", "--partition", "aws:iam::1"},
	} {
		_, _, err := crossrole(t.Context(), append([]string{"setup", "--cluster-account", "111122223333", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", "default/app"}, args...)...)
		if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "--partition") {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--bucket", "arn:aws-cn:s3:::pics"}, `"arn:aws-cn:s3:::pics/*"`},
		{[]string{"--bucket", "pics", "--kms-key", "arn:aws-us-gov:kms:us-gov-west-1:444455556666:key/1"}, `"arn:aws-us-gov:s3:::pics/*"`},
		{[]string{"--bucket", "pics", "--partition", "aws-eusc"}, `"arn:aws-eusc:s3:::pics/*"`},
		{[]string{"--bucket", "pics"}, `"arn:aws:s3:::pics/*"`},
	} {
		stdout, _, err := crossrole(t.Context(), append([]string{"trust", "read"}, tt.args...)...)
		if err != nil || !strings.Contains(stdout, tt.want) {
			t.Errorf("%q: %v, want %s in\n%s", tt.args, err, tt.want, stdout)
		}
	}
}

// The role's settings are in the policies, and in what the pod runs.
func TestSetupOfARoleWithSettings(t *testing.T) {
	setup := func(args ...string) (string, error) {
		if !slices.Contains(args, "direct") {
			args = append(args, "--cluster-account", "111122223333")
		}
		stdout, _, err := crossrole(t.Context(), append([]string{"setup", "--issuer", "https://issuer.example", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", "default/app"}, args...)...)
		return stdout, err
	}
	stdout, err := setup("--role", "S3_Pics,external-id=a%2Cb,tags=team=pics,session-name=x%2Cy")
	for _, want := range []string{`"sts:ExternalId": "a,b"`, `"sts:TagSession"`, `args: ["doctor", "--role", "arn:aws:iam::444455556666:role/S3_Pics,external-id=a%2Cb,session-name=x%2Cy,tags=team=pics", "--bucket", "pics"]`, "role 'S3_Pics' '3600' "} {
		if err != nil || !strings.Contains(stdout, want) {
			t.Errorf("%v: no %s in\n%s", err, want, stdout)
		}
	}
	stdout, err = setup("--route", "direct", "--role", "S3_Pics,duration=12h")
	for _, want := range []string{"role 'S3_Pics' '43200' ", `args: ["doctor", "--role", "own,duration=12h0m0s", "--bucket", "pics"]`} {
		if err != nil || !strings.Contains(stdout, want) {
			t.Errorf("%v: no %s in\n%s", err, want, stdout)
		}
	}
	for _, args := range [][]string{
		{"--role", "S3_Pics,duration=2h"},
		{"--route", "direct", "--role", "S3_Pics,external-id=hush"},
		{"--role", "S3_Pics,role=x"},
		{"--role", target},
		{"--bucket", "s3://pics"},
		{"--bucket", "arn:aws:s3:eu-west-1:444455556666:accesspoint/pics"},
		{"--bucket", "arn:aws-cn:s3:::pics"},
	} {
		if _, err := setup(args...); !errors.As(err, new(usageError)) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range [][]string{
		{"trust", "role", "--hub", target + ",external-id=hush"},
		{"trust", "assume", "--target", target + ",duration=1h"},
		{"trust", "assume", "--target", "own"},
	} {
		if _, _, err := crossrole(t.Context(), args...); !errors.As(err, new(usageError)) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"two\nlines\twith é":        "two\nlines\twith é",
		"\x1b[2Jgone":               `\x1b[2Jgone`,
		"a\rb":                      `a\rb`,
		"\u202eback":                `\u202eback`,
		"\xff\u009b":                `\xff\u009b`,
		"it's \"quoted\" \\ \ufffd": `it's "quoted" \ \ufffd`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
