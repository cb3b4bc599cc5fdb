package clients_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/crossrole/crossrole/trust"
)

// A module of Terraform, read as Terraform reads it: every argument is documented, every
// reference resolves, every value is known.

// documentation is what a page documents of a kind of block. Arguments that replace
// another resource of the module are left out, such as inline_policy of a role.
type documentation struct {
	page       string
	required   []string
	optional   []string
	attributes []string // that other blocks may refer to, as well as the arguments
}

const registry = "https://registry.terraform.io/providers/hashicorp/aws/latest/docs"

var documented = map[string]documentation{
	"terraform": {
		page:     "https://developer.hashicorp.com/terraform/language/block/terraform",
		optional: []string{"required_version"},
	},
	"required_providers": {
		page:     "https://developer.hashicorp.com/terraform/language/providers/requirements",
		required: []string{"aws"},
	},
	"provider aws": {
		page:     registry,
		required: []string{"alias", "allowed_account_ids"}, // required by us
		optional: []string{"region", "profile"},
	},
	"aws_iam_openid_connect_provider": {
		page:       registry + "/resources/iam_openid_connect_provider",
		required:   []string{"url", "client_id_list"},
		optional:   []string{"thumbprint_list", "tags"},
		attributes: []string{"arn"},
	},
	"aws_iam_role": {
		page:       registry + "/resources/iam_role",
		required:   []string{"assume_role_policy"},
		optional:   []string{"description", "force_detach_policies", "max_session_duration", "name", "name_prefix", "path", "permissions_boundary", "tags"},
		attributes: []string{"arn", "id"},
	},
	"aws_iam_role_policy": {
		page:     registry + "/resources/iam_role_policy",
		required: []string{"role", "policy"},
		optional: []string{"name", "name_prefix"},
	},
	"aws_eks_pod_identity_association": {
		page:     registry + "/resources/eks_pod_identity_association",
		required: []string{"cluster_name", "namespace", "service_account", "role_arn"},
		// policy: https://github.com/hashicorp/terraform-provider-aws/pull/48869
		optional: []string{"disable_session_tags", "policy", "region", "tags", "target_role_arn"},
	},
}

// metaArguments are those of every resource:
// https://developer.hashicorp.com/terraform/language/resources/syntax
var metaArguments = []string{"provider", "depends_on"}

// module is the configuration of a directory.
type module struct {
	partition string
	accounts  map[string]string // IDs by the alias of their provider
	resources map[string]*resource
}

// resource is a block with the values of its arguments.
type resource struct {
	kind, name string // such as aws_iam_role, and aws_iam_role.hub
	account    string
	after      []string // resources that it depends on
	body       *hclsyntax.Body
	values     map[string]cty.Value
}

// moduleRole is a role with its policies.
type moduleRole struct {
	resource      *resource
	account       string
	trust, policy *trust.Policy
}

func readModule(t *testing.T, partition string, files map[string]string) *module {
	t.Helper()
	m, err := parseModule(partition, files)
	if err != nil {
		t.Fatalf("%v in\n%s", err, strings.Join(slices.Collect(maps.Values(files)), "\n"))
	}
	return m
}

// parseModule reads the files of a module, by name. ARNs are of a partition.
func parseModule(partition string, files map[string]string) (*module, error) {
	m := &module{partition, map[string]string{}, map[string]*resource{}}
	for name, text := range files {
		file, diags := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
		if diags.HasErrors() {
			return nil, diags
		}
		body := file.Body.(*hclsyntax.Body)
		if len(body.Attributes) > 0 {
			return nil, fmt.Errorf("%s: arguments outside a block: %q", name, slices.Collect(maps.Keys(body.Attributes)))
		}
		for _, b := range body.Blocks {
			if err := m.add(b); err != nil {
				return nil, fmt.Errorf("%s: %w", b.TypeRange, err)
			}
		}
	}
	return m, m.evaluate()
}

// add adds a block.
func (m *module) add(b *hclsyntax.Block) error {
	switch {
	case b.Type == "terraform" && len(b.Labels) == 0:
		return checkTerraform(b.Body)
	case b.Type == "provider" && slices.Equal(b.Labels, []string{"aws"}):
		if err := checkDocumented("provider aws", b.Body); err != nil {
			return err
		}
		values, err := evaluateAll(b.Body, nil)
		if err != nil {
			return err
		}
		alias, ids := values["alias"].AsString(), values["allowed_account_ids"].AsValueSlice()
		if m.accounts[alias] != "" || len(ids) != 1 {
			return fmt.Errorf("provider aws.%s is declared twice or has %d accounts", alias, len(ids))
		}
		m.accounts[alias] = ids[0].AsString()
	case b.Type == "resource" && len(b.Labels) == 2:
		r := &resource{kind: b.Labels[0], name: strings.Join(b.Labels, "."), body: b.Body, values: map[string]cty.Value{}}
		if m.resources[r.name] != nil {
			return fmt.Errorf("%s is declared twice", r.name)
		}
		m.resources[r.name] = r
		return checkDocumented(r.kind, b.Body, metaArguments...)
	default:
		return fmt.Errorf("a block %q %q", b.Type, b.Labels)
	}
	return nil
}

func checkTerraform(body *hclsyntax.Body) error {
	if err := checkDocumented("terraform", body, "required_providers"); err != nil {
		return err
	}
	for _, b := range body.Blocks {
		if err := checkDocumented(b.Type, b.Body); err != nil {
			return err
		}
		values, err := evaluateAll(b.Body, nil)
		if err != nil {
			return err
		}
		for name, value := range values["aws"].AsValueMap() {
			if name != "version" && (name != "source" || value.AsString() != "hashicorp/aws") {
				return fmt.Errorf("required_providers: aws has %s = %#v", name, value)
			}
		}
	}
	return nil
}

// checkDocumented checks the arguments and blocks in a block of a kind. It may have more
// of them than documented.
func checkDocumented(kind string, body *hclsyntax.Body, more ...string) error {
	d, ok := documented[kind]
	if !ok {
		return fmt.Errorf("%s is not in the table of documented blocks", kind)
	}
	var errs []error
	for name := range body.Attributes {
		if !slices.Contains(slices.Concat(d.required, d.optional, more), name) {
			errs = append(errs, fmt.Errorf("%s has no argument %q; see %s", kind, name, d.page))
		}
	}
	for _, b := range body.Blocks {
		if !slices.Contains(more, b.Type) {
			errs = append(errs, fmt.Errorf("%s has no block %q; see %s", kind, b.Type, d.page))
		}
	}
	for _, name := range d.required {
		if body.Attributes[name] == nil {
			errs = append(errs, fmt.Errorf("%s needs %q; see %s", kind, name, d.page))
		}
	}
	return errors.Join(errs...)
}

// evaluate resolves the references and evaluates all arguments.
func (m *module) evaluate() error {
	kinds := map[string]map[string]cty.Value{}
	for _, r := range m.resources {
		if err := m.resolve(r); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		// What others refer to depends on these two, which are literals.
		exported := map[string]cty.Value{}
		for name, prefix := range map[string]string{"name": ":role/", "url": ":oidc-provider/"} {
			a := r.body.Attributes[name]
			if a == nil || r.kind == "aws_iam_role_policy" {
				continue
			}
			value, diags := a.Expr.Value(nil)
			if diags.HasErrors() {
				return diags
			}
			exported[name], exported["id"] = value, value
			exported["arn"] = cty.StringVal("arn:" + m.partition + ":iam::" + r.account + prefix + strings.TrimPrefix(value.AsString(), "https://"))
		}
		if kinds[r.kind] == nil {
			kinds[r.kind] = map[string]cty.Value{}
		}
		kinds[r.kind][strings.TrimPrefix(r.name, r.kind+".")] = cty.ObjectVal(exported)
	}
	scope := &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc}}
	for kind, labels := range kinds {
		scope.Variables[kind] = cty.ObjectVal(labels)
	}
	for _, r := range m.resources {
		values, err := evaluateAll(r.body, scope)
		if err != nil {
			return err
		}
		r.values = values
	}
	return nil
}

// resolve follows the references of a resource.
func (m *module) resolve(r *resource) error {
	provider := r.body.Attributes["provider"]
	if provider == nil {
		return errors.New("it has no provider, and the module has no default one")
	}
	reference, diags := hcl.AbsTraversalForExpr(provider.Expr)
	if diags.HasErrors() {
		return diags
	}
	root, alias, _ := strings.Cut(address(reference), ".")
	if r.account = m.accounts[alias]; root != "aws" || r.account == "" {
		return fmt.Errorf("no provider %s", address(reference))
	}
	if list := r.body.Attributes["depends_on"]; list != nil {
		entries, diags := hcl.ExprList(list.Expr)
		if diags.HasErrors() {
			return diags
		}
		for _, e := range entries {
			reference, diags := hcl.AbsTraversalForExpr(e)
			if diags.HasErrors() {
				return diags
			}
			if m.resources[address(reference)] == nil {
				return fmt.Errorf("depends_on: no block %s", address(reference))
			}
			r.after = append(r.after, address(reference))
		}
	}
	for name, a := range r.body.Attributes {
		if slices.Contains(metaArguments, name) {
			continue
		}
		for _, reference := range a.Expr.Variables() {
			parts := strings.Split(address(reference), ".")
			if len(parts) != 3 {
				return fmt.Errorf("%s: %s is not an attribute of a resource", name, address(reference))
			}
			to := m.resources[parts[0]+"."+parts[1]]
			if to == nil {
				return fmt.Errorf("%s: no block %s.%s", name, parts[0], parts[1])
			}
			if to.body.Attributes[parts[2]] == nil && !slices.Contains(documented[to.kind].attributes, parts[2]) {
				return fmt.Errorf("%s: %s has no attribute %q; see %s", name, to.name, parts[2], documented[to.kind].page)
			}
			r.after = append(r.after, to.name)
		}
	}
	return nil
}

// address returns a reference as it is written.
func address(reference hcl.Traversal) string {
	var parts []string
	for _, step := range reference {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			parts = append(parts, step.Name)
		case hcl.TraverseAttr:
			parts = append(parts, step.Name)
		default:
			parts = append(parts, fmt.Sprintf("%T", step))
		}
	}
	return strings.Join(parts, ".")
}

// evaluateAll returns the values of the arguments, except for metaArguments.
func evaluateAll(body *hclsyntax.Body, scope *hcl.EvalContext) (map[string]cty.Value, error) {
	values := map[string]cty.Value{}
	for name, a := range body.Attributes {
		if slices.Contains(metaArguments, name) {
			continue
		}
		value, diags := a.Expr.Value(scope)
		if diags.HasErrors() {
			return nil, diags
		}
		values[name] = value
	}
	return values, nil
}

// of returns the resources of a kind, by name.
func (m *module) of(kind string) []*resource {
	var list []*resource
	for _, name := range slices.Sorted(maps.Keys(m.resources)) {
		if r := m.resources[name]; r.kind == kind {
			list = append(list, r)
		}
	}
	return list
}

// arn returns the ARN of an OIDC provider.
func (m *module) arn(t *testing.T, r *resource) string {
	t.Helper()
	return "arn:" + m.partition + ":iam::" + r.account + ":oidc-provider/" + strings.TrimPrefix(r.text(t, "url"), "https://")
}

// role returns a role of an account. Its policies are valid.
func (m *module) role(t *testing.T, account, name string) moduleRole {
	t.Helper()
	found := moduleRole{account: account}
	for _, r := range m.of("aws_iam_role") {
		if r.account == account && r.text(t, "name") == name {
			found.resource, found.trust = r, parsePolicy(t, r.text(t, "assume_role_policy"), (*trust.Policy).ValidateTrust)
		}
	}
	for _, r := range m.of("aws_iam_role_policy") {
		if r.account == account && r.text(t, "role") == name {
			if found.policy != nil {
				t.Errorf("the role %s has two policies", name)
			}
			found.policy = parsePolicy(t, r.text(t, "policy"), (*trust.Policy).ValidateIdentity)
		}
	}
	if found.trust == nil || found.policy == nil {
		t.Fatalf("the module has no role %s with a policy in account %s", name, account)
	}
	return found
}

// parsePolicy returns a policy that must be valid.
func parsePolicy(t *testing.T, text string, validate func(*trust.Policy) error) *trust.Policy {
	t.Helper()
	policy, err := trust.ParsePolicy([]byte(text))
	if err == nil {
		err = validate(policy)
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return policy
}

// text returns the value of an argument that is a string.
func (r *resource) text(t *testing.T, name string) string {
	t.Helper()
	v, ok := r.values[name]
	if !ok || v.Type() != cty.String {
		t.Fatalf("%s: %s is %#v, want a string", r.name, name, v)
	}
	return v.AsString()
}

// texts returns the value of an argument that is a list of strings.
func (r *resource) texts(t *testing.T, name string) []string {
	t.Helper()
	v, ok := r.values[name]
	if !ok || !v.Type().IsTupleType() {
		t.Fatalf("%s: %s is %#v, want a list", r.name, name, v)
	}
	var list []string
	for _, e := range v.AsValueSlice() {
		list = append(list, e.AsString())
	}
	return list
}

// number returns the value of an argument that is a number.
func (r *resource) number(t *testing.T, name string) int64 {
	t.Helper()
	v, ok := r.values[name]
	if !ok || v.Type() != cty.Number {
		t.Fatalf("%s: %s is %#v, want a number", r.name, name, v)
	}
	n, _ := v.AsBigFloat().Int64()
	return n
}
