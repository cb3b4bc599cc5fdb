package awstest

import (
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

// session is what STS has given out. Its fields don't change but for revoked,
// which the cloud's mutex guards.
type session struct {
	accessKeyID, secret, token string

	role            *Role
	name            string
	issued, expires time.Time     // by the cloud's clock
	policy          *trust.Policy // session policies; nil: none
	tags            sessionTags
	sourceIdentity  string
	provider        string // of a web identity: the OIDC provider's ARN
	revoked         bool
}

// maxSessionToken is the longest session token, in bytes.
const maxSessionToken = 4096

// newSession gives out a session of role, as req asks for it.
func newSession(role *Role, req *request, life time.Duration, tokenSize int) *session {
	// STS gives the end in whole seconds.
	issued := req.trueNow.Truncate(time.Second)
	token := "IQoJb3JpZ2luX2Vj" + newSecret(570)
	if missing := tokenSize - len(token); missing > 0 {
		token += newSecret(missing)[:missing]
	}
	return &session{
		accessKeyID: newID("ASIA", 20), secret: newSecret(30), token: token,
		role: role, name: req.param("RoleSessionName"), issued: issued, expires: issued.Add(life),
	}
}

// arn is the session's own; the role's path is not in it.
func (s *session) arn() string { return sessionARN(s.role.arn, s.name) }

// sessionARN is the ARN of a role's session.
func sessionARN(roleARN, name string) string {
	account, path, ok := cutIAM(roleARN, "role")
	if !ok {
		return roleARN
	}
	_, role := splitPath(path)
	return "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name
}

func (s *session) userID() string { return s.role.id + ":" + s.name }

// principal is the session as a caller. The cloud's mutex must be held.
func (s *session) principal() *principal {
	p := &principal{
		account: s.role.account, arn: s.arn(), role: s.role, policy: s.role.policy, session: s.policy,
		accessKeyID: s.accessKeyID, userID: s.userID(), state: s,
	}
	p.keys = map[string][]string{
		"aws:PrincipalArn":     {s.role.arn},
		"aws:PrincipalAccount": {s.role.account.id},
		"aws:PrincipalType":    {"AssumedRole"},
		"aws:userid":           {p.userID},
		"aws:TokenIssueTime":   {s.issued.UTC().Format(time.RFC3339)},
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

// principal is the user as a caller. The cloud's mutex must be held.
func (u *user) principal() *principal {
	return &principal{
		account: u.account, arn: u.arn, policy: u.policy, accessKeyID: u.accessKeyID, userID: u.id,
		keys: map[string][]string{
			"aws:PrincipalArn":     {u.arn},
			"aws:PrincipalAccount": {u.account.id},
			"aws:PrincipalType":    {"User"},
			"aws:userid":           {u.id},
			"aws:username":         {u.name},
		},
	}
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
