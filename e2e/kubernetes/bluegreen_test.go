package kubernetes_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/issuer"
)

// TestBlueGreen moves a program to another cluster with another issuer. On the hub
// route, the configuration of one account changes. On the direct route, the new issuer
// must be registered in the bucket's account first; a program that starts before that
// reports an error and recovers without a restart.
func TestBlueGreen(t *testing.T) {
	w := theWorldFor(t)
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	green, err := w.cluster(ctx, "green")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(green.Stop)
	shared := configuration(t, w.shared, w.blue.Issuer, green.Issuer)
	unchanged := func(when string) {
		t.Helper()
		if got := configuration(t, w.shared, w.blue.Issuer, green.Issuer); got != shared {
			t.Errorf("%s: the shared account's configuration has changed:\n%s\nwas\n%s", when, got, shared)
		}
	}
	onBlue := w.loop(t, w.blue, start(t, w.blue, hub, "moves", nil), hub, w.short(t))
	pod := start(t, green, hub, "moves", nil)
	if r, _ := w.fetch(t, green, pod); r.exit != 1 || !strings.Contains(r.stderr, green.Issuer.URL) || !strings.Contains(r.stderr, devAccount) {
		t.Errorf("before the hub knows green: exit status %d\n%s", r.exit, r.stderr)
	}

	w.trust(t, w.blue.Issuer, green.Issuer)
	if err := register(t.Context(), w.dev, green.Issuer); err != nil {
		t.Fatal(err)
	}
	onGreen := w.loop(t, green, pod, hub, w.short(t))
	onBlue.more(t, 50) // blue still works
	unchanged("both clusters work")
	last := onBlue.unharmed(t)
	t.Logf("on blue: %d reads, %d sessions", last.Reads, last.Sessions)

	w.trust(t, green.Issuer)
	if err := forget(t.Context(), w.dev, w.blue.Issuer); err != nil {
		t.Fatal(err)
	}
	w.blue.Issuer.Hide(true)
	w.blue.StopServer()
	before, _ := onGreen.now()
	onGreen.until(t, "sessions", func(now line) bool { return now.Sessions >= before.Sessions+3 })
	last = onGreen.unharmed(t)
	t.Logf("on green: %d reads, %d sessions", last.Reads, last.Sessions)
	unchanged("blue is gone")

	t.Run("direct", func(t *testing.T) {
		if err := setTrust(t.Context(), w.shared, directRole, trustsPods(sharedAccount, direct, green.Issuer)); err != nil {
			t.Fatal(err)
		}
		pod := start(t, green, direct, "early", nil)
		r, _ := w.fetch(t, green, pod)
		t.Log(r.stderr)
		for _, want := range []string{"OIDCProviderMissing", sharedAccount, green.Issuer.URL, "hop 1 of 1"} {
			if r.exit != 1 || !strings.Contains(r.stderr, want) {
				t.Errorf("exit status %d, and it does not say %q", r.exit, want)
			}
		}
		early := w.tryLoop(t, green, pod, direct)
		early.until(t, "refusals", func(now line) bool { return now.Failed >= 3 })
		if _, failed := early.now(); failed[0].Kind != "credentials.OIDCProviderMissing" || failed[0].Reads > 0 {
			t.Errorf("the program says %+v", failed[0])
		}
		if err := register(t.Context(), w.shared, green.Issuer); err != nil {
			t.Fatal(err)
		}
		now := early.more(t, 50)
		t.Logf("without a restart: %d refused, then %d reads", now.Failed, now.Reads)
	})
	w.restore(t, green.Issuer)
}

// trust makes the hub's role trust these clusters only.
func (w *world) trust(t *testing.T, clusters ...*issuer.Issuer) {
	t.Helper()
	if err := setTrust(t.Context(), w.dev, hubRole, trustsPods(devAccount, hub, clusters...)); err != nil {
		t.Fatal(err)
	}
}

// admit registers one more cluster in both accounts.
func (w *world) admit(t *testing.T, i *issuer.Issuer) {
	t.Helper()
	w.trust(t, w.blue.Issuer, i)
	if err := setTrust(t.Context(), w.shared, directRole, trustsPods(sharedAccount, direct, w.blue.Issuer, i)); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*ceph.Account{w.dev, w.shared} {
		if err := register(t.Context(), a, i); err != nil {
			t.Fatal(err)
		}
	}
}

// restore undoes the changes of this test for the next one.
func (w *world) restore(t *testing.T, green *issuer.Issuer) {
	t.Helper()
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	w.blue.Issuer.Hide(false)
	if err := w.blue.StartServer(ctx); err != nil {
		t.Fatal(err)
	}
	w.trust(t, w.blue.Issuer)
	if err := register(ctx, w.dev, w.blue.Issuer); err != nil {
		t.Error(err)
	}
	if err := setTrust(ctx, w.shared, directRole, trustsPods(sharedAccount, direct, w.blue.Issuer)); err != nil {
		t.Error(err)
	}
	for _, a := range []*ceph.Account{w.dev, w.shared} {
		if err := forget(ctx, a, green); err != nil {
			t.Error(err)
		}
	}
}

// configuration returns the whole IAM configuration of an account as text: roles,
// policies and registered issuers.
func configuration(t *testing.T, a *ceph.Account, issuers ...*issuer.Issuer) string {
	t.Helper()
	ctx, c := t.Context(), iam.NewFromConfig(a.Config)
	roles, err := c.ListRoles(ctx, &iam.ListRolesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(roles.Roles) == 0 {
		t.Fatal("the account has no roles")
	}
	all := []any{roles.Roles}
	for _, r := range roles.Roles {
		policies, err := c.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range policies.PolicyNames {
			p, err := c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: r.RoleName, PolicyName: aws.String(name)})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, aws.ToString(p.PolicyDocument))
		}
	}
	for _, i := range issuers {
		p, known, err := provider(ctx, a, i.Host())
		if err != nil {
			t.Fatal(err)
		}
		if known {
			all = append(all, p.Url, p.ClientIDList, p.ThumbprintList)
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
