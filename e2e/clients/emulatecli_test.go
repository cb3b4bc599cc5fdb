package clients_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/e2e/programs"
	"github.com/crossrole/crossrole/trust"
)

// cliScene is the AWS CLI with the keys of both accounts' administrators.
type cliScene struct {
	emulated
	admin   map[string]cli // by account
	pod     cli            // without keys
	hub     *cli           // with a session of the hub; nil: not assumed yet
	content []byte
}

func newCLIScene(t *testing.T) *cliScene {
	t.Helper()
	path := programs.AWS(t)
	s := &cliScene{emulated: emulate(t, emptyWorld), admin: map[string]cli{}, content: bytes.Repeat([]byte("meow purr\n"), 900_000)}
	for _, id := range []string{devID, sharedID} {
		s.admin[id] = cli{url: s.url, path: path, env: s.environment(t, "accounts/"+id)}
	}
	s.pod = cli{url: s.url, path: path}
	return s
}

// statements returns one policy with the statements of several.
func statements(policies ...*trust.Policy) string {
	all := *policies[0]
	for _, p := range policies[1:] {
		all.Statements = append(all.Statements, p.Statements...)
	}
	return all.String()
}

func admits(subject string) *trust.Policy {
	return trust.WebIdentityPolicy(sharedID, []string{issuer}, []string{subject})
}

// thumbprint is required by versions of the CLI from before April 2024. AWS ignores it if
// the issuer's certificate is from a public authority.
const thumbprint = "0000000000000000000000000000000000000000"

// build creates the roles, the bucket and an object in the empty accounts.
func (s *cliScene) build(t *testing.T) {
	t.Helper()
	dev, shared := s.admin[devID], s.admin[sharedID]
	for _, account := range []cli{dev, shared} {
		account.must(t, "iam", "create-open-id-connect-provider", "--url", issuer, "--client-id-list", "sts.amazonaws.com", "--thumbprint-list", thumbprint)
	}
	dev.must(t, "iam", "create-role", "--role-name", "hub", "--assume-role-policy-document",
		trust.WebIdentityPolicy(devID, []string{issuer}, []string{podSubject}).String())
	dev.must(t, "iam", "put-role-policy", "--role-name", "hub", "--policy-name", "assume", "--policy-document", trust.AssumePolicy([]string{targetRole}).String())
	shared.must(t, "iam", "create-role", "--role-name", "S3_Pics", "--assume-role-policy-document", statements(admits(podSubject), trust.RolePolicy(hubRole)))
	shared.must(t, "iam", "put-role-policy", "--role-name", "S3_Pics", "--policy-name", "read", "--policy-document", trust.ReadBucketPolicy(bucket, "").String())
	shared.must(t, "s3api", "create-bucket", "--bucket", bucket)
	file := filepath.Join(t.TempDir(), "cat.jpg")
	if err := os.WriteFile(file, s.content, 0o600); err != nil {
		t.Fatal(err)
	}
	shared.must(t, "s3", "cp", file, "s3://"+bucket+"/"+key)
	if !strings.Contains(s.get(t, "/_crossrole/calls?last=20"), `"CompleteMultipartUpload"`) {
		t.Errorf("the CLI did not upload %d bytes in parts", len(s.content))
	}
}

// read reads the object over a route. It returns the CLI's error text, or "".
func (s *cliScene) read(t *testing.T, route string) string {
	t.Helper()
	token, err := os.ReadFile(s.tokenFile(t))
	if err != nil {
		t.Fatal(err)
	}
	web := []string{"sts", "assume-role-with-web-identity", "--role-session-name", "cli", "--web-identity-token", string(token), "--role-arn"}
	var got map[string]any
	var stderr string
	switch route {
	case "direct":
		got, stderr, err = s.pod.run(t, append(web, targetRole)...)
	case "hub":
		if s.hub == nil {
			hub := s.pod.as(s.pod.must(t, append(web, hubRole)...)["Credentials"].(map[string]any))
			s.hub = &hub
		}
		got, stderr, err = s.hub.run(t, "sts", "assume-role", "--role-arn", targetRole, "--role-session-name", "cli")
	}
	if err != nil {
		return stderr
	}
	file := filepath.Join(t.TempDir(), "back")
	if _, stderr, err = s.pod.as(got["Credentials"].(map[string]any)).run(t, "s3api", "get-object", "--bucket", bucket, "--key", key, file); err != nil {
		return stderr
	}
	if back, err := os.ReadFile(file); err != nil || !bytes.Equal(back, s.content) {
		t.Errorf("%s: read %d other bytes, %v", route, len(back), err)
	}
	return ""
}

// The AWS CLI builds two empty accounts, uploads and reads. Then each of six mistakes is
// made; the CLI is refused with AWS's code, and it reads again after the CLI has applied
// what crossrole doctor printed.
func TestClientsEmulateCLI(t *testing.T) {
	t.Parallel()
	s := newCLIScene(t)
	s.build(t)
	for _, route := range []string{"direct", "hub"} {
		if stderr := s.read(t, route); stderr != "" {
			t.Fatalf("%s: %s", route, stderr)
		}
	}
	dev, shared := s.admin[devID], s.admin[sharedID]
	mistakes := map[string]func(){
		"issuer not registered": func() {
			shared.must(t, "iam", "delete-open-id-connect-provider", "--open-id-connect-provider-arn", providerARN)
		},
		"wrong audience": func() {
			shared.must(t, "iam", "remove-client-id-from-open-id-connect-provider", "--open-id-connect-provider-arn", providerARN, "--client-id", "sts.amazonaws.com")
		},
		"wrong subject": func() {
			shared.must(t, "iam", "update-assume-role-policy", "--role-name", "S3_Pics", "--policy-document", statements(admits("system:serviceaccount:default:other"), trust.RolePolicy(hubRole)))
		},
		"hub not trusted": func() {
			shared.must(t, "iam", "update-assume-role-policy", "--role-name", "S3_Pics", "--policy-document", statements(admits(podSubject)))
		},
		"hub lacks sts:AssumeRole": func() {
			dev.must(t, "iam", "delete-role-policy", "--role-name", "hub", "--policy-name", "assume")
		},
		"target lacks s3:GetObject": func() {
			shared.must(t, "iam", "delete-role-policy", "--role-name", "S3_Pics", "--policy-name", "read")
		},
	}
	for _, r := range refusals {
		mistakes[r.name]()
		want := "(" + r.code + ") when calling the " + r.operation + " operation"
		if stderr := s.read(t, r.route); !strings.Contains(stderr, want) {
			t.Errorf("%s: the CLI printed %q, want %s", r.name, stderr, want)
		}
		if got := s.lastRefusal(t); got.Operation != r.operation || got.Code != r.code || got.Explain == "" {
			t.Errorf("%s: the control API reports %v", r.name, got)
		}
		v := s.doctor(t, r.route)
		applied := 0
		for _, fix := range v.fixes() {
			if s.apply(t, fix) {
				applied++
				t.Logf("%s: applied: %s", r.name, fix)
				if s.doctor(t, r.route).Healthy {
					break
				}
			}
		}
		if applied != 1 {
			t.Errorf("%s: applied %d of doctor's fixes, want one:\n%s", r.name, applied, strings.Join(v.fixes(), "\n"))
		}
		if stderr := s.read(t, r.route); stderr != "" {
			t.Fatalf("%s: after the fix: %s", r.name, stderr)
		}
	}
}
