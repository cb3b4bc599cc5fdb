package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/crossrole/crossrole/trust"
)

// write prints the steps. Policies go through here-documents, so that what is
// printed can be pasted as it is.
func (p *plan) write(out io.Writer) error {
	subject := []string{"system:serviceaccount:" + p.namespace + ":" + p.accountName}
	target := "arn:aws:iam::" + p.shared + ":role/" + p.role
	hub := "arn:aws:iam::" + p.cluster + ":role/" + p.hub
	read := trust.ReadBucketPolicy(p.bucket, p.prefix)
	var b strings.Builder
	step := 0
	section := func(format string, args ...any) {
		step++
		fmt.Fprintf(&b, "# %d. %s\n", step, fmt.Sprintf(format, args...))
	}
	providers := func(account string) {
		section("In account %s: register the issuer%s of the cluster%s", account, plural(p.issuers), plural(p.issuers))
		for _, issuer := range p.issuers {
			fmt.Fprintf(&b, "aws iam create-open-id-connect-provider --url %s --client-id-list sts.amazonaws.com\n", issuer)
		}
		b.WriteString("\n")
	}
	role := func(account, name string, trusts, may *trust.Policy, what string) {
		section("In account %s: %s", account, what)
		fmt.Fprintf(&b, "cat > %[1]s-trust.json <<'END'\n%[2]s\nEND\naws iam create-role --role-name %[1]s --assume-role-policy-document file://%[1]s-trust.json\n", name, trusts)
		fmt.Fprintf(&b, "cat > %[1]s-policy.json <<'END'\n%[2]s\nEND\naws iam put-role-policy --role-name %[1]s --policy-name crossrole --policy-document file://%[1]s-policy.json\n\n", name, may)
	}
	annotated, doctor := hub, "doctor --role "+target+" --bucket "+p.bucket
	if p.route == "direct" {
		annotated, doctor = target, "doctor --bucket "+p.bucket
		providers(p.shared)
		role(p.shared, p.role, trust.WebIdentityPolicy(p.shared, p.issuers, subject), read, "the role that tokens are exchanged for, which may read the bucket")
	} else {
		providers(p.cluster)
		role(p.cluster, p.hub, trust.WebIdentityPolicy(p.cluster, p.issuers, subject), trust.AssumePolicy([]string{target}), "the hub role, which tokens are exchanged for")
		role(p.shared, p.role, trust.RolePolicy(hub), read, "the role that the hub assumes, which may read the bucket")
	}
	section("In the cluster%s: the service account, kubectl apply -f -", plural(p.issuers))
	fmt.Fprintf(&b, `apiVersion: v1
kind: ServiceAccount
metadata:
  name: %s
  namespace: %s
  annotations:
    eks.amazonaws.com/role-arn: %s
---
`, p.accountName, p.namespace, annotated)
	fmt.Fprintf(&b, `apiVersion: v1
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
    image: IMAGE # one that holds the crossrole command
    args: [%s]
`, p.namespace, p.accountName, quoted(doctor))
	fmt.Fprintf(&b, "\n# Then: kubectl logs -n %s crossrole-doctor\n", p.namespace)
	_, err := io.WriteString(out, b.String())
	return err
}

func plural(list []string) string {
	if len(list) > 1 {
		return "s"
	}
	return ""
}

// quoted is a command line as a YAML list.
func quoted(args string) string {
	var list []string
	for a := range strings.FieldsSeq(args) {
		list = append(list, fmt.Sprintf("%q", a))
	}
	return strings.Join(list, ", ")
}
