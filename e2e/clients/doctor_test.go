package clients_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/e2e/programs"
)

// verdict is what crossrole doctor --json prints.
type verdict struct {
	Healthy bool
	Chain   struct {
		Hops []struct {
			Error *struct {
				Kind  string
				Fixes []string
			}
		}
	}
	Bucket *struct {
		OK   bool
		Text string
	}
}

// doctor runs crossrole doctor in the pod for a route.
func (s *cliScene) doctor(t *testing.T, route string) verdict {
	t.Helper()
	args := []string{"doctor", "--json", "--bucket", bucket, "--key", key}
	env := s.environment(t, "pods/app")
	switch route {
	case "hub":
		args = append(args, "--role", targetRole)
	case "direct":
		env = append(env, "AWS_ROLE_ARN="+targetRole) // another annotation
	}
	return runDoctor(t, s.program, env, args...)
}

// runDoctor runs crossrole doctor --json.
func runDoctor(t *testing.T, program string, env []string, args ...string) verdict {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = programs.Alone(t, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Fatalf("crossrole doctor: %v\n%s", err, &stderr)
	}
	var v verdict
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("crossrole doctor: %v\n%s", err, out)
	}
	if v.Healthy != (err == nil) {
		t.Errorf("crossrole doctor: healthy is %v, %v", v.Healthy, err)
	}
	return v
}

// fixes returns what the verdict says to do, the most likely fix first.
func (v verdict) fixes() []string {
	for _, hop := range v.Chain.Hops {
		if hop.Error != nil {
			return hop.Error.Fixes
		}
	}
	if v.Bucket != nil && !v.Bucket.OK {
		return []string{v.Bucket.Text}
	}
	return nil
}

var (
	// condition is the part of a fix that says when it applies.
	condition = regexp.MustCompile(`^if it does not name (\S+) yet, `)
	command   = regexp.MustCompile(`account (\d{12}): (aws iam .+)$`)
	intoTrust = regexp.MustCompile(`(?s)add this statement to the trust policy of role (\S+) in account (\d{12}): (\{.+\})$`)
	intoRole  = regexp.MustCompile(`(?s)add this statement to the policy of arn:aws:iam::(\d{12}):role/(\S+): (\{.+\})$`)
	printed   = regexp.MustCompile(`as arn:aws:iam::(\d{12}):role/([^\s,)]+).*"crossrole ([^"]+)" prints the policy that the role needs`)
)

// apply does what a fix says, to the letter: it runs a printed command, puts a printed
// statement into the policy that the fix names, or gives the role the policy that a
// printed command prints. It reports whether the fix applies.
func (s *cliScene) apply(t *testing.T, fix string) bool {
	t.Helper()
	if m := intoTrust.FindStringSubmatch(fix); m != nil {
		role, account, statement := m[1], m[2], m[3]
		got := s.admin[account].must(t, "iam", "get-role", "--role-name", role)
		policy := documentOf(t, field(got, "Role", "AssumeRolePolicyDocument"))
		if c := condition.FindStringSubmatch(fix); c != nil && strings.Contains(policy, `"`+c[1]+`"`) {
			return false
		}
		s.admin[account].must(t, "iam", "update-assume-role-policy", "--role-name", role, "--policy-document", withStatement(t, policy, statement))
		return true
	}
	if m := intoRole.FindStringSubmatch(fix); m != nil {
		account, role, statement := m[1], m[2], m[3]
		s.admin[account].must(t, "iam", "put-role-policy", "--role-name", role, "--policy-name", "from-doctor",
			"--policy-document", withStatement(t, `{"Version":"2012-10-17","Statement":[]}`, statement))
		return true
	}
	if m := command.FindStringSubmatch(fix); m != nil {
		account, line := m[1], m[2]
		out, err := s.shell(t, account, line)
		if err != nil && strings.Contains(out, "arguments are required: --thumbprint-list") {
			out, err = s.shell(t, account, line+" --thumbprint-list "+thumbprint)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		return true
	}
	if m := printed.FindStringSubmatch(fix); m != nil {
		account, role, line := m[1], m[2], m[3]
		policy, err := exec.CommandContext(t.Context(), s.program, strings.Fields(line)...).Output()
		if err != nil {
			t.Fatalf("crossrole %s: %v", line, err)
		}
		s.admin[account].must(t, "iam", "put-role-policy", "--role-name", role, "--policy-name", "from-doctor", "--policy-document", string(policy))
		return true
	}
	return false
}

// shell runs a line with aws commands as an administrator of the account.
func (s *cliScene) shell(t *testing.T, account, line string) (string, error) {
	t.Helper()
	// Older versions of the CLI know no AWS_ENDPOINT_URL.
	sh := exec.CommandContext(t.Context(), "sh", "-c", `aws() { "$AWS_PROGRAM" --endpoint-url "$ENDPOINT" "$@"; }`+"\n"+line)
	sh.Env = programs.Alone(t, append(s.admin[account].env, "AWS_PROGRAM="+s.admin[account].path, "ENDPOINT="+s.url)...)
	out, err := sh.CombinedOutput()
	return string(out), err
}

// documentOf returns a policy from the CLI's output, which decodes it if it can.
func documentOf(t *testing.T, v any) string {
	t.Helper()
	if text, ok := v.(string); ok {
		text, err := url.PathUnescape(text)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withStatement returns a policy with a further statement.
func withStatement(t *testing.T, policy, statement string) string {
	t.Helper()
	var document struct {
		Version   string
		Statement []json.RawMessage
	}
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		t.Fatalf("%v in %s", err, policy)
	}
	document.Statement = append(document.Statement, json.RawMessage(statement))
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatalf("%v in %s", err, statement)
	}
	return string(text)
}
