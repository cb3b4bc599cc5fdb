package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// reply is what the endpoint answers.
type reply struct {
	status     int
	retryAfter time.Time // zero: not told
	body       any
}

func (a reply) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json") // the Go SDK compares it as it is
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if left := time.Until(a.retryAfter); left > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(left.Seconds()))))
	}
	w.WriteHeader(a.status)
	// Whoever has gone meanwhile cannot be told.
	_ = json.NewEncoder(w).Encode(a.body)
}

// handout is a session as the SDKs read it.
func handout(creds aws.Credentials, role string) reply {
	end := creds.Expires
	if !creds.CanExpire {
		// The SDKs insist on an end. This one has them ask again.
		end = time.Now().Add(time.Hour)
	}
	return reply{status: http.StatusOK, body: struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      string
		RoleARN         string `json:"RoleArn,omitempty"`
		AccountID       string `json:"AccountId,omitempty"`
	}{
		creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken,
		end.UTC().Truncate(time.Second).Format(time.RFC3339), role, creds.AccountID,
	}}
}

// fault is an error as the SDKs read it: some in small letters, the JavaScript
// SDK in capitals.
type fault struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Code2    string `json:"Code"`
	Message2 string `json:"Message"`
}

func refusal(status int, code, message string) (reply, string) {
	return reply{status: status, body: fault{code, message, code, message}}, code
}

var errStillTrying = errors.New("there is no session yet, and STS has not answered")

// failure says why there is no session. 5xx is what time may mend: the SDKs try
// again. 4xx is what a person must mend.
func failure(err error) reply {
	a := reply{status: http.StatusServiceUnavailable}
	code := "NotReady"
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		code, a.retryAfter = string(e.Kind), e.NextAttempt
		if !passing(e.Kind) {
			a.status = http.StatusBadRequest
		}
	}
	message := fmt.Sprintf("no session: %v", err)
	a.body = fault{code, message, code, message}
	return a
}

// passing reports whether a failure of this kind may end by itself.
func passing(k credentials.Kind) bool {
	switch k {
	case credentials.Throttled, credentials.STSUnreachable, credentials.IssuerUnreachable, credentials.RefreshTimeout,
		credentials.CredentialsExpired, credentials.TokenUnreadable, credentials.TokenMalformed, credentials.TokenExpired,
		credentials.Unknown:
		return true
	}
	return false
}
