package plan

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The objects for the cluster.

// Manifest is a stream of Kubernetes objects in YAML.
type Manifest string

// MarshalJSON writes a list of objects.
func (m Manifest) MarshalJSON() ([]byte, error) {
	objects := []any{}
	for d := yaml.NewDecoder(bytes.NewReader([]byte(m))); ; {
		var object any
		if err := d.Decode(&object); errors.Is(err, io.EOF) {
			return json.Marshal(objects)
		} else if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
}

const (
	tokenVolume = "aws-iam-token" //nolint:gosec // the name of a volume
	tokenDir    = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
)

// injection is a copy of examples/deploy/pod-identity-policy.yaml, which an embed
// directive cannot reach.
//
//go:embed pod-identity-policy.yaml
var injection string

// manifest returns the service account and a pod that runs doctor. On clusters without
// Amazon's webhook, the pod has what the webhook injects, or there is an admission
// policy that does it.
func (r *Request) manifest(hub, target string) Manifest {
	annotated := hub
	doctor := []string{"doctor"}
	asked := r.Role
	switch r.Route {
	case "direct":
		annotated, asked.Own, asked.Role.ARN = target, true, ""
	case "hub":
		asked.Own, asked.Role.ARN = false, target
	case "pod-identity":
		annotated, asked.Own = "", true
		asked.Role.ExternalID = ""
		doctor = append(doctor, "--source", "pod-identity")
	}
	if asked.String() != "own" {
		doctor = append(doctor, "--role", asked.String())
	}
	doctor = append(doctor, "--bucket", r.Buckets[0])
	byHand := r.Cluster == "other" && !r.Inject

	var b strings.Builder
	if r.Inject {
		b.WriteString(r.policy() + "---\n")
	}
	fmt.Fprintf(&b, "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: %s\n  namespace: %s\n", yamlString(r.ServiceAccount), yamlString(r.Namespace))
	if annotated != "" && !byHand {
		fmt.Fprintf(&b, "  annotations:\n    eks.amazonaws.com/role-arn: %s\n", yamlString(annotated))
	}
	fmt.Fprintf(&b, `---
apiVersion: v1
kind: Pod
metadata:
  name: crossrole-doctor
  namespace: %s
spec:
  serviceAccountName: %s
  restartPolicy: Never
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    fsGroup: 65532
  containers:
  - name: doctor
    image: IMAGE # with the crossrole command
    args: [%s]
`, yamlString(r.Namespace), yamlString(r.ServiceAccount), yamlList(doctor))
	if byHand {
		fmt.Fprintf(&b, `    env:
    - name: AWS_ROLE_ARN
      value: %s
    - name: AWS_WEB_IDENTITY_TOKEN_FILE
      value: %s/token
    - name: AWS_REGION
      value: %s
    - name: AWS_STS_REGIONAL_ENDPOINTS
      value: regional
    volumeMounts:
    - name: %s
      mountPath: %[2]s
      readOnly: true
  volumes:
  - name: %[4]s
    projected:
      sources:
      - serviceAccountToken:
          audience: %[5]s
          expirationSeconds: 86400
          path: token
`, yamlString(annotated), tokenDir, yamlString(r.region()), tokenVolume, audience)
	}
	return Manifest(b.String())
}

// policy returns the admission policy with the region of the request, as a string of CEL
// in a scalar of YAML.
func (r *Request) policy() string {
	region := "'" + strings.ReplaceAll(strconv.Quote(r.region()), "'", "''") + "'"
	return strings.Replace(injection, `'"us-east-1"'`, region, 1)
}

// yamlList returns a command line as the items of a YAML list.
func yamlList(args []string) string {
	list := slices.Clone(args)
	for i, a := range list {
		list[i] = yamlQuoted(a)
	}
	return strings.Join(list, ", ")
}
