package credentials_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// The agent's session carries tags, which ride along to every role after it:
// both sides must allow sts:TagSession too. The agent does not report whose session it
// is; the refusal does.
func TestPodIdentityTagsAreInTheFix(t *testing.T) {
	s := newScene(t)
	_, base, source := s.withAgent(t)
	s.cloud.Fault(awstest.Fault{
		Operation: "AssumeRole", Status: 403, Code: "AccessDenied",
		Message: "User: arn:aws:sts::111122223333:assumed-role/hub/eks-pod is not authorized to perform: sts:AssumeRole on resource: " + s.target.ARN(),
	})
	chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = source })
	_, err := chain.Retrieve(t.Context())
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok || e.Kind != credentials.AssumeDenied || len(e.Fixes) < 2 {
		t.Fatalf("got %v, want %v with the statements of both sides", err, credentials.AssumeDenied)
	}
	if !strings.Contains(e.Fixes[0], s.hub.ARN()) {
		t.Errorf("the trust policy does not name %s:\n%s", s.hub.ARN(), e.Fixes[0])
	}
	for _, fix := range e.Fixes {
		if strings.Contains(fix, `"Effect"`) && !strings.Contains(fix, "sts:TagSession") {
			t.Errorf("the fix lacks sts:TagSession:\n%s", fix)
		}
	}
}
