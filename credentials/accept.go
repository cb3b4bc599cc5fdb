package credentials

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// accept checks that the reply is a usable session of the role asked for.
func (s *session) accept(creds aws.Credentials, rec *record) (*snapshot, error) {
	switch {
	case creds.AccessKeyID == "" || creds.SecretAccessKey == "":
		return nil, errors.New("the reply holds no keys")
	case creds.CanExpire && creds.Expires.IsZero():
		return nil, errors.New("the reply names no Expiration")
	}
	if err := s.checkAssumed(rec); err != nil {
		return nil, err
	}
	if err := s.checkAccount(creds, rec); err != nil {
		return nil, err
	}
	s.mu.Lock()
	first := s.grants == 0
	s.mu.Unlock()
	snap := newSnapshot(creds, rec, s.chain.window, first, s.chain.draw)
	if creds.CanExpire && snap.life <= 0 {
		return nil, errors.New(past(creds.Expires, rec))
	}
	return snap, nil
}

// past says by whose clock an Expiration is.
func past(expires time.Time, rec *record) string {
	end := "the reply's Expiration " + expires.UTC().Format(time.RFC3339) + " is past: "
	if rec.date.IsZero() {
		return end + "it was asked for at " + rec.sentAt.UTC().Format(time.RFC3339) + " by the local clock, and has no Date"
	}
	return end + "it was sent at " + rec.date.UTC().Format(time.RFC3339) + " by the same clock"
}

// checkAssumed compares who STS says we are with the role asked for. Role names
// are unique in an account without regard to case.
func (s *session) checkAssumed(rec *record) error {
	if s.role == "" {
		return nil
	}
	if rec.assumed == "" {
		s.chain.warnOnce("assumed", "STS does not say which role it gave a session of (no AssumedRoleUser)", "hop", s.hop, "role", s.role, "endpoint", rec.endpoint)
		return nil
	}
	want, err := parseRoleARN(s.role)
	if err != nil {
		return err
	}
	got, err := arn.Parse(rec.assumed)
	parts := strings.Split(got.Resource, "/")
	if err != nil || len(parts) != 3 || parts[0] != "assumed-role" || got.AccountID != want.account || !strings.EqualFold(parts[1], want.name) {
		return fmt.Errorf("asked for a session of %s, STS gave one of %s", s.role, rec.assumed)
	}
	return nil
}

// checkAccount holds the last hop to Options.ExpectedAccount.
func (s *session) checkAccount(creds aws.Credentials, rec *record) error {
	want := s.chain.expectedAccount
	if want == "" || s.hop != s.chain.length() {
		return nil
	}
	account := creds.AccountID
	if a, err := arn.Parse(rec.assumed); err == nil {
		account = a.AccountID
	}
	if account == "" {
		return fmt.Errorf("expected a session of account %s, but %s does not tell its account; assume a role of that account", want, s.chain.source)
	}
	if account != want {
		return fmt.Errorf("expected a session of account %s, got one of %s", want, account)
	}
	return nil
}
