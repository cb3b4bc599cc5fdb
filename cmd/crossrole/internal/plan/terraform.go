package plan

import (
	"fmt"
	"slices"
	"strings"
)

// The plan as Terraform configuration. The arguments are those of the AWS provider's
// documentation; docs/terraform.md lists them with links.

// providerVersion is the first with all the arguments that the resources always have: it
// added target_role_arn and disable_session_tags
// (https://github.com/hashicorp/terraform-provider-aws/pull/42979).
const providerVersion = ">= 6.2.0"

// providers renders the blocks that the resources of all accounts need.
func (p *Plan) providers() string {
	var b strings.Builder
	b.WriteString(`terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "` + providerVersion + `"
    }
  }
}
`)
	for _, a := range p.Accounts {
		if slices.ContainsFunc(a.Associations, func(as Association) bool { return as.Policy != nil }) {
			b.WriteString("\n# The policy of an association needs a provider released in July 2026 or later.\n")
		}
	}
	for _, a := range p.Accounts {
		fmt.Fprintf(&b, `
# The account of the %s. Add profile or assume_role with credentials of the account.
provider "aws" {
  alias               = %s
  allowed_account_ids = [%s]
}
`, a.Purpose, hclString(a.alias()), hclString(a.ID))
	}
	return b.String()
}

func (a *Account) alias() string { return "account_" + a.ID }

// terraform renders the resources of an account.
func (a *Account) terraform() string {
	var blocks []string
	// block adds a resource. Arguments are pairs of a name and an expression.
	block := func(kind, label string, arguments ...string) {
		var b strings.Builder
		fmt.Fprintf(&b, "resource %q %q {\n", kind, label)
		arguments = append([]string{"provider", "aws." + a.alias()}, arguments...)
		width := 0 // of the names before expressions of one line, as terraform fmt aligns them
		for i := 0; i < len(arguments); i += 2 {
			if !strings.Contains(arguments[i+1], "\n") {
				width = max(width, len(arguments[i]))
			}
		}
		for i := 0; i < len(arguments); i += 2 {
			if strings.Contains(arguments[i+1], "\n") {
				width = 0 // what follows is a group of its own
			}
			fmt.Fprintf(&b, "  %-*s = %s\n", width, arguments[i], arguments[i+1])
		}
		b.WriteString("}\n")
		blocks = append(blocks, b.String())
	}
	for _, p := range a.Providers {
		var ids []string
		for _, id := range p.ClientIDs {
			ids = append(ids, hclString(id))
		}
		block("aws_iam_openid_connect_provider", p.Name, "url", hclString(p.URL), "client_id_list", "["+strings.Join(ids, ", ")+"]")
	}
	for _, r := range a.Roles {
		arguments := []string{"name", hclString(r.Name), "max_session_duration", fmt.Sprint(r.MaxSessionDuration), "assume_role_policy", hclPolicy(r.Trust, "  ")}
		if r.after != "" { // IAM refuses a principal that does not exist
			arguments = append(arguments, "depends_on", "[aws_iam_role."+r.after+"]")
		}
		block("aws_iam_role", r.label, arguments...)
		block("aws_iam_role_policy", r.label, "name", hclString(r.PolicyName), "role", "aws_iam_role."+r.label+".name", "policy", hclPolicy(r.Policy, "  "))
	}
	for _, as := range a.Associations {
		arguments := []string{
			"cluster_name", hclString(as.ClusterName), "namespace", hclString(as.Namespace), "service_account", hclString(as.ServiceAccount),
			"role_arn", "aws_iam_role.hub.arn", "target_role_arn", hclString(as.TargetRoleARN), "disable_session_tags", fmt.Sprint(as.DisableSessionTags),
		}
		if as.Policy != nil {
			arguments = append(arguments, "policy", hclPolicy(as.Policy, "  "))
		}
		block("aws_eks_pod_identity_association", "pod", arguments...)
	}
	return strings.Join(blocks, "\n")
}
