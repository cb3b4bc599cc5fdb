package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/crossrole/crossrole/trust"
)

// Tests of the setup command: what it prints for each route, that the printed policies
// admit the pod and no other, that the scripts do what they say when they run, and which
// flags do not go together.

var update = flag.Bool("update", false, "write the golden files of setup")

const blueIssuer = "https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"

// world is a set-up that the tests print in every format.
type world struct {
	route string
	args  []string
	other string // an external ID that the target must refuse; empty: it takes any
}

func worlds(t *testing.T) map[string]world {
	t.Helper()
	restriction := filepath.Join(t.TempDir(), "restriction.json")
	if err := os.WriteFile(restriction, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	hub := []string{"--route", "hub", "--issuer", blueIssuer, "--cluster-account", "111122223333"}
	direct := []string{"--route", "direct", "--issuer", blueIssuer}
	pod := []string{"--route", "pod-identity", "--cluster-account", "111122223333", "--cluster-name", "prod"}
	with := func(args []string, more ...string) []string { return slices.Concat(args, more) }
	return map[string]world{
		"hub":                         {"hub", with(hub, "--issuer", "https://oidc.eks.us-east-1.amazonaws.com/id/GREEN"), ""},
		"hub-external-id":             {"hub", with(hub, "--external-id", "pics-2026", "--role", "S3_Pics,tags=team=a", "--bucket", "more", "--prefix", "in/", "--kms-key", "arn:aws:kms:us-east-1:444455556666:key/k"), "other"},
		"hub-pattern":                 {"hub", with(hub, "--hub", "hub-1", "--hub-pattern", "arn:aws:iam::111122223333:role/hub-*"), ""},
		"hub-other":                   {"hub", with(hub, "--cluster", "other"), ""},
		"hub-other-inject":            {"hub", with(hub, "--cluster", "other", "--inject", "policy"), ""},
		"hub-china":                   {"hub", with(hub, "--partition", "aws-cn"), ""},
		"direct":                      {"direct", with(direct, "--role", "S3_Pics,duration=12h"), ""},
		"direct-other":                {"direct", with(direct, "--cluster", "other"), ""},
		"pod-identity":                {"pod-identity", pod, ""},
		"pod-identity-external-id":    {"pod-identity", with(pod, "--external-id", "us-east-1/111122223333/prod/default/app"), "us-east-1/111122223333/prod/default/other"},
		"pod-identity-session-policy": {"pod-identity", with(pod, "--session-policy", restriction), "us-east-1/111122223333/prod/default/other"},
	}
}

// setupOf runs setup for a world.
func setupOf(t *testing.T, w world, args ...string) (stdout, stderr string) {
	t.Helper()
	args = slices.Concat([]string{"setup", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", "default/app"}, w.args, args)
	stdout, stderr, err := crossrole(t.Context(), args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return stdout, stderr
}

var functionsOfScripts = regexp.MustCompile(`(?s)\n# found COMMAND.*?\n(\naccount=)`)

// The output of every combination is that of testdata/setup. To write the files, run
// go test ./cmd/crossrole -run TestSetupGolden -update
func TestSetupGolden(t *testing.T) {
	for name, w := range worlds(t) {
		var got txtar.Archive
		for _, format := range []string{"shell", "terraform", "json"} {
			stdout, stderr := setupOf(t, w, "--format", format)
			if format == "shell" { // every script has the same functions
				stdout = functionsOfScripts.ReplaceAllString(stdout, "\n(functions)\n$1")
			}
			got.Files = append(got.Files, txtar.File{Name: format, Data: []byte(stdout)})
			if format == "json" {
				got.Files = append(got.Files, txtar.File{Name: "stderr", Data: []byte(stderr)})
			}
		}
		file := filepath.Join("testdata", "setup", name+".txtar")
		if *update {
			if err := os.WriteFile(file, txtar.Format(&got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(want, txtar.Format(&got)) {
			t.Errorf("%s: %v; it prints\n%s", name, err, txtar.Format(&got))
		}
	}
}

// printed are the trust policies in an output of setup, by the name of their role.
type printed map[string]*trust.Policy

func parsePolicy(t *testing.T, text string) *trust.Policy {
	t.Helper()
	policy, err := trust.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return policy
}

// trustsIn finds the trust policies in the output of each format.
func trustsIn(t *testing.T, format, output string) printed {
	t.Helper()
	found := printed{}
	switch format {
	case "shell":
		for _, m := range regexp.MustCompile(`(?s)\n  role '([^']*)' '\d+' '(\{.*?\n\})' 'crossrole' '`).FindAllStringSubmatch(output, -1) {
			found[m[1]] = parsePolicy(t, strings.ReplaceAll(m[2], `'\''`, "'"))
		}
	case "terraform":
		for _, m := range regexp.MustCompile(`(?s)resource "aws_iam_role" "\w+" \{.*?  name +?= "(.*?)".*?assume_role_policy = jsonencode\((.*?)\n  \}\)`).FindAllStringSubmatch(output, -1) {
			found[m[1]] = parsePolicy(t, strings.NewReplacer("$${", "${", "%%{", "%{").Replace(m[2]+"}"))
		}
	case "json":
		var p struct {
			Accounts []struct {
				Roles []struct {
					Name        string
					TrustPolicy *trust.Policy
				}
			}
		}
		if err := json.Unmarshal([]byte(output), &p); err != nil {
			t.Fatal(err)
		}
		for _, a := range p.Accounts {
			for _, r := range a.Roles {
				found[r.Name] = r.TrustPolicy
			}
		}
	}
	return found
}

// In every format the policies admit the pod on its route, and neither another service
// account nor another role.
func TestSetupPoliciesAdmitThePod(t *testing.T) {
	for name, w := range worlds(t) {
		partition, hubName := "aws", "crossrole-hub"
		if name == "hub-china" {
			partition = "aws-cn"
		}
		if name == "hub-pattern" {
			hubName = "hub-1"
		}
		token := func(account, serviceAccount string) trust.Request {
			provider := strings.TrimPrefix(blueIssuer, "https://")
			return trust.Request{
				Action:    "sts:AssumeRoleWithWebIdentity",
				Principal: trust.Principals{"Federated": {"arn:" + partition + ":iam::" + account + ":oidc-provider/" + provider}},
				Context:   map[string][]string{provider + ":aud": {"sts.amazonaws.com"}, provider + ":sub": {"system:serviceaccount:default:" + serviceAccount}},
			}
		}
		agent := func(serviceAccount, cluster string) trust.Request {
			r := trust.Request{
				Action:    "sts:AssumeRole",
				Principal: trust.Principals{"Service": {"pods.eks.amazonaws.com"}},
				Context: map[string][]string{
					"aws:SourceAccount": {"111122223333"},
					"aws:SourceArn":     {"arn:aws:eks:us-east-1:111122223333:cluster/" + cluster},
				},
			}
			if name != "pod-identity-session-policy" {
				r.Context["aws:RequestTag/eks-cluster-name"] = []string{cluster}
				r.Context["aws:RequestTag/kubernetes-namespace"] = []string{"default"}
				r.Context["aws:RequestTag/kubernetes-service-account"] = []string{serviceAccount}
			}
			return r
		}
		externalID := map[string]string{"hub-external-id": "pics-2026"}[name]
		if w.route == "pod-identity" {
			externalID = "us-east-1/111122223333/prod/default/app"
		}
		role := func(role, externalID string) trust.Request {
			account := "arn:" + partition + ":iam::111122223333:"
			r := trust.Request{
				Action:    "sts:AssumeRole",
				Principal: trust.Principals{"AWS": {account + "role/" + role, account + "root"}},
				Context:   map[string][]string{"aws:PrincipalArn": {account + "role/" + role}},
			}
			if externalID != "" {
				r.Context["sts:ExternalId"] = []string{externalID}
			}
			return r
		}
		for _, format := range []string{"shell", "terraform", "json"} {
			stdout, _ := setupOf(t, w, "--format", format)
			policies := trustsIn(t, format, stdout)
			explain := func(of string, request trust.Request, want bool) {
				t.Helper()
				policy := policies[of]
				if policy == nil {
					t.Fatalf("%s, %s: no trust policy of %s in\n%s", name, format, of, stdout)
				}
				if err := policy.ValidateTrust(); err != nil {
					t.Errorf("%s, %s: %v", name, format, err)
				}
				if d := policy.Explain(request); d.Allowed != want {
					t.Errorf("%s, %s: %s admits %v: %t, want %t: %+v", name, format, of, request, d.Allowed, want, d)
				}
			}
			switch w.route {
			case "direct":
				explain("S3_Pics", token("444455556666", "app"), true)
				explain("S3_Pics", token("444455556666", "other"), false)
				explain("S3_Pics", role("admin", ""), false)
				continue
			case "hub":
				explain(hubName, token("111122223333", "app"), true)
				explain(hubName, token("111122223333", "other"), false)
			case "pod-identity":
				explain(hubName, agent("app", "prod"), true)
				explain(hubName, agent("app", "test"), false)
				explain(hubName, agent("other", "prod"), name == "pod-identity-session-policy") // without tags, EKS names only the cluster
				explain(hubName, token("111122223333", "app"), false)
			}
			explain("S3_Pics", role(hubName, externalID), true)
			explain("S3_Pics", role("admin", externalID), false)
			if w.other != "" {
				explain("S3_Pics", role(hubName, w.other), false)
				explain("S3_Pics", role(hubName, ""), false)
			}
			if name == "hub-pattern" {
				explain("S3_Pics", role("hub-green", ""), true)
			}
		}
	}
}

// fakeAWS is an aws CLI that keeps roles in files, and appends what it changes to calls.
// It runs hundreds of times, so it starts no other program for a role or a policy.
const fakeAWS = `#!/bin/sh
set -eu
state=${0%/*}/state
name= policy= document= url= longest=3600
for arg; do
  case $arg in
  --role-name=*) name=${arg#*=} ;;
  --policy-name=*) policy=${arg#*=} ;;
  --policy-document=* | --assume-role-policy-document=*) document=${arg#*=} ;;
  --url=*) url=${arg#*=} ;;
  --open-id-connect-provider-arn=*) url=https://${arg#*:oidc-provider/} ;;
  --max-session-duration=*) longest=${arg#*=} ;;
  esac
done
key=$name${url##*/}
show() {
  if [ ! -f "$1" ]; then
    echo "An error occurred (NoSuchEntity) when calling it: not found" >&2
    exit 254
  fi
  while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$1"
}
role() { # writes the role
  printf '{"Role":{"MaxSessionDuration":%s,"AssumeRolePolicyDocument":%s}}\n' "$longest" "$document" >"$state/$key"
}
case "$1 $2" in
"sts get-caller-identity") echo "$FAKE_ACCOUNT"; exit ;;
"iam get-role" | "iam get-open-id-connect-provider") show "$state/$key"; exit ;;
"iam get-role-policy") show "$state/$key.$policy"; exit ;;
"iam wait") exit ;;
"iam create-role") role ;;
"iam update-assume-role-policy")
  has=$(show "$state/$key")
  longest=${has#*'"MaxSessionDuration":'}
  longest=${longest%%,*}
  role
  ;;
"iam update-role")
  has=$(show "$state/$key")
  document=${has#*'"AssumeRolePolicyDocument":'}
  document=${document%'}}'}
  role
  ;;
"iam put-role-policy") printf '{"PolicyDocument":%s}\n' "$document" >"$state/$key.$policy" ;;
"iam create-open-id-connect-provider") echo '{"ClientIDList":["sts.amazonaws.com"]}' >"$state/$key" ;;
"eks list-pod-identity-associations") if [ -f "$state/association" ]; then echo '{"associations":[{"associationId":"a-1"}]}'; else echo '{"associations":[]}'; fi; exit ;;
"eks describe-pod-identity-association") show "$state/association"; exit ;;
"eks create-pod-identity-association" | "eks update-pod-identity-association")
  role= target= untagged=false restricts=
  for arg; do
    case $arg in
    --role-arn=*) role=${arg#*=} ;;
    --target-role-arn=*) target=${arg#*=} ;;
    --disable-session-tags) untagged=true ;;
    --policy=*) restricts=${arg#*=} ;;
    esac
  done
  jq -n --arg role "$role" --arg target "$target" --argjson untagged "$untagged" --arg policy "$restricts" \
    '{association: {roleArn: $role, targetRoleArn: $target, disableSessionTags: $untagged, policy: $policy}}' >"$state/association"
  ;;
esac
printf '%s\n' "$1 $2" >>"${0%/*}/calls"
printf '%s\0' "$@" >>"${0%/*}/args"
`

// script runs scripts of setup with fakeAWS.
type script struct {
	t   *testing.T
	dir string // in it: bin with what fakeAWS writes, bin/state with its roles, and work, where scripts run
}

func newScript(t *testing.T) script {
	t.Helper()
	for _, program := range []string{"sh", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	s := script{t, t.TempDir()}
	for _, dir := range []string{"bin/state", "work"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.write("bin/aws", fakeAWS)
	return s
}

func (s script) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o755); err != nil { //nolint:gosec // a program
		s.t.Fatal(err)
	}
}

func (s script) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(text)
}

// run runs a script with the credentials of an account, and returns the changes that it
// made.
func (s script) run(text, account string, args ...string) (changes []string, output string, err error) {
	s.t.Helper()
	s.write("bin/calls", "")
	cmd := exec.CommandContext(s.t.Context(), "sh", append([]string{"-c", text, "setup.sh"}, args...)...)
	cmd.Dir, cmd.Env = filepath.Join(s.dir, "work"), []string{"PATH=" + filepath.Join(s.dir, "bin") + ":" + os.Getenv("PATH"), "FAKE_ACCOUNT=" + account}
	out, err := cmd.CombinedOutput()
	kept, _ := filepath.Glob(filepath.Join(s.dir, "bin", "state", "*"))
	for _, file := range kept {
		if text, err := os.ReadFile(file); err != nil || !json.Valid(text) {
			s.t.Errorf("the script wrote %s, %v: %q is not JSON", filepath.Base(file), err, text)
		}
	}
	return strings.Fields(strings.ReplaceAll(s.read("bin/calls"), " ", ":")), string(out), err
}

// A script sets up the account of its credentials. The second run changes nothing.
func TestSetupScriptTwice(t *testing.T) {
	all := worlds(t)
	for _, name := range []string{"hub", "direct", "pod-identity"} {
		s := newScript(t)
		text, _ := setupOf(t, all[name])
		role := []string{"iam:create-role", "iam:put-role-policy"}
		want := map[string][]string{
			"hub":          slices.Concat([]string{"iam:create-open-id-connect-provider", "iam:create-open-id-connect-provider"}, role),
			"direct":       slices.Concat([]string{"iam:create-open-id-connect-provider"}, role),
			"pod-identity": slices.Concat(role, []string{"eks:create-pod-identity-association"}),
		}[name]
		first := "111122223333"
		if name == "direct" {
			first = "444455556666"
		}
		if changes, output, err := s.run(text, first); err != nil || !slices.Equal(changes, want) {
			t.Errorf("%s: %v, it did %v, want %v\n%s", name, err, changes, want, output)
		}
		if changes, output, err := s.run(text, first); err != nil || len(changes) > 0 {
			t.Errorf("%s again: %v, it did %v, want nothing\n%s", name, err, changes, output)
		}
		if changes, output, err := s.run(text, "999999999999"); err == nil || len(changes) > 0 || !strings.Contains(output, "credentials of account 999999999999; run this with those of account "+first) {
			t.Errorf("%s with credentials of another account: %v, %v\n%s", name, err, changes, output)
		}
		if _, output, err := s.run(text, "", "kubernetes"); err != nil || !strings.HasPrefix(output, "apiVersion: v1\nkind: ServiceAccount\n") {
			t.Errorf("%s kubernetes: %v\n%s", name, err, output)
		}
	}
}

// A script adds its statements to policies that exist, and replaces only its own.
func TestSetupScriptKeepsOtherStatements(t *testing.T) {
	const theirs = `{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}`
	s := newScript(t)
	role := func(version string) {
		t.Helper()
		s.write("bin/state/S3_Pics", `{"Role":{"MaxSessionDuration":3600,"AssumeRolePolicyDocument":{"Version":"`+version+`","Statement":`+theirs+`}}}`)
	}
	role("2012-10-17")
	count := func(want int, in ...string) {
		t.Helper()
		policy := policyIn(s, "S3_Pics")
		if len(policy.Statements) != want || policy.Statements[0].SID != "Theirs" {
			t.Errorf("the trust policy is %s", policy)
		}
		for _, text := range in {
			if !strings.Contains(policy.String(), text) {
				t.Errorf("no %s in %s", text, policy)
			}
		}
	}
	hub := worlds(t)["hub"]
	apply := func(args ...string) {
		t.Helper()
		text, _ := setupOf(t, hub, args...)
		if _, output, err := s.run(text, "444455556666"); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	apply()
	count(2, "role/crossrole-hub")
	apply("--external-id", "one") // of the same hub role
	count(2, `"one"`)
	apply("--external-id", "two")
	count(2, `"two"`)
	apply("--hub", "green", "--role", "S3_Pics,tags=team=a")
	count(3, "role/crossrole-hub", "role/green")
	apply("--hub", "green", "--role", "S3_Pics,tags=team=a", "--external-id", "three")
	count(4, `"three"`) // one more for sts:TagSession
	request := trust.Request{Action: "sts:AssumeRole", Principal: trust.Principals{"AWS": {"arn:aws:iam::111122223333:role/green"}}}
	if d := policyIn(s, "S3_Pics").Explain(request); d.Allowed {
		t.Errorf("the older statement admits the hub without an external ID: %+v", d)
	}
	apply("--bucket", "more", "--external-id", "two")
	may := policyIn(s, "S3_Pics.crossrole").String()
	for _, bucket := range []string{"arn:aws:s3:::pics/*", "arn:aws:s3:::more/*"} {
		if !strings.Contains(may, bucket) {
			t.Errorf("no %s in %s", bucket, may)
		}
	}
	role("2008-10-17")
	text, _ := setupOf(t, hub)
	if changes, output, err := s.run(text, "444455556666"); err == nil || len(changes) > 0 || !strings.Contains(output, "the policy has the version 2008-10-17") {
		t.Errorf("a policy of the older version: %v, %v\n%s", err, changes, output)
	}
}

// Two service accounts of two clusters have a statement each in the trust policy of the
// target: a later set-up does not cut off an earlier one.
func TestSetupScriptKeepsOtherAssociations(t *testing.T) {
	for name, world := range map[string]string{"session policy": "pod-identity-session-policy", "external ID": "pod-identity"} {
		s := newScript(t)
		var ids []string
		for _, of := range [][2]string{{"prod", "default/app"}, {"prod", "default/other"}, {"test", "default/app"}} {
			id := "us-east-1/111122223333/" + of[0] + "/" + of[1]
			ids = append(ids, id)
			args := []string{"--cluster-name", of[0], "--service-account", of[1]}
			if name == "external ID" {
				args = append(args, "--external-id", id)
			}
			text, stderr := setupOf(t, worlds(t)[world], args...)
			if !strings.Contains(stderr, "a statement without an external ID") {
				t.Errorf("%s: no note about older statements: %s", name, stderr)
			}
			if _, output, err := s.run(text, "444455556666"); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, output)
			}
		}
		policy := policyIn(s, "S3_Pics")
		for _, id := range append(ids, "us-east-1/111122223333/prod/default/third") {
			want := id != "us-east-1/111122223333/prod/default/third"
			request := trust.Request{
				Action:    "sts:AssumeRole",
				Principal: trust.Principals{"AWS": {"arn:aws:iam::111122223333:role/crossrole-hub"}},
				Context:   map[string][]string{"sts:ExternalId": {id}},
			}
			if d := policy.Explain(request); d.Allowed != want {
				t.Errorf("%s: the target admits %s: %t, want %t: %s", name, id, d.Allowed, want, policy)
			}
		}
	}
}

// A later set-up does not remove a condition from the trust policy: not the external ID,
// and not what was added by hand. It does not print the external ID.
func TestSetupScriptKeepsConditions(t *testing.T) {
	all := worlds(t)
	mfa := func(policy string) string { // adds a condition to every statement
		return strings.ReplaceAll(policy, `"Action": "sts:AssumeRole"`, `"Action": "sts:AssumeRole", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}`)
	}
	const id = "us-east-1/111122223333/prod/default/app"
	for _, tt := range []struct {
		name          string
		world         world
		first, second []string
		edit          func(string) string
		key           string
	}{
		{"external ID", all["hub"], []string{"--external-id", "hush-1"}, nil, nil, "sts:ExternalId"},
		{"external ID and tags", all["hub"], []string{"--external-id", "hush-1"}, []string{"--role", "S3_Pics,tags=team=a"}, nil, "sts:ExternalId"},
		{"by hand", all["hub"], nil, []string{"--external-id", "hush-1"}, mfa, "aws:MultiFactorAuthPresent"},
		{"association", all["pod-identity"], []string{"--external-id", id}, nil, nil, "sts:ExternalId"},
		{"session policy", all["pod-identity-session-policy"], nil, nil, nil, "sts:ExternalId"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t)
			first, _ := setupOf(t, tt.world, tt.first...)
			if _, output, err := s.run(first, "444455556666"); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			if tt.edit != nil {
				s.write("bin/state/S3_Pics", tt.edit(s.read("bin/state/S3_Pics")))
			}
			second := tt.world
			if tt.name == "session policy" {
				second = all["pod-identity"]
			}
			before := s.read("bin/state/S3_Pics")
			text, _ := setupOf(t, second, tt.second...)
			changes, output, err := s.run(text, "444455556666")
			if err == nil || len(changes) > 0 || s.read("bin/state/S3_Pics") != before {
				t.Errorf("%v, it did %v; the trust policy is %s", err, changes, policyIn(s, "S3_Pics"))
			}
			for _, want := range []string{"role S3_Pics", policyIn(s, "S3_Pics").Statements[0].SID, tt.key} {
				if !strings.Contains(output, want) {
					t.Errorf("no %s in %s", want, output)
				}
			}
			if strings.Contains(output, "hush") || strings.Contains(output, id) {
				t.Errorf("it prints the external ID: %s", output)
			}
		})
	}
}

// policyIn returns the policy in a file of fakeAWS.
func policyIn(s script, file string) *trust.Policy {
	s.t.Helper()
	var document struct {
		Role           struct{ AssumeRolePolicyDocument *trust.Policy }
		PolicyDocument *trust.Policy
	}
	if err := json.Unmarshal([]byte(s.read("bin/state/"+file)), &document); err != nil {
		s.t.Fatal(err)
	}
	return cmp.Or(document.PolicyDocument, document.Role.AssumeRolePolicyDocument)
}

// An association that does what setup would not is left alone; one that only lacks
// something is updated.
func TestSetupScriptKeepsAnotherAssociation(t *testing.T) {
	const hub, target = "arn:aws:iam::111122223333:role/crossrole-hub", "arn:aws:iam::444455556666:role/S3_Pics"
	const theirs, restriction = "arn:aws:iam::111122223333:role/theirs", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}]}`
	type association struct {
		Role     string `json:"roleArn"`
		Target   string `json:"targetRoleArn,omitempty"`
		Untagged bool   `json:"disableSessionTags"`
		Policy   string `json:"policy,omitempty"`
	}
	all := worlds(t)
	for _, tt := range []struct {
		name, world string
		has         association
		want        string // in the error; empty: the script updates the association
	}{
		{"another role", "pod-identity", association{theirs, target, false, ""}, "an association with the role " + theirs},
		{"another target", "pod-identity", association{hub, theirs, false, ""}, "an association with the target role " + theirs},
		{"restricted", "pod-identity", association{hub, target, true, restriction}, "an association with another session policy"},
		{"restricted differently", "pod-identity-session-policy", association{hub, target, true, restriction}, "an association with another session policy"},
		{"not restricted yet", "pod-identity-session-policy", association{hub, target, false, ""}, ""},
		{"no target", "pod-identity", association{hub, "", false, ""}, ""},
		{"no tags", "pod-identity", association{hub, target, true, ""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t)
			text, err := json.Marshal(map[string]association{"association": tt.has})
			if err != nil {
				t.Fatal(err)
			}
			s.write("bin/state/association", string(text))
			script, _ := setupOf(t, all[tt.world])
			changes, output, err := s.run(script, "111122223333")
			updated := slices.Contains(changes, "eks:update-pod-identity-association")
			if (err == nil) != (tt.want == "") || updated != (tt.want == "") || !strings.Contains(output, tt.want) {
				t.Errorf("%v, it did %v\n%s", err, changes, output)
			}
			if changes, output, err := s.run(script, "111122223333"); tt.want == "" && (err != nil || len(changes) > 0) {
				t.Errorf("again: %v, it did %v\n%s", err, changes, output)
			}
		})
	}
}

// A CLI that requires a thumbprint gets one that no certificate has.
func TestSetupScriptForOlderCLI(t *testing.T) {
	s := newScript(t)
	s.write("bin/newer", fakeAWS)
	s.write("bin/aws", `#!/bin/sh
case "$*" in
*--thumbprint-list=*) ;;
"iam create-open-id-connect-provider "*)
  echo "aws: error: the following arguments are required: --thumbprint-list" >&2
  exit 252
  ;;
esac
exec "${0%/*}/newer" "$@"
`)
	text, _ := setupOf(t, worlds(t)["direct"])
	changes, output, err := s.run(text, "444455556666")
	if err != nil || !slices.Contains(changes, "iam:create-open-id-connect-provider") || strings.Contains(output, "error") {
		t.Errorf("%v, it did %v\n%s", err, changes, output)
	}
	if args := s.read("bin/args"); !strings.Contains(args, "--thumbprint-list="+strings.Repeat("0", 40)+"\x00") {
		t.Errorf("the thumbprint is not in %q", args)
	}
}

// Flags that have no meaning together are wrong usage, and the error names both.
func TestSetupRefusesCombinations(t *testing.T) {
	direct := []string{"--route", "direct", "--issuer", blueIssuer}
	hub := []string{"--route", "hub", "--issuer", blueIssuer, "--cluster-account", "111122223333"}
	pod := []string{"--route", "pod-identity", "--cluster-account", "111122223333"}
	prod := slices.Concat(pod, []string{"--cluster-name", "prod"})
	long := filepath.Join(t.TempDir(), "long.json")
	if err := os.WriteFile(long, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+strings.Repeat("x", 2000)+`"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		base, args []string
		want       []string
	}{
		{direct, []string{"--external-id", "hush"}, []string{"--external-id", "--route direct"}},
		{direct, []string{"--hub-pattern", "arn:aws:iam::111122223333:role/hub-*"}, []string{"--hub-pattern", "--route direct"}},
		{prod, []string{"--hub-pattern", "arn:aws:iam::111122223333:role/hub-*"}, []string{"--hub-pattern", "--route pod-identity"}},
		{hub, []string{"--session-policy", "x.json"}, []string{"--session-policy", "--route hub"}},
		{direct, []string{"--session-policy", "x.json"}, []string{"--session-policy", "--route direct"}},
		{hub, []string{"--cluster-name", "prod"}, []string{"--cluster-name", "--route hub"}},
		{direct, []string{"--cluster-name", "prod"}, []string{"--cluster-name", "--route direct"}},
		{hub, []string{"--inject", "policy"}, []string{"--inject", "--cluster eks"}},
		{hub, []string{"--inject", "policy", "--cluster", "eks"}, []string{"--inject", "--cluster eks"}},
		{prod, []string{"--cluster", "other"}, []string{"--cluster other", "--route pod-identity"}},
		{direct, []string{"--cluster-account", "111122223333"}, []string{"--cluster-account", "--route direct"}},
		{direct, []string{"--hub", "hub"}, []string{"--hub", "--route direct"}},
		{prod, []string{"--issuer", blueIssuer}, []string{"--issuer", "--route pod-identity"}},
		{hub, []string{"--cluster-account", "444455556666", "--hub", "same", "--role", "same"}, []string{"--hub same", "--role same", "444455556666"}},
		{hub, []string{"--cluster-account", "444455556666", "--hub", "s3_pics"}, []string{"--hub s3_pics", "--role S3_Pics"}},
		{prod, []string{"--cluster-account", "444455556666", "--role", "crossrole-hub"}, []string{"--hub crossrole-hub", "--role crossrole-hub"}},
		{hub, []string{"--cluster-account", "444455556666", "--hub-pattern", "arn:aws:iam::444455556666:role/hub-*", "--hub", "hub-1", "--role", "hub-1"}, []string{"--hub hub-1", "--role hub-1"}},
		{pod, nil, []string{"--route pod-identity", "--cluster-name"}},
		{hub, []string{"--format", ""}, []string{`--format ""`}},
		{hub, []string{"--format", "yaml"}, []string{`--format "yaml"`, "shell, terraform, json"}},
		{hub, []string{"--cluster", ""}, []string{`--cluster ""`}},
		{hub, []string{"--cluster", "other", "--inject", "webhook"}, []string{`--inject "webhook"`}},
		{hub, []string{"--out", ""}, []string{`--out ""`}},
		{hub, []string{"--external-id", ""}, []string{"--external-id is empty"}},
		{hub, []string{"--external-id", "hush!"}, []string{"external id (not shown)"}},
		{hub, []string{"--external-id", "hush", "--role", "S3_Pics,external-id=hush2"}, []string{"--external-id", "--role S3_Pics"}},
		{prod, []string{"--role", "S3_Pics,duration=1h"}, []string{"--role S3_Pics", "--route pod-identity"}},
		{prod, []string{"--external-id", "hush"}, []string{"--external-id", "--route pod-identity", "REGION/111122223333/prod/default/app"}},
		{prod, []string{"--role", "S3_Pics,external-id=hush"}, []string{"external-id", "--route pod-identity", "REGION/111122223333/prod/default/app"}},
		{prod, []string{"--external-id", "hush/111122223333/prod/default/app"}, []string{"--external-id", "--route pod-identity"}},
		{prod, []string{"--external-id", "us-east-1/111122223333/hush/default/app"}, []string{"--external-id", "--route pod-identity"}},
		{prod, []string{"--external-id", "cn-north-1/111122223333/prod/default/app", "--partition", "aws"}, []string{"--external-id", "--route pod-identity"}},
		{prod, []string{"--session-policy", long}, []string{"--session-policy", "long.json", "2048"}},
		{prod, []string{"--cluster-name", "a/b"}, []string{`--cluster-name "a/b"`}},
		{prod, []string{"--session-policy", "missing.json"}, []string{"--session-policy", "missing.json"}},
		{hub, []string{"--hub-pattern", ""}, []string{"--hub-pattern"}},
		{hub, []string{"--hub-pattern", "arn:aws:iam::111122223333:role/*"}, []string{"--hub-pattern", "every role"}},
		{hub, []string{"--hub-pattern", "arn:aws:iam::*:role/hub-*"}, []string{"--hub-pattern", "--cluster-account 111122223333"}},
		{hub, []string{"--hub-pattern", "arn:aws:iam::111122223333:role/hub-*", "--hub", "other"}, []string{"--hub-pattern", "--hub other"}},
		{hub, []string{"--hub-pattern", "arn:aws:iam::111122223333:role/hub-*"}, []string{"--hub-pattern", "--hub"}},
		{hub, []string{"--hub-pattern", "arn:aws:iam::111122223333:role/*-hub", "--hub", "blue-hub"}, []string{"--hub-pattern", "before the first wildcard"}},
		{hub, []string{"--hub-pattern", "arn:aws:iam::111122223333:role/?ub-*", "--hub", "hub-1"}, []string{"--hub-pattern", "before the first wildcard"}},
		{hub, []string{"--kms-key", "arn:aws:kms:us-east-1:444455556666:key/"}, []string{"--kms-key", "key/ID"}},
		{hub, []string{"--kms-key", "arn:aws:kms:us-east-1:444455556666:key/a\nb"}, []string{"--kms-key", "key/ID"}},
		{hub, []string{"--kms-key", "arn:aws:kms:us-east-1:444455556666:key/${aws:username}"}, []string{"--kms-key", "key/ID"}},
		{hub, []string{"--kms-key", "arn:aws:kms:*:444455556666:key/k"}, []string{"--kms-key", "key/ID"}},
		{hub, []string{"--kms-key", "arn:aws:kms:us-east-1:444455556666:key/k", "--kms-key", "arn:aws:kms:us-east-1:444455556666:key/k"}, []string{"--kms-key", "given twice"}},
		{hub, []string{"--issuer", "https://issuer.example/{a}"}, []string{"--issuer", "{a}"}},
		{hub, []string{"--issuer", "https://issuer.example/\"a"}, []string{"--issuer"}},
		{hub, []string{"--issuer", "https://issuer.example/é"}, []string{"--issuer"}},
		{hub, []string{"--bucket", "pics"}, []string{"--bucket pics"}},
		{hub, []string{"--issuer", blueIssuer}, []string{"--issuer " + blueIssuer}},
		{hub, []string{"--kms-key", "arn:aws:kms:us-east-1:444455556666:alias/pics"}, []string{"--kms-key", "alias"}},
		{[]string{"--route", "hub", "--cluster-account", "111122223333"}, nil, []string{"--route hub", "--issuer"}},
	} {
		args := slices.Concat([]string{"setup", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", "default/app"}, tt.base, tt.args)
		stdout, _, err := crossrole(t.Context(), args...)
		if !errors.As(err, new(usageError)) || stdout != "" || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v\n%s", args, err, stdout)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: no %s in: %v", args, want, err)
			}
		}
	}
}

// EKS may be named with the route that exists only there.
func TestSetupPodIdentityOnEKS(t *testing.T) {
	with, _ := setupOf(t, worlds(t)["pod-identity"], "--cluster", "eks")
	if without, _ := setupOf(t, worlds(t)["pod-identity"]); with != without {
		t.Errorf("--cluster eks makes a difference: %s", with)
	}
}

// The pod's region is that of the environment if it is a region of the partition.
func TestSetupRegion(t *testing.T) {
	for _, tt := range []struct{ region, partition, want, stderr string }{
		{"eu-west-1", "aws", "eu-west-1", ""},
		{"", "aws", "us-east-1", "AWS_REGION of the pod is us-east-1"},
		{"eu-west-1", "aws-cn", "cn-north-1", "AWS_REGION of the pod is cn-north-1"},
		{"cn-north-1", "aws", "us-east-1", "AWS_REGION of the pod is us-east-1"},
		{"bogus", "aws", "", `AWS_REGION is "bogus"`},
		{"us-east-1\n", "aws", "", "AWS_REGION"},
		{"${x}", "aws", "", "AWS_REGION"},
	} {
		t.Setenv("AWS_REGION", tt.region)
		for _, more := range [][]string{nil, {"--inject", "policy"}} {
			args := slices.Concat([]string{"setup", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", "default/app", "--partition", tt.partition, "--format", "json"}, worlds(t)["hub-other"].args, more)
			stdout, stderr, err := crossrole(t.Context(), args...)
			if tt.want == "" {
				if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), tt.stderr) || stdout != "" {
					t.Errorf("%q: %v\n%s", tt.region, err, stdout)
				}
				continue
			}
			if err != nil || !strings.Contains(stdout, `"`+tt.want+`"`) && !strings.Contains(stdout, `"\"`+tt.want+`\""`) || !strings.Contains(stderr, tt.stderr) || tt.stderr == "" && strings.Contains(stderr, "AWS_REGION") {
				t.Errorf("%q in %s: %v, no %s in\n%s\n%s", tt.region, tt.partition, err, tt.want, stdout, stderr)
			}
		}
	}
}

// With --out there is one file per account and purpose, and nothing else.
func TestSetupWritesFiles(t *testing.T) {
	for format, want := range map[string]string{
		"shell":     "111122223333-cluster.sh 444455556666-bucket.sh kubernetes.yaml",
		"terraform": "111122223333-cluster.tf 444455556666-bucket.tf kubernetes.yaml providers.tf",
		"json":      "kubernetes.yaml plan.json",
	} {
		dir := filepath.Join(t.TempDir(), "new")
		for range 2 { // the second run replaces the files
			if stdout, _ := setupOf(t, worlds(t)["hub"], "--format", format, "--out", dir); stdout != "" {
				t.Errorf("%s: with --out it prints %s", format, stdout)
			}
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil || len(text) == 0 {
				t.Errorf("%s: %v, %d bytes", e.Name(), err, len(text))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", format, got, want)
		}
	}
}

// Every file begins with a line that says where it is from. setup replaces its own files,
// but not those of other authors, nor the providers that the user completes.
func TestSetupKeepsFilesOfOthers(t *testing.T) {
	const mark = "# Written by crossrole setup"
	hub := worlds(t)["hub"]
	for format, names := range map[string][]string{
		"shell":     {"111122223333-cluster.sh", "444455556666-bucket.sh", "kubernetes.yaml"},
		"terraform": {"111122223333-cluster.tf", "444455556666-bucket.tf", "kubernetes.yaml"},
		"json":      {"plan.json", "kubernetes.yaml"},
	} {
		for _, name := range names {
			dir := t.TempDir()
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(`{"theirs": true}`), 0o600); err != nil {
				t.Fatal(err)
			}
			args := slices.Concat([]string{"setup", "--shared-account", "444455556666", "--bucket", "pics", "--service-account", "default/app", "--format", format, "--out", dir}, hub.args)
			_, stderr, err := crossrole(t.Context(), args...)
			entries, _ := os.ReadDir(dir)
			text, _ := os.ReadFile(file)
			if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "--out") || len(entries) != 1 || string(text) != `{"theirs": true}` {
				t.Errorf("%s: %v, %d files, it has %s\n%s", name, err, len(entries), text, stderr)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			setupOf(t, hub, "--format", format, "--out", dir)
			text, err = os.ReadFile(file)
			lines := strings.Split(string(text), "\n")
			if filepath.Ext(name) == ".json" {
				if !json.Valid(text) {
					t.Errorf("%s: no JSON: %s", name, text)
				}
			} else if err != nil || lines[0] != mark && (lines[0] != "#!/bin/sh" || lines[1] != mark) {
				t.Errorf("%s: %v, it begins with %q", name, err, lines[:2])
			}
			setupOf(t, hub, "--format", format, "--out", dir, "--bucket", "more")
			if again, err := os.ReadFile(file); err != nil || bytes.Equal(again, text) && strings.HasPrefix(name, "4") {
				t.Errorf("%s: %v, the second run leaves the file", name, err)
			}
		}
	}

	dir := t.TempDir()
	providers := filepath.Join(dir, "providers.tf")
	setupOf(t, hub, "--format", "terraform", "--out", dir)
	text, err := os.ReadFile(providers)
	if err != nil || !strings.HasPrefix(string(text), mark+"\n") {
		t.Errorf("%v, providers.tf is %s", err, text)
	}
	edited := string(text) + "# mine\n"
	if err := os.WriteFile(providers, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr := setupOf(t, hub, "--format", "terraform", "--out", dir)
	if now, err := os.ReadFile(providers); err != nil || string(now) != edited || !strings.Contains(stderr, providers+" exists") {
		t.Errorf("%v, providers.tf is %s\n%s", err, now, stderr)
	}
	if err := os.WriteFile(filepath.Join(dir, "999999999999-bucket.tf"), []byte("# theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr = setupOf(t, hub, "--format", "terraform", "--out", dir, "--shared-account", "777788889999")
	if old := filepath.Join(dir, "444455556666-bucket.tf"); !strings.Contains(stderr, old+" is from an earlier run") || strings.Contains(stderr, "999999999999-bucket.tf is") {
		t.Errorf("no note about %s in\n%s", old, stderr)
	}
}

// The configuration requires a provider that has its arguments.
func TestSetupRequiresProviderVersion(t *testing.T) {
	stdout, _ := setupOf(t, worlds(t)["pod-identity"], "--format", "terraform")
	if want := `version = ">= 6.2.0"`; !strings.Contains(stdout, want) {
		t.Errorf("no %s in\n%s", want, stdout)
	}
}

// Notes say which pods an admission policy changes, and what is missing on standard
// output.
func TestSetupNotesAboutInjection(t *testing.T) {
	inject := worlds(t)["hub-other-inject"]
	const reach, missing = "changes pods of every service account of the cluster with the annotation eks.amazonaws.com/role-arn", "the admission policy is only written with --out"
	for _, tt := range []struct {
		args           []string
		world          world
		reach, missing bool
	}{
		{nil, inject, true, false},
		{[]string{"--format", "json"}, inject, true, false},
		{[]string{"--format", "terraform"}, inject, true, true},
		{[]string{"--format", "terraform", "--out", t.TempDir()}, inject, true, false},
		{[]string{"--format", "terraform"}, worlds(t)["hub-other"], false, false},
	} {
		if _, stderr := setupOf(t, tt.world, tt.args...); strings.Contains(stderr, reach) != tt.reach || strings.Contains(stderr, missing) != tt.missing {
			t.Errorf("%q: %s", tt.args, stderr)
		}
	}
}

// Values with a meaning in HCL stay values.
func TestSetupEscapesForTerraform(t *testing.T) {
	stdout, _ := setupOf(t, worlds(t)["hub"], "--format", "terraform", "--prefix", "a${aws:username}%{if}\"\n$${x}")
	if m := regexp.MustCompile(`[^$%][$%]\{`).FindString(stdout); m != "" {
		t.Errorf("%q begins a template in\n%s", m, stdout)
	}
	if want := `"arn:aws:s3:::pics/a$${$}{aws:username}%%{if}\"\n$${$}$${$}{x}*"`; !strings.Contains(stdout, want) {
		t.Errorf("no %s in\n%s", want, stdout)
	}
}

// setup and trust warn before a trust policy is full.
func TestSetupWarnsOfSize(t *testing.T) {
	for clusters, want := range map[int]string{1: "", 3: "", 4: "before you add clusters", 5: "IAM rejects it unless you raise the quota", 25: "at most 8192"} {
		var issuers []string
		for i := range clusters {
			issuers = append(issuers, "--issuer", "https://oidc.eks.us-east-1.amazonaws.com/id/"+strings.Repeat(string(rune('A'+i)), 32))
		}
		for _, command := range [][]string{
			{"setup", "--cluster-account", "111122223333", "--shared-account", "444455556666", "--bucket", "pics"},
			{"trust", "token", "--account", "111122223333"},
		} {
			args := slices.Concat(command, []string{"--service-account", "default/s3-shared-content"}, issuers)
			_, stderr, err := crossrole(t.Context(), args...)
			if clusters > 20 {
				if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), want) {
					t.Errorf("%d clusters: %v", clusters, err)
				}
				continue
			}
			warned := strings.Contains(stderr, "characters")
			if err != nil || warned != (want != "") || !strings.Contains(stderr, want) || warned && !strings.Contains(stderr, "--hub-pattern") {
				t.Errorf("%d clusters, %s: %v, it warns %q, want %q", clusters, command[0], err, stderr, want)
			}
		}
	}
}

// The longer the name of the service account, the longer the policy: the first warning comes
// at 80% of the characters that IAM allows by default.
func TestSetupWarnsFromEightyPercent(t *testing.T) {
	run := func(length int) (size int, warned bool) {
		args := []string{"setup", "--format", "json", "--cluster-account", "111122223333", "--shared-account", "444455556666", "--bucket", "pics",
			"--service-account", "default/" + strings.Repeat("a", length)}
		for i := range 3 {
			args = append(args, "--issuer", fmt.Sprintf("https://oidc.eks.us-east-1.amazonaws.com/id/%032X", i))
		}
		stdout, stderr, err := crossrole(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return hubPolicySize(t, stdout), strings.Contains(stderr, "before you add clusters")
	}
	first := sort.Search(200, func(length int) bool { _, warned := run(length + 1); return warned }) + 1
	size, _ := run(first)
	before, _ := run(first - 1)
	if limit := trust.MaxTrustPolicySize * 8 / 10; size < limit || before > limit {
		t.Errorf("the first warning comes at %d characters, not yet at %d; want it at %d", size, before, limit)
	}
}

// hubPolicySize returns the size of the first role's trust policy in setup's JSON.
func hubPolicySize(t *testing.T, stdout string) int {
	t.Helper()
	var plan struct {
		Accounts []struct {
			Roles []struct{ TrustPolicy trust.Policy }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &plan); err != nil {
		t.Fatal(err)
	}
	return plan.Accounts[0].Roles[0].TrustPolicy.Size()
}
