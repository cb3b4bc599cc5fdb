package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// policies are what a plan attaches to its roles.
type policies struct{ hubTrust, hubMay, roleTrust, roleMay *trust.Policy }

// policies writes the policies, and reports what IAM would refuse of them.
func (p *plan) policies(hub, target string) (policies, error) {
	subject := []string{"system:serviceaccount:" + p.namespace + ":" + p.accountName}
	options := func(o *trust.PolicyOptions) {
		o.Partition = p.partition.name
		o.ExternalID = p.asked.role.ExternalID
		o.TagSession, o.SetSourceIdentity = p.asked.role.Tags != nil, p.asked.role.SourceIdentity != ""
	}
	may := trust.ReadBucketPolicy(p.bucket, p.prefix, options)
	all := policies{roleTrust: trust.WebIdentityPolicy(p.shared, p.issuers, subject, options), roleMay: may}
	checks := []func() error{may.ValidateIdentity}
	if p.route == "hub" {
		all.hubTrust, all.hubMay = trust.WebIdentityPolicy(p.cluster, p.issuers, subject, options), trust.AssumePolicy([]string{target}, options)
		all.roleTrust = trust.RolePolicy(hub, options)
		checks = append(checks, all.hubTrust.ValidateTrust, all.hubMay.ValidateIdentity)
	}
	for _, check := range append(checks, all.roleTrust.ValidateTrust) {
		if err := check(); err != nil {
			return all, usagef("that gives a policy which IAM refuses: %w", err)
		}
	}
	return all, nil
}

// write prints the steps. Policies go through here-documents, so that what is
// printed can be pasted as it is.
func (p *plan) write(out io.Writer) error {
	target := "arn:" + p.partition.name + ":iam::" + p.shared + ":role/" + p.role
	hub := "arn:" + p.partition.name + ":iam::" + p.cluster + ":role/" + p.hub
	grants, err := p.policies(hub, target)
	if err != nil {
		return err
	}
	var b strings.Builder
	step := 0
	section := func(format string, args ...any) {
		step++
		fmt.Fprintf(&b, "# %d. %s\n", step, fmt.Sprintf(format, args...))
	}
	providers := func(account string) {
		section("In account %s: register the issuer%s of the cluster%s", account, plural(p.issuers), plural(p.issuers))
		for _, issuer := range p.issuers {
			fmt.Fprintf(&b, "aws iam create-open-id-connect-provider %s --client-id-list sts.amazonaws.com\n", shellFlag("--url", issuer))
		}
		b.WriteString("\n")
	}
	role := func(account, name string, trusts, may *trust.Policy, lasts time.Duration, what string) {
		section("In account %s: %s", account, what)
		longer := ""
		if lasts > time.Hour { // what every role allows
			longer = fmt.Sprintf(" --max-session-duration %d", int64(lasts/time.Second))
		}
		file := func(suffix string) string { return shellQuote(name + suffix) }
		fmt.Fprintf(&b, "cat > %s <<'END'\n%s\nEND\naws iam create-role %s%s --assume-role-policy-document %s\n",
			file("-trust.json"), trusts, shellFlag("--role-name", name), longer, shellQuote("file://"+name+"-trust.json"))
		fmt.Fprintf(&b, "cat > %s <<'END'\n%s\nEND\naws iam put-role-policy %s --policy-name crossrole --policy-document %s\n\n",
			file("-policy.json"), may, shellFlag("--role-name", name), shellQuote("file://"+name+"-policy.json"))
	}
	asked := p.asked
	annotated, doctor := hub, []string{"doctor"}
	if p.route == "direct" {
		annotated = target
		providers(p.shared)
		role(p.shared, p.role, grants.roleTrust, grants.roleMay, asked.role.Duration, "the role that tokens are exchanged for, which may read the bucket")
		asked.own, asked.role.ARN = true, ""
	} else {
		providers(p.cluster)
		role(p.cluster, p.hub, grants.hubTrust, grants.hubMay, 0, "the hub role, which tokens are exchanged for")
		role(p.shared, p.role, grants.roleTrust, grants.roleMay, 0, "the role that the hub assumes, which may read the bucket")
		asked.own, asked.role.ARN = false, target
	}
	if asked.String() != "own" {
		doctor = append(doctor, "--role", asked.String())
	}
	doctor = append(doctor, "--bucket", p.bucket)
	section("In the cluster%s: the service account, kubectl apply -f -", plural(p.issuers))
	fmt.Fprintf(&b, `apiVersion: v1
kind: ServiceAccount
metadata:
  name: %s
  namespace: %s
  annotations:
    eks.amazonaws.com/role-arn: %s
---
`, yamlString(p.accountName), yamlString(p.namespace), yamlString(annotated))
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
`, yamlString(p.namespace), yamlString(p.accountName), yamlList(doctor))
	fmt.Fprintf(&b, "\n# Then: kubectl logs -n %s crossrole-doctor\n", shellQuote(p.namespace))
	_, err = io.WriteString(out, b.String())
	return err
}

func plural(list []string) string {
	if len(list) > 1 {
		return "s"
	}
	return ""
}

// yamlList writes a command line as a YAML list.
func yamlList(args []string) string {
	list := slices.Clone(args)
	for i, a := range list {
		list[i] = yamlQuoted(a)
	}
	return strings.Join(list, ", ")
}
