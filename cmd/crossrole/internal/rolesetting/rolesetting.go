// Package rolesetting parses the value of the command's --role: an ARN, or own for the
// pod's own role, and settings after commas.
//
// # How it works
//
// [ParseAll] and [ParseAllNamed] read every --role of a command; [Parse] reads one that
// may name something else than a role's ARN. A roleParser reads one value: setting cuts
// it where ",NAME=" stands, takes what comes before the first cut as the ARN, and
// applies one setting after the other. Values are decoded (%XX) after the cut, so that
// an escaped comma begins no setting.
//
// One of the values, the external id, is a secret: fault is the only place that makes
// errors, and it prints the input no further than to the first setting. Every error is a
// mistake in the command line.
package rolesetting

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// Help documents the value of --role, once for all commands.
const Help = `All commands that assume roles take them in the same form:

  --role ARN[,SETTING]...

  external-id=ID          the ID that the role's trust policy requires; never printed
  session-name=NAME       name of the session, as CloudTrail shows it
  duration=30m            how long a session lasts: 15m to 12h; STS limits a chained
                          role to one hour
  source-identity=ID      who the session acts for; the next hop inherits it
  tags=KEY=VALUE;KEY=VALUE
                          session tags

Several --role are assumed in this order, each with the session of the previous one.
The word own stands for the pod's own role (the direct route). It may come first,
with settings for its session:

  --role own,duration=12h
  --role own,session-name=batch --role arn:aws:iam::444455556666:role/S3_Pics

For serve, each role has a name: NAME=ARN[,SETTING]... or NAME=own[,SETTING]...; NAME
alone is NAME=own. serve has one more setting, optional: /readyz does not wait for
that role.

A comma begins a setting only if a setting's name and an equals sign follow. Any
other comma is part of the ARN or of the value. In ARNs and values write %2C for a
comma that would begin a setting, %XX for any other byte, and %25 for a percent
sign.`

// Setting is one parsed --role.
type Setting struct {
	Own  bool             // the pod's own role; Role has its SessionName and Duration, and nothing else
	Role credentials.Role // ARN is empty if Own
}

// Named is a role that serve offers under a name.
type Named struct {
	Name string
	Setting
	Optional bool // serve is ready without it
}

const (
	settingNames = "external-id, session-name, duration, source-identity, tags"
	optional     = ",optional"

	maxRoleDuration = 12 * time.Hour // IAM's limit of MaxSessionDuration
	minRoleDuration = 15 * time.Minute
)

var (
	// A name becomes the name of a file and a part of a URL.
	namePattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

	// Text of this form is read as a setting.
	settingPattern = lazyregexp.New(`,\s*([\w.-]+)\s*=`)

	// An external ID in the wrong place must not be printed.
	externalPattern = lazyregexp.New(`(?i)external[-_. ]?id\s*[=:]`)

	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	sessionNamePattern = lazyregexp.New(`^[\w+=,.@-]{2,64}$`)
	externalIDPattern  = lazyregexp.New(`^[\w+=,.@:/-]+$`)
	tagPattern         = lazyregexp.New(`^[\p{L}\p{Z}\p{N}_.:/=+@-]*$`)
)

// Parse parses one value in the form of all commands but serve. In place of the ARN it
// takes any word, such as a role's name.
func Parse(s string) (Setting, error) {
	p := roleParser{input: s}
	return p.setting(s, false)
}

// parseNamed parses one --role of serve.
func parseNamed(s string) (Named, error) {
	p := roleParser{input: s, named: true}
	head, rest := s, ""
	if i := strings.IndexAny(s, "=,"); i >= 0 {
		head, rest = s[:i], s[i:]
	}
	n := Named{Name: head}
	if !namePattern().MatchString(head) {
		return n, p.fault("%q is not a name: names begin with a letter or digit and have at most 63 letters, digits, '.', '_' and '-'; want NAME=ARN[,setting]..., or NAME alone for the pod's own role", head)
	}
	switch {
	case externalPattern().MatchString(head + "="):
		return n, p.fault("%s is a setting, not a name; want NAME=ARN,external-id=ID", head)
	case rest == "=":
		return n, p.fault("no ARN after the =; want NAME=ARN, NAME=own, or NAME alone for the pod's own role")
	case strings.HasPrefix(rest, "="):
		rest = rest[1:]
	default:
		rest = "own" + rest
	}
	var err error
	if n.Setting, err = p.setting(rest, true); err == nil {
		err = p.requireARN(n.Setting)
	}
	n.Optional = p.optional
	return n, err
}

// roleParser parses one value of --role.
type roleParser struct {
	input    string
	named    bool // in the form of serve
	optional bool
}

// fault returns the error for a mistake in the value. It names the role but no setting's
// value: one of them is a secret.
func (p *roleParser) fault(format string, args ...any) error {
	head := p.input
	for _, pattern := range []*regexp.Regexp{settingPattern(), externalPattern()} {
		if at := pattern.FindStringIndex(head); at != nil {
			head = head[:at[0]]
		}
	}
	return fmt.Errorf("--role %q: %w", head, fmt.Errorf(format, args...))
}

// setting parses ARN[,setting]... or own[,setting]...
func (p *roleParser) setting(s string, mayBeOptional bool) (Setting, error) {
	var r Setting
	cuts := settingPattern().FindAllStringSubmatchIndex(s, -1)
	head := s
	if len(cuts) > 0 {
		head = s[:cuts[0][0]]
	}
	if externalPattern().MatchString(head) {
		return r, p.fault("external-id is before or within the ARN; it is a setting: want ARN,external-id=ID")
	}
	head, err := p.cutOptional(head, mayBeOptional)
	if err != nil {
		return r, err
	}
	head, err = unescape(head)
	if err != nil {
		return r, p.fault("the ARN: %w", err)
	}
	head = strings.TrimSpace(head)
	switch {
	case externalPattern().MatchString(head):
		return r, p.escaped()
	case head == "":
		return r, p.fault("no ARN; want ARN[,setting]..., or own for the pod's own role")
	case strings.ContainsFunc(head, func(c rune) bool { return c <= ' ' || c > '~' }):
		return r, p.fault("an ARN has no spaces, control characters or characters outside of ASCII")
	case head == "own":
		r.Own = true
	default:
		r.Role.ARN = head
	}
	given := map[string]bool{}
	for i, cut := range cuts {
		end := len(s)
		if i+1 < len(cuts) {
			end = cuts[i+1][0]
		}
		name, value := s[cut[2]:cut[3]], s[cut[1]:end]
		before := ""
		if i > 0 {
			before = s[cuts[i-1][2]:cuts[i-1][3]]
		}
		if s[cut[0]:cut[1]] != ","+name+"=" || !slices.Contains(strings.Split(settingNames, ", "), name) {
			return r, p.unknown(name, before)
		}
		if given[name] {
			return r, p.fault("%s is set twice; set it once", name)
		}
		given[name] = true
		if value, err = p.cutOptional(value, mayBeOptional); err != nil {
			return r, err
		}
		if err := p.apply(&r, name, value); err != nil {
			return r, err
		}
	}
	return r, nil
}

// requireARN refuses what cannot be an ARN. The rest of the rules are those of package
// credentials.
func (p *roleParser) requireARN(r Setting) error {
	switch word := strings.TrimRight(r.Role.ARN, ", "); {
	case r.Own, strings.HasPrefix(r.Role.ARN, "arn:"):
		return nil
	case strings.EqualFold(word, "own"):
		return p.fault("%q is not an ARN; write own in lower case, followed only by settings", r.Role.ARN)
	}
	return p.fault("%q is not an ARN; want arn:aws:iam::ACCOUNT:role/NAME, or own for the pod's own role", r.Role.ARN)
}

// cutOptional removes the setting "optional" from the end of an ARN or a value.
func (p *roleParser) cutOptional(s string, allowed bool) (string, error) {
	rest, found := strings.CutSuffix(s, optional)
	switch {
	case !found:
		return s, nil
	case !allowed:
		return s, p.fault("optional is a setting of serve only; leave it out (write %%2C for a comma that belongs to the ARN or to a value)")
	case p.optional || strings.HasSuffix(rest, optional):
		return s, p.fault("optional is set twice; set it once")
	}
	p.optional = true
	return rest, nil
}

// unknown returns the error for an unknown setting. Text after an external ID may be the
// rest of it, and is not printed.
func (p *roleParser) unknown(name, before string) error {
	known := settingNames
	if p.named {
		known += ", optional"
	}
	const comma = "write %2C for a comma that belongs to the ARN or to a value"
	switch {
	case name == "optional" && p.named:
		return p.fault("optional takes no value; write ,optional")
	case before == "external-id":
		return p.fault("the setting after external-id is unknown; known are %s; %s", known, comma)
	case before == "tags":
		return p.fault("unknown setting %q; known are %s; separate tags by semicolons, tags=KEY=VALUE;KEY=VALUE; %s", name, known, comma)
	}
	return p.fault("unknown setting %q; known are %s (in lower case, without spaces); %s", name, known, comma)
}

// apply sets one setting.
func (p *roleParser) apply(r *Setting, name, value string) (err error) {
	if value == "" {
		return p.fault("%s is empty; leave it out, or add its value", name)
	}
	if r.Own && name != "session-name" && name != "duration" {
		return p.fault("%s is a setting of a role that is assumed; own, the pod's own role, takes session-name and duration only", name)
	}
	if name != "external-id" && externalPattern().MatchString(value) {
		return p.fault("external-id is within %s; a setting follows after a comma: want %s=…,external-id=ID", name, name)
	}
	if name == "tags" {
		r.Role.Tags, err = parseTags(value)
	} else if value, err = unescape(value); err == nil {
		if name != "external-id" && externalPattern().MatchString(value) {
			return p.escaped()
		}
		switch name {
		case "external-id":
			r.Role.ExternalID = value
			if len(value) < 2 || len(value) > 1224 || !externalIDPattern().MatchString(value) {
				err = fmt.Errorf("%d characters (not shown); want 2–1224 characters: letters, digits and +=,.@:/_-", utf8.RuneCountInString(value))
			}
		case "session-name":
			r.Role.SessionName, err = value, checkSessionName(value)
		case "source-identity":
			r.Role.SourceIdentity, err = value, checkSessionName(value)
		case "duration":
			r.Role.Duration, err = parseRoleDuration(value)
		}
	}
	if err != nil {
		return p.fault("%s: %w", name, err)
	}
	return nil
}

// escaped returns the error for an external ID whose setting's name is escaped.
func (p *roleParser) escaped() error {
	p.input, _, _ = strings.Cut(p.input, "%")
	return p.fault("external-id is within another part, its name written with %%XX; it is a setting: want ARN,external-id=ID")
}

func checkSessionName(s string) error {
	if !sessionNamePattern().MatchString(s) {
		return fmt.Errorf("%q; want 2–64 of letters, digits and +=,.@_-", s)
	}
	return nil
}

func parseRoleDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration; want a number with a unit, such as 30m or 1h", s)
	case d < minRoleDuration || d > maxRoleDuration:
		return 0, fmt.Errorf("%q; STS allows 15m to 12h", s)
	case d%time.Second != 0:
		return 0, fmt.Errorf("%q; STS takes whole seconds", s)
	}
	return d, nil
}

// parseTags parses KEY=VALUE;KEY=VALUE.
func parseTags(s string) (map[string]string, error) {
	tags, folded := map[string]string{}, map[string]bool{}
	for pair := range strings.SplitSeq(s, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("%q; want KEY=VALUE;KEY=VALUE", pair)
		}
		key, err1 := unescape(key)
		value, err2 := unescape(value)
		switch n := utf8.RuneCountInString(key); {
		case err1 != nil || err2 != nil:
			return nil, errors.Join(err1, err2)
		case n < 1 || n > 128:
			return nil, fmt.Errorf("key %q has %d characters; want 1–128", key, n)
		case utf8.RuneCountInString(value) > 256:
			return nil, fmt.Errorf("the value of %q has more than 256 characters", key)
		case !tagPattern().MatchString(key) || !tagPattern().MatchString(value):
			return nil, fmt.Errorf("%q; want letters, digits, spaces and _.:/=+-@ in keys and values", pair)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, fmt.Errorf("key %q; the prefix aws: is reserved", key)
		case folded[strings.ToLower(key)]:
			return nil, fmt.Errorf("key %q is set twice; STS ignores the case of keys", key)
		}
		tags[key], folded[strings.ToLower(key)] = value, true
	}
	if len(tags) > 50 {
		return nil, fmt.Errorf("%d tags; STS allows 50", len(tags))
	}
	return tags, nil
}

// unescape decodes %XX.
func unescape(s string) (string, error) {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return "", errors.New("a percent sign is not followed by two hexadecimal digits; write %25 for the sign itself")
	}
	return decoded, nil
}

// ParseAll parses every --role of any command but serve. own has the settings of the
// pod's own role; its zero value has none.
func ParseAll(list []string) (own credentials.Role, roles []credentials.Role, err error) {
	for i, s := range list {
		p := roleParser{input: s}
		r, err := p.setting(s, false)
		if err == nil {
			err = p.requireARN(r)
		}
		switch {
		case err != nil:
			return own, nil, err
		case r.Own && i > 0:
			return own, nil, fmt.Errorf("--role own: the chain starts from it; put it first, and only once")
		case r.Own:
			own = r.Role
		default:
			roles = append(roles, r.Role)
		}
	}
	return own, roles, nil
}

// ParseAllNamed parses every --role of serve.
func ParseAllNamed(list []string) ([]Named, error) {
	var roles []Named
	seen := map[string]bool{}
	for _, s := range list {
		n, err := parseNamed(s)
		if err != nil {
			return nil, err
		}
		// On some file systems names that differ only in case are the same.
		if seen[strings.ToLower(n.Name)] {
			return nil, fmt.Errorf("--role: the name %q is taken; give each role its own name", n.Name)
		}
		seen[strings.ToLower(n.Name)] = true
		roles = append(roles, n)
	}
	return roles, nil
}

// Source returns source with the settings of the pod's own role. Only
// credentials.WebIdentity takes any.
func Source(source credentials.Source, own credentials.Role) (credentials.Source, error) {
	if own.SessionName == "" && own.Duration == 0 {
		return source, nil
	}
	if source == nil {
		source = credentials.WebIdentity{}
	}
	web, ok := source.(credentials.WebIdentity)
	if !ok {
		return nil, fmt.Errorf("--role own: session-name and duration are settings of --source web-identity; the %s takes neither: leave them out", source)
	}
	web.SessionName, web.Duration = own.SessionName, own.Duration
	return web, nil
}

// String returns the value of --role that Parse parses to r, including the external ID.
func (r Setting) String() string {
	escape := strings.NewReplacer("%", "%25", ",", "%2C").Replace
	var b strings.Builder
	b.WriteString("own")
	if !r.Own {
		b.Reset()
		b.WriteString(escape(r.Role.ARN))
	}
	add := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, ",%s=%s", name, value)
		}
	}
	add("external-id", escape(r.Role.ExternalID))
	add("session-name", escape(r.Role.SessionName))
	if r.Role.Duration > 0 {
		add("duration", r.Role.Duration.String())
	}
	add("source-identity", escape(r.Role.SourceIdentity))
	var tags []string
	for _, key := range slices.Sorted(maps.Keys(r.Role.Tags)) {
		tags = append(tags, strings.ReplaceAll(escape(key), "=", "%3D")+"="+escape(r.Role.Tags[key]))
	}
	add("tags", strings.Join(tags, ";"))
	return b.String()
}
