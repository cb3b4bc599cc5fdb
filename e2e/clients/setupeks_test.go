package clients_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/programs"
	"github.com/crossrole/crossrole/trust"
)

// EKS as far as a Pod Identity association needs it: its API, and the agent that gives a
// pod the sessions.

const clusterName = "prod"

// eks keeps the associations of the cluster. Versions of the CLI that do not know
// their options talk to a stand-in for aws eks.
type eks struct {
	scene   *setupScene
	dir     string // where the stand-in keeps the association
	standIn string // shell code of the stand-in; empty: the CLI knows the options

	mu           sync.Mutex
	associations []map[string]any
	calls        []string
}

// eksStandIn plays aws eks with one association, for a CLI that does not know the
// options. It prints what EKS's API returns.
const eksStandIn = `
if [ "$1" = eks ]; then
  command=$2
  shift 2
  echo "$command" >>"$EKS_STATE/calls"
  asked=$(jq -n '[$ARGS.positional[] |
    if . == "--disable-session-tags" then {disableSessionTags: true}
    elif . == "--no-disable-session-tags" then {disableSessionTags: false}
    elif test("^--[a-z-]+=") then
      capture("^--(?<name>[a-z-]+)=(?<value>.*)$"; "s") | {(.name | gsub("-(?<c>[a-z])"; .c | ascii_upcase)): .value}
    else {} end] | add' --args -- "$@")
  cd "$EKS_STATE"
  case $command in
  list-*) if [ -f association ]; then jq '{associations: [.]}' association; else echo '{"associations":[]}'; fi ;;
  describe-*) jq '{association: .}' association ;;
  create-*) printf '%s' "$asked" | jq '{targetRoleArn: null} + . + {associationId: "a-1"}' >association ;;
  update-*) printf '%s' "$asked" | jq --slurpfile old association '$old[0] + .' >new; mv new association ;;
  *) exit 2 ;;
  esac
  exit
fi
`

func newEKS(t *testing.T, s *setupScene) *eks {
	t.Helper()
	e := &eks{scene: s, dir: t.TempDir()}
	help := exec.CommandContext(t.Context(), s.aws, "eks", "create-pod-identity-association", "--generate-cli-skeleton")
	help.Env = programs.Alone(t)
	if out, _ := help.Output(); !strings.Contains(string(out), `"policy"`) {
		t.Log("this AWS CLI does not know all options of an association; a stand-in plays aws eks")
		e.standIn = eksStandIn
	}
	s.cloud.Handle("eks", awstest.ServiceHandler{
		Permissions: func(r *awstest.ServiceRequest) ([]awstest.Permission, error) {
			return []awstest.Permission{{Action: "eks:PodIdentityAssociation", Resource: "*"}}, nil
		},
		Serve: e.serve,
	})
	return e
}

// serve responds as EKS's API does.
func (e *eks) serve(r *awstest.ServiceRequest) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	const path = "/clusters/" + clusterName + "/pod-identity-associations"
	method, id := r.HTTP.Method, strings.TrimPrefix(strings.TrimPrefix(r.HTTP.URL.Path, path), "/")
	if !strings.HasPrefix(r.HTTP.URL.Path, path) {
		return nil, &awstest.ServiceError{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "No cluster found"}
	}
	e.calls = append(e.calls, method+" "+id)
	var body map[string]any
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(e.associations, func(a map[string]any) bool { return a["associationId"] == id })
	switch {
	case method == http.MethodGet && id == "":
		query, found := r.HTTP.URL.Query(), []map[string]any{}
		for _, a := range e.associations {
			if a["namespace"] == query.Get("namespace") && a["serviceAccount"] == query.Get("serviceAccount") {
				found = append(found, a)
			}
		}
		return map[string]any{"associations": found}, nil
	case method == http.MethodPost && id == "":
		body["associationId"] = fmt.Sprintf("a-%d", len(e.associations)+1)
		i, e.associations = len(e.associations), append(e.associations, body)
	case i < 0:
		return nil, &awstest.ServiceError{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "No association found"}
	case method == http.MethodPost:
		maps.Copy(e.associations[i], body)
	}
	return map[string]any{"association": e.associations[i]}, nil
}

// all returns the associations.
func (e *eks) all(t *testing.T) []map[string]any {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.standIn == "" {
		return e.associations
	}
	var a map[string]any
	text, err := os.ReadFile(filepath.Join(e.dir, "association"))
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return []map[string]any{a}
}

// put stores an association of another author.
func (e *eks) put(t *testing.T, association map[string]any) {
	t.Helper()
	association["associationId"] = "a-1"
	e.mu.Lock()
	defer e.mu.Unlock()
	e.associations = []map[string]any{association}
	text, err := json.Marshal(association)
	if err == nil {
		err = os.WriteFile(filepath.Join(e.dir, "association"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// agent starts the agent of a node with a pod of a service account, and returns the pod's
// environment.
func (e *eks) agent(t *testing.T, serviceAccount string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("pod-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	associations := e.all(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := e.session(r.Context(), associations, serviceAccount)
		if err != nil {
			http.Error(w, fmt.Sprintf("[3f4e]: (AccessDeniedException): %v, fault: client", err), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"AccessKeyId": got.AccessKeyId, "SecretAccessKey": got.SecretAccessKey, "Token": got.SessionToken,
			"AccountId": sharedID, "Expiration": got.Expiration.UTC(),
		})
	}))
	t.Cleanup(server.Close)
	return []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + server.URL + "/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + file}
}

// session does what EKS does for a pod: it assumes the association's role as
// pods.eks.amazonaws.com and then, with that session, the target role.
func (e *eks) session(ctx context.Context, associations []map[string]any, serviceAccount string) (*types.Credentials, error) {
	i := slices.IndexFunc(associations, func(a map[string]any) bool { return a["serviceAccount"] == serviceAccount })
	if i < 0 {
		return nil, fmt.Errorf("no association for %s", serviceAccount)
	}
	a := associations[i]
	text := func(name string) string { s, _ := a[name].(string); return s }
	untagged, _ := a["disableSessionTags"].(bool)
	tags := map[string]string{
		"eks-cluster-name": clusterName, "kubernetes-namespace": "default", "kubernetes-service-account": serviceAccount, "kubernetes-pod-name": "app-1",
	}
	clusterARN := "arn:aws:eks:" + e.scene.region + ":" + devID + ":cluster/" + clusterName
	request := trust.Request{
		Action: "sts:AssumeRole", Principal: trust.Principals{"Service": {"pods.eks.amazonaws.com"}},
		Context: map[string][]string{"aws:SourceAccount": {devID}, "aws:SourceArn": {clusterARN}},
	}
	actions := []string{"sts:AssumeRole"}
	var session []types.Tag
	var transitive []string
	if !untagged {
		actions = append(actions, "sts:TagSession")
		for name, value := range tags {
			request.Context["aws:RequestTag/"+name] = []string{value}
			session, transitive = append(session, types.Tag{Key: &name, Value: &value}), append(transitive, name)
		}
	}
	_, role, _ := strings.Cut(text("roleArn"), ":role/")
	policy, err := e.scene.trustOf(ctx, e.scene.dev, role)
	if err != nil {
		return nil, err
	}
	for _, request.Action = range actions {
		if d := policy.Explain(request); !d.Allowed {
			return nil, fmt.Errorf("%s does not admit EKS: %+v", role, d)
		}
	}
	// awstest has no service principals. For the first hop the role admits an administrator.
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.scene.dev.Roles() {
		if r.ARN() == text("roleArn") {
			r.SetTrust(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + devID + `"},"Action":["sts:AssumeRole","sts:TagSession"]}}`)
			defer r.SetTrust(policy.String())
		}
	}
	first, err := sts.NewFromConfig(e.scene.keyIn(e.scene.dev.AdminKey())).AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String(text("roleArn")), RoleSessionName: aws.String("eks-prod-app-1"), Tags: session, TransitiveTagKeys: transitive,
	})
	if err != nil {
		return nil, err
	}
	second := sts.AssumeRoleInput{
		RoleArn: aws.String(text("targetRoleArn")), RoleSessionName: aws.String("eks-prod-app-1"),
		ExternalId: aws.String(strings.Join([]string{e.scene.region, devID, clusterName, "default", serviceAccount}, "/")),
	}
	if restriction := text("policy"); restriction != "" {
		second.Policy = &restriction
	}
	hub := first.Credentials
	got, err := sts.NewFromConfig(e.scene.keyIn(aws.Credentials{
		AccessKeyID: *hub.AccessKeyId, SecretAccessKey: *hub.SecretAccessKey, SessionToken: *hub.SessionToken,
	})).AssumeRole(ctx, &second)
	if err != nil {
		return nil, err
	}
	return got.Credentials, nil
}

// parseIAM parses a policy as IAM's API returns it.
func parseIAM(encoded string) (*trust.Policy, error) {
	text, err := url.QueryUnescape(encoded)
	if err != nil {
		return nil, err
	}
	return trust.ParsePolicy([]byte(text))
}
