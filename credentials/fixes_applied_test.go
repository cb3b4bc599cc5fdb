package credentials_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// regionIn is a region of each partition.
var regionIn = map[string]string{"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}

const (
	serverAudience = "https://kubernetes.default.svc"
	otherExternal  = "another-external-id"
)

// A broken route has something wrong that its error says how to fix.
type broken struct {
	name   string
	kind   credentials.Kind
	routes string // "hub", "direct" or both
	spoil  func(f *fixer)
}

var brokenRoutes = []broken{
	{"issuer not registered", credentials.OIDCProviderMissing, "hub direct", func(f *fixer) { f.first().RemoveOIDCProvider(f.scene.blue) }},
	{"issuer not registered, token for the API server", credentials.OIDCProviderMissing, "hub direct", func(f *fixer) {
		f.first().RemoveOIDCProvider(f.scene.blue)
		f.audience(serverAudience)
	}},
	{"token for the API server", credentials.AudienceMismatch, "hub direct", func(f *fixer) { f.audience(serverAudience) }},
	{"token for its issuer", credentials.AudienceMismatch, "hub direct", func(f *fixer) { f.audience(f.scene.blue.Issuer()) }},
	{"token for the API server, which is registered", credentials.TrustDenied, "hub direct", func(f *fixer) {
		f.first().AddOIDCProvider(f.scene.blue, serverAudience)
		f.audience(serverAudience)
	}},
	{"token for another audience", credentials.AudienceMismatch, "hub direct", func(f *fixer) { f.audience("team-a") }},
	{"another audience, which is registered", credentials.TrustDenied, "hub direct", func(f *fixer) {
		f.first().AddOIDCProvider(f.scene.blue, "team-a")
		f.audience("team-a")
	}},
	{"stray character in the provider's list", credentials.AudienceMismatch, "hub direct", func(f *fixer) { f.first().AddOIDCProvider(f.scene.blue, "sts.amazonaws.com\u200b") }},
	{"wildcard under StringEquals", credentials.TrustDenied, "hub direct", func(f *fixer) {
		f.setTrust(f.firstRole(), strings.ReplaceAll(f.trust[f.firstRole()].String(), ":s3-shared-content", ":*"))
	}},
	{"another service account", credentials.TrustDenied, "hub direct", func(f *fixer) {
		f.setTrust(f.firstRole(), strings.ReplaceAll(f.trust[f.firstRole()].String(), ":s3-shared-content", ":reader"))
	}},
	{"the target does not name the hub", credentials.AssumeDenied, "hub", func(f *fixer) {
		f.setTrust(f.scene.target, trust.RolePolicy("arn:aws:iam::444455556666:root", func(o *trust.PolicyOptions) { o.ExternalID = otherExternal }).String())
	}},
	{"the hub may assume nothing", credentials.AssumeDenied, "hub", func(f *fixer) { f.setPolicy(f.scene.hub, trust.ReadBucketPolicy("other", "").String()) }},
	{"neither side", credentials.AssumeDenied, "hub", func(f *fixer) {
		f.setTrust(f.scene.target, trust.RolePolicy("arn:aws:iam::444455556666:root").String())
		f.setPolicy(f.scene.hub, trust.ReadBucketPolicy("other", "").String())
	}},
	{"tags and a source identity", credentials.AssumeDenied, "hub", func(f *fixer) {
		f.role.Tags, f.role.SourceIdentity = map[string]string{"team": "cats"}, "anna"
		f.setPolicy(f.scene.hub, trust.AssumePolicy([]string{f.scene.target.ARN()}).String())
	}},
	{"the external id is wrong", credentials.AssumeDenied, "hub", func(f *fixer) {
		f.setTrust(f.scene.target, trust.RolePolicy(f.scene.hub.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = otherExternal }).String())
	}},
	{"the hub was deleted and created again", credentials.AssumeDenied, "hub", func(f *fixer) { f.recreateHub() }},
	{"the role allows one hour", credentials.DurationTooLong, "hub direct", func(f *fixer) { f.web.Duration = 2 * time.Hour }},
	{"expired token", credentials.TokenExpired, "hub direct", func(f *fixer) {
		f.scene.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Hour) })
	}},
	{"another issuer is expected", credentials.TokenRejected, "hub direct", func(f *fixer) { f.web.Issuer = "https://oidc.example/GREEN" }},
	{"another audience is expected", credentials.AudienceMismatch, "hub direct", func(f *fixer) { f.web.Audience = "team-a" }},
	{"token file missing", credentials.TokenUnreadable, "hub direct", func(f *fixer) { os.Remove(f.scene.pod.TokenFile()) }},
	{"token file holds something else", credentials.TokenMalformed, "hub direct", func(f *fixer) { f.scene.pod.Mount([]byte("<html>")) }},
	{"too many tags", credentials.TagsTooLarge, "hub", func(f *fixer) {
		f.role.Tags = map[string]string{}
		for i := range 50 {
			f.role.Tags[strings.Repeat("k", 100)+strconv.Itoa(i)] = strings.Repeat("v", 200)
		}
	}},
}

// Each fix is applied as it is printed, and then the route works: over the hub and
// directly, with and without an external id, in three partitions. It admits no other
// caller.
func TestPrintedFixesWorkAndAdmitNoOneElse(t *testing.T) {
	for partition := range regionIn {
		for _, route := range []string{"hub", "direct"} {
			for _, external := range []string{"", externalID} {
				for _, b := range brokenRoutes {
					if !strings.Contains(b.routes, route) || external != "" && route == "direct" {
						continue
					}
					if external == "" && b.name == "the external id is wrong" {
						continue // see TestMissingExternalID
					}
					t.Run(fmt.Sprint(partition, " ", route, " ", external, " ", b.name), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							f := newFixer(t, partition, route, external)
							b.spoil(f)
							var before map[string]bool
							if partition == "aws" { // the statements of the others differ in the ARNs' partition only
								before = f.admitted()
							}
							chain := f.chain()
							if failed := failedHop(chain.Check(t.Context())); failed == nil || failed.Kind != b.kind {
								t.Fatalf("got %v, want %v", failed, b.kind)
							}
							f.applyUntilHealthy(chain)
							if before == nil {
								return
							}
							after := f.admitted()
							for name, was := range before {
								if now := after[name]; now != was {
									t.Errorf("%s: admitted %v before the fix, %v after it\n%s", name, was, now, strings.Join(f.applied, "\n"))
								}
							}
						})
					})
				}
			}
		}
	}
}

// A role that demands an external id is not opened by what is printed for a chain
// without one: its trust policy names the caller, so that the statement does not
// apply, and the fix that does is to set the external id.
func TestMissingExternalID(t *testing.T) {
	f := newFixer(t, "aws", "hub", "")
	f.setTrust(f.scene.target, trust.RolePolicy(f.scene.hub.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = externalID }).String())
	before := f.admitted()
	chain := f.chain()
	failed := failedHop(chain.Check(t.Context()))
	says(t, failed, credentials.AssumeDenied, "if it does, under a condition on sts:ExternalId, keep the condition and set Role.ExternalID")
	for _, fix := range failed.Fixes {
		if strings.Contains(fix, "trust policy") && f.apply(fix) {
			t.Errorf("this fix applies: %s", fix)
		}
	}
	if got := f.admitted(); !maps.Equal(got, before) {
		t.Error("the fixes admit someone")
	}
	f.role.ExternalID = externalID
	f.applyUntilHealthy(f.chain())
}

// An external id is never printed, and its condition never left out.
func TestExternalIDInFixes(t *testing.T) {
	f := newFixer(t, "aws", "hub", externalID)
	f.setTrust(f.scene.target, trust.RolePolicy("arn:aws:iam::444455556666:root").String())
	failed := failedHop(f.chain().Check(t.Context()))
	says(t, failed, credentials.AssumeDenied, `"sts:ExternalId": "<the external id>"`, `with the value of Role.ExternalID in place of "<the external id>"`)
	if text := failed.Error() + strings.Join(failed.Fixes, "\n"); strings.Contains(text, externalID) {
		t.Errorf("the external id is printed: %s", text)
	}
}

func failedHop(r *credentials.Report) *credentials.Error {
	if r.Token != nil && r.Token.Err != nil {
		return r.Token.Err
	}
	for _, h := range r.Hops {
		if h.Err != nil {
			return h.Err
		}
	}
	return nil
}

// A fixer is a person who applies what an error prints, as it stands there.
type fixer struct {
	t         *testing.T
	scene     *scene
	partition string
	route     string
	web       credentials.WebIdentity
	role      credentials.Role
	settings  int // how often it changed them, which takes a new chain
	clientIDs map[string][]string
	applied   []string

	trust, policy map[*awstest.Role]*trust.Policy // as they stand now, in partition aws
}

func newFixer(t *testing.T, partition, route, external string) *fixer {
	t.Helper()
	f := &fixer{t: t, scene: newScene(t), partition: partition, route: route, trust: map[*awstest.Role]*trust.Policy{}, policy: map[*awstest.Role]*trust.Policy{}, clientIDs: map[string][]string{}}
	s := f.scene
	f.web = s.web()
	f.role = credentials.Role{ARN: s.target.ARN(), ExternalID: external}
	if route == "direct" {
		f.web.RoleARN = s.target.ARN()
	}
	subject := []string{awstest.Subject("default", "s3-shared-content")}
	f.setTrust(s.hub, trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, subject).String())
	f.setPolicy(s.hub, trust.AssumePolicy([]string{s.target.ARN()}, func(o *trust.PolicyOptions) { o.TagSession, o.SetSourceIdentity = true, true }).String())
	admits := trust.RolePolicy(s.hub.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = external })
	if route == "direct" {
		admits = trust.WebIdentityPolicy(s.shared.ID(), []string{s.blue.Issuer()}, subject)
	}
	f.setTrust(s.target, admits.String())
	return f
}

func parsePolicy(t *testing.T, document string) *trust.Policy {
	t.Helper()
	p, err := trust.ParsePolicy([]byte(document))
	if err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	return p
}

func (f *fixer) setTrust(role *awstest.Role, document string) {
	role.SetTrust(document)
	f.trust[role] = parsePolicy(f.t, document)
}

func (f *fixer) setPolicy(role *awstest.Role, document string) {
	role.SetPolicy(document)
	f.policy[role] = parsePolicy(f.t, document)
}

func (f *fixer) recreateHub() {
	s, old := f.scene, f.scene.hub
	s.dev.DeleteRole(old)
	s.hub = s.dev.CreateRole("hub", f.trust[old].String(), f.policy[old].String())
	f.trust[s.hub], f.policy[s.hub] = f.trust[old], f.policy[old]
}

// first is the account of hop 1's role.
func (f *fixer) first() *awstest.Account {
	if f.route == "direct" {
		return f.scene.shared
	}
	return f.scene.dev
}

func (f *fixer) firstRole() *awstest.Role {
	if f.route == "direct" {
		return f.scene.target
	}
	return f.scene.hub
}

func (f *fixer) audience(audience string) {
	f.scene.pod.Rotate(func(token *trust.Token) { token.Audience = []string{audience} })
}

// there is a text of partition aws as the fixer's partition has it; here is the
// way back.
func (f *fixer) there(text string) string {
	return strings.ReplaceAll(text, "arn:aws:", "arn:"+f.partition+":")
}

func (f *fixer) here(text string) string {
	return strings.ReplaceAll(text, "arn:"+f.partition+":", "arn:aws:")
}

func (f *fixer) chain() *credentials.Chain {
	f.t.Helper()
	base := f.scene.cloud.Config()
	base.Region = regionIn[f.partition]
	if f.partition != "aws" {
		base.HTTPClient = &abroad{fixer: f, inner: base.HTTPClient, keys: map[string]aws.Credentials{}}
	}
	return newChain(f.t, base, func(o *credentials.Options) {
		w, role := f.web, f.role
		w.RoleARN, role.ARN = f.there(w.RoleARN), f.there(role.ARN)
		o.Source = w
		if f.route != "direct" {
			o.Roles = []credentials.Role{role}
		}
	})
}

// abroad makes another partition of the double's only one: it writes ARNs anew in
// both directions, and signs anew what it has changed.
type abroad struct {
	fixer *fixer
	inner aws.HTTPClient
	keys  map[string]aws.Credentials // given out, by access key id
}

var givenKeys = regexp.MustCompile(`(?s)<AccessKeyId>(.*?)</AccessKeyId>.*?<SecretAccessKey>(.*?)</SecretAccessKey>.*?<SessionToken>(.*?)</SessionToken>`)

func (a *abroad) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if want := "sts." + regionIn[a.fixer.partition] + ".amazonaws.com"; !strings.HasPrefix(r.URL.Host, want) {
		a.fixer.t.Errorf("asked %s, want %s", r.URL.Host, want)
	}
	text := strings.ReplaceAll(string(body), "arn%3A"+a.fixer.partition+"%3A", "arn%3Aaws%3A")
	out, err := http.NewRequestWithContext(r.Context(), r.Method, "https://sts.us-east-1.amazonaws.com/", strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	out.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	if _, rest, signed := strings.Cut(r.Header.Get("Authorization"), "Credential="); signed {
		id, _, _ := strings.Cut(rest, "/")
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		if err := v4.NewSigner().SignHTTP(r.Context(), a.keys[id], out, hash, "sts", "us-east-1", time.Now()); err != nil {
			return nil, err
		}
	}
	resp, err := a.inner.Do(out)
	if err != nil {
		return nil, err
	}
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if m := givenKeys.FindStringSubmatch(string(reply)); m != nil {
		a.keys[m[1]] = aws.Credentials{AccessKeyID: m[1], SecretAccessKey: m[2], SessionToken: m[3]}
	}
	resp.Body = io.NopCloser(strings.NewReader(a.fixer.there(string(reply))))
	resp.ContentLength = -1
	return resp, nil
}

// applyUntilHealthy applies fixes, in their order, until the chain works. A fix
// that does not change the error is followed by the next.
func (f *fixer) applyUntilHealthy(chain *credentials.Chain) {
	f.t.Helper()
	tried := map[string]bool{}
	for range 12 {
		settings := f.settings
		failed := failedHop(chain.Check(f.t.Context()))
		if failed == nil {
			return
		}
		f.examine(failed)
		i := slices.IndexFunc(failed.Fixes, func(fix string) bool {
			if tried[failed.Error()+fix] {
				return false
			}
			tried[failed.Error()+fix] = true
			return f.apply(fix)
		})
		if i < 0 {
			f.t.Fatalf("no fix is left for %v\n%s", failed, strings.Join(failed.Fixes, "\n"))
		}
		f.applied = append(f.applied, failed.Fixes[i])
		if f.settings != settings {
			chain = f.chain()
		}
	}
	f.t.Fatalf("still broken after\n%s", strings.Join(f.applied, "\n"))
}

// examine looks at what an error prints, applied or not.
func (f *fixer) examine(e *credentials.Error) {
	f.t.Helper()
	for _, fix := range e.Fixes {
		if p := regexp.MustCompile(`arn:(aws[a-z-]*):`).FindStringSubmatch(fix); p != nil && p[1] != f.partition {
			f.t.Errorf("an ARN of partition %s in %s: %s", p[1], f.partition, fix)
		}
		if f.role.ExternalID != "" && strings.Contains(fix, f.role.ExternalID) {
			f.t.Errorf("the external id is printed: %s", fix)
		}
		if strings.Contains(fix, "*\"") {
			f.t.Errorf("a wildcard: %s", fix)
		}
		if statement, ok := f.statement(fix); ok {
			assume := slices.Contains(statement.Action, "sts:AssumeRole")
			if statement.Principal["Federated"] != nil && len(statement.Condition["StringEquals"]) == 0 ||
				statement.Principal["AWS"] != nil && assume && f.role.ExternalID != "" && statement.Condition == nil {
				f.t.Errorf("a statement without its condition: %s", fix)
			}
		}
	}
	if text := e.Error(); strings.Count(text, "\n") > 4 || len(text) > 1500 {
		f.t.Errorf("%d bytes on %d lines: %s", len(text), 1+strings.Count(text, "\n"), text)
	}
}

// statement is the policy statement that a fix ends in.
func (f *fixer) statement(fix string) (trust.Statement, bool) {
	f.t.Helper()
	i := strings.Index(fix, ": {")
	if i < 0 {
		return trust.Statement{}, false
	}
	document := strings.ReplaceAll(f.here(fix[i+2:]), "<the external id>", f.role.ExternalID)
	var s trust.Statement
	if err := json.Unmarshal([]byte(document), &s); err != nil {
		f.t.Fatalf("not a statement: %v: %s", err, document)
	}
	return s, true
}

var (
	trustOf   = regexp.MustCompile(`add this statement to the trust policy of role (\S+) in account (\d{12})`)
	policyOf  = regexp.MustCompile(`add this statement to the policy of (arn:\S+?)(?:: \{| )`)
	unlessNow = regexp.MustCompile(`^if it does not name (\S+) yet, `)
	inAccount = regexp.MustCompile(`in (?:the hub's )?account (\d{12})`)
	newer     = regexp.MustCompile(`^project the token with the audience (\S+):`)
	shorter   = regexp.MustCompile(`^set WebIdentity\.Duration to less than \d+ seconds; every role allows (\d+)$`)
	setIssuer = "set WebIdentity.Issuer to the cluster's own issuer"
)

// apply does what a fix says. It returns false for one that does not apply, or
// that asks for no change.
func (f *fixer) apply(fix string) bool {
	f.t.Helper()
	s := f.scene
	if m := inAccount.FindStringSubmatch(fix); m != nil {
		if command, ok := strings.CutPrefix(fix[strings.LastIndex(fix, ": ")+2:], "aws iam "); ok {
			return f.iam(s.cloud.Account(m[1]), command)
		}
	}
	switch statement, ok := f.statement(fix); {
	case ok && trustOf.MatchString(fix):
		m := trustOf.FindStringSubmatch(fix)
		role := f.roleNamed(m[2], m[1])
		if only := unlessNow.FindStringSubmatch(fix); only != nil && strings.Contains(f.trust[role].String(), `"`+f.here(only[1])+`"`) && !f.stale() {
			return false
		}
		f.trust[role].Statements = append(f.trust[role].Statements, statement)
		f.setTrust(role, f.trust[role].String())
		return true
	case ok:
		m := policyOf.FindStringSubmatch(fix)
		if m == nil {
			f.t.Fatalf("to what? %s", fix)
		}
		role := f.roleOf(f.here(m[1]))
		f.policy[role].Statements = append(f.policy[role].Statements, statement)
		f.setPolicy(role, f.policy[role].String())
		return true
	}
	switch {
	case strings.Contains(fix, "was deleted and created again") && f.stale():
		f.setTrust(s.target, f.trust[s.target].String()) // with the ARN in the place of the id
	case newer.MatchString(fix):
		f.audience(newer.FindStringSubmatch(fix)[1])
	case shorter.MatchString(fix):
		seconds, _ := strconv.Atoi(shorter.FindStringSubmatch(fix)[1])
		f.web.Duration = time.Duration(seconds) * time.Second
		f.settings++
	case strings.HasPrefix(fix, setIssuer):
		f.web.Issuer = s.blue.Issuer()
		f.settings++
	case strings.Contains(fix, "or set WebIdentity.Audience to the token's"):
		f.web.Audience = "sts.amazonaws.com"
		f.settings++
	case strings.Contains(fix, "kubelet still rotates"), strings.Contains(fix, "mounts a projected serviceAccountToken volume"), strings.Contains(fix, "AWS_WEB_IDENTITY_TOKEN_FILE"), strings.Contains(fix, "name the token's file itself"):
		s.pod.Rotate()
	case strings.Contains(fix, "Role.Tags"):
		f.role.Tags = nil
		f.settings++
	default:
		return false
	}
	return true
}

// stale reports whether the target's trust policy holds the id of a hub that was
// deleted: a person sees AROA… in the place of its ARN.
func (f *fixer) stale() bool {
	return len(f.trust) > 2
}

// iam does what a command of the aws CLI would.
func (f *fixer) iam(account *awstest.Account, command string) bool {
	f.t.Helper()
	words := strings.Fields(command) // none of these needs quotes
	flags := map[string]string{}
	for i := 1; i+1 < len(words); i += 2 {
		flags[words[i]] = words[i+1]
	}
	s := f.scene
	switch words[0] {
	case "create-open-id-connect-provider":
		if flags["--url"] != s.blue.Issuer() {
			f.t.Fatalf("the command registers %s", flags["--url"])
		}
		f.clientIDs[account.ID()] = []string{flags["--client-id-list"]}
	case "add-client-id-to-open-id-connect-provider":
		want := f.there("arn:aws:iam::" + account.ID() + ":oidc-provider/" + strings.TrimPrefix(s.blue.Issuer(), "https://"))
		if flags["--open-id-connect-provider-arn"] != want {
			f.t.Fatalf("the command is about %s, want %s", flags["--open-id-connect-provider-arn"], want)
		}
		f.clientIDs[account.ID()] = append(f.clientIDs[account.ID()], flags["--client-id"])
	case "update-role":
		seconds, err := strconv.Atoi(flags["--max-session-duration"])
		if err != nil {
			f.t.Fatal(command)
		}
		f.roleNamed(account.ID(), flags["--role-name"]).SetMaxSessionDuration(time.Duration(seconds) * time.Second)
		return true
	case "get-open-id-connect-provider":
		return false
	default:
		f.t.Fatalf("unknown command %s", command)
	}
	for _, id := range f.clientIDs[account.ID()] {
		if id == serverAudience || id == s.blue.Issuer() {
			f.t.Errorf("the API server's audience is registered: %s", command)
		}
	}
	account.AddOIDCProvider(s.blue, f.clientIDs[account.ID()]...)
	return true
}

func (f *fixer) roleNamed(account, name string) *awstest.Role {
	f.t.Helper()
	for role := range f.trust {
		if strings.HasPrefix(role.ARN(), "arn:aws:iam::"+account+":") && strings.HasSuffix(role.ARN(), "/"+name) && (role == f.scene.hub || role == f.scene.target) {
			return role
		}
	}
	f.t.Fatalf("no role %s in account %s", name, account)
	return nil
}

func (f *fixer) roleOf(arn string) *awstest.Role {
	f.t.Helper()
	for _, role := range []*awstest.Role{f.scene.hub, f.scene.target} {
		if role.ARN() == arn {
			return role
		}
	}
	f.t.Fatalf("no role %s", arn)
	return nil
}

// admitted is what the policies say about callers that a fix is not about: other
// pods, issuers, audiences, accounts and roles, and the hub without its external
// id.
func (f *fixer) admitted() map[string]bool {
	s, says := f.scene, map[string]bool{}
	ask := func(name string, p *trust.Policy, req trust.Request) {
		d := p.Explain(req)
		says[name+" "+req.Action] = d.Allowed && !d.Denied
	}
	blue, green := strings.TrimPrefix(s.blue.Issuer(), "https://"), "oidc.example/GREEN"
	for name, p := range map[string]*trust.Policy{"hub": f.trust[s.hub], "target": f.trust[s.target]} {
		for _, account := range []string{s.dev.ID(), s.shared.ID(), "777788889999"} {
			for _, issuer := range []string{blue, green} {
				for _, subject := range []string{"default:s3-shared-content", "default:other", "kube-system:s3-shared-content", "default:*"} {
					for _, audience := range []string{"sts.amazonaws.com", "team-a", serverAudience, blue, ""} {
						own := map[string]string{"hub": s.dev.ID(), "target": s.shared.ID()}[name] == account
						if own && issuer == blue && subject == "default:s3-shared-content" && (audience == "sts.amazonaws.com" || audience == "team-a") {
							continue // what was asked for
						}
						ask(fmt.Sprintf("%s: %s of %s in %s for %q", name, subject, issuer, account, audience), p, trust.Request{
							Action:    "sts:AssumeRoleWithWebIdentity",
							Principal: trust.Principals{"Federated": {"arn:aws:iam::" + account + ":oidc-provider/" + issuer}},
							Context:   map[string][]string{issuer + ":sub": {"system:serviceaccount:" + subject}, issuer + ":aud": {audience}},
						})
					}
				}
			}
			for _, caller := range []string{"role/hub", "role/hub2", "role/admin", "role/S3_Pics", "user/ada", "root"} {
				for _, external := range []string{"", externalID, otherExternal} {
					hub := account == s.dev.ID() && caller == "role/hub"
					for _, action := range []string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity", "sts:AssumeRoleWithSAML"} {
						if name == "target" && hub && (external == f.role.ExternalID || f.role.ExternalID == "" || f.role.Tags != nil && action != "sts:AssumeRole") {
							continue // what was asked for
						}
						ask(fmt.Sprintf("%s: %s of %s, external id %q", name, caller, account, external), p, trust.Request{
							Action:    action,
							Principal: trust.Principals{"AWS": {"arn:aws:iam::" + account + ":" + caller}},
							Context:   map[string][]string{"sts:ExternalId": slices.DeleteFunc([]string{external}, func(s string) bool { return s == "" })},
						})
					}
				}
			}
		}
		ask(name+": anonymous", p, trust.Request{Action: "sts:AssumeRole"})
		ask(name+": a service", p, trust.Request{Action: "sts:AssumeRole", Principal: trust.Principals{"Service": {"ec2.amazonaws.com"}}})
	}
	for _, resource := range []string{"arn:aws:iam::444455556666:role/other", "arn:aws:iam::777788889999:role/S3_Pics", "arn:aws:iam::444455556666:role/S3_Pics2", "arn:aws:s3:::pics/x"} {
		for _, action := range []string{"sts:AssumeRole", "sts:TagSession", "s3:GetObject", "iam:PassRole"} {
			ask("hub: on "+resource, f.policy[s.hub], trust.Request{Action: action, Resource: resource})
		}
	}
	return says
}

// A refusal has at most five lines, no document, and the same text as any other of
// the same cause; the request ids are in the fields.
func TestRefusalsOfOneCauseAreEqual(t *testing.T) {
	for _, b := range brokenRoutes {
		synctest.Test(t, func(t *testing.T) {
			f := newFixer(t, "aws", strings.Fields(b.routes)[0], "")
			b.spoil(f)
			chain := f.chain()
			first, second := failedHop(chain.Check(t.Context())), failedHop(chain.Check(t.Context()))
			if first.Error() != second.Error() {
				t.Errorf("%s: two texts\n%v\n%v", b.name, first, second)
			}
			if first.Code != "" && (first.RequestID == "" || first.RequestID == second.RequestID) {
				t.Errorf("%s: request ids %q and %q", b.name, first.RequestID, second.RequestID)
			}
			if text := first.Error(); strings.Count(text, "\n") > 4 || strings.Contains(text, `"Effect"`) {
				t.Errorf("%s: %s", b.name, text)
			}
			if first.RequestID != "" && (strings.Contains(first.Error(), first.RequestID) || !strings.Contains(first.LogValue().String(), first.RequestID)) {
				t.Errorf("%s: the request id belongs into LogValue: %v", b.name, first)
			}
		})
	}
}
