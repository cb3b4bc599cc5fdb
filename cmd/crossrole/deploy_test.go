package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials/metrics"
)

func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each metric that an alert uses is one that is exported. (That the rules parse
// is shown in e2e/deploy, with Prometheus' own packages.)
func TestAlertsUseMetricsThatExist(t *testing.T) {
	exported := map[string]bool{credserver.RequestsMetric: true}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		metrics.New().Describe(descriptions)
	}()
	for d := range descriptions {
		exported[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	used := regexp.MustCompile(`\bcrossrole_\w+`).FindAllString(deployed(t, "alerts.yaml"), -1)
	if len(used) < 9 {
		t.Errorf("the alerts use %d metrics; are they still there?", len(used))
	}
	for _, name := range used {
		base := strings.TrimSuffix(name, "_bucket")
		if !exported[base] || base != name && !strings.HasSuffix(base, "_duration_seconds") {
			t.Errorf("an alert uses %s, which is not exported", name)
		}
	}
}

// The sidecar's arguments are those of serve, and the program's variables lead
// to what it serves.
func TestSidecarManifest(t *testing.T) {
	text := deployed(t, "sidecar.yaml")
	find := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("the manifest has nothing like %s", pattern)
		}
		return m[1]
	}
	args := strings.Fields(find(`(?s)args:\n(.*?)\n +env:`))
	for i, arg := range args {
		if arg == "-" {
			args[i] = ""
		}
	}
	args = strings.Fields(strings.Join(args, " "))
	c, rest, err := newRoot().Find(args)
	if err != nil || c.Name() != "serve" {
		t.Fatalf("%q: %v", args, err)
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	flag := func(name string) string { return c.Flags().Lookup(name).Value.String() }
	roles, err := c.Flags().GetStringArray("role")
	if err != nil {
		t.Fatal(err)
	}
	named, err := rolesetting.ParseAllNamed(roles)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := find(`AWS_CONTAINER_CREDENTIALS_FULL_URI\n +value: (\S+)`), "http://"+flag("listen")+"/v1/"+named[0].Name; got != want {
		t.Errorf("the program asks %s, serve answers at %s", got, want)
	}
	if got, want := find(`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\n +value: (\S+)`), flag("token-dir")+"/"+named[0].Name; got != want {
		t.Errorf("the program looks for its token at %s, serve writes it to %s", got, want)
	}
	if got, want := find(`subPath: (\S+)`), named[0].Name; got != want {
		t.Errorf("the program's mount is of %s, its token is %s", got, want)
	}
	if got, want := ":"+find(`containerPort: (\d+)`), flag("admin"); got != want {
		t.Errorf("the admin port is %s, serve answers at %s", got, want)
	}
}
