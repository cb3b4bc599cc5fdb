package awstest

import (
	"fmt"
	"net/http"
	"strings"
)

const (
	maxTags       = 50
	maxPolicyARNs = 10
)

// checkTags appends what is out of bounds in Tags and TransitiveTagKeys.
func (r *request) checkTags(faults []string) []string {
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
func (r *request) checkPolicyARNs(faults []string) []string {
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
// transitive ones of the caller's session, which nobody can override.
func (r *request) sessionTags() (sessionTags, *refusal) {
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
