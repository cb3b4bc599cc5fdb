package kubernetes_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/crossrole/crossrole/e2e/kubernetes"
)

// Tests of the admission policy of examples/deploy. Each row creates a pod twice on the
// real API server, as a dry run: in a namespace whose service accounts have no role, and
// in one whose accounts have one. The second pod must be the first with what Amazon's
// webhook adds, and nothing else. The rows hold what the real webhook did with the same
// pods, and name the exceptions.

// The namespaces of the rows. Their service accounts have the same names.
const (
	withRoles    = "policy"
	withRole     = "policy-default" // the account default has a role
	withoutRoles = "policy-none"
)

const (
	annotated      = "arn:aws:iam::" + devAccount + ":role/annotated"
	tokenDirectory = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
)

// admitted is a row: a pod, and what the policy adds to it.
type admitted struct {
	fact string

	// The service account. Annotations are without their prefix.
	account     string // its name; empty: a name of the row's own
	annotations map[string]string
	namespace   string // empty: withRoles

	// The pod, in YAML: its metadata, its spec, and the fields of its container c.
	metadata, spec, container string

	adds    map[string]string // to containers, in the words of additions; nil: all to every container
	volume  string            // audience and lifetime; empty: the default; noVolume: none is added
	refused string            // part of the API server's error
}

const (
	everything = "sts region role mount"
	noVolume   = "none"
)

// additions are the variables that the webhook adds, by the words of admitted.adds.
func additions(role string) map[string][][2]string {
	return map[string][][2]string{
		"sts":     {{"AWS_STS_REGIONAL_ENDPOINTS", "regional"}},
		"region":  {{"AWS_DEFAULT_REGION", "us-east-1"}, {"AWS_REGION", "us-east-1"}},
		"role":    {{"AWS_ROLE_ARN", role}, {"AWS_WEB_IDENTITY_TOKEN_FILE", tokenDirectory + "/token"}},
		"windows": {{"AWS_ROLE_ARN", role}, {"AWS_WEB_IDENTITY_TOKEN_FILE", `C:\var\run\secrets\eks.amazonaws.com\serviceaccount\token`}},
	}
}

func role(arn string) map[string]string { return map[string]string{"role-arn": arn} }

func toAccount(name, value string) map[string]string {
	return map[string]string{"role-arn": annotated, name: value}
}

// toPod returns a pod's metadata with an annotation.
func toPod(name, value string) string {
	return fmt.Sprintf("annotations: {eks.amazonaws.com/%s: %q}", name, value)
}

// to returns what is added to the container c, and nothing to others.
func to(words string) map[string]string { return map[string]string{"c": words} }

const (
	three    = `containers: [{name: a}, {name: b}, {name: c}]`
	threeAll = "initContainers: [{name: i}, {name: s, restartPolicy: Always}]\n" + three
)

var nothing = map[string]string{}

var webhookRows = []admitted{
	// The service account.
	{fact: "an account with a role: all variables, the mount and the volume"},
	{fact: "an account without a role", annotations: nothing, adds: nothing, volume: noVolume},
	{fact: "an empty role-arn is as none", annotations: role(""), adds: nothing, volume: noVolume},
	{fact: "the other annotations without a role", annotations: map[string]string{"audience": "mine", "token-expiration": "3600"}, adds: nothing, volume: noVolume},
	{fact: "no serviceAccountName: the account default", account: "default", namespace: withRole, spec: "serviceAccountName: ''"},
	{fact: "no serviceAccountName, and default has no role", account: "default", namespace: withoutRoles, spec: "serviceAccountName: ''", adds: nothing, volume: noVolume},
	{fact: "the deprecated field serviceAccount", account: "deprecated", spec: "serviceAccount: deprecated"},
	{fact: "an account with dots in its name", account: "team.app.v1"},
	{fact: "a role of another partition", annotations: role("arn:aws-cn:iam::" + devAccount + ":role/r")},
	{fact: "a role with a path", annotations: role("arn:aws:iam::" + devAccount + ":role/a/b/r")},
	{fact: "a role with spaces is not checked", annotations: role(" arn:aws:iam::1:role/a b ")},
	{fact: "a bare name of a role is not completed", annotations: role("my-role")},
	{fact: "a mirror pod has no account, and stays as it is", account: "default", namespace: withRole, metadata: "annotations: {kubernetes.io/config.mirror: x}", spec: "{serviceAccountName: '', nodeName: node-1}", adds: nothing, volume: noVolume},
	{fact: "a pod's own role-arn, audience and sts-regional-endpoints are not read", metadata: `annotations: {eks.amazonaws.com/role-arn: mine, eks.amazonaws.com/audience: mine, eks.amazonaws.com/sts-regional-endpoints: "false"}`},
	{fact: "an account's skip-containers is not read", annotations: toAccount("skip-containers", "c")},
	{fact: "the label that exempts a pod", metadata: `labels: {eks.amazonaws.com/skip-pod-identity-webhook: "true"}`, adds: nothing, volume: noVolume},
	{fact: "the label exempts whatever its value", metadata: `labels: {eks.amazonaws.com/skip-pod-identity-webhook: "false"}`, adds: nothing, volume: noVolume},
	{fact: "an annotation of that name does not exempt", metadata: toPod("skip-pod-identity-webhook", "true")},

	// The token.
	{fact: "audience of the account", annotations: toAccount("audience", "mine"), volume: "mine 86400"},
	{fact: "an empty audience is taken as it is", annotations: toAccount("audience", ""), volume: " 86400"},
	{fact: "token-expiration of the account", annotations: toAccount("token-expiration", "3600"), volume: "sts.amazonaws.com 3600"},
	{fact: "token-expiration of the pod", metadata: toPod("token-expiration", "7200"), volume: "sts.amazonaws.com 7200"},
	{fact: "token-expiration of the pod before the account's", annotations: toAccount("token-expiration", "3600"), metadata: toPod("token-expiration", "7200"), volume: "sts.amazonaws.com 7200"},
	{fact: "token-expiration at the minimum", annotations: toAccount("token-expiration", "600"), volume: "sts.amazonaws.com 600"},
	{fact: "token-expiration below the minimum, on the account", annotations: toAccount("token-expiration", "599"), volume: "sts.amazonaws.com 600"},
	{fact: "token-expiration below the minimum, on the pod, comes before the account's", annotations: toAccount("token-expiration", "3600"), metadata: toPod("token-expiration", "60"), volume: "sts.amazonaws.com 600"},
	{fact: "token-expiration of zero", metadata: toPod("token-expiration", "0"), volume: "sts.amazonaws.com 600"},
	{fact: "a negative token-expiration", metadata: toPod("token-expiration", "-3600"), volume: "sts.amazonaws.com 600"},
	{fact: "token-expiration with a sign", metadata: toPod("token-expiration", "+3600"), volume: "sts.amazonaws.com 3600"},
	{fact: "token-expiration with zeros in front is decimal", metadata: toPod("token-expiration", "000000000000000000003600"), volume: "sts.amazonaws.com 3600"},
	{fact: "token-expiration longer than the default", metadata: toPod("token-expiration", "172800"), volume: "sts.amazonaws.com 172800"},
	{fact: "token-expiration at the API server's maximum", metadata: toPod("token-expiration", "4294967296"), volume: "sts.amazonaws.com 4294967296"},
	{fact: "token-expiration above it is refused by the API server", metadata: toPod("token-expiration", "4294967297"), refused: "may not specify a duration larger than 2^32 seconds"},
	{fact: "no number on the pod: the account's", annotations: toAccount("token-expiration", "3600"), metadata: toPod("token-expiration", "1h"), volume: "sts.amazonaws.com 3600"},
	{fact: "no number on the account: the default", annotations: toAccount("token-expiration", "1h")},
	{fact: "no number: empty", metadata: toPod("token-expiration", "")},
	{fact: "no number: a space", metadata: toPod("token-expiration", " 3600")},
	{fact: "no number: a point", metadata: toPod("token-expiration", "3600.0")},
	{fact: "no number: hexadecimal", metadata: toPod("token-expiration", "0xe10")},
	{fact: "no number: an underscore", metadata: toPod("token-expiration", "3_600")},
	{fact: "no number: a line break", metadata: toPod("token-expiration", "3600\n")},
	{fact: "no number: more than 64 bits", metadata: toPod("token-expiration", "9223372036854775808")},
	{fact: "differs from the webhook: 19 digits within 64 bits count as no number, and are not refused", metadata: toPod("token-expiration", "9223372036854775807")},

	// The STS endpoint.
	{fact: "sts-regional-endpoints: false", annotations: toAccount("sts-regional-endpoints", "false"), adds: to("region role mount")},
	{fact: "sts-regional-endpoints: 0", annotations: toAccount("sts-regional-endpoints", "0"), adds: to("region role mount")},
	{fact: "sts-regional-endpoints: F", annotations: toAccount("sts-regional-endpoints", "F"), adds: to("region role mount")},
	{fact: "sts-regional-endpoints: f", annotations: toAccount("sts-regional-endpoints", "f"), adds: to("region role mount")},
	{fact: "sts-regional-endpoints: False", annotations: toAccount("sts-regional-endpoints", "False"), adds: to("region role mount")},
	{fact: "sts-regional-endpoints: FALSE", annotations: toAccount("sts-regional-endpoints", "FALSE"), adds: to("region role mount")},
	{fact: "sts-regional-endpoints: true", annotations: toAccount("sts-regional-endpoints", "true")},
	{fact: "sts-regional-endpoints that is no boolean: the setting", annotations: toAccount("sts-regional-endpoints", "fAlse")},
	{fact: "an empty sts-regional-endpoints: the setting", annotations: toAccount("sts-regional-endpoints", "")},

	// The containers.
	{fact: "several containers", spec: three, adds: map[string]string{"a": everything, "b": everything, "c": everything}},
	{fact: "init containers and native sidecars", spec: threeAll},
	{fact: "variables stay in front of the added ones, in their order", container: `env: [{name: Z, value: z}, {name: A, value: a}]`},
	{fact: "doubled variables", container: `env: [{name: A, value: a}, {name: A, value: b}]`},
	{fact: "an empty list of variables", container: `env: []`},
	{fact: "envFrom is not read", container: `envFrom: [{configMapRef: {name: aws-role-arn, optional: true}}]`},
	{fact: "AWS_ROLE_ARN is set: no token file either", container: `env: [{name: AWS_ROLE_ARN, value: mine}]`, adds: to("sts region mount")},
	{fact: "AWS_WEB_IDENTITY_TOKEN_FILE is set: no role either", container: `env: [{name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /mine}]`, adds: to("sts region mount")},
	{fact: "AWS_REGION is set: no AWS_DEFAULT_REGION either", container: `env: [{name: AWS_REGION, value: eu-west-1}]`, adds: to("sts role mount")},
	{fact: "AWS_DEFAULT_REGION is set: no AWS_REGION either", container: `env: [{name: AWS_DEFAULT_REGION, value: eu-west-1}]`, adds: to("sts role mount")},
	{fact: "AWS_STS_REGIONAL_ENDPOINTS is set", container: `env: [{name: AWS_STS_REGIONAL_ENDPOINTS, value: legacy}]`, adds: to("region role mount")},
	{fact: "an empty variable is set", container: `env: [{name: AWS_ROLE_ARN, value: ""}, {name: AWS_REGION}]`, adds: to("sts mount")},
	{fact: "a variable with valueFrom is set", container: `env: [{name: AWS_ROLE_ARN, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]`, adds: to("sts region mount")},
	{fact: "one of each group is set: no mount either", container: `env: [{name: AWS_STS_REGIONAL_ENDPOINTS, value: regional}, {name: AWS_REGION, value: eu-west-1}, {name: AWS_ROLE_ARN, value: mine}]`, adds: nothing},
	{fact: "one of each group is set, and the regional endpoint is not wanted", annotations: toAccount("sts-regional-endpoints", "false"), container: `env: [{name: AWS_STS_REGIONAL_ENDPOINTS, value: regional}, {name: AWS_REGION, value: eu-west-1}, {name: AWS_ROLE_ARN, value: mine}]`, adds: nothing},
	{fact: "role and region are set, and the regional endpoint is not wanted: only the mount", annotations: toAccount("sts-regional-endpoints", "false"), container: `env: [{name: AWS_REGION, value: eu-west-1}, {name: AWS_ROLE_ARN, value: mine}]`, adds: to("mount")},
	{fact: "static keys are not read", container: `env: [{name: AWS_ACCESS_KEY_ID, value: a}, {name: AWS_SECRET_ACCESS_KEY, value: b}]`},
	{fact: "containers are treated separately", spec: `containers: [{name: a, env: [{name: AWS_ROLE_ARN, value: mine}]}, {name: c}]`, adds: map[string]string{"a": "sts region mount", "c": everything}},
	{fact: "variables of an init container", spec: `initContainers: [{name: i, env: [{name: AWS_REGION, value: eu-west-1}]}]`, adds: map[string]string{"i": "sts role mount", "c": everything}},

	// Mounts and volumes.
	{fact: "own volumes and mounts stay in front of the mount and behind the volume", spec: `volumes: [{name: data, emptyDir: {}}]`, container: `volumeMounts: [{name: data, mountPath: /data}]`},
	{fact: "no volumes at all", spec: "automountServiceAccountToken: false"},
	{fact: "a volume aws-iam-token is kept, whatever its kind", spec: `volumes: [{name: aws-iam-token, emptyDir: {}}]`, volume: noVolume},
	{fact: "roles written by hand", spec: `volumes: [{name: aws-iam-token, projected: {sources: [{serviceAccountToken: {path: token, audience: mine}}]}}]`,
		container: `{env: [{name: AWS_ROLE_ARN, value: mine}, {name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /mine/token}], volumeMounts: [{name: aws-iam-token, mountPath: /mine}]}`,
		adds:      to("sts region"), volume: noVolume},
	{fact: "a mount of aws-iam-token at another path: no second one", spec: `volumes: [{name: aws-iam-token, emptyDir: {}}]`, container: `volumeMounts: [{name: aws-iam-token, mountPath: /mine}]`, adds: to("sts region role"), volume: noVolume},
	{fact: "a mount of aws-iam-token at the token's path, as in a copied pod", spec: `volumes: [{name: aws-iam-token, emptyDir: {}}]`, container: `volumeMounts: [{name: aws-iam-token, mountPath: ` + tokenDirectory + `}]`, adds: to("sts region role"), volume: noVolume},
	{fact: "another mount at the token's path: the API server refuses the pod", spec: `volumes: [{name: mine, emptyDir: {}}]`, container: `volumeMounts: [{name: mine, mountPath: ` + tokenDirectory + `}]`, refused: "must be unique"},
	{fact: "a volume at another name with a token for STS does not count", spec: `volumes: [{name: mine, projected: {sources: [{serviceAccountToken: {path: token, audience: sts.amazonaws.com}}]}}]`},

	// skip-containers.
	{fact: "a skipped container", metadata: toPod("skip-containers", "a"), spec: three, adds: map[string]string{"b": everything, "c": everything}},
	{fact: "several skipped containers, init containers among them", metadata: toPod("skip-containers", "a,c,i,s"), spec: threeAll, adds: map[string]string{"b": everything}},
	{fact: "every container is skipped: the volume all the same", metadata: toPod("skip-containers", "a,b,c"), spec: three, adds: nothing},
	{fact: "an unknown name, and a part of one, skip nothing", metadata: toPod("skip-containers", "d,aa"), spec: three},
	{fact: "an empty list", metadata: toPod("skip-containers", ""), spec: three},
	{fact: "spaces count", metadata: toPod("skip-containers", "a, b"), spec: three, adds: map[string]string{"b": everything, "c": everything}},
	{fact: "quotes are taken off", metadata: toPod("skip-containers", `"a","b"`), spec: three, adds: to(everything)},
	{fact: "quotes around some", metadata: toPod("skip-containers", `"a",b`), spec: three, adds: to(everything)},
	{fact: "a comma within quotes", metadata: toPod("skip-containers", `"x,a,y",b`), spec: three, adds: map[string]string{"a": everything, "c": everything}},
	{fact: "doubled quotes within quotes", metadata: toPod("skip-containers", `"""a""",b`), spec: three, adds: map[string]string{"a": everything, "c": everything}},
	{fact: "a stray quote makes the list void", metadata: toPod("skip-containers", `a,b"`), spec: three},
	{fact: "an open quote makes the list void", metadata: toPod("skip-containers", `a,"b`), spec: three},
	{fact: "text behind a quote makes the list void", metadata: toPod("skip-containers", `a,"b"c`), spec: three},
	{fact: "only the first line counts", metadata: toPod("skip-containers", "a\nb"), spec: three, adds: map[string]string{"b": everything, "c": everything}},
	{fact: "a stray quote in the second line", metadata: toPod("skip-containers", "a\nb\""), spec: three, adds: map[string]string{"b": everything, "c": everything}},
	{fact: "a line break of Windows at the end", metadata: toPod("skip-containers", "a,b\r\n"), spec: three, adds: to(everything)},
	{fact: "a carriage return at the end", metadata: toPod("skip-containers", "a,b\r"), spec: three, adds: to(everything)},
	{fact: "a carriage return within the line", metadata: toPod("skip-containers", "a\r,b"), spec: three, adds: map[string]string{"a": everything, "c": everything}},
	{fact: "empty lines in front", metadata: toPod("skip-containers", "\n\r\na,b"), spec: three, adds: to(everything)},
	{fact: "a line break within quotes", metadata: toPod("skip-containers", "\"x\na\",b"), spec: three, adds: map[string]string{"a": everything, "c": everything}},

	// Windows.
	{fact: "nodeSelector for Windows", spec: `nodeSelector: {kubernetes.io/os: windows}`, adds: to("sts region windows mount")},
	{fact: "the old nodeSelector for Windows", spec: `nodeSelector: {beta.kubernetes.io/os: windows}`, adds: to("sts region windows mount")},
	{fact: "nodeSelector for Linux", spec: `nodeSelector: {kubernetes.io/os: linux, disk: ssd}`},
	{fact: "spec.os is not read", spec: `os: {name: windows}`},
	{fact: "node affinity is not read", spec: `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [windows]}]}]}}}`},

	// Fields that the webhook keeps as they are.
	{fact: "fsGroup is neither set nor changed", spec: `securityContext: {fsGroup: 1234}`},
	{fact: "runAsNonRoot without fsGroup", spec: `securityContext: {runAsNonRoot: true, runAsUser: 1000}`},
	{fact: "hostNetwork", spec: `hostNetwork: true`},
	{fact: "generateName, and a ReplicaSet as owner", metadata: `{name: "", generateName: web-, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: x, controller: true}]}`},
	{fact: "doubled ports and host aliases", spec: `hostAliases: [{ip: 10.0.0.1, hostnames: [a]}, {ip: 10.0.0.1, hostnames: [b]}]`, container: `ports: [{containerPort: 80}, {containerPort: 80}]`},
	{fact: "probes, resources, lifecycle, security", spec: `{terminationGracePeriodSeconds: 5, tolerations: [{operator: Exists}], dnsPolicy: None, dnsConfig: {nameservers: [10.0.0.1]}, imagePullSecrets: [{name: p}], shareProcessNamespace: true}`,
		container: `{command: [a], args: [b], workingDir: /, resources: {limits: {cpu: "1"}}, readinessProbe: {exec: {command: [a]}}, lifecycle: {preStop: {sleep: {seconds: 1}}}, securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}, stdin: true, tty: true}`},

	// Limits.
	{fact: "400 containers", spec: "containers: [" + repeat(400, "{name: c%d}") + "]"},
	{fact: "100 containers with 100 variables each", spec: "containers: [" + repeat(100, "{name: c%d, env: ["+strings.ReplaceAll(repeat(100, "{name: V%d, value: v}"), "%", "%%")+"]}") + "]"},
	{fact: "skip-containers of 10 kB", metadata: toPod("skip-containers", repeat(1250, "skip%d")+",c0"), spec: "containers: [" + repeat(20, "{name: c%d}") + "]", adds: without("c0")},
	{fact: "skip-containers of 60 kB", metadata: toPod("skip-containers", repeat(7000, "skip%d")+",c0"), spec: "containers: [" + repeat(20, "{name: c%d}") + "]", adds: without("c0")},
	{fact: "differs from the webhook: skip-containers of 250 kB exceed the API server's budget for policies", metadata: toPod("skip-containers", repeat(28_000, "skip%d")), spec: "containers: [" + repeat(20, "{name: c%d}") + "]", refused: "cost limit exceeded"},
	{fact: "a pod without containers gets the API server's error", spec: `containers: []`, refused: "spec.containers: Required value"},
	{fact: "a container with an invalid name gets the API server's error", spec: `containers: [{name: "a.b(["}]`, refused: "spec.containers[0].name"},
}

// repeat returns n items of a list, with their numbers.
func repeat(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(items, ",")
}

// without adds everything to the containers c0 to c19 except one.
func without(name string) map[string]string {
	adds := map[string]string{}
	for i := range 20 {
		adds[fmt.Sprintf("c%d", i)] = everything
	}
	delete(adds, name)
	return adds
}

// TestKubernetesPolicy holds the policy to what Amazon's webhook does.
func TestKubernetesPolicy(t *testing.T) {
	w := theWorldFor(t)
	api := w.blue.API
	for _, ns := range []string{withRoles, withRole, withoutRoles} {
		applyNamespace(t, w.blue, ns)
	}
	applyAccount(t, api, withRole, "default", role(annotated))
	applyAccount(t, api, withoutRoles, "default", nil)
	for i := range webhookRows {
		row := &webhookRows[i]
		if row.annotations == nil {
			row.annotations = role(annotated)
		}
		if row.account == "" {
			row.account = fmt.Sprintf("row-%d", i)
		}
		if row.account != "default" {
			applyAccount(t, api, withRoles, row.account, row.annotations)
			applyAccount(t, api, withoutRoles, row.account, nil)
		}
	}
	// The API server watches service accounts, so it notices new ones with a delay, in
	// the order of their creation.
	applyAccount(t, api, withRoles, "last", role(annotated))
	applyAccount(t, api, withoutRoles, "last", nil)
	last := admitted{account: "last", annotations: role(annotated)}
	waitFor(t, "pod with a role", func() bool { return last.differs(t, api) == "" })

	for _, row := range webhookRows {
		t.Run(row.fact, func(t *testing.T) {
			if diff := row.differs(t, api); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The policy changes pods when they are created, and nothing else.
func TestKubernetesPolicyOnlyCreatesPods(t *testing.T) {
	w := theWorldFor(t)
	api := w.blue.API
	applyNamespace(t, w.blue, withRoles)
	applyAccount(t, api, withRoles, "later", nil)
	row := admitted{account: "later", annotations: role(annotated)}
	var pod map[string]any
	if err := api.Create(t.Context(), "/api/v1/namespaces/"+withRoles+"/pods", row.pod(t), &pod); err != nil {
		t.Fatal(err)
	}
	path := "/api/v1/namespaces/" + withRoles + "/pods/pod"
	t.Cleanup(func() {
		ctx, cancel := afterwards(10 * time.Second)
		defer cancel()
		if err := api.Delete(ctx, path); err != nil {
			t.Error(err)
		}
	})
	applyAccount(t, api, withRoles, "later", role(annotated))
	waitFor(t, "new pod with a role", func() bool {
		var created map[string]any
		err := api.Create(t.Context(), pods(withRoles), map[string]any{"metadata": map[string]any{"name": "new"}, "spec": row.pod(t)["spec"]}, &created)
		return err == nil && strings.Contains(asYAML(t, created["spec"]), annotated)
	})
	before := asYAML(t, pod["spec"])

	t.Run("an update of a pod", func(t *testing.T) {
		apply(t, api, map[string]any{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": map[string]any{"name": "pod", "namespace": withRoles, "labels": map[string]any{"a": "b"}},
		})
		var updated map[string]any
		if err := api.Get(t.Context(), path, &updated); err != nil {
			t.Fatal(err)
		}
		if after := asYAML(t, updated["spec"]); after != before || !strings.Contains(asYAML(t, updated["metadata"]), "a: b") {
			t.Errorf("the pod is now\n%s", asYAML(t, updated))
		}
	})
	t.Run("an ephemeral container", func(t *testing.T) {
		var debugged map[string]any
		if err := api.Get(t.Context(), path, &debugged); err != nil {
			t.Fatal(err)
		}
		debugged["spec"].(map[string]any)["ephemeralContainers"] = []any{map[string]any{"name": "debug", "image": "image"}}
		if err := api.Update(t.Context(), path+"/ephemeralcontainers?dryRun=All", debugged, &debugged); err != nil {
			t.Fatal(err)
		}
		if text := asYAML(t, debugged["spec"]); !strings.Contains(text, "name: debug") || strings.Contains(text, "AWS_ROLE_ARN") {
			t.Errorf("the pod is now\n%s", text)
		}
	})
	t.Run("the template of a Deployment", func(t *testing.T) {
		labels := map[string]any{"app": "a"}
		var deployment map[string]any
		err := api.Create(t.Context(), "/apis/apps/v1/namespaces/"+withRoles+"/deployments?dryRun=All", map[string]any{
			"metadata": map[string]any{"name": "deployment"},
			"spec": map[string]any{
				"selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": row.pod(t)["spec"]},
			},
		}, &deployment)
		if err != nil {
			t.Fatal(err)
		}
		if text := asYAML(t, deployment); strings.Contains(text, "AWS_ROLE_ARN") || strings.Contains(text, "aws-iam-token") {
			t.Errorf("the Deployment is\n%s", text)
		}
	})
}

// A container that a webhook adds gets everything too, although policies run before
// webhooks. The pod's own container gets nothing twice.
func TestKubernetesPolicyAfterWebhooks(t *testing.T) {
	w := theWorldFor(t)
	api := w.blue.API
	applyNamespace(t, w.blue, withRoles)
	applyAccount(t, api, withRoles, "meshed", role(annotated))
	server := httptest.NewTLSServer(http.HandlerFunc(addProxy))
	t.Cleanup(server.Close)
	path := apply(t, api, map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": "mesh"},
		"webhooks": []any{map[string]any{
			"name": "mesh.example.com", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None",
			"objectSelector": map[string]any{"matchLabels": map[string]any{"mesh": "yes"}},
			"rules":          []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"}}},
			"clientConfig": map[string]any{
				"url":      server.URL,
				"caBundle": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
		}},
	})
	t.Cleanup(func() {
		ctx, cancel := afterwards(10 * time.Second)
		defer cancel()
		if err := api.Delete(ctx, path); err != nil {
			t.Error(err)
		}
	})
	row := admitted{account: "meshed", annotations: role(annotated), metadata: `labels: {mesh: "yes"}`}
	waitFor(t, "pod with a role and a proxy", func() bool {
		var pod kubernetes.Pod
		err := api.Create(t.Context(), pods(withRoles), row.pod(t), &pod)
		return err == nil && len(pod.Spec.Containers) == 2 && pod.Spec.Containers[0].Getenv("AWS_ROLE_ARN") != ""
	})
	// Without a role, the webhook adds its container too.
	applyNamespace(t, w.blue, withoutRoles)
	applyAccount(t, api, withoutRoles, "meshed", nil)
	if diff := row.differs(t, api); diff != "" {
		t.Error(diff)
	}
}

// addProxy is the handler of a webhook that adds a container to a pod.
func addProxy(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Request struct {
			UID    string         `json:"uid"`
			Object kubernetes.Pod `json:"object"`
		} `json:"request"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response := map[string]any{"uid": review.Request.UID, "allowed": true}
	if len(review.Request.Object.Spec.Containers) == 1 {
		response["patchType"] = "JSONPatch"
		response["patch"] = []byte(`[{"op": "add", "path": "/spec/containers/-", "value": {"name": "proxy", "image": "image"}}]`)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // the API server reports a broken response
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
	})
}

// The policy that crossrole setup prints has the region, and the settings can be edited.
func TestKubernetesPolicySettings(t *testing.T) {
	w := theWorldFor(t)
	api := w.blue.API
	for _, ns := range []string{withRoles, withoutRoles} {
		applyNamespace(t, w.blue, ns)
		applyAccount(t, api, ns, "settings", nil)
		applyAccount(t, api, ns, "settings-annotated", nil)
	}
	applyAccount(t, api, withRoles, "settings", role(annotated))
	own := map[string]string{"role-arn": annotated, "audience": "own", "sts-regional-endpoints": "T", "token-expiration": "7200"}
	applyAccount(t, api, withRoles, "settings-annotated", own)
	policy := deployed(t, injection)
	becomes := func(manifest []byte, region, lifetime string) {
		t.Helper()
		if _, err := api.Apply(t.Context(), manifest); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "pod with the region and the lifetime", func() bool {
			var pod kubernetes.Pod
			err := api.Create(t.Context(), pods(withRoles), admitted{account: "settings"}.pod(t), &pod)
			return err == nil && pod.Spec.Containers[0].Getenv("AWS_REGION") == region && len(pod.Spec.Volumes) > 0 &&
				pod.Spec.Volumes[0].Projected != nil && fmt.Sprint(pod.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds) == lifetime
		})
	}
	defer becomes(policy, "us-east-1", "86400")

	t.Run("printed by setup", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), program("crossrole"), "setup", "--route", hub, "--cluster", "other", "--inject", "policy",
			"--issuer", "https://issuer.example/blue", "--cluster-account", devAccount, "--shared-account", sharedAccount,
			"--bucket", bucket, "--service-account", withRoles+"/printed", "--out", t.TempDir())
		cmd.Env = append(os.Environ(), "AWS_REGION=eu-west-1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("crossrole setup: %v\n%s", err, out)
		}
		objects, err := os.ReadFile(filepath.Join(cmd.Args[len(cmd.Args)-1], "kubernetes.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		documents := strings.SplitAfter(string(objects), "\n---\n") // the policy and its binding come first
		becomes([]byte(strings.Join(documents[:2], "")), "eu-west-1", "86400")
	})
	t.Run("edited", func(t *testing.T) {
		text := string(policy)
		for old, edited := range map[string]string{
			`'"us-east-1"'`: `'""'`, `expression: 'true'`: `expression: 'false'`, `'"sts.amazonaws.com"'`: `'"mine"'`, `'86400'`: `'3600'`,
		} {
			if strings.Count(text, old) != 1 {
				t.Fatalf("the policy has %d times %s", strings.Count(text, old), old)
			}
			text = strings.Replace(text, old, edited, 1)
		}
		becomes([]byte(text), "", "3600")
		for _, row := range []admitted{
			{fact: "without a region and the regional endpoint", account: "settings", annotations: role(annotated), adds: to("role mount"), volume: "mine 3600"},
			{fact: "annotations come before settings", account: "settings-annotated", annotations: own, adds: to("sts role mount"), volume: "own 7200"},
			{fact: "a container with a role gets only the mount", account: "settings", annotations: role(annotated), container: "env: [{name: AWS_ROLE_ARN, value: mine}]", adds: to("mount"), volume: "mine 3600"},
		} {
			t.Run(row.fact, func(t *testing.T) {
				if diff := row.differs(t, api); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
}

func applyAccount(t *testing.T, api *kubernetes.API, namespace, name string, annotations map[string]string) {
	t.Helper()
	full := map[string]any{}
	for name, value := range annotations {
		full["eks.amazonaws.com/"+name] = value
	}
	apply(t, api, map[string]any{
		"apiVersion": "v1", "kind": "ServiceAccount",
		"metadata": map[string]any{"name": name, "namespace": namespace, "annotations": full},
	})
}

// apply applies an object, and returns its path.
func apply(t *testing.T, api *kubernetes.API, object any) string {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := api.Apply(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return applied[0].Path
}

// differs creates the row's pod and says how it differs from what the row expects.
func (row admitted) differs(t *testing.T, api *kubernetes.API) string {
	t.Helper()
	sent := row.pod(t)
	var plain, got map[string]any
	plainErr := api.Create(t.Context(), pods(withoutRoles), sent, &plain)
	namespace := row.namespace
	if namespace == "" {
		namespace = withRoles
	}
	err := api.Create(t.Context(), pods(namespace), sent, &got)
	switch {
	case row.refused != "":
		if err == nil || !strings.Contains(err.Error(), row.refused) {
			return fmt.Sprintf("it must be refused with %q: %v", row.refused, err)
		}
		return ""
	case plainErr != nil:
		t.Fatal("without a role: ", plainErr)
	case err != nil:
		return err.Error()
	}
	if now := asYAML(t, plain["spec"]); strings.Count(now, "aws-iam-token") != strings.Count(asYAML(t, sent), "aws-iam-token") {
		return "the account without a role has one:\n" + now
	}
	row.add(t, plain["spec"].(map[string]any))
	if g, w := observed(t, got), observed(t, plain); !reflect.DeepEqual(g, w) {
		return diff(g, w)
	}
	return ""
}

func pods(namespace string) string { return "/api/v1/namespaces/" + namespace + "/pods?dryRun=All" }

// pod returns the row's pod for the API server.
func (row admitted) pod(t *testing.T) map[string]any {
	t.Helper()
	c := map[string]any{"name": "c"}
	parse(t, row.container, c)
	metadata := map[string]any{"name": "pod"}
	parse(t, row.metadata, metadata)
	spec := map[string]any{"containers": []any{c}}
	parse(t, row.spec, spec)
	if spec["serviceAccountName"] == nil && spec["serviceAccount"] == nil {
		spec["serviceAccountName"] = row.account
	}
	for _, c := range containers(spec) {
		c["image"] = "image"
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
}

// parse adds the fields of a YAML text to an object.
func parse(t *testing.T, text string, into map[string]any) {
	t.Helper()
	var fields map[string]any
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	maps.Copy(into, fields)
}

func containers(spec map[string]any) []map[string]any {
	var all []map[string]any
	for _, field := range []string{"containers", "initContainers"} {
		list, _ := spec[field].([]any)
		for _, c := range list {
			all = append(all, c.(map[string]any))
		}
	}
	return all
}

// add adds to a pod's spec what the row expects.
func (row admitted) add(t *testing.T, spec map[string]any) {
	t.Helper()
	for _, c := range containers(spec) {
		words := everything
		if row.adds != nil {
			words = row.adds[c["name"].(string)]
		}
		env, _ := c["env"].([]any)
		mounts, _ := c["volumeMounts"].([]any)
		for word := range strings.FieldsSeq(words) {
			variables, known := additions(row.annotations["role-arn"])[word]
			switch {
			case word == "mount":
				c["volumeMounts"] = append(mounts, map[string]any{"name": "aws-iam-token", "readOnly": true, "mountPath": tokenDirectory})
			case !known:
				t.Fatalf("nothing is called %q", word)
			}
			for _, v := range variables {
				env = append(env, map[string]any{"name": v[0], "value": v[1]})
				c["env"] = env
			}
		}
	}
	if row.volume == noVolume {
		return
	}
	audience, lifetime, _ := strings.Cut(row.volume, " ")
	if row.volume == "" {
		audience, lifetime = "sts.amazonaws.com", "86400"
	}
	token := map[string]any{"path": "token", "expirationSeconds": json.Number(lifetime), "audience": audience}
	if audience == "" {
		delete(token, "audience")
	}
	volumes, _ := spec["volumes"].([]any)
	spec["volumes"] = slices.Insert(volumes, 0, any(map[string]any{"name": "aws-iam-token", "projected": map[string]any{
		"defaultMode": 0o644, "sources": []any{map[string]any{"serviceAccountToken": token}},
	}}))
}

// apiAccess matches the name of the volume with the token for the API server, which the
// API server draws at random.
var apiAccess = regexp.MustCompile(`kube-api-access-\w+`)

// observed returns the lines of what a policy could change in a pod.
func observed(t *testing.T, pod map[string]any) []string {
	t.Helper()
	metadata := pod["metadata"].(map[string]any)
	text := asYAML(t, map[string]any{"labels": metadata["labels"], "annotations": metadata["annotations"], "spec": pod["spec"]})
	return strings.Split(apiAccess.ReplaceAllString(text, "kube-api-access"), "\n")
}

func asYAML(t *testing.T, object any) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// diff returns the lines that differ, between the first and the last such line.
func diff(got, want []string) string {
	var front int
	for front < min(len(got), len(want)) && got[front] == want[front] {
		front++
	}
	var back int
	for back < min(len(got), len(want))-front && got[len(got)-1-back] == want[len(want)-1-back] {
		back++
	}
	return fmt.Sprintf("from line %d of the pod on, got\n%s\nwant\n%s", front+1,
		strings.Join(got[front:len(got)-back], "\n"), strings.Join(want[front:len(want)-back], "\n"))
}
