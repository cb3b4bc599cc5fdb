package awstest

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// parameter is a request parameter and the bounds that AWS's API sets it.
type parameter struct {
	name     string // "RoleArn"
	label    string // as error messages spell it: "roleArn"
	required bool
	secret   bool                  // the value is not repeated in messages
	min, max int                   // characters
	pattern  func() *regexp.Regexp // nil: any value
	shown    string                // the pattern as messages show it
	custom   string                // IAM: the message about the pattern, with a place for the label
}

var (
	wordPattern     = lazyregexp.New(`^[A-Za-z0-9_+=,.@-]*$`)
	externalPattern = lazyregexp.New(`^[A-Za-z0-9_+=,.@:/-]*$`)
	tagPattern      = lazyregexp.New(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	textPattern     = lazyregexp.New("^[\t\n\r\u0020-\u00ff]*$")
)

var (
	roleARNParameter = parameter{name: "RoleArn", label: "roleArn", required: true, min: 20, max: 2048, pattern: lazyregexp.New("^[\t\n\r\u0020-\U0010ffff]*$"), shown: `[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+`}
	sessionParameter = parameter{name: "RoleSessionName", label: "roleSessionName", required: true, min: 2, max: 64, pattern: wordPattern, shown: `[\w+=,.@-]*`}
	tokenParameter   = parameter{name: "WebIdentityToken", label: "webIdentityToken", required: true, secret: true, min: 4, max: 20000}
	externalID       = parameter{name: "ExternalId", label: "externalId", min: 2, max: 1224, pattern: externalPattern, shown: `[\w+=,.@:\/-]*`, secret: true}
	sourceIdentity   = parameter{name: "SourceIdentity", label: "sourceIdentity", min: 2, max: 64, pattern: wordPattern, shown: `[\w+=,.@-]*`}
	policyParameter  = parameter{name: "Policy", label: "policy", min: 1, max: 2048, pattern: textPattern, shown: `[\u0009\u000A\u000D\u0020-\u00FF]+`}
)

// check appends to faults what is wrong with the parameter's value.
func (p parameter) check(req *request, faults []string) []string {
	values, given := req.form[p.name]
	if !given || len(values) == 0 || values[0] == "" && !p.required {
		// The SDKs leave empty optional strings out; a form may carry them.
		if given && p.min > 0 {
			return p.bounds("", faults)
		}
		if p.required {
			return append(faults, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", p.label))
		}
		return faults
	}
	return p.bounds(values[0], faults)
}

// bounds checks length and pattern of a value.
func (p parameter) bounds(value string, faults []string) []string {
	shown := "Value '" + value + "'"
	if p.secret {
		shown = "Value"
	}
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s at '%s' failed to satisfy constraint: ", shown, p.label)+fmt.Sprintf(format, args...))
	}
	n := utf8.RuneCountInString(value)
	if p.pattern != nil && !p.pattern().MatchString(value) {
		fault("Member must satisfy regular expression pattern: %s", p.shown)
	}
	if n > p.max {
		fault("Member must have length less than or equal to %d", p.max)
	}
	if n < p.min {
		fault("Member must have length greater than or equal to %d", p.min)
	}
	return faults
}

// validationError returns the refusal of parameters that are out of bounds; nil
// if there are none.
func validationError(faults []string) *refusal {
	if len(faults) == 0 {
		return nil
	}
	noun := "errors"
	if len(faults) == 1 {
		noun = "error"
	}
	return invalid("%d validation %s detected: %s", len(faults), noun, strings.Join(faults, "; "))
}

// invalid is a ValidationError.
func invalid(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "ValidationError", message: fmt.Sprintf(format, args...)}
}

// number is the value of a whole number's parameter; zero if it is not given.
func (r *request) number(name, label string, least, most int, faults []string) (int, []string) {
	value := r.param(name)
	if value == "" {
		return 0, faults
	}
	fault := func(format string, args ...any) (int, []string) {
		return 0, append(faults, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: Member must ", value, label)+fmt.Sprintf(format, args...))
	}
	n, err := strconv.Atoi(value)
	switch {
	case err != nil:
		return fault("be an integer")
	case n < least:
		return fault("have value greater than or equal to %d", least)
	case n > most:
		return fault("have value less than or equal to %d", most)
	}
	return n, faults
}

// lifeAndSize are the session's length and the session token's least size that
// are asked for; zero if none is.
func (r *request) lifeAndSize(faults []string) (time.Duration, int, []string) {
	seconds, faults := r.number("DurationSeconds", "durationSeconds", int(minDuration.Seconds()), int(maxDuration.Seconds()), faults)
	size, faults := r.number("MinimumSessionTokenSize", "minimumSessionTokenSize", 0, maxSessionToken, faults)
	return time.Duration(seconds) * time.Second, size, faults
}

// checkRoleARN refuses what is no ARN at all.
func checkRoleARN(arn string) *refusal {
	if parts := strings.SplitN(arn, ":", 6); len(parts) < 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" {
		return invalid("%s is invalid", arn)
	}
	return nil
}
