package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"sigs.k8s.io/yaml"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/programs"
	"github.com/crossrole/crossrole/e2e/served"
	"github.com/crossrole/crossrole/trust"
)

// The accounts that the scripts of crossrole setup set up, by the AWS CLI, and the pod
// that then uses the route as the printed Kubernetes objects say.

// theirStatement is a statement that another author wrote, in any policy.
const theirStatement = `{"Sid":"Theirs","Effect":"Allow",%s}`

var (
	theirTrust  = fmt.Sprintf(`{"Version":"2012-10-17","Statement":`+theirStatement+`}`, `"Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"`)
	theirPolicy = fmt.Sprintf(`{"Version":"2012-10-17","Statement":`+theirStatement+`}`, `"Action":"s3:ListAllMyBuckets","Resource":"*"`)
)

// setupScene is two accounts with a cluster, buckets and an administrator each.
type setupScene struct {
	cloud       *awstest.Cloud
	url, region string
	cluster     *awstest.Cluster
	dev, shared *awstest.Account
	buckets     []*awstest.Bucket
	eks         *eks
	program     string // crossrole
	bin         string // a directory with the aws that the scripts call
	aws         string // the AWS CLI
}

func newSetupScene(t *testing.T, partition string) *setupScene {
	t.Helper()
	programs.Find(t, "jq", "install the Debian package jq")
	s := &setupScene{aws: programs.AWS(t), program: served.Command(t), bin: t.TempDir(), cloud: awstest.New()}
	if partition != "" {
		s.cloud.SetPartition(partition)
	}
	s.region = s.cloud.Config().Region
	s.cluster, s.dev, s.shared = s.cloud.Cluster(issuer), s.cloud.Account(devID), s.cloud.Account(sharedID)
	for _, name := range []string{bucket, "more"} {
		b := s.shared.CreateBucket(name)
		b.Put("in/"+key, []byte(photo))
		b.Put("out/"+key, []byte(photo))
		s.buckets = append(s.buckets, b)
	}
	s.eks = newEKS(t, s)
	s.url = s.cloud.Serve(t)
	// Older versions of the CLI know no AWS_ENDPOINT_URL.
	wrapper := "#!/bin/sh\n" + s.eks.standIn + "exec \"$AWS_PROGRAM\" --endpoint-url \"$ENDPOINT\" \"$@\"\n"
	if err := os.WriteFile(filepath.Join(s.bin, "aws"), []byte(wrapper), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Cleanup(func() { (&world{cloud: s.cloud}).report(t) })
	return s
}

// iam returns a client of IAM with the keys of the account's administrator.
func (s *setupScene) iam(account *awstest.Account) *iam.Client {
	cfg, admin := s.cloud.Config(), account.AdminKey()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(admin.AccessKeyID, admin.SecretAccessKey, "")
	return iam.NewFromConfig(cfg)
}

// addTheirs creates a role that another author uses: it has a trust policy, a policy of
// the name that setup uses, and one of another name.
func (s *setupScene) addTheirs(t *testing.T, account *awstest.Account, role string) {
	t.Helper()
	client := s.iam(account)
	_, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: &theirTrust})
	for _, name := range []string{"crossrole", "theirs"} {
		_, putErr := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &theirPolicy})
		err = errors.Join(err, putErr)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// state returns what the accounts contain, as text.
func (s *setupScene) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	show := func(v any, err error) {
		text, jsonErr := json.Marshal(v)
		if err := errors.Join(err, jsonErr); err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	for _, account := range []*awstest.Account{s.dev, s.shared} {
		client := s.iam(account)
		providers, err := client.ListOpenIDConnectProviders(t.Context(), &iam.ListOpenIDConnectProvidersInput{})
		show(account.ID(), err)
		for _, p := range providers.OpenIDConnectProviderList {
			got, err := client.GetOpenIDConnectProvider(t.Context(), &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: p.Arn})
			show([]any{*p.Arn, got.ClientIDList, got.ThumbprintList, got.CreateDate}, err)
		}
		roles, err := client.ListRoles(t.Context(), &iam.ListRolesInput{})
		show("roles", err)
		for _, r := range roles.Roles {
			got, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: r.RoleName})
			show(got.Role, err)
			names, err := client.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: r.RoleName})
			show(names.PolicyNames, err)
			for _, name := range names.PolicyNames {
				policy, err := client.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: r.RoleName, PolicyName: &name})
				show(*policy.PolicyDocument, err)
			}
		}
	}
	show(s.eks.all(t), nil)
	return b.String()
}

// trustOf returns the trust policy of a role.
func (s *setupScene) trustOf(ctx context.Context, account *awstest.Account, role string) (*trust.Policy, error) {
	got, err := s.iam(account).GetRole(ctx, &iam.GetRoleInput{RoleName: &role})
	if err != nil {
		return nil, err
	}
	return parseIAM(*got.Role.AssumeRolePolicyDocument)
}

// setup prints the script of a route.
func (s *setupScene) setup(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.program, append([]string{"setup", "--shared-account", sharedID, "--service-account", "default/app"}, args...)...)
	cmd.Env = programs.Alone(t, "AWS_REGION="+s.region)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("crossrole setup %q: %v\n%s", args, err, &stderr)
	}
	return string(out)
}

// apply runs a script with the keys of an account's administrator.
func (s *setupScene) apply(t *testing.T, script string, account *awstest.Account) (string, error) {
	t.Helper()
	admin := account.AdminKey()
	return s.shell(t, script, nil,
		"AWS_ACCESS_KEY_ID="+admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+admin.SecretAccessKey, "EKS_STATE="+s.eks.dir)
}

func (s *setupScene) shell(t *testing.T, script string, args []string, env ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "setup.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{file}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = programs.Alone(t, append(env, "PATH="+s.bin+":"+os.Getenv("PATH"), "AWS_PROGRAM="+s.aws, "ENDPOINT="+s.url,
		"AWS_REGION="+s.region, "AWS_DEFAULT_REGION="+s.region)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustApply runs a script that must succeed.
func (s *setupScene) mustApply(t *testing.T, script string, accounts ...*awstest.Account) {
	t.Helper()
	for _, account := range accounts {
		if out, err := s.apply(t, script, account); err != nil {
			t.Fatalf("the script in account %s: %v\n%s", account.ID(), err, out)
		}
	}
}

// objects are the Kubernetes objects of a script, as far as the suite needs them.
type objects struct {
	role string            // by the annotation or, on other clusters, by the pod's spec
	env  map[string]string // of the pod
	args []string          // of the pod's doctor
}

func (s *setupScene) objects(t *testing.T, script string) objects {
	t.Helper()
	text, err := s.shell(t, script, []string{"kubernetes"})
	if err != nil {
		t.Fatalf("the script with the argument kubernetes: %v\n%s", err, text)
	}
	o := objects{env: map[string]string{}}
	for document := range strings.SplitSeq(text, "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Annotations map[string]string }
			Spec     struct {
				Containers []struct {
					Args []string
					Env  []struct{ Name, Value string }
				}
			}
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		switch object.Kind {
		case "ServiceAccount":
			o.role = object.Metadata.Annotations["eks.amazonaws.com/role-arn"]
		case "Pod":
			o.args = object.Spec.Containers[0].Args
			for _, v := range object.Spec.Containers[0].Env {
				o.env[v.Name] = v.Value
			}
		}
	}
	if o.role == "" {
		o.role = o.env["AWS_ROLE_ARN"]
	}
	if len(o.args) == 0 || o.args[0] != "doctor" {
		t.Fatalf("no pod with crossrole doctor in\n%s", text)
	}
	return o
}

// doctor runs the pod's crossrole doctor as a service account. It reads an object of the
// bucket.
func (s *setupScene) doctor(t *testing.T, o objects, serviceAccount, key string) verdict {
	t.Helper()
	env := []string{"AWS_ENDPOINT_URL=" + s.url, "AWS_ENDPOINT_URL_STS=" + s.url}
	if o.role != "" {
		pod := s.cluster.Pod(t.TempDir(), "default", serviceAccount, o.role)
		env = append(env, pod.Env()...)
	} else {
		env = append(env, s.eks.agent(t, serviceAccount)...)
	}
	env = append(env, "AWS_REGION="+s.region)
	return runDoctor(t, s.program, env, append(o.args, "--json", "--key", key)...)
}

// keyIn returns a client for a key of awstest, for the requests that EKS itself makes.
func (s *setupScene) keyIn(key aws.Credentials) aws.Config {
	cfg := s.cloud.Config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, key.SessionToken)
	return cfg
}
