package clients_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
)

// The scripts of crossrole setup, run by sh with the AWS CLI and jq.

// setupCase is a set-up, and a change that must close its route.
type setupCase struct {
	name      string
	args      []string
	partition string
	theirs    []string // roles that another author already uses
	closed    func(*objects)
	denied    string   // a key that it must not read; empty: any may be read
	again     []string // further flags, for a second cluster that needs nothing in the account of the bucket
}

const hubName = "crossrole-hub"

var (
	hubArgs    = []string{"--route", "hub", "--issuer", issuer, "--cluster-account", devID}
	directArgs = []string{"--route", "direct", "--issuer", issuer}
	podArgs    = []string{"--route", "pod-identity", "--cluster-account", devID, "--cluster-name", clusterName}
)

func setupCases() []setupCase {
	with := func(args []string, more ...string) []string { return slices.Concat(args, more) }
	const green = "https://oidc.eks.us-east-1.amazonaws.com/id/GREEN"
	return []setupCase{
		{name: "hub", args: with(hubArgs, "--issuer", green), theirs: []string{"S3_Pics"}},
		{
			name: "hub other external-id", args: with(hubArgs, "--cluster", "other", "--external-id", "pics-2026", "--role", "S3_Pics,tags=team=a", "--bucket", "more", "--prefix", "in/"),
			theirs: []string{"S3_Pics"}, denied: "out/" + key,
			closed: func(o *objects) { replace(o.args, "external-id=pics-2026", "external-id=another") },
		},
		{
			name: "hub other inject China pattern", partition: "aws-cn", theirs: []string{"hub-1"},
			args:   with(hubArgs, "--cluster", "other", "--inject", "policy", "--partition", "aws-cn", "--hub", "hub-1", "--hub-pattern", "arn:aws-cn:iam::"+devID+":role/hub-*"),
			closed: func(o *objects) { o.role = strings.Replace(o.role, "hub-1", "another", 1) },
			again:  []string{"--hub", "hub-2"},
		},
		{name: "direct", args: with(directArgs, "--role", "S3_Pics,duration=12h"), theirs: []string{"S3_Pics"}},
		{name: "direct other", args: with(directArgs, "--cluster", "other", "--prefix", "in/"), denied: "out/" + key},
		{name: "pod-identity", args: podArgs, theirs: []string{hubName, "S3_Pics"}},
		{
			name: "pod-identity external-id", args: with(podArgs, "--external-id", "us-east-1/"+devID+"/prod/default/app"),
		},
		{name: "pod-identity session policy", args: with(podArgs, "--session-policy", "RESTRICTION"), denied: "out/" + key},
	}
}

func replace(args []string, old, text string) {
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], old, text)
	}
}

// A script of every route sets up the accounts, keeps what others wrote, changes nothing
// when it runs again, and then the pod reads. With one condition wrong it does not.
func TestClientsSetup(t *testing.T) {
	for _, c := range setupCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSetupScene(t, c.partition)
			restriction := filepath.Join(t.TempDir(), "restriction.json")
			if err := os.WriteFile(restriction, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/in/*"]},{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}]}`), 0o600); err != nil {
				t.Fatal(err)
			}
			replace(c.args, "RESTRICTION", restriction)
			// The objects are encrypted with the key: a role without it reads nothing.
			kmsKey := s.shared.CreateKMSKey("")
			for _, b := range s.buckets {
				b.SetDefaultKMSKey(kmsKey)
				for _, name := range []string{"in/" + key, "out/" + key} {
					b.Put(name, []byte(photo))
				}
			}
			for _, role := range c.theirs {
				account := s.dev
				if role == "S3_Pics" {
					account = s.shared
				}
				s.addTheirs(t, account, role)
			}
			setup := func(more ...string) string {
				t.Helper()
				return s.setup(t, slices.Concat([]string{"--bucket", bucket, "--kms-key", kmsKey.ARN()}, c.args, more)...)
			}
			script := setup()
			accounts := []*awstest.Account{s.dev, s.shared}
			if strings.HasPrefix(c.name, "direct") {
				accounts = accounts[1:]
			}
			s.mustApply(t, script, accounts...)
			state := s.state(t)
			// Each role of theirs has three policies; two of them have our statements as well.
			if got, want := strings.Count(state, "Theirs"), 3*len(c.theirs); got != want {
				t.Errorf("%d of %d statements of another author are left in\n%s", got, want, state)
			}
			if strings.Contains(script, "\n  provider ") && strings.Count(state, ":oidc-provider/") == 0 {
				t.Errorf("no issuer is registered in\n%s", state)
			}

			s.mustApply(t, script, accounts...)
			if again := s.state(t); again != state {
				t.Errorf("the second run changes\n%s\nto\n%s", state, again)
			}

			o := s.objects(t, script)
			if v := s.doctor(t, o, "app", "in/"+key); !v.Healthy {
				t.Fatalf("the pod does not read: %+v", v)
			}
			if v := s.doctor(t, o, "other", "in/"+key); v.Healthy {
				t.Error("another service account reads")
			}
			if c.denied != "" {
				if v := s.doctor(t, o, "app", c.denied); v.Healthy {
					t.Errorf("the pod reads %s", c.denied)
				}
			}
			if c.closed != nil {
				c.closed(&o)
				if v := s.doctor(t, o, "app", "in/"+key); v.Healthy {
					t.Errorf("the pod reads with %+v", o)
				}
			}
			if c.again != nil {
				second := setup(c.again...)
				s.mustApply(t, second, s.dev)
				if v := s.doctor(t, s.objects(t, second), "app", "in/"+key); !v.Healthy {
					t.Errorf("the pod of the second cluster does not read: %+v", v)
				}
			}
		})
	}
}

// An association that another author made is left alone, and the script says so.
func TestClientsSetupKeepsAnotherAssociation(t *testing.T) {
	t.Parallel()
	s := newSetupScene(t, "")
	theirs := map[string]any{
		"namespace": "default", "serviceAccount": "app", "roleArn": "arn:aws:iam::" + devID + ":role/" + hubName, "targetRoleArn": targetRole,
		"disableSessionTags": true, "policy": theirPolicy,
	}
	s.eks.put(t, theirs)
	out, err := s.apply(t, s.setup(t, append([]string{"--bucket", bucket}, podArgs...)...), s.dev)
	if err == nil || !strings.Contains(out, "default/app has an association with another session policy") || !strings.Contains(out, "aws eks delete-pod-identity-association") {
		t.Errorf("%v: it prints\n%s", err, out)
	}
	if got := s.eks.all(t); len(got) != 1 || !maps.Equal(got[0], theirs) {
		t.Errorf("the association is now %v", got)
	}
}
