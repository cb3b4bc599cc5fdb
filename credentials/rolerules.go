package credentials

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/crossrole/crossrole/trust"
)

// Limits of AssumeRole and AssumeRoleWithWebIdentity:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const (
	minDuration     = 15 * time.Minute
	maxDuration     = 12 * time.Hour
	chainedDuration = time.Hour
	maxPolicy       = 2048
	maxPolicyARNs   = 10
	minExternalID   = 2
	maxExternalID   = 1224
	maxTags         = 50
	maxTagKey       = 128
	maxTagValue     = 256
)

var policyARN = pattern(`^arn:aws[\w-]*:iam::(aws|[0-9]{12}):policy/[!-~]+$`)

// isTagText holds for keys and values.
func isTagText(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.In(c, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", c)
	})
}

// nextRole is a copy of role, held to every rule. place is what the caller calls
// it, first whether it is the first after the source, before the role that the
// chain has ended in so far.
func (r *resolver) nextRole(place string, role Role, first bool, source Source, before string) Role {
	role = role.clone()
	role.ARN = strings.TrimSpace(role.ARN)
	r.checkRole(place, &role, first && !source.chained())
	if role.ARN != "" && role.ARN == before {
		r.add(place+".ARN", "%q is also the role before it; a role does not assume itself: name the hub first and the target after it, or leave the second one out", role.ARN)
	}
	return role
}

// checkRole holds role to the rules; long says that it may ask for more than an
// hour.
func (r *resolver) checkRole(place string, role *Role, long bool) {
	field := func(name string) string { return place + "." + name }
	if role.ARN == "" {
		r.add(field("ARN"), "empty; want %s", roleShape)
	} else {
		r.checkRoleARN(field("ARN"), role.ARN)
	}
	r.checkSessionName(field("SessionName"), role.SessionName)
	if n := len(role.ExternalID); n > 0 && (n < minExternalID || n > maxExternalID || !madeOf(role.ExternalID, sessionNameRunes+":/")) {
		// A shared secret: say what is wrong, not what it is.
		r.add(field("ExternalID"), "%d characters; want 2–1224 of letters, digits and +=,.@:/_-", utf8.RuneCountInString(role.ExternalID))
	}
	r.checkSourceIdentity(field("SourceIdentity"), role.SourceIdentity)
	r.checkPolicies(place, role.Policy, role.PolicyARNs)
	if role.Duration != 0 {
		if long {
			r.checkDuration(field("Duration"), role.Duration, maxDuration, "a role's MaxSessionDuration is at most 12 hours")
		} else {
			r.checkDuration(field("Duration"), role.Duration, chainedDuration, "where a role assumes a role, STS gives at most 1 hour; use a direct chain (WebIdentity.Duration) for longer sessions")
		}
	}
	r.checkTags(place, role)
}

func (r *resolver) checkRoleARN(from, arn string) {
	a, err := parseRoleARN(arn)
	if err != nil {
		r.add(from, "%v", err)
		return
	}
	r.partition(a.partition, from+" "+arn)
}

func (r *resolver) checkSessionName(from, name string) {
	if name == "" || isSessionName(name) {
		return
	}
	var odd []string
	for _, c := range name {
		if q := fmt.Sprintf("%q", c); !strings.ContainsRune(sessionNameRunes, c) && !slices.Contains(odd, q) {
			odd = append(odd, q)
		}
	}
	msg := fmt.Sprintf("%q has %d characters; want 2–64 of letters, digits and +=,.@_-", name, utf8.RuneCountInString(name))
	if len(odd) > 0 {
		msg += ", without " + strings.Join(odd, " ")
	}
	r.add(from, "%s", msg)
}

func (r *resolver) checkSourceIdentity(from, id string) {
	if id == "" {
		return
	}
	if !isSessionName(id) {
		r.add(from, "%q; want 2–64 of letters, digits and +=,.@_-", id)
	} else if strings.HasPrefix(strings.ToLower(id), "aws:") {
		r.add(from, "%q; the prefix aws: is AWS's own", id)
	}
}

func (r *resolver) checkDuration(from string, d, most time.Duration, why string) {
	switch {
	case d < minDuration:
		r.add(from, "%v (%d s); STS gives at least 15 minutes (900 s)", d, int64(d/time.Second))
	case d > most:
		r.add(from, "%v (%d s) is more than %v (%d s): %s", d, int64(d/time.Second), most, int64(most/time.Second), why)
	case d%time.Second != 0:
		r.add(from, "%v; STS counts whole seconds", d)
	}
}

func (r *resolver) checkPolicies(owner, policy string, arns []string) {
	if policy != "" {
		if n := utf8.RuneCountInString(policy); n > maxPolicy {
			r.add(owner+".Policy", "%d characters; a session policy has at most %d: shorten it or use PolicyARNs", n, maxPolicy)
		} else if _, err := trust.ParsePolicy([]byte(policy)); err != nil {
			r.add(owner+".Policy", "%v", err)
		}
	}
	if len(arns) > maxPolicyARNs {
		r.add(owner+".PolicyARNs", "%d ARNs; at most %d", len(arns), maxPolicyARNs)
	}
	for i, a := range arns {
		if !policyARN().MatchString(a) {
			r.add(fmt.Sprintf("%s.PolicyARNs[%d]", owner, i), "%q is not a managed policy's ARN; want arn:<partition>:iam::<account or aws>:policy/<name>", a)
		}
	}
}

func (r *resolver) checkTags(place string, role *Role) {
	where := place + ".Tags"
	if len(role.Tags) > maxTags {
		r.add(where, "%d tags; at most %d", len(role.Tags), maxTags)
	}
	folded := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(role.Tags)) {
		value := role.Tags[key]
		switch n := utf8.RuneCountInString(key); {
		case n < 1 || n > maxTagKey:
			r.add(where, "key %q has %d characters; want 1–%d", key, n, maxTagKey)
		case !isTagText(key):
			r.add(where, "key %q; want letters, digits, spaces and _.:/=+-@", key)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			r.add(where, "key %q; the prefix aws: is AWS's own", key)
		}
		if n := utf8.RuneCountInString(value); n > maxTagValue {
			r.add(where, "value of %q has %d characters; at most %d", key, n, maxTagValue)
		} else if !isTagText(value) {
			r.add(where, "value of %q; want letters, digits, spaces and _.:/=+-@", key)
		}
		if other, ok := folded[strings.ToLower(key)]; ok {
			r.add(where, "keys %q and %q differ by case only, which STS takes for the same key", other, key)
		}
		folded[strings.ToLower(key)] = key
	}
	for _, key := range role.TransitiveTagKeys {
		if _, ok := role.Tags[key]; !ok {
			r.add(place+".TransitiveTagKeys", "%q is not a key of Tags", key)
		}
	}
}
