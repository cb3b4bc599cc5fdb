package kubernetes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/kubernetes"
	"github.com/crossrole/crossrole/e2e/shortsession"
)

// drillCount is how many there are.
const drillCount = 7

// TestKubernetesDrills breaks and repairs one thing after the other while readers are
// running. What the readers saw becomes the table in README.md.
func TestKubernetesDrills(t *testing.T) {
	w := theWorldFor(t)
	for _, drill := range []struct {
		name string
		run  func(*testing.T) (saw string)
	}{
		{"API server down", w.apiServerDown},
		{"issuer's keys unreachable", w.keysUnreachable},
		{"gateway (S3 and STS) killed and restarted", w.gatewayRestart},
		{"STS of the home region killed for longer than a session; fallback region set", w.regionDown},
		{"process clock an hour ahead, an hour behind", w.skewedClock},
		{"service account deleted and created again", w.accountRecreated},
		{"API server signs with a new key; the old one is removed", w.keyRotation},
	} {
		t.Run(strings.ReplaceAll(drill.name, " ", "-"), func(t *testing.T) {
			saw := drill.run(t)
			if !t.Failed() {
				t.Log(saw)
				results.drill(drill.name, saw)
			}
		})
	}
}

// both starts a reader for each route, with sessions of three seconds or with the
// sessions that STS issues by default.
func (w *world) both(t *testing.T, name string, short bool) []*looper {
	t.Helper()
	var loops []*looper
	for _, route := range []string{direct, hub} {
		var env []string
		if short {
			env = append(env, w.short(t))
		}
		loops = append(loops, w.loop(t, w.blue, start(t, w.blue, route, name+"-"+route, nil), route, env...))
	}
	return loops
}

// total stops readers that must not have seen an error, and adds up their reads.
func total(t *testing.T, loops []*looper) (reads int, sessions int64) {
	t.Helper()
	for _, l := range loops {
		last := l.unharmed(t)
		reads, sessions = reads+last.Reads, sessions+last.Sessions
	}
	return reads, sessions
}

// The mounted token stays valid although it cannot be replaced.
func (w *world) apiServerDown(t *testing.T) string {
	loops := w.both(t, "api-down", true)
	late := start(t, w.blue, hub, "api-down-late", nil)
	w.blue.StopServer()
	for _, l := range loops {
		before, _ := l.now()
		l.until(t, "sessions", func(now line) bool { return now.Sessions >= before.Sessions+5 })
	}
	w.fetched(t, w.blue, late) // a program that starts now
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	if err := w.blue.StartServer(ctx); err != nil {
		t.Fatal(err)
	}
	for _, l := range loops {
		before, _ := l.now()
		l.until(t, "tokens", func(now line) bool { return now.Tokens > before.Tokens })
	}
	reads, sessions := total(t, loops)
	return fmt.Sprintf("nothing: %d reads, %d sessions from the mounted tokens; a program started during the outage works; rotation continues afterwards", reads, sessions)
}

// STS needs the keys only for new sessions.
func (w *world) keysUnreachable(t *testing.T) string {
	loops := w.both(t, "keys", false)
	p := start(t, w.blue, direct, "keys-late", nil)
	w.blue.Issuer.Hide(true)
	t.Cleanup(func() { w.blue.Issuer.Hide(false) })
	r, _ := w.fetch(t, w.blue, p)
	if r.exit != 1 || !strings.Contains(r.stderr, "Couldn't retrieve verification key") {
		t.Errorf("a program that starts meanwhile: exit status %d\n%s", r.exit, r.stderr)
	}
	waiting := w.tryLoop(t, w.blue, p, direct)
	// A chain's first session is patient: a read may end by its own deadline before the
	// chain says what is wrong.
	const unreachable = "credentials.IssuerUnreachable"
	waiting.until(t, unreachable, func(now line) bool { return now.Kind == unreachable })
	_, failed := waiting.now()
	for _, read := range failed {
		if read.Kind != unreachable && !strings.Contains(read.Error, "stopped waiting for a session") {
			t.Errorf("it says %+v", read)
		}
	}
	for _, l := range loops {
		l.more(t, 50)
	}
	w.blue.Issuer.Hide(false)
	waiting.more(t, 5)
	reads, _ := total(t, loops)
	return fmt.Sprintf("running programs see nothing (%d reads): sessions stay valid without the keys; a program started during the outage gets IssuerUnreachable, and works without a restart when the keys are back", reads)
}

// Two gateways stand for STS of two regions; S3 stays up. That of the readers' home region
// is down for several sessions.
func (w *world) regionDown(t *testing.T) string {
	const own, fallback = "us-east-1", "us-west-2"
	ctx, cancel := within(t, 2*time.Minute)
	defer cancel()
	gateway, err := w.ceph.AddGateway(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Stop)
	east, err := shortsession.Start(gateway.URL, shortLife)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { east.Close() })
	west, err := east.Another(w.ceph.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { west.Close() })
	var loops []*looper
	for _, route := range []string{direct, hub} {
		p := start(t, w.blue, route, "region-"+route, nil)
		loops = append(loops, w.loop(t, w.blue, p, route, "READER_STS="+own+"="+east.URL+","+fallback+"="+west.URL))
	}
	from := func(region string, sessions int64) {
		for _, l := range loops {
			before, _ := l.now()
			l.until(t, "sessions from "+region, func(now line) bool { return now.Region == region && now.Sessions >= before.Sessions+sessions })
		}
	}
	from(own, 2)
	gateway.Stop()
	killed := time.Now()
	from(fallback, 5)
	down := time.Since(killed)
	if down < 2*shortLife {
		t.Errorf("down for %v only, with sessions of %v", down, shortLife)
	}
	if err := gateway.Start(ctx); err != nil {
		t.Fatal(err)
	}
	// The region is asked again half a minute after its last failure.
	from(own, 1)
	reads, sessions := total(t, loops)
	return fmt.Sprintf("nothing: down for %.1fs with sessions of %v, %d reads, %d sessions; sessions come from the fallback region, and from the home region again after its restart", down.Seconds(), shortLife, reads, sessions)
}

// skewedClock needs no reader: the clock is wrong from the start.
func (w *world) skewedClock(t *testing.T) string {
	for _, route := range []string{direct, hub} {
		p := start(t, w.blue, route, "skewed", nil)
		for _, seconds := range []string{"3600", "-3600"} {
			c := container(t, w.blue, p, "skewed-fetch", append(w.endpoints(), kubernetes.SkewVariable+"="+seconds))
			c.Args[len(c.Args)-1] = "-o=/data/skewed"
			if r := run(t, c); r.exit != 0 {
				t.Errorf("%s, clock %s s ahead: exit status %d\n%s", route, seconds, r.exit, r.stderr)
			} else {
				t.Log(strings.TrimSpace(r.stderr))
			}
		}
	}
	return "nothing: both routes work"
}

// STS identifies a service account by its name.
func (w *world) accountRecreated(t *testing.T) string {
	loops := w.both(t, "account", true)
	for _, route := range []string{direct, hub} {
		if err := w.blue.API.Delete(t.Context(), "/api/v1/namespaces/"+route+"/serviceaccounts/"+account); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range loops {
		before, _ := l.now()
		l.until(t, "sessions", func(now line) bool { return now.Sessions >= before.Sessions+3 })
	}
	for _, route := range []string{direct, hub} {
		w.fetched(t, w.blue, start(t, w.blue, route, "account-new", nil)) // start creates the account anew
	}
	for _, l := range loops {
		before, _ := l.now()
		l.until(t, "sessions", func(now line) bool { return now.Sessions >= before.Sessions+3 })
	}
	reads, sessions := total(t, loops)
	return fmt.Sprintf("nothing: %d reads, %d sessions; pods of the new account work immediately", reads, sessions)
}

// Ceph uses the first key of the document, whatever the token's kid. So it refuses
// tokens of the old key as soon as the new one is published. The readers keep using
// their sessions until kubelet has fetched a new token.
func (w *world) keyRotation(t *testing.T) string {
	loops := w.both(t, "keys-rotate", false)
	pods := map[string]kubernetes.Pod{direct: start(t, w.blue, direct, "rotated", nil), hub: start(t, w.blue, hub, "rotated", nil)}
	old, err := w.blue.Token(pods[direct])
	if err != nil {
		t.Fatal(err)
	}
	header := func(token string) string { return token[:strings.IndexByte(token, '.')] } // it holds the kid
	if err := w.blue.Issuer.Rotate(true); err != nil {
		t.Fatal(err)
	}
	w.reregister(t)
	w.blue.StopServer()
	ctx, cancel := within(t, 2*time.Minute)
	defer cancel()
	if err := w.blue.StartServer(ctx); err != nil {
		t.Fatal(err)
	}
	for route, p := range pods {
		waitFor(t, "a token by the new key", func() bool {
			token, err := w.blue.Token(p)
			return err == nil && header(token) != header(old)
		})
		w.fetched(t, w.blue, p)
		t.Logf("%s: a token of the new key is taken while both are published", route)
	}
	w.blue.Issuer.Retire()
	w.reregister(t)
	for _, p := range pods {
		w.fetched(t, w.blue, p)
	}
	_, err = sts.NewFromConfig(w.shared.Config).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(directRole), RoleSessionName: aws.String("old"), WebIdentityToken: &old,
	})
	if err == nil {
		t.Error("a token of the old key is still taken")
	}
	for _, l := range loops {
		l.more(t, 20)
	}
	reads, _ := total(t, loops)
	return fmt.Sprintf("nothing: %d reads; tokens of the new key are accepted immediately", reads)
}

// reregister registers the issuer again in both accounts, with the thumbprints of its
// current keys. Ceph has no other way to change them.
func (w *world) reregister(t *testing.T) {
	t.Helper()
	for _, a := range []*ceph.Account{w.dev, w.shared} {
		if err := forget(t.Context(), a, w.blue.Issuer); err != nil {
			t.Fatal(err)
		}
		if err := register(t.Context(), a, w.blue.Issuer); err != nil {
			t.Fatal(err)
		}
	}
}

func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	ctx, cancel := within(t, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-ctx.Done():
			t.Fatalf("no %s within a minute", what)
		case <-tick.C:
		}
	}
}
