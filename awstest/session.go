package awstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// Durations of sessions that STS prescribes.
const (
	minDuration     = 15 * time.Minute
	defaultDuration = time.Hour
	maxDuration     = 12 * time.Hour
	chainedDuration = time.Hour // longest of a role's session that assumes a role
)

// session is a session that STS has issued. Only revoked and aged change, which
// the cloud's mutex guards.
type session struct {
	accessKeyID, secret, token string

	role            *Role      // nil: a user's session
	key             *accessKey // that asked for a user's session; nil: a role's
	name            string
	issued, expires time.Time     // by the cloud's clock
	policy          *trust.Policy // session policies; nil: none
	tags            sessionTags
	sourceIdentity  string
	provider        string // of a web identity: the OIDC provider's ARN
	global          bool   // from sts.amazonaws.com
	revoked         bool
	aged            time.Duration // by Cloud.Advance
}

// maxSessionToken is the longest session token, in bytes.
const maxSessionToken = 4096

// newSession returns a session of role as req asks for it. The caller sets what
// else it has.
func newSession(role *Role, req *request, life time.Duration, tokenSize int) *session {
	// STS returns the expiry in whole seconds.
	issued := req.trueNow.Truncate(time.Second)
	if req.fault != nil && req.fault.SessionLife > 0 {
		life = req.fault.SessionLife
	}
	token := "IQoJb3JpZ2luX2Vj" + newSecret(570)
	if missing := tokenSize - len(token); missing > 0 {
		token += newSecret(missing)[:missing]
	}
	return &session{
		accessKeyID: newID("ASIA", 20), secret: newSecret(30), token: token,
		role: role, name: req.param("RoleSessionName"), issued: issued, expires: issued.Add(life),
		global: hostName(req.Host) == "sts.amazonaws.com",
	}
}

// arn is the session's own; the role's path is not in it.
func (s *session) arn() string { return sessionARN(s.role.arn, s.name) }

// isDead reports whether the session's role is deleted. The cloud's mutex must be
// held.
func (s *session) isDead() bool {
	return s.role != nil && s.role.account.cloud.roleInForce(s.role.arn) != s.role
}

// sessionARN is the ARN of a role's session.
func sessionARN(roleARN, name string) string {
	account, path, ok := cutIAM(roleARN, "role")
	if !ok {
		return roleARN
	}
	_, role := splitPath(path)
	return "arn:" + trust.PartitionOf(roleARN) + ":sts::" + account + ":assumed-role/" + role + "/" + name
}

func (s *session) userID() string { return s.role.id + ":" + s.name }

// account is that of the session's role or user.
func (s *session) account() *Account {
	if s.key != nil {
		return s.key.user.account
	}
	return s.role.account
}

// writeCredentials adds the Credentials element.
func (s *session) writeCredentials(b *strings.Builder, req *request) {
	expires, hide := s.expires, false
	if f := req.fault; f != nil {
		expires, hide = expires.Add(f.ServerClock), f.NoExpiration
		if f.Expiration != nil {
			expires = *f.Expiration
		}
	}
	b.WriteString("<Credentials>")
	element(b, "AccessKeyId", s.accessKeyID)
	element(b, "SecretAccessKey", s.secret)
	element(b, "SessionToken", s.token)
	if !hide {
		element(b, "Expiration", expires.UTC().Format(time.RFC3339))
	}
	b.WriteString("</Credentials>")
}

// principal is the session as a caller. The cloud's mutex must be held.
func (s *session) principal() *principal {
	if s.key != nil {
		p := s.key.principal()
		p.accessKeyID, p.state = s.accessKeyID, s
		p.keys["aws:TokenIssueTime"] = []string{s.issued.UTC().Format(time.RFC3339)}
		p.keys["aws:MultiFactorAuthPresent"] = []string{"false"}
		return p
	}
	p := &principal{
		account: s.role.account, arn: s.arn(), role: s.role, policy: s.role.policy.inForce(s.role.account.cloud), boundary: s.role.boundary.guardrail(), session: s.policy,
		accessKeyID: s.accessKeyID, userID: s.userID(), state: s,
	}
	p.keys = map[string][]string{
		"aws:PrincipalArn":     {s.role.arn},
		"aws:PrincipalAccount": {s.role.account.id},
		"aws:PrincipalType":    {"AssumedRole"},
		"aws:userid":           {p.userID},
		"aws:TokenIssueTime":   {s.issued.UTC().Format(time.RFC3339)},
	}
	for key, value := range s.role.principalTags() {
		if _, name, _ := strings.Cut(key, "/"); s.tags.get(name) == nil {
			p.keys[key] = value // a session tag replaces the role's of the same key
		}
	}
	for _, t := range s.tags {
		p.keys["aws:PrincipalTag/"+t.key] = []string{t.value}
	}
	if s.sourceIdentity != "" {
		p.keys["aws:SourceIdentity"] = []string{s.sourceIdentity}
	}
	if s.provider != "" {
		p.keys["aws:FederatedProvider"] = []string{s.provider}
	}
	return p
}

// sessionTag is one tag of a session.
type sessionTag struct {
	key, value string
	transitive bool
}

type sessionTags []sessionTag

// get finds a tag; keys are compared without regard to case.
func (tags sessionTags) get(key string) *sessionTag {
	for i := range tags {
		if strings.EqualFold(tags[i].key, key) {
			return &tags[i]
		}
	}
	return nil
}

// packedBytes is the space that session policies and tags share.
const packedBytes = 2048

// sessionPolicies reads Policy and PolicyArns, which name managed policies of the
// role's account, and counts the bytes that they take. What any of them allows,
// the session policies together allow; nil if there are none.
func sessionPolicies(c *Cloud, r *request) (*trust.Policy, int, *refusal) {
	var all []namedPolicy
	size := 0
	if text := r.param("Policy"); text != "" {
		p, err := trust.ParsePolicy([]byte(text))
		if err == nil {
			err = p.ValidateIdentity()
		}
		var compact bytes.Buffer
		if jsonErr := json.Compact(&compact, []byte(text)); jsonErr != nil {
			return nil, 0, malformedPolicy(r, "This policy contains invalid Json", jsonErr)
		}
		if err != nil {
			return nil, 0, malformedPolicy(r, "Syntax errors in policy.", err)
		}
		all, size = append(all, namedPolicy{"Policy", p}), compact.Len()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	account, _, _ := cutIAM(r.param("RoleArn"), "role")
	for _, arn := range r.params(r.list("PolicyArns"), ".arn") {
		m, refused := c.managedPolicy(account, arn)
		switch {
		case refused != nil:
			return nil, 0, refused
		case m == nil:
			return nil, 0, invalid("Policy %s does not exist or is not attachable.", arn)
		}
		all = append(all, namedPolicy{m.name, m.document.policy})
		size += len(arn)
	}
	if all == nil {
		return nil, 0, nil
	}
	return union(all), size, nil
}

func malformedPolicy(r *request, message string, err error) *refusal {
	r.call.Explain = "session policy: " + err.Error()
	return &refusal{status: http.StatusBadRequest, code: "MalformedPolicyDocument", message: message}
}

// packed is the percentage of the space for policies and tags that is used. AWS
// packs in a way that it does not publish; here every byte of the policies
// without white space, of the policies' ARNs and of the tags' keys and values
// counts as one, against 2,048.
func packed(size int) (percent int, refused *refusal) {
	percent = (size*100 + packedBytes - 1) / packedBytes
	if percent > 100 {
		return percent, &refusal{
			status: http.StatusBadRequest, code: "PackedPolicyTooLarge",
			message: fmt.Sprintf("Packed policy consumes %d%% of allotted space, please use smaller policy.", percent),
		}
	}
	return percent, nil
}

const (
	maxTags       = 50
	maxPolicyARNs = 10
)

// checkTags appends what is out of bounds in Tags and TransitiveTagKeys.
func checkTags(r *request, faults []string) []string {
	members := r.list("Tags")
	if len(members) > maxTags {
		faults = append(faults, fmt.Sprintf("Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", maxTags))
	}
	for i, m := range members {
		key := parameter{name: m + ".Key", label: fmt.Sprintf("tags.%d.member.key", i+1), required: true, min: 1, max: 128, pattern: tagPattern, shown: `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`}
		value := parameter{name: m + ".Value", label: fmt.Sprintf("tags.%d.member.value", i+1), required: true, max: 256, pattern: tagPattern, shown: `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`}
		faults = value.check(r, key.check(r, faults))
	}
	transitive := r.list("TransitiveTagKeys")
	if len(transitive) > maxTags {
		faults = append(faults, fmt.Sprintf("Value at 'transitiveTagKeys' failed to satisfy constraint: Member must have length less than or equal to %d", maxTags))
	}
	for i, m := range transitive {
		key := parameter{name: m, label: fmt.Sprintf("transitiveTagKeys.%d.member", i+1), required: true, min: 1, max: 128, pattern: tagPattern, shown: `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`}
		faults = key.check(r, faults)
	}
	return faults
}

// checkPolicyARNs appends what is out of bounds in PolicyArns.
func checkPolicyARNs(r *request, faults []string) []string {
	members := r.list("PolicyArns")
	if len(members) > maxPolicyARNs {
		faults = append(faults, fmt.Sprintf("Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicyARNs))
	}
	for i, m := range members {
		p := parameter{name: m + ".arn", label: fmt.Sprintf("policyArns.%d.member.arn", i+1), required: true, min: 20, max: 2048}
		faults = p.check(r, faults)
	}
	return faults
}

// sessionTags are the tags of the session asked for: those given, and the
// transitive ones of the caller's session, which cannot be overridden.
func requestedTags(r *request) (sessionTags, *refusal) {
	var tags sessionTags
	if r.caller.state != nil {
		for _, t := range r.caller.state.tags {
			if t.transitive {
				tags = append(tags, t)
			}
		}
	}
	inherited := len(tags)
	for _, m := range r.list("Tags") {
		t := sessionTag{key: r.param(m + ".Key"), value: r.param(m + ".Value")}
		switch {
		case strings.HasPrefix(strings.ToLower(t.key), "aws:"):
			return nil, invalid("Tag keys that start with 'aws:' are reserved for AWS and cannot be set: %s", t.key)
		case tags[:inherited].get(t.key) != nil:
			return nil, invalidValue("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		case tags.get(t.key) != nil:
			return nil, invalidValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		tags = append(tags, t)
	}
	for _, key := range r.params(r.list("TransitiveTagKeys"), "") {
		t := tags[inherited:].get(key)
		if t == nil {
			return nil, invalidValue("The specified transitive tag key must be included in the requested tags.")
		}
		t.transitive = true
	}
	return tags, nil
}

func invalidValue(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "InvalidParameterValue", message: message}
}
