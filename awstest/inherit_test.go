package awstest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// assume makes a session of a role, as these credentials.
func (w *world) assume(t *testing.T, as aws.Credentials, roleARN string, edits ...func(*sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
	t.Helper()
	input := &sts.AssumeRoleInput{RoleArn: &roleARN, RoleSessionName: new("pod")}
	for _, edit := range edits {
		edit(input)
	}
	return w.as(as).AssumeRole(t.Context(), input)
}

func credentialsOf(c *types.Credentials) aws.Credentials {
	return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
}

// TestInherited shows what rides along from a session into the next: its
// transitive tags and its source identity, neither of which can be changed.
func TestInherited(t *testing.T) {
	w := newWorld()
	last := w.shared.CreateRole("last", roleTrust(targetARN), "")
	w.target.SetPolicy(allowAssume)
	w.target.SetTrust(roleTrust(hubARN))
	out, err := w.assume(t, w.hubSession(t), targetARN, func(in *sts.AssumeRoleInput) {
		in.Tags = []types.Tag{{Key: new("team"), Value: new("pics")}, {Key: new("env"), Value: new("prod")}}
		in.TransitiveTagKeys = []string{"team"}
		in.SourceIdentity = new("ann")
	})
	if err != nil {
		t.Fatal(err)
	}
	if size := len(*out.Credentials.SessionToken); aws.ToString(out.SourceIdentity) != "ann" || aws.ToInt32(out.SessionTokenSize) != int32(size) {
		t.Errorf("source identity %q, a session token of %d bytes, said to be %d", aws.ToString(out.SourceIdentity), size, aws.ToInt32(out.SessionTokenSize))
	}
	middle := credentialsOf(out.Credentials)

	conditions := func(trustActions, condition string) {
		last.SetTrust(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + targetARN + `"},"Action":[` + trustActions + `],"Condition":{` + condition + `}}]}`)
	}
	tests := []struct {
		name, actions, condition string
		edit                     func(*sts.AssumeRoleInput)
		refused                  string
	}{
		{name: "plain", actions: `"sts:*"`},
		{name: "principal tags are those of the session", actions: `"sts:*"`, condition: `"StringEquals":{"aws:PrincipalTag/team":"pics","aws:PrincipalTag/env":"prod"}`},
		{name: "principal tag of another value", actions: `"sts:*"`, condition: `"StringEquals":{"aws:PrincipalTag/team":"docs"}`, refused: "sts:AssumeRole on"},
		{name: "transitive keys include the inherited", actions: `"sts:*"`, condition: `"ForAnyValue:StringEquals":{"sts:TransitiveTagKeys":"team"}`},
		{name: "inherited tag needs TagSession", actions: `"sts:AssumeRole","sts:SetSourceIdentity"`, refused: "sts:TagSession on"},
		{name: "inherited source identity needs SetSourceIdentity", actions: `"sts:AssumeRole","sts:TagSession"`, refused: "sts:SetSourceIdentity on"},
		{name: "inherited source identity is a key", actions: `"sts:*"`, condition: `"StringEquals":{"aws:SourceIdentity":"ann","sts:SourceIdentity":"ann"}`},
		{name: "transitive tag overridden", actions: `"sts:*"`, refused: "conflicts with a transitive tag key", edit: func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: new("TEAM"), Value: new("docs")}}
		}},
		{name: "other tag replaced", actions: `"sts:*"`, edit: func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: new("env"), Value: new("test")}}
		}},
		{name: "source identity repeated", actions: `"sts:*"`, edit: func(in *sts.AssumeRoleInput) { in.SourceIdentity = new("ann") }},
		{name: "source identity changed", actions: `"sts:*"`, refused: "sts:SetSourceIdentity on", edit: func(in *sts.AssumeRoleInput) { in.SourceIdentity = new("bob") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conditions(test.actions, test.condition)
			var edits []func(*sts.AssumeRoleInput)
			if test.edit != nil {
				edits = append(edits, test.edit)
			}
			_, err := w.assume(t, middle, last.ARN(), edits...)
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				calls := w.Calls()
				t.Errorf("got %v, want %q\n%v", err, test.refused, calls[len(calls)-1])
			}
		})
	}

	// Tags that are not transitive end with their session.
	conditions(`"sts:*"`, "")
	out, err = w.assume(t, middle, last.ARN())
	if err != nil {
		t.Fatal(err)
	}
	end := w.shared.CreateRole("end", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+last.ARN()+`"},"Action":"sts:*","Condition":{"Null":{"aws:PrincipalTag/env":"true"},"StringEquals":{"aws:PrincipalTag/team":"pics"}}}]}`, "")
	if _, err := w.assume(t, credentialsOf(out.Credentials), end.ARN()); err != nil {
		t.Errorf("%v\n%v", err, w.Calls())
	}
}

// TestSessionPolicyNarrows shows that a session may do no more than its session
// policy allows, unless a policy of the same account names the session itself.
func TestSessionPolicyNarrows(t *testing.T) {
	const nothing = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
	w := newWorld()
	token := w.blue.Token("default", "app")
	out, err := w.as(aws.Credentials{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new(hubARN), RoleSessionName: new("pod"), WebIdentityToken: &token, Policy: new(nothing),
	})
	if err != nil {
		t.Fatal(err)
	}
	narrow := credentialsOf(out.Credentials)
	if _, err := w.assume(t, narrow, targetARN); err == nil {
		t.Error("the session policy allows no AssumeRole, and it was allowed")
	}
	next := w.dev.CreateRole("next", roleTrust(hubARN), "")
	if _, err := w.assume(t, narrow, next.ARN()); err == nil {
		t.Error("a trust policy that names the role opens what the session policy closes")
	}
	next.SetTrust(roleTrust(hubSessionARN))
	if _, err := w.assume(t, narrow, next.ARN()); err != nil {
		t.Errorf("a trust policy that names the session: %v", err)
	}
}
