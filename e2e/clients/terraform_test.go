package clients_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/crossrole/crossrole/e2e/programs"
	"github.com/crossrole/crossrole/e2e/served"
	"github.com/crossrole/crossrole/trust"
)

// The Terraform configuration of crossrole setup: HCL's own parser reads it, and its
// policies admit what the route needs and nothing else. terraformmodule_test.go reads a
// module.

// otherIssuer is of a cluster outside EKS.
const otherIssuer = "https://oidc.example.com/green"

// Texts with everything that is special in a string of HCL.
const (
	hostilePrefix = "in/${path.module}/%{ if true }\"\\n*\n\té$/"
	hostilePolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":["arn:%s:s3:::pics","arn:%[1]s:s3:::pics/${aws:PrincipalTag/team}/%%{ if true }\"\\*$${"]}}`
)

const hub1 = "hub-1"

// configuration is a setup and what the route then needs.
type configuration struct {
	route, cluster, role string
	duration             int64 // seconds, the target's maximum
	tags, sourceIdentity bool  // of the session of the target

	args          []string
	partition     string
	region        string // one of the partition
	externalID    string // that the target requires; empty: none
	kmsKey        string
	prefix        string
	buckets       []string
	hubPattern    bool
	sessionPolicy string
}

// option is a flag, and what it changes.
type option struct {
	flag   string
	routes string // that have it
	apply  func(t *testing.T, c *configuration) []string
}

// options are in the order in which they apply: ARNs need the partition.
var options = []option{
	{"--partition", "hub direct pod-identity", func(_ *testing.T, c *configuration) []string {
		c.partition, c.region = "aws-cn", "cn-north-1"
		return []string{c.partition}
	}},
	{"--external-id", "hub pod-identity", func(_ *testing.T, c *configuration) []string {
		c.externalID = c.sentByEKS()
		return []string{c.externalID}
	}},
	{"--kms-key", "hub direct pod-identity", func(_ *testing.T, c *configuration) []string {
		c.kmsKey = "arn:" + c.partition + ":kms:" + c.region + ":" + sharedID + ":key/1234abcd-12ab-34cd-56ef-1234567890ab"
		return []string{c.kmsKey}
	}},
	{"--prefix", "hub direct pod-identity", func(_ *testing.T, c *configuration) []string {
		c.prefix = hostilePrefix
		return []string{c.prefix}
	}},
	{"--bucket", "hub direct pod-identity", func(_ *testing.T, c *configuration) []string {
		c.buckets = append(c.buckets, "more", "most")
		return []string{"more", "--bucket", "most"}
	}},
	{"--hub-pattern", "hub", func(_ *testing.T, c *configuration) []string {
		c.hubPattern = true
		return []string{c.roleARN(devID, "hub-*")}
	}},
	{"--session-policy", "pod-identity", func(t *testing.T, c *configuration) []string {
		c.sessionPolicy = fmt.Sprintf(hostilePolicy, c.partition)
		c.tags = false
		if c.externalID == "" {
			c.externalID = c.sentByEKS()
		}
		file := filepath.Join(t.TempDir(), "policy.json")
		if err := os.WriteFile(file, []byte(c.sessionPolicy), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{file}
	}},
}

// Every route, with every set of the options that it has.
func TestClientsTerraform(t *testing.T) {
	program := served.Command(t)
	issuers := []string{"--issuer", issuer, "--issuer", otherIssuer}
	hub := []string{"--cluster-account", devID, "--hub", hub1}
	for _, base := range []configuration{
		{route: "hub", cluster: "eks", role: "S3_Pics", duration: 3600, args: slices.Concat(hub, issuers)},
		{route: "hub", cluster: "other", role: "S3_Pics,tags=team=a,source-identity=me", duration: 3600, tags: true, sourceIdentity: true, args: slices.Concat(hub, issuers)},
		{route: "direct", cluster: "eks", role: "S3_Pics", duration: 3600, args: issuers},
		{route: "direct", cluster: "other", role: "S3_Pics,duration=12h", duration: 12 * 3600, args: issuers},
		{route: "pod-identity", cluster: "eks", role: "S3_Pics", duration: 3600, tags: true, args: append([]string{"--cluster-name", clusterName}, hub...)},
	} {
		t.Run(base.route+" "+base.cluster, func(t *testing.T) {
			t.Parallel()
			var applicable []option
			for _, o := range options {
				if slices.Contains(strings.Fields(o.routes), base.route) {
					applicable = append(applicable, o)
				}
			}
			for set := range uint(1) << len(applicable) {
				c := base
				c.partition, c.region, c.buckets = "aws", "us-east-1", []string{bucket}
				c.args = append([]string{"--route", c.route, "--cluster", c.cluster, "--role", c.role, "--bucket", bucket}, c.args...)
				var given []string
				for i, o := range applicable {
					if set&(1<<i) != 0 {
						c.args = append(append(c.args, o.flag), o.apply(t, &c)...)
						given = append(given, o.flag)
					}
				}
				t.Run(strings.Join(given, " "), func(t *testing.T) {
					// Each option is in some configurations that are printed and in
					// some that are files.
					m := readModule(t, c.partition, setupTerraform(t, program, c.args, bits.OnesCount(set)%2 == 0))
					switch c.route {
					case "hub":
						c.checkTokens(t, m, m.role(t, devID, hub1))
						c.checkHop(t, m)
					case "direct":
						c.checkTokens(t, m, m.role(t, sharedID, "S3_Pics"))
					case "pod-identity":
						c.checkAssociation(t, m)
						c.checkHop(t, m)
					}
					c.checkReads(t, m.role(t, sharedID, "S3_Pics"))
				})
			}
		})
	}
}

// setupTerraform returns the files of a configuration, by name.
func setupTerraform(t *testing.T, program string, args []string, printed bool) map[string]string {
	t.Helper()
	args = append([]string{"setup", "--format", "terraform", "--shared-account", sharedID, "--service-account", "default/app"}, args...)
	dir := t.TempDir()
	if !printed {
		args = append(args, "--out", dir)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = programs.Alone(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("crossrole %q: %v\n%s", args, err, &stderr)
	}
	if printed {
		return map[string]string{"standard output": string(out)}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(out) != 0 {
		t.Fatalf("%v; with --out it also prints %q", err, out)
	}
	files := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(text)
	}
	return files
}

// sentByEKS returns the external ID that EKS sends for the service account.
func (c *configuration) sentByEKS() string {
	return c.region + "/" + devID + "/" + clusterName + "/default/app"
}

func (c *configuration) roleARN(account, name string) string {
	return "arn:" + c.partition + ":iam::" + account + ":role/" + name
}

// explain reports a policy that decides a request otherwise.
func explain(t *testing.T, what string, policy *trust.Policy, r trust.Request, want bool) {
	t.Helper()
	if d := policy.Explain(r); d.Allowed != want {
		t.Errorf("%s: allowed is %t, want %t, for %+v by\n%s", what, d.Allowed, want, r, policy)
	}
}

// checkTokens checks the role that a token is exchanged for: it admits the service
// account's tokens of every issuer that the module registers, and no others.
func (c *configuration) checkTokens(t *testing.T, m *module, role moduleRole) {
	t.Helper()
	registered := m.of("aws_iam_openid_connect_provider")
	var urls []string
	for _, provider := range registered {
		urls = append(urls, provider.text(t, "url"))
		if ids := provider.texts(t, "client_id_list"); provider.account != role.account || !slices.Equal(ids, []string{"sts.amazonaws.com"}) {
			t.Errorf("%s is in account %s with the client IDs %q", provider.name, provider.account, ids)
		}
	}
	slices.Sort(urls)
	if want := []string{issuer, otherIssuer}; !slices.Equal(urls, want) {
		t.Errorf("the module registers %q, want %q", urls, want)
	}
	token := func(provider, url, subject, audience string) trust.Request {
		host := strings.TrimPrefix(url, "https://")
		return trust.Request{
			Action:    "sts:AssumeRoleWithWebIdentity",
			Principal: trust.Principals{"Federated": {provider}},
			Context:   map[string][]string{host + ":sub": {subject}, host + ":aud": {audience}},
		}
	}
	const app, sts = "system:serviceaccount:default:app", "sts.amazonaws.com"
	for _, provider := range registered {
		arn, url := m.arn(t, provider), provider.text(t, "url")
		explain(t, "a token of "+url, role.trust, token(arn, url, app, sts), true)
		for _, subject := range []string{"system:serviceaccount:default:other", "system:serviceaccount:other:app", app + "2", ""} {
			explain(t, "another subject", role.trust, token(arn, url, subject, sts), false)
		}
		explain(t, "another audience", role.trust, token(arn, url, app, "vault"), false)
		explain(t, "another issuer", role.trust, token(arn+"2", url+"2", app, sts), false)
		explain(t, "the provider of another account", role.trust, token(strings.Replace(arn, role.account, "999999999999", 1), url, app, sts), false)
	}
	explain(t, "an issuer's claims with another issuer's token", role.trust, token(m.arn(t, registered[0]), registered[1].text(t, "url"), app, sts), false)
	explain(t, "a role", role.trust, c.hop("sts:AssumeRole", role.account, "admin", ""), false)
}

// hop returns a request of a role's session in an account to assume the target.
func (c *configuration) hop(action, account, name, externalID string) trust.Request {
	arn := c.roleARN(account, name)
	r := trust.Request{
		Action: action,
		Principal: trust.Principals{"AWS": {
			"arn:" + c.partition + ":sts::" + account + ":assumed-role/" + name + "/pod", arn, "arn:" + c.partition + ":iam::" + account + ":root",
		}},
		Context: map[string][]string{"aws:PrincipalArn": {arn}},
	}
	if externalID != "" {
		r.Context["sts:ExternalId"] = []string{externalID}
	}
	return r
}

// checkHop checks that the hub may assume the target and no other role, and that no other
// role may, nor the hub with another external ID.
func (c *configuration) checkHop(t *testing.T, m *module) {
	t.Helper()
	hub, target := m.role(t, devID, hub1), m.role(t, sharedID, "S3_Pics")
	for action, needed := range map[string]bool{"sts:AssumeRole": true, "sts:TagSession": c.tags, "sts:SetSourceIdentity": c.sourceIdentity} {
		explain(t, "the hub's policy", hub.policy, trust.Request{Action: action, Resource: c.roleARN(sharedID, "S3_Pics")}, needed)
		explain(t, "another role by the hub's policy", hub.policy, trust.Request{Action: action, Resource: c.roleARN(sharedID, "S3_Pics2")}, false)
		explain(t, "the hub", target.trust, c.hop(action, devID, hub1, c.externalID), needed)
		explain(t, "another hub", target.trust, c.hop(action, devID, "hub-2", c.externalID), needed && c.hubPattern)
		explain(t, "another role", target.trust, c.hop(action, devID, "admin", c.externalID), false)
		explain(t, "the role of another account", target.trust, c.hop(action, "999999999999", hub1, c.externalID), false)
	}
	explain(t, "another external ID", target.trust, c.hop("sts:AssumeRole", devID, hub1, "another"), c.externalID == "")
	explain(t, "no external ID", target.trust, c.hop("sts:AssumeRole", devID, hub1, ""), c.externalID == "")
	// IAM refuses a trust policy that names a role which does not exist yet.
	if !c.hubPattern && !slices.Contains(target.resource.after, hub.resource.name) {
		t.Errorf("%s does not depend on %s", target.resource.name, hub.resource.name)
	}
	if got := hub.resource.number(t, "max_session_duration"); got != 3600 {
		t.Errorf("the hub's sessions last %d s", got)
	}
}

// checkAssociation checks the association of the service account, and that EKS may
// assume the hub for it and for no other.
func (c *configuration) checkAssociation(t *testing.T, m *module) {
	t.Helper()
	associations := m.of("aws_eks_pod_identity_association")
	if len(associations) != 1 || associations[0].account != devID {
		t.Fatalf("%d associations, want one in account %s", len(associations), devID)
	}
	a := associations[0]
	for name, want := range map[string]string{
		"cluster_name": clusterName, "namespace": "default", "service_account": "app",
		"role_arn": c.roleARN(devID, hub1), "target_role_arn": c.roleARN(sharedID, "S3_Pics"),
	} {
		if got := a.text(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := a.values["disable_session_tags"]; got.RawEquals(cty.True) == c.tags {
		t.Errorf("disable_session_tags is %#v", got)
	}
	if _, has := a.values["policy"]; has != (c.sessionPolicy != "") {
		t.Errorf("the association has a policy: %t", has)
	} else if has {
		got, err := trust.ParsePolicy([]byte(a.text(t, "policy")))
		if err == nil {
			err = got.ValidateIdentity()
		}
		want, wantErr := trust.ParsePolicy([]byte(c.sessionPolicy))
		if err != nil || wantErr != nil || got.String() != want.String() {
			t.Errorf("%v, %v: the session policy is\n%s\nwant\n%s", err, wantErr, got, want)
		}
	}

	hub := m.role(t, devID, hub1)
	agent := func(action, service string, changed map[string]string) trust.Request {
		values := map[string]string{
			"aws:SourceAccount": devID, "aws:SourceArn": "arn:" + c.partition + ":eks:" + c.region + ":" + devID + ":cluster/" + clusterName,
		}
		if c.tags {
			values["aws:RequestTag/eks-cluster-name"] = clusterName
			values["aws:RequestTag/kubernetes-namespace"] = "default"
			values["aws:RequestTag/kubernetes-service-account"] = "app"
		}
		maps.Copy(values, changed)
		r := trust.Request{Action: action, Principal: trust.Principals{"Service": {service}}, Context: map[string][]string{}}
		for name, value := range values {
			r.Context[name] = []string{value}
		}
		return r
	}
	const eks = "pods.eks.amazonaws.com"
	explain(t, "EKS", hub.trust, agent("sts:AssumeRole", eks, nil), true)
	explain(t, "EKS with tags", hub.trust, agent("sts:TagSession", eks, nil), c.tags)
	explain(t, "another service", hub.trust, agent("sts:AssumeRole", "ec2.amazonaws.com", nil), false)
	others := []map[string]string{
		{"aws:SourceAccount": "999999999999"}, {"aws:SourceArn": "arn:" + c.partition + ":eks:" + c.region + ":" + devID + ":cluster/another"},
	}
	if c.tags {
		others = []map[string]string{
			{"aws:RequestTag/eks-cluster-name": "another"}, {"aws:RequestTag/kubernetes-namespace": "other"}, {"aws:RequestTag/kubernetes-service-account": "other"},
		}
	}
	for _, other := range others {
		explain(t, fmt.Sprint(other), hub.trust, agent("sts:AssumeRole", eks, other), false)
	}
	explain(t, "a role", hub.trust, c.hop("sts:AssumeRole", devID, "admin", ""), false)
}

// checkReads checks what the target may do: list and read what begins with the prefix.
func (c *configuration) checkReads(t *testing.T, target moduleRole) {
	t.Helper()
	if got := target.resource.number(t, "max_session_duration"); got != c.duration {
		t.Errorf("the target's sessions last %d s, want %d", got, c.duration)
	}
	s3 := "arn:" + c.partition + ":s3:::"
	get := func(name, key string) trust.Request {
		return trust.Request{Action: "s3:GetObject", Resource: s3 + name + "/" + key}
	}
	list := func(name, prefix string) trust.Request {
		return trust.Request{Action: "s3:ListBucket", Resource: s3 + name, Context: map[string][]string{"s3:prefix": {prefix}}}
	}
	wildcard := strings.ReplaceAll(c.prefix, "*", "any")
	for _, name := range c.buckets {
		explain(t, "an object", target.policy, get(name, c.prefix+key), true)
		explain(t, "a list", target.policy, list(name, c.prefix), true)
		for _, other := range []string{"out/", wildcard} {
			explain(t, "an object elsewhere", target.policy, get(name, other+key), c.prefix == "")
			explain(t, "a list elsewhere", target.policy, list(name, other), c.prefix == "")
		}
		explain(t, "a write", target.policy, trust.Request{Action: "s3:PutObject", Resource: s3 + name + "/" + c.prefix + key}, false)
	}
	explain(t, "another bucket", target.policy, get("another", c.prefix+key), false)
	explain(t, "a list of another bucket", target.policy, list("another", c.prefix), false)
	decrypt := func(key string) trust.Request { return trust.Request{Action: "kms:Decrypt", Resource: key} }
	if c.kmsKey != "" {
		explain(t, "the key", target.policy, decrypt(c.kmsKey), true)
	}
	explain(t, "another key", target.policy, decrypt("arn:"+c.partition+":kms:"+c.region+":"+sharedID+":key/00000000-12ab-34cd-56ef-1234567890ab"), false)
}

// A module with one fault is refused, so that TestClientsTerraform can fail.
func TestClientsTerraformFaults(t *testing.T) {
	t.Parallel()
	const good = `provider "aws" {
  alias               = "a"
  allowed_account_ids = ["` + devID + `"]
}
resource "aws_iam_role" "hub" {
  provider           = aws.a
  name               = "hub-1"
  assume_role_policy = jsonencode({ "Version" : "2012-10-17", "Statement" : [] })
}
resource "aws_iam_role_policy" "hub" {
  provider   = aws.a
  name       = "crossrole"
  role       = aws_iam_role.hub.name
  policy     = jsonencode({})
  depends_on = [aws_iam_role.hub]
}
`
	if _, err := parseModule("aws", map[string]string{"good": good}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, text, want string }{
		{"name       =", "policy_name =", `no argument "policy_name"`},
		{"  policy     = jsonencode({})\n", "", `needs "policy"`},
		{"depends_on = [", "inline_policy {}\ndepends_on = [", `no block "inline_policy"`},
		{"aws_iam_role.hub.name", "aws_iam_role.target.name", "no block aws_iam_role.target"},
		{"aws_iam_role.hub.name", "aws_iam_role.hub.role_name", `no attribute "role_name"`},
		{"aws_iam_role.hub.name", "local.hub", "local.hub"},
		{"[aws_iam_role.hub]", "[aws_iam_role.target]", "no block aws_iam_role.target"},
		{"provider           = aws.a", "provider = aws.b", "no provider aws.b"},
		{"provider           = aws.a\n", "\n", "no provider"},
		{`"aws_iam_role" "hub"`, `"aws_iam_rule" "hub"`, "aws_iam_rule"},
		{`resource "aws_iam_role" "hub"`, `data "aws_iam_role" "hub"`, `"data"`},
		{`"hub-1"`, `"hub-${1"`, "good:"},
		{`"hub-1"`, `"hub-${hub}"`, "hub"},
		{"jsonencode({})", `file("policy.json")`, "file"},
		{`resource "aws_iam_role_policy" "hub"`, `resource "aws_iam_role" "hub"`, "twice"},
	} {
		text := strings.Replace(good, tt.old, tt.text, 1)
		if _, err := parseModule("aws", map[string]string{"good": text}); text == good || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want an error with %q", tt.text, err, tt.want)
		}
	}
}
