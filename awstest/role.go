package awstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossrole/crossrole/internal/lazyregexp"
	"github.com/crossrole/crossrole/trust"
)

// Role is an IAM role.
type Role struct {
	entity

	// Guarded by the cloud's mutex.
	trust       *document
	pins        pins // of the principals that trust names
	admits      eventual[trusted]
	maxSession  time.Duration
	description string
}

// ARN returns arn:<partition>:iam::<account>:role/<path and name>.
func (r *Role) ARN() string { return r.arn }

// SetTrust replaces the trust policy; sessions already issued stay valid. It
// panics on a policy that IAM refuses, which includes one that names a role or
// user which does not exist.
func (r *Role) SetTrust(trustJSON string) {
	what := fmt.Sprintf("SetTrust of %s", r.arn)
	d, refused := parseTrustPolicy(trustJSON)
	must(what, refused)
	r.account.cloud.mu.Lock()
	defer r.account.cloud.mu.Unlock()
	must(what, r.setTrust(d))
}

// setTrust replaces the trust policy. The cloud's mutex must be held.
func (r *Role) setTrust(d *document) *refusal {
	if refused := r.account.checkTrustSize(d); refused != nil {
		return refused
	}
	given := d.policy.String()
	ids, refused := pin(r.account.cloud, d.policy)
	if refused != nil {
		return refused
	}
	if pinned := d.policy.String(); pinned != given {
		d.text = pinned
	}
	r.trust, r.pins = d, ids
	r.admits.set(r.account.cloud, trusted{d, ids})
	return nil
}

// rolePolicyName is the name of the inline policy that CreateRole, SetPolicy and
// UserCredentials set.
const rolePolicyName = "policy"

// SetPolicy replaces the identity policy, with immediate effect also on issued
// sessions: the inline policy named "policy". Policies that requests to IAM added
// stay. It panics on a policy that IAM refuses.
func (r *Role) SetPolicy(policyJSON string) {
	what := fmt.Sprintf("SetPolicy of %s", r.arn)
	d, refused := parseOptionalPolicy(policyJSON)
	must(what, refused)
	r.account.cloud.mu.Lock()
	defer r.account.cloud.mu.Unlock()
	must(what, r.setInline(rolePolicyName, d))
}

// SetPermissionsBoundary sets the role's permissions boundary, a managed policy
// named <role>-boundary that limits what the role's identity policies allow, with
// immediate effect also on issued sessions. An empty policyJSON removes it. It
// panics on a policy that IAM refuses and on a service-linked role, which cannot
// have one.
func (r *Role) SetPermissionsBoundary(policyJSON string) {
	what := fmt.Sprintf("SetPermissionsBoundary of %s", r.arn)
	if strings.Contains(r.arn, ":role/aws-service-role/") {
		panic(fmt.Sprintf("awstest: %s: a service-linked role cannot have a permissions boundary; limit another role", what))
	}
	d, refused := parseManagedPolicy(policyJSON)
	must(what, refused)
	r.account.cloud.mu.Lock()
	defer r.account.cloud.mu.Unlock()
	r.setBoundary(d)
}

// SetMaxSessionDuration sets the longest session that may be asked for: 1 to 12
// hours in whole seconds, 1 hour at first. It panics on any other.
func (r *Role) SetMaxSessionDuration(d time.Duration) {
	if d < time.Hour || d > 12*time.Hour || d%time.Second != 0 {
		panic(fmt.Sprintf("awstest: SetMaxSessionDuration(%v) of %s: IAM takes whole seconds from 1h to 12h", d, r.arn))
	}
	r.account.cloud.mu.Lock()
	defer r.account.cloud.mu.Unlock()
	r.maxSession = d
}

// RevokeSessions makes every session issued so far invalid: all services then
// answer as for an expired one.
func (r *Role) RevokeSessions() {
	c := r.account.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.role == r {
			s.revoked = true
		}
	}
}

// cutIAM takes an ARN of an IAM resource of this kind apart, of any partition.
func cutIAM(arn, kind string) (account, path string, ok bool) {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) < 6 || fields[0] != "arn" || fields[2] != "iam" || fields[3] != "" {
		return "", "", false
	}
	path, ok = strings.CutPrefix(fields[5], kind+"/")
	return fields[4], path, ok
}

// splitPath takes "team/x" apart into the path "/team/" and the name "x".
func splitPath(name string) (path, base string) {
	name = strings.TrimPrefix(name, "/")
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return "/" + name[:i+1], name[i+1:]
	}
	return "/", name
}

var (
	iamName = lazyregexp.New(`^[A-Za-z0-9_+=,.@-]+$`)
	iamPath = lazyregexp.New(`^/([!-.0-~]+/)*$`)
)

// checkName returns the refusal of a name or path that IAM does not take.
func checkName(path, base string) *refusal {
	if !iamName().MatchString(base) || len(base) > maxName {
		return invalid("IAM takes 1 to %d letters, digits and _+=,.@- as a name", maxName)
	}
	if !iamPath().MatchString(path) || len(path) > 512 {
		return invalid("the path %q must be at most 512 printable ASCII characters with no empty part", path)
	}
	return nil
}

// maxName is the longest name of a role or user.
const maxName = 64

// must panics on what IAM refuses; what is the call that set it up.
func must(what string, refused *refusal) {
	if refused == nil {
		return
	}
	text := refused.message
	if refused.why != "" {
		text += ": " + refused.why
	}
	panic(fmt.Sprintf("awstest: %s: %s", what, text))
}

// policySize counts the characters of a policy document as IAM does: all but the
// white space outside strings.
func policySize(document string) int {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(document)) != nil {
		return utf8.RuneCountInString(document)
	}
	return utf8.RuneCount(compact.Bytes())
}

// pins are the unique ids that roles and users had when a policy named them by
// ARN. IAM keeps the id, so that a policy does not match what is created later
// under the same name.
type pins map[string]string

// pin looks up the roles and users that a policy names. IAM refuses a policy that
// names one which does not exist. One that is named by its unique id is named by
// its ARN from then on, as IAM shows it. c.mu must be held.
func pin(c *Cloud, p *trust.Policy) (pins, *refusal) {
	ids := pins{}
	for _, s := range p.Statements {
		for _, names := range [][]string{s.Principal["AWS"], s.NotPrincipal["AWS"]} {
			for i, name := range names {
				if uniqueID().MatchString(name) {
					if names[i] = c.byID(name); names[i] == "" {
						return nil, invalidPrincipal(name, "no role or user has this unique id any more; name the one that is meant by its ARN")
					}
					name = names[i]
				}
				_, _, isRole := cutIAM(name, "role")
				_, _, isUser := cutIAM(name, "user")
				switch {
				case isRole:
					r := c.role(name)
					if r == nil {
						return nil, invalidPrincipal(name, "no such role; create it first (IAM stores its unique id)")
					}
					ids[name] = r.id
				case isUser:
					u := c.user(name)
					if u == nil {
						return nil, invalidPrincipal(name, "no such user; make it with UserCredentials first")
					}
					ids[name] = u.id
				}
			}
		}
	}
	return ids, nil
}

// uniqueID matches the ids of roles and users.
var uniqueID = lazyregexp.New(`^A(?:ROA|IDA)[A-Z0-9]{12,124}$`)

// invalidPrincipal is IAM's refusal; its details are those of S3.
func invalidPrincipal(name, why string) *refusal {
	refused := malformed(fmt.Sprintf(`Invalid principal in policy: "AWS":%q`, name), why)
	refused.details = [][2]string{{"Detail", `"AWS" : "` + name + `"`}}
	return refused
}

// pinned is pin for a caller that does not hold c.mu, and panics.
func pinned(c *Cloud, what string, policy *trust.Policy) pins {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, refused := pin(c, policy)
	must(what, refused)
	return ids
}

// names reports whether a policy with these pins means the holder of id by arn.
func (p pins) names(arn, id string) bool {
	pinned, ok := p[arn]
	return !ok || pinned == id
}
