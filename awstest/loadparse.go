package awstest

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
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// What a document may be at most.
const (
	maxWorld      = 1 << 20 // bytes
	maxWorldNodes = 200_000 // values, after aliases are followed
	maxWorldErrs  = 50      // mistakes that are reported
)

//go:embed world.schema.json
var worldSchema []byte

// WorldSchema returns the JSON schema (draft 2020-12) of the documents that Load
// reads, for editors and other checkers. Load checks more than a schema can say.
func WorldSchema() []byte { return bytes.Clone(worldSchema) }

// position is where a value begins in the document, counted from 1.
type position struct{ line, column int }

func positionOf(n *yaml.Node) position { return position{n.Line, n.Column} }

// worldParser turns a document into declarations. It collects the mistakes, so
// that one run reports them all.
type worldParser struct {
	nodes    int
	mistakes []string
	more     int // mistakes beyond maxWorldErrs
}

func (p *worldParser) errorf(at position, format string, args ...any) {
	if len(p.mistakes) == maxWorldErrs {
		p.more++
		return
	}
	p.mistakes = append(p.mistakes, fmt.Sprintf("%d:%d: ", at.line, at.column)+fmt.Sprintf(format, args...))
}

func (p *worldParser) err() error {
	switch {
	case len(p.mistakes) == 0:
		return nil
	case p.more > 0:
		return fmt.Errorf("awstest: %s\nand %d more mistakes", strings.Join(p.mistakes, "\n"), p.more)
	}
	return errors.New("awstest: " + strings.Join(p.mistakes, "\n"))
}

// field is a key that a mapping may have.
type field struct {
	name     string
	required bool
	read     func(*yaml.Node)
}

// mapping reads a mapping whose keys are fields. what names it in errors.
func (p *worldParser) mapping(n *yaml.Node, what string, fields ...field) {
	if n = p.follow(n); n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.errorf(positionOf(n), "%s is %s; it is a mapping with the keys %s", what, kindOf(n), names(fields))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		switch {
		case at < 0:
			p.errorf(positionOf(key), "%s has no key %q; it has %s", what, key.Value, names(fields))
		case seen[key.Value]:
			p.errorf(positionOf(key), "%s has the key %q twice", what, key.Value)
		default:
			seen[key.Value] = true
			fields[at].read(value)
		}
	}
	for _, f := range fields {
		if f.required && !seen[f.name] {
			p.errorf(positionOf(n), "%s lacks the key %q", what, f.name)
		}
	}
}

func names(fields []field) string {
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
	}
	return strings.Join(all, ", ")
}

// follow resolves an alias and counts the values, because aliases of aliases can
// make a small document endless. It returns nil when there are too many.
func (p *worldParser) follow(n *yaml.Node) *yaml.Node {
	if p.nodes++; p.nodes > maxWorldNodes {
		if p.nodes == maxWorldNodes+1 {
			p.errorf(positionOf(n), "the document has more than %d values, aliases included", maxWorldNodes)
		}
		return nil
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// each calls read for each element of a list.
func (p *worldParser) each(what string, read func(*yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = p.follow(n); n == nil {
			return
		}
		if n.Kind != yaml.SequenceNode {
			p.errorf(positionOf(n), "%s is %s; it is a list", what, kindOf(n))
			return
		}
		for _, element := range n.Content {
			read(element)
		}
	}
}

// text reads a string. A number is taken for its digits as written, because
// account ids are numbers to YAML unless quoted.
func (p *worldParser) text(what string, to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = p.follow(n); n == nil {
			return
		}
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			p.errorf(positionOf(n), "%s is %s; it is a string", what, kindOf(n))
			return
		}
		*to = n.Value
	}
}

func (p *worldParser) flag(what string, to *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = p.follow(n); n != nil && n.Decode(to) != nil {
			p.errorf(positionOf(n), "%s is %s; it is true or false", what, kindOf(n))
		}
	}
}

func (p *worldParser) number(what string, to *int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = p.follow(n); n != nil && n.Decode(to) != nil {
			p.errorf(positionOf(n), "%s is %s; it is a whole number", what, kindOf(n))
		}
	}
}

func (p *worldParser) duration(what string, to *time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		p.text(what, &s)(n)
		d, err := time.ParseDuration(s)
		if s != "" && (err != nil || d <= 0) {
			p.errorf(positionOf(n), "%s is %q; write a duration such as 1h or 90m", what, s)
		}
		*to = d
	}
}

// policy reads a policy: YAML, or a string that holds JSON.
func (p *worldParser) policy(what string, to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = p.follow(n); n == nil {
			return
		}
		switch n.Kind {
		case yaml.ScalarNode:
			p.text(what, to)(n)
		case yaml.MappingNode:
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			if err := e.Encode(p.value(n)); err != nil {
				p.errorf(positionOf(n), "%s cannot be written as JSON: %v", what, err)
				return
			}
			*to = strings.TrimSpace(out.String())
		default:
			p.errorf(positionOf(n), "%s is %s; it is a policy, as YAML or as a string of JSON", what, kindOf(n))
		}
	}
}

// value returns a value of a policy for JSON. Dates such as 2012-10-17 stay the
// strings that they are in IAM.
func (p *worldParser) value(n *yaml.Node) any {
	if n = p.follow(n); n == nil {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, twice := m[key.Value]; twice {
				p.errorf(positionOf(key), "the policy has the key %q twice", key.Value)
			}
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				p.errorf(positionOf(key), "the policy has a key that is no string")
				continue
			}
			m[key.Value] = p.value(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, element := range n.Content {
			list = append(list, p.value(element))
		}
		return list
	}
	switch n.Tag {
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i
		}
	case "!!null":
		return nil
	}
	return n.Value
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "empty"
	}
	return strconv.Quote(n.Value)
}

// worldName is what pods and clusters may be called: pods name folders.
var worldName = lazyregexp.New(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

func (p *worldParser) name(what string, to *string, taken map[string]bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.text(what, to)(n)
		switch {
		case *to == "":
		case !worldName().MatchString(*to):
			p.errorf(positionOf(n), "%s %q: a name has 1 to 63 lower-case letters, digits, dots and hyphens, and begins and ends with a letter or digit", what, *to)
		case taken[*to]:
			p.errorf(positionOf(n), "%s %q is there twice", what, *to)
		}
		taken[*to] = true
	}
}

// world parses the whole document.
func (p *worldParser) world(document []byte) *worldDoc {
	doc := &worldDoc{}
	if len(document) > maxWorld {
		p.errorf(position{1, 1}, "the document has %d bytes; at most %d are read", len(document), maxWorld)
		return doc
	}
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	var root, second yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return doc // an empty document is an empty cloud
	case err != nil:
		p.syntax(err)
		return doc
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		p.errorf(positionOf(&second), "there is a second document; a world is one")
		return doc
	}
	clusters, pods, ids := map[string]bool{}, map[string]bool{}, map[string]bool{}
	p.mapping(root.Content[0], "the document",
		field{"partition", false, p.partition(&doc.partition)},
		field{"organization", false, func(n *yaml.Node) { doc.organization = p.organization(n) }},
		field{"clusters", false, p.each("clusters", func(n *yaml.Node) { doc.clusters = append(doc.clusters, p.cluster(n, clusters)) })},
		field{"accounts", false, p.each("accounts", func(n *yaml.Node) { doc.accounts = append(doc.accounts, p.account(n, ids)) })},
		field{"pods", false, p.each("pods", func(n *yaml.Node) { doc.pods = append(doc.pods, p.pod(n, pods)) })},
		field{"propagationDelay", false, p.duration("propagationDelay", &doc.propagation)},
	)
	for _, a := range doc.accounts {
		for _, provider := range a.providers {
			p.known(provider.at, provider.cluster, clusters)
		}
	}
	for _, pod := range doc.pods {
		p.known(pod.at, pod.cluster, clusters)
	}
	return doc
}

func (p *worldParser) known(at position, cluster string, clusters map[string]bool) {
	if cluster != "" && !clusters[cluster] {
		p.errorf(at, "there is no cluster %q; declare it under clusters", cluster)
	}
}

// syntax reports an error of the YAML parser, which names the line only.
func (p *worldParser) syntax(err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if digits, text, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				line, message = n, text
			}
		}
	}
	p.errorf(position{line, 1}, "this is not YAML: %s", message)
}

func (p *worldParser) partition(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.text("partition", to)(n)
		if _, known := partitions[*to]; *to != "" && !known {
			p.errorf(positionOf(n), "partition %q is unknown; use aws, aws-cn, aws-us-gov or aws-eusc", *to)
		}
	}
}

func (p *worldParser) cluster(n *yaml.Node, taken map[string]bool) clusterDecl {
	c := clusterDecl{at: positionOf(n)}
	p.mapping(n, "a cluster",
		field{"name", true, p.name("cluster", &c.name, taken)},
		field{"issuer", true, p.text("issuer", &c.issuer)},
	)
	return c
}

func (p *worldParser) account(n *yaml.Node, taken map[string]bool) accountDecl {
	a := accountDecl{at: positionOf(n), policies: attachedDecl{fullAccess: true}}
	p.mapping(n, "an account",
		field{"id", true, func(n *yaml.Node) {
			p.text("id", &a.id)(n)
			if taken[a.id] && a.id != "" {
				p.errorf(positionOf(n), "account %s is there twice", a.id)
			}
			taken[a.id] = true
		}},
		field{"scps", false, p.each("scps", func(n *yaml.Node) { a.policies.scps = append(a.policies.scps, p.organizationPolicy(n)) })},
		field{"rcps", false, p.each("rcps", func(n *yaml.Node) { a.policies.rcps = append(a.policies.rcps, p.organizationPolicy(n)) })},
		field{"fullAWSAccess", false, p.flag("fullAWSAccess", &a.policies.fullAccess)},
		field{"trustPolicyLimit", false, p.number("trustPolicyLimit", &a.trustLimit)},
		field{"oidcProviders", false, p.each("oidcProviders", func(n *yaml.Node) { a.providers = append(a.providers, p.provider(n)) })},
		field{"roles", false, p.each("roles", func(n *yaml.Node) { a.roles = append(a.roles, p.role(n)) })},
		field{"users", false, p.each("users", func(n *yaml.Node) { a.users = append(a.users, p.user(n)) })},
		field{"buckets", false, p.each("buckets", func(n *yaml.Node) { a.buckets = append(a.buckets, p.bucketDecl(n)) })},
	)
	return a
}

func (p *worldParser) provider(n *yaml.Node) providerDecl {
	d := providerDecl{at: positionOf(n)}
	p.mapping(n, "an OIDC provider",
		field{"cluster", true, p.text("cluster", &d.cluster)},
		field{"audiences", false, p.each("audiences", func(n *yaml.Node) {
			var audience string
			p.text("audience", &audience)(n)
			d.audiences = append(d.audiences, audience)
		})},
	)
	return d
}

func (p *worldParser) role(n *yaml.Node) roleDecl {
	d := roleDecl{at: positionOf(n)}
	p.mapping(n, "a role",
		field{"name", true, p.text("name", &d.name)},
		field{"trust", true, p.policy("trust", &d.trust)},
		field{"policy", false, p.policy("policy", &d.policy)},
		field{"permissionsBoundary", false, p.policy("permissionsBoundary", &d.boundary)},
		field{"maxSessionDuration", false, p.duration("maxSessionDuration", &d.maxSession)},
	)
	return d
}

func (p *worldParser) user(n *yaml.Node) userDecl {
	d := userDecl{at: positionOf(n)}
	p.mapping(n, "a user",
		field{"name", true, p.text("name", &d.name)},
		field{"policy", false, p.policy("policy", &d.policy)},
		field{"permissionsBoundary", false, p.policy("permissionsBoundary", &d.boundary)},
		field{"accessKey", false, func(n *yaml.Node) { d.keyID, d.secret = p.accessKey(n) }},
	)
	return d
}

// A document's access keys look like the ones of AWS's documentation, so that no real
// key gets into one.
var (
	testKeyID  = lazyregexp.New(`^AKIA[A-Z2-7]{9}EXAMPLE$`)
	testSecret = lazyregexp.New(`^[A-Za-z0-9+/]{30}EXAMPLEKEY$`)
)

func (p *worldParser) accessKey(n *yaml.Node) (id, secret string) {
	p.mapping(n, "an access key",
		field{"id", true, p.text("id", &id)},
		field{"secret", true, p.text("secret", &secret)},
	)
	if id != "" && secret != "" && (!testKeyID().MatchString(id) || !testSecret().MatchString(secret)) {
		p.errorf(positionOf(n), "the access key %q is none for tests: its id is AKIA, 9 capital letters or digits from 2 to 7, and EXAMPLE; its secret is 30 letters or digits, and EXAMPLEKEY", id)
	}
	return id, secret
}

func (p *worldParser) organization(n *yaml.Node) *organizationDecl {
	d := &organizationDecl{}
	d.root = p.unit(n, 0, "the organization", field{"managementAccount", false, p.text("managementAccount", &d.management)})
	return d
}

// unit reads an organizational unit that is depth levels below the root, or the
// organization, whose first key differs.
func (p *worldParser) unit(n *yaml.Node, depth int, what string, first field) unitDecl {
	d := unitDecl{at: positionOf(n), policies: attachedDecl{fullAccess: true}}
	if depth > maxOUDepth {
		p.errorf(d.at, "%s is at most %d levels below the root", what, maxOUDepth)
		return d
	}
	p.mapping(n, what, first,
		field{"accounts", false, p.each("accounts", func(n *yaml.Node) {
			var id string
			p.text("an account of "+what, &id)(n)
			d.accounts = append(d.accounts, memberDecl{positionOf(n), id})
		})},
		field{"scps", false, p.each("scps", func(n *yaml.Node) { d.policies.scps = append(d.policies.scps, p.organizationPolicy(n)) })},
		field{"rcps", false, p.each("rcps", func(n *yaml.Node) { d.policies.rcps = append(d.policies.rcps, p.organizationPolicy(n)) })},
		field{"fullAWSAccess", false, p.flag("fullAWSAccess", &d.policies.fullAccess)},
		field{"units", false, p.each("units", func(n *yaml.Node) {
			var name string
			below := p.unit(n, depth+1, "an organizational unit", field{"name", true, p.text("name", &name)})
			below.name = name
			d.units = append(d.units, below)
		})},
	)
	return d
}

func (p *worldParser) organizationPolicy(n *yaml.Node) organizationPolicyDecl {
	d := organizationPolicyDecl{at: positionOf(n)}
	p.mapping(n, "an organization's policy",
		field{"name", true, p.text("name", &d.name)},
		field{"policy", true, p.policy("policy", &d.policy)},
	)
	return d
}

func (p *worldParser) bucketDecl(n *yaml.Node) bucketDecl {
	d := bucketDecl{at: positionOf(n)}
	p.mapping(n, "a bucket",
		field{"name", true, p.text("name", &d.name)},
		field{"region", false, p.text("region", &d.region)},
		field{"versioning", false, p.flag("versioning", &d.versioned)},
		field{"requesterPays", false, p.flag("requesterPays", &d.requesterPays)},
		field{"policy", false, p.policy("policy", &d.policy)},
		field{"files", false, p.text("files", &d.folder)},
		field{"objects", false, p.each("objects", func(n *yaml.Node) { d.objects = append(d.objects, p.object(n)) })},
	)
	return d
}

func (p *worldParser) object(n *yaml.Node) objectDecl {
	d := objectDecl{at: positionOf(n)}
	p.mapping(n, "an object",
		field{"key", true, p.text("key", &d.key)},
		field{"text", false, p.text("text", &d.text)},
		field{"base64", false, p.text("base64", &d.base64)},
		field{"file", false, p.text("file", &d.file)},
		field{"contentType", false, p.text("contentType", &d.contentType)},
	)
	given := 0
	for _, s := range []string{d.text, d.base64, d.file} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		p.errorf(d.at, "object %q has more than one of text, base64 and file; keep one", d.key)
	}
	return d
}

func (p *worldParser) pod(n *yaml.Node, taken map[string]bool) podDecl {
	d := podDecl{at: positionOf(n), namespace: "default"}
	p.mapping(n, "a pod",
		field{"name", true, p.name("pod", &d.name, taken)},
		field{"cluster", true, p.text("cluster", &d.cluster)},
		field{"namespace", false, p.text("namespace", &d.namespace)},
		field{"serviceAccount", true, p.text("serviceAccount", &d.account)},
		field{"role", true, p.text("role", &d.role)},
	)
	return d
}
