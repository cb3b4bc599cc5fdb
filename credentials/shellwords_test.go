package credentials_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// A token may hold what a shell would run: a command that is printed runs none
// of it.
func TestPrintedCommandsAreQuoted(t *testing.T) {
	const audience, quoted = `sts; rm -rf "$HOME" 'x'`, `'sts; rm -rf "$HOME" '\''x'\'''`
	s := newScene(t)
	s.pod.Rotate(func(token *trust.Token) { token.Audience = []string{audience, "plain.example"} })
	for message, command := range map[string]string{
		"No OpenIDConnect provider found in your account for x": "--client-id-list " + quoted + " plain.example",
		"Incorrect token audience":                              "--client-id " + quoted,
	} {
		s.cloud.Fault(awstest.Fault{Times: 1, Status: 400, Code: "InvalidIdentityToken", Message: message})
		_, err := s.hubChain(t).Retrieve(t.Context())
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok || !slices.ContainsFunc(e.Fixes, func(fix string) bool { return strings.HasSuffix(fix, command) }) {
			t.Errorf("got %v, want %s", err, command)
		}
	}
}

// A value that begins with a hyphen is taken for no flag.
func TestPrintedCommandsKeepValuesApartFromFlags(t *testing.T) {
	const provider, audience = "No OpenIDConnect provider found in your account for x", "Incorrect token audience"
	for _, tt := range []struct {
		message, command string
		audiences        []string
	}{
		{provider, "--client-id-list=-x", []string{"-x"}},
		{provider, `'--client-id-list=["plain.example","--endpoint-url=https://evil.example"]'`, []string{"plain.example", "--endpoint-url=https://evil.example"}},
		{provider, "--client-id-list a b", []string{"a", "b"}},
		{audience, "--client-id=--endpoint-url=https://evil.example", []string{"--endpoint-url=https://evil.example"}},
		{audience, "'--client-id=-x y'", []string{"-x y"}},
	} {
		s := newScene(t)
		s.pod.Rotate(func(token *trust.Token) { token.Audience = tt.audiences })
		s.cloud.Fault(awstest.Fault{Times: 1, Status: 400, Code: "InvalidIdentityToken", Message: tt.message})
		_, err := s.hubChain(t).Retrieve(t.Context())
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok || !slices.ContainsFunc(e.Fixes, func(fix string) bool { return strings.HasSuffix(fix, " "+tt.command) }) {
			t.Errorf("%q: got %v, want %s", tt.audiences, err, tt.command)
		}
	}
}

// The limit that was met may be STS's own choice.
func TestDurationThatNobodySet(t *testing.T) {
	s := newScene(t)
	for _, set := range []time.Duration{0, 2 * time.Hour} {
		s.cloud.Fault(awstest.Fault{Times: 1, Status: 400, Code: "ValidationError", Message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."})
		_, err := s.directChain(t, func(o *credentials.Options) {
			w := o.Source.(credentials.WebIdentity)
			w.Duration = set
			o.Source = w
		}).Retrieve(t.Context())
		e, ok := errors.AsType[*credentials.Error](err)
		if !ok || e.Kind != credentials.DurationTooLong || len(e.Fixes) == 0 {
			t.Fatal(err)
		}
		for _, fix := range e.Fixes {
			if strings.Contains(fix, " 0") {
				t.Errorf("Duration %v: %q", set, fix)
			}
		}
	}
}
