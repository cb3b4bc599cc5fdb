package awstest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// How it works: Load parses the document (loadparse.go reports each mistake with
// its line and column) into the declarations below, and then calls the set-up
// methods of Cloud, Account, Role and Bucket, as a Go test would. What these
// refuse by a panic becomes an error at the declaration's position.

// World is a cloud that was built from a document, with the names that the
// document gave to what is in it. Its methods are safe for concurrent use.
type World struct {
	cloud    *Cloud
	clusters map[string]*Cluster
	roles    map[string]*Role // by ARN
	pods     map[string]*Pod
	podNames []string // in the document's order
	keys     map[string]aws.Credentials
	tempDir  string
}

// LoadOptions are the options of Load.
type LoadOptions struct {
	// TokenDir is the folder that gets a volume for each pod; it must not hold
	// volumes of these pods already. Empty: a new temporary folder, which
	// World.Close removes.
	TokenDir string

	// Files holds the folders and files that buckets name. Nil: a document that
	// names any is refused. os.DirFS(dir) makes paths relative to dir.
	Files fs.FS
}

// Load builds a cloud from a document in YAML or JSON: accounts with their OIDC
// providers, roles, users and buckets, an organization, clusters, and pods. The schema is
// [WorldSchema]; the example shows a whole document. Policies are written as in
// IAM, as YAML, or as a string of JSON. Roles may name each other in any order.
//
// The access keys of users, and those of [Account.AdminKey], are the same each time
// that the document is loaded.
//
// The error lists all mistakes, one a line, as "line:column: what is wrong". It
// leaves nothing behind. A document is at most 1 MiB.
func Load(document []byte, optFns ...func(*LoadOptions)) (*World, error) {
	var o LoadOptions
	for _, fn := range optFns {
		fn(&o)
	}
	p := &worldParser{}
	declared := p.world(document)
	if err := p.err(); err != nil {
		return nil, err
	}
	w := &World{
		cloud: New(), clusters: map[string]*Cluster{}, roles: map[string]*Role{},
		pods: map[string]*Pod{}, keys: map[string]aws.Credentials{},
	}
	w.cloud.stableKeys = true
	b := &worldBuilder{worldParser: p, World: w, files: o.Files, attached: map[string]string{}}
	b.build(declared)
	if err := p.err(); err != nil {
		return nil, err
	}
	w.cloud.SetPropagationDelay(declared.propagation) // not of what the document says
	if err := b.mountPods(declared.pods, o.TokenDir); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Cloud returns the cloud that was built.
func (w *World) Cloud() *Cloud { return w.cloud }

// Account returns the account with this 12-digit id, as Cloud.Account does.
func (w *World) Account(id string) *Account { return w.cloud.Account(id) }

// Cluster returns the cluster with this name, or nil.
func (w *World) Cluster(name string) *Cluster { return w.clusters[name] }

// Clusters returns the names of the clusters, sorted.
func (w *World) Clusters() []string { return slices.Sorted(maps.Keys(w.clusters)) }

// Role returns the role with this ARN, or nil.
func (w *World) Role(arn string) *Role { return w.roles[arn] }

// Pod returns the pod with this name, or nil.
func (w *World) Pod(name string) *Pod { return w.pods[name] }

// Pods returns the names of the pods in the document's order.
func (w *World) Pods() []string { return slices.Clone(w.podNames) }

// UserCredentials returns the access key of a user, by its ARN. ok is false if
// the document has no such user.
func (w *World) UserCredentials(arn string) (keys aws.Credentials, ok bool) {
	keys, ok = w.keys[arn]
	return keys, ok
}

// Close removes the temporary folder that Load made; it does nothing if
// LoadOptions.TokenDir was set.
func (w *World) Close() error {
	if w.tempDir == "" {
		return nil
	}
	return os.RemoveAll(w.tempDir)
}

// The declarations of a document. at is where each begins.
type (
	worldDoc struct {
		partition    string
		organization *organizationDecl // nil: none
		clusters     []clusterDecl
		accounts     []accountDecl
		pods         []podDecl
		propagation  time.Duration
	}
	clusterDecl struct {
		at           position
		name, issuer string
	}
	accountDecl struct {
		at         position
		id         string
		trustLimit int
		providers  []providerDecl
		roles      []roleDecl
		users      []userDecl
		buckets    []bucketDecl
		policies   attachedDecl
	}
	organizationDecl struct {
		management string
		root       unitDecl
	}
	unitDecl struct {
		at       position
		name     string
		accounts []memberDecl
		policies attachedDecl
		units    []unitDecl
	}
	memberDecl struct {
		at position
		id string
	}
	attachedDecl struct {
		scps, rcps []organizationPolicyDecl
		fullAccess bool // AWS's policy FullAWSAccess stays attached
	}
	organizationPolicyDecl struct {
		at           position
		name, policy string
	}
	providerDecl struct {
		at        position
		cluster   string
		audiences []string
	}
	roleDecl struct {
		at            position
		name          string
		trust, policy string // JSON
		boundary      string
		maxSession    time.Duration
	}
	userDecl struct {
		at                     position
		name, policy, boundary string
		keyID, secret          string // empty: the cloud makes a key
	}
	bucketDecl struct {
		at                       position
		name, region, policy     string
		folder                   string
		versioned, requesterPays bool
		objects                  []objectDecl
	}
	objectDecl struct {
		at          position
		key         string
		text, file  string
		base64      string
		contentType string
	}
	podDecl struct {
		at                                      position
		name, cluster, namespace, account, role string
	}
)

// worldBuilder calls the set-up methods for a document's declarations.
type worldBuilder struct {
	*worldParser
	*World
	files    fs.FS
	attached map[string]string // the organization's policies by kind and name
}

// try runs a step of the set-up and reports its panic as an error at the
// declaration.
func (b *worldBuilder) try(at position, step func()) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case string:
			b.errorf(at, "%s", strings.TrimPrefix(r, "awstest: "))
		default:
			panic(r)
		}
	}()
	step()
}

func (b *worldBuilder) build(doc *worldDoc) {
	if doc.partition != "" {
		b.cloud.SetPartition(doc.partition)
	}
	for _, c := range doc.clusters {
		b.try(c.at, func() { b.clusters[c.name] = b.cloud.Cluster(c.issuer) })
	}
	if b.err() != nil {
		return // accounts refer to clusters
	}
	for _, a := range doc.accounts {
		b.try(a.at, func() { b.account(b.cloud.Account(a.id), a) })
	}
	if b.err() != nil {
		return // policies refer to roles
	}
	// IAM wants the roles and users that a policy names to exist, so the policies
	// of roles and buckets come after all roles.
	for _, a := range doc.accounts {
		account := b.cloud.Account(a.id)
		for _, r := range a.roles {
			b.try(r.at, func() { b.roles[account.roleARN(r.name)].SetTrust(r.trust) })
		}
		for _, d := range a.buckets {
			b.try(d.at, func() { b.bucket(account, d) })
		}
	}
	b.organize(doc)
}

// organize puts the accounts into the organization and attaches its policies.
func (b *worldBuilder) organize(doc *worldDoc) {
	if d := doc.organization; d != nil {
		o := b.cloud.Organization()
		if d.management != "" {
			b.try(d.root.at, func() { o.SetManagementAccount(b.cloud.Account(d.management)) })
		}
		b.unit(o, o.root, d.root)
	}
	for _, a := range doc.accounts {
		if len(a.policies.scps)+len(a.policies.rcps) > 0 || !a.policies.fullAccess {
			b.try(a.at, func() { b.attach(b.cloud.Organization(), a.policies, a.at, b.cloud.Account(a.id)) })
		}
	}
}

// unit fills an organizational unit.
func (b *worldBuilder) unit(o *Organization, u *OrganizationalUnit, d unitDecl) {
	for _, m := range d.accounts {
		b.try(m.at, func() { u.Add(b.cloud.Account(m.id)) })
	}
	b.attach(o, d.policies, d.at, u)
	for _, below := range d.units {
		b.try(below.at, func() { b.unit(o, u.CreateOU(below.name), below) })
	}
}

// attach attaches policies of the organization to a unit or an account. A policy of
// the same name elsewhere is the same policy.
func (b *worldBuilder) attach(o *Organization, d attachedDecl, at position, target PolicyTarget) {
	one := func(kind string, p organizationPolicyDecl, attach func(name, policyJSON string, targets ...PolicyTarget) string) {
		if known, ok := b.attached[kind+p.name]; ok && known != p.policy {
			b.errorf(p.at, "the %s %q is there with another content; repeat the same, or choose another name", kind, p.name)
			return
		}
		b.attached[kind+p.name] = p.policy
		b.try(p.at, func() { attach(p.name, p.policy, target) })
	}
	for _, p := range d.scps {
		one("SCP", p, o.AttachSCP)
	}
	for _, p := range d.rcps {
		one("RCP", p, o.AttachRCP)
	}
	if !d.fullAccess {
		b.try(at, func() { o.DetachSCP(fullAccess, target) })
	}
}

// account creates what the account has but for its buckets. Roles get a trust
// policy that admits only the account itself for now.
func (b *worldBuilder) account(account *Account, a accountDecl) {
	if a.trustLimit != 0 {
		account.SetTrustPolicyLimit(a.trustLimit)
	}
	for _, p := range a.providers {
		b.try(p.at, func() { account.AddOIDCProvider(b.clusters[p.cluster], p.audiences...) })
	}
	for _, u := range a.users {
		b.try(u.at, func() {
			keys := account.UserCredentials(u.name, u.policy)
			if u.keyID != "" {
				keys = replaceKey(b.cloud, keys, u.keyID, u.secret)
			}
			if u.boundary != "" {
				account.SetUserPermissionsBoundary(u.name, u.boundary)
			}
			dir, base := splitPath(u.name)
			b.keys[account.iamARN("user"+dir+base)] = keys
		})
	}
	own := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}]}`, account.rootARN())
	for _, r := range a.roles {
		b.try(r.at, func() {
			role := account.CreateRole(r.name, own, r.policy)
			if r.maxSession != 0 {
				role.SetMaxSessionDuration(r.maxSession)
			}
			if r.boundary != "" {
				role.SetPermissionsBoundary(r.boundary)
			}
			b.roles[role.ARN()] = role
		})
	}
}

func (b *worldBuilder) bucket(account *Account, d bucketDecl) {
	bucket := account.CreateBucket(d.name)
	if d.region != "" {
		bucket.SetRegion(d.region)
	}
	if d.versioned {
		bucket.SetVersioning()
	}
	if d.requesterPays {
		bucket.SetRequesterPays()
	}
	if d.policy != "" {
		bucket.SetPolicy(d.policy)
	}
	if d.folder != "" {
		b.folder(bucket, d)
	}
	for _, o := range d.objects {
		b.try(o.at, func() {
			data, err := b.content(o)
			if err != nil {
				b.errorf(o.at, "object %q: %v", o.key, err)
				return
			}
			bucket.Put(o.key, data, func(stored *Object) { stored.ContentType = o.contentType })
		})
	}
}

func (b *worldBuilder) content(o objectDecl) ([]byte, error) {
	switch {
	case o.file != "":
		if b.files == nil {
			return nil, errNoFiles
		}
		return fs.ReadFile(b.files, path.Clean(o.file))
	case o.base64 != "":
		return base64.StdEncoding.DecodeString(o.base64)
	}
	return []byte(o.text), nil
}

var errNoFiles = errors.New("files cannot be read here: set LoadOptions.Files")

// folder stores each regular file of a folder under its path below the folder.
func (b *worldBuilder) folder(bucket *Bucket, d bucketDecl) {
	if b.files == nil {
		b.errorf(d.at, "bucket %q: %v", d.name, errNoFiles)
		return
	}
	below, err := fs.Sub(b.files, path.Clean(d.folder))
	if err == nil {
		err = fs.WalkDir(below, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := fs.ReadFile(below, name)
			if err == nil {
				b.try(d.at, func() { bucket.Put(name, data) })
			}
			return err
		})
	}
	if err != nil {
		b.errorf(d.at, "bucket %q: files %q: %v", d.name, d.folder, err)
	}
}

// mountPods writes the token volume of each pod.
func (b *worldBuilder) mountPods(pods []podDecl, dir string) error {
	if dir == "" && len(pods) > 0 {
		made, err := os.MkdirTemp("", "awstest-")
		if err != nil {
			return err
		}
		b.tempDir, dir = made, made
	}
	for _, p := range pods {
		b.try(p.at, func() {
			b.pods[p.name] = b.clusters[p.cluster].Pod(filepath.Join(dir, p.name), p.namespace, p.account, p.role)
			b.podNames = append(b.podNames, p.name)
		})
	}
	return b.err()
}
