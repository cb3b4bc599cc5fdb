package awstest

import (
	"net/http"
	"strings"
	"time"
)

// STS's actions on keys: sessions of users, the account of a key, and encoded
// refusals.

// Durations of a user's session (STS API reference, GetSessionToken).
const (
	defaultUserDuration = 12 * time.Hour
	maxUserDuration     = 36 * time.Hour
)

// getSessionToken issues a session of the user that calls it. It needs no permission:
// no policy can deny it (IAM User Guide, "Permissions for GetSessionToken").
func getSessionToken(c *Cloud, req *request) (*response, *refusal) {
	seconds, faults := req.number("DurationSeconds", "durationSeconds", int(minDuration.Seconds()), int(maxUserDuration.Seconds()), nil)
	if refused := validationError(faults); refused != nil {
		return nil, refused
	}
	life := time.Duration(seconds) * time.Second
	if life == 0 {
		life = defaultUserDuration
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if refused := checkSTSRegion(c, req, req.caller.account.id); refused != nil {
		return nil, refused
	}
	key := c.userKeys[req.caller.accessKeyID]
	if key == nil {
		return nil, &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "Cannot call GetSessionToken with session credentials"}
	}
	s := newSession(nil, req, life, 0)
	s.key = key
	c.sessions[s.accessKeyID] = s
	var b strings.Builder
	s.writeCredentials(&b, req)
	return stsResponse(req, b.String()), nil
}

// limitedSession refuses what a user's session may not ask for: without MFA, which
// the cloud does not play, it calls nothing of IAM, and of STS only AssumeRole and
// GetCallerIdentity (STS API reference, GetSessionToken).
func limitedSession(req *request) *refusal {
	if req.caller == nil || req.caller.state == nil || req.caller.state.key == nil {
		return nil
	}
	switch action := req.param("Action"); {
	case req.service == serviceIAM:
		refused := unknownKey(req)
		refused.why = "the session of a user calls IAM only with MFA; sign with the user's own key, or assume a role"
		return refused
	case action == "AssumeRole" || action == "GetCallerIdentity" || action == "GetSessionToken":
		return nil
	default:
		return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "Cannot call " + action + " with session credentials"}
	}
}

var encodedMessage = parameter{name: "EncodedMessage", label: "encodedMessage", required: true, min: 1, max: 10240}

// getAccessKeyInfo returns the account of a key. AWS reads it from the key's id;
// the cloud knows the keys that it has issued.
func getAccessKeyInfo(c *Cloud, req *request) (*response, *refusal) {
	if refused := validationError(accessKeyID.check(req, nil)); refused != nil {
		return nil, refused
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if refused := permitAction(req, "sts:GetAccessKeyInfo", "*", "*", nil); refused != nil {
		return nil, refused
	}
	var account *Account
	id := req.param("AccessKeyId")
	if k := c.userKeys[id]; k != nil {
		account = k.user.account
	} else if s := c.sessions[id]; s != nil {
		account = s.account()
	} else {
		return nil, notModelled("access keys that the cloud has not issued: %s", id)
	}
	var b strings.Builder
	element(&b, "Account", account.id)
	return stsResponse(req, b.String()), nil
}

// decodeAuthorizationMessage refuses every message: no service of the cloud encodes
// its refusals.
func decodeAuthorizationMessage(c *Cloud, req *request) (*response, *refusal) {
	if refused := validationError(encodedMessage.check(req, nil)); refused != nil {
		return nil, refused
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if refused := permitAction(req, "sts:DecodeAuthorizationMessage", "*", "*", nil); refused != nil {
		return nil, refused
	}
	return nil, &refusal{status: http.StatusBadRequest, code: "InvalidAuthorizationMessageException", message: "Message is not valid", why: "no service of the cloud encodes its refusals; their text is in Call.Explain"}
}
