// Package plan works out what crossrole setup prints: the OIDC providers, roles,
// policies, Pod Identity associations and Kubernetes objects of a route.
//
// # How it works
//
// [New] turns a [Request] into a [Plan], which is data: per account what it must
// contain, and the objects of the cluster. Nothing in a plan depends on an output
// format. One renderer per format writes the plan: shell.go, terraform.go, and
// encoding/json for JSON. [Plan.Write] renders everything into one document,
// [Plan.Files] one file per account and purpose.
//
// Every statement of a policy has a Sid that is derived from what the statement is
// about (see sid). The scripts find the statements of an earlier run by it, and leave
// all other statements alone.
package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// Plan is what must exist for a route. Its JSON form is documented in
// docs/terraform.md.
type Plan struct {
	Version   int       `json:"version"` // of the JSON form: 1
	Route     string    `json:"route"`
	Cluster   string    `json:"cluster"`
	Partition string    `json:"partition"`
	Accounts  []Account `json:"accounts"` // in the order in which they must be set up

	// Kubernetes is a YAML stream of the objects for the cluster. In JSON, it is a list
	// of objects.
	Kubernetes Manifest `json:"kubernetes"`

	// Notes are for the person who applies the plan.
	Notes []string `json:"-"`
}

// Account is an AWS account and what it must contain.
type Account struct {
	ID           string        `json:"id"`
	Purpose      string        `json:"purpose"` // "cluster" or "bucket"
	Providers    []Provider    `json:"oidcProviders"`
	Roles        []Role        `json:"roles"`
	Associations []Association `json:"podIdentityAssociations"`
}

// Provider is an IAM OIDC provider.
type Provider struct {
	Name      string   `json:"-"` // in Terraform
	ARN       string   `json:"arn"`
	URL       string   `json:"url"`
	ClientIDs []string `json:"clientIds"`
}

// Role is an IAM role with one inline policy.
type Role struct {
	label              string // in Terraform
	Name               string `json:"name"`
	ARN                string `json:"arn"`
	MaxSessionDuration int    `json:"maxSessionDuration"` // seconds

	Trust      *trust.Policy `json:"trustPolicy"`
	PolicyName string        `json:"policyName"`
	Policy     *trust.Policy `json:"policy"`

	after string // label of the role that must exist before
}

// Association is an EKS Pod Identity association.
type Association struct {
	ClusterName        string        `json:"clusterName"`
	Namespace          string        `json:"namespace"`
	ServiceAccount     string        `json:"serviceAccount"`
	RoleARN            string        `json:"roleArn"`
	TargetRoleARN      string        `json:"targetRoleArn"`
	DisableSessionTags bool          `json:"disableSessionTags"`
	Policy             *trust.Policy `json:"policy,omitempty"`
}

// File is a part of a plan that stands in a file of its own.
type File struct {
	Name       string // without a directory
	Text       string
	Executable bool
}

// Formats are the formats of [Plan.Write] and [Plan.Files].
var Formats = []string{"shell", "terraform", "json"}

// Write renders the plan as one document.
func (p *Plan) Write(w io.Writer, format string) error {
	var text string
	switch format {
	case "shell":
		text = p.script(p.Accounts, true)
	case "terraform":
		text = p.providers()
		for _, a := range p.Accounts {
			text += "\n" + a.terraform()
		}
	case "json":
		var err error
		if text, err = p.json(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("plan: format %q", format)
	}
	_, err := io.WriteString(w, text)
	return err
}

// mark is the line by which [Ours] recognizes a file.
const mark = "# Written by crossrole setup\n"

var fileName = lazyregexp.New(`^([0-9]{12}-(cluster|bucket)\.(sh|tf)|providers\.tf|kubernetes\.yaml|plan\.json)$`)

// Ours reports whether a file has a name and a beginning that [Plan.Files] gives to
// files.
func Ours(name string, text []byte) bool {
	if !fileName().MatchString(name) {
		return false
	}
	if name == "plan.json" {
		var p struct {
			Version  int
			Route    string
			Accounts []struct{ Purpose string }
		}
		return json.Unmarshal(text, &p) == nil && p.Version > 0 && p.Route != "" && len(p.Accounts) > 0
	}
	return bytes.HasPrefix(bytes.TrimPrefix(text, []byte(shebang)), []byte(mark))
}

// Files renders the plan as files. Each begins with a line that says where it is from,
// except for JSON, which has no comments.
func (p *Plan) Files(format string) ([]File, error) {
	var files []File
	switch format {
	case "shell":
		for _, a := range p.Accounts {
			files = append(files, File{Name: a.ID + "-" + a.Purpose + ".sh", Text: strings.Replace(p.script([]Account{a}, false), shebang, shebang+mark, 1), Executable: true})
		}
	case "terraform":
		files = append(files, File{Name: "providers.tf", Text: mark + p.providers()})
		for _, a := range p.Accounts {
			files = append(files, File{Name: a.ID + "-" + a.Purpose + ".tf", Text: mark + a.terraform()})
		}
	case "json":
		text, err := p.json()
		if err != nil {
			return nil, err
		}
		files = append(files, File{Name: "plan.json", Text: text})
	default:
		return nil, fmt.Errorf("plan: format %q", format)
	}
	return append(files, File{Name: "kubernetes.yaml", Text: mark + string(p.Kubernetes)}), nil
}

func (p *Plan) json() (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(p)
	return b.String(), err
}

// account returns the account with an ID. If the plan has none, it adds one.
func (p *Plan) account(id, purpose string) *Account {
	i := slices.IndexFunc(p.Accounts, func(a Account) bool { return a.ID == id })
	if i < 0 {
		i = len(p.Accounts)
		// Empty lists, and not null, in JSON.
		p.Accounts = append(p.Accounts, Account{ID: id, Purpose: purpose, Providers: []Provider{}, Roles: []Role{}, Associations: []Association{}})
	}
	return &p.Accounts[i]
}
