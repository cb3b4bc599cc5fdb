package awstest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// TestSimulatePrincipalPolicy asks what each kind of policy says of a role.
func TestSimulatePrincipalPolicy(t *testing.T) {
	w := newWorld()
	client, ctx := iamOf(w.Cloud, w.dev.AdminKey()), t.Context()
	const cat, dog = "arn:aws:s3:::pics/cat.jpg", "arn:aws:s3:::dogs/dog.jpg"
	w.hub.SetPolicy(readPics)
	simulate := func(edit func(*iam.SimulatePrincipalPolicyInput)) string {
		t.Helper()
		in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: new(hubARN), ActionNames: []string{"s3:GetObject", "s3:PutObject"}, ResourceArns: []string{cat, dog}}
		edit(in)
		var says []string
		for page := iam.NewSimulatePrincipalPolicyPaginator(client, in); page.HasMorePages(); {
			for _, r := range ok(page.NextPage(ctx))(t).EvaluationResults {
				var line strings.Builder
				fmt.Fprintf(&line, "%s %s %s", strings.TrimPrefix(*r.EvalActionName, "s3:"), (*r.EvalResourceName)[len("arn:aws:s3:::"):], r.EvalDecision)
				for _, m := range r.MatchedStatements {
					line.WriteString(" " + *m.SourcePolicyId)
				}
				if d := r.PermissionsBoundaryDecisionDetail; d != nil {
					fmt.Fprint(&line, " boundary:", d.AllowedByPermissionsBoundary)
				}
				if d := r.OrganizationsDecisionDetail; d != nil {
					fmt.Fprint(&line, " organization:", d.AllowedByOrganizations)
				}
				if len(r.MissingContextValues) > 0 {
					fmt.Fprint(&line, " missing:", r.MissingContextValues)
				}
				says = append(says, line.String())
			}
		}
		return strings.Join(says, "\n")
	}
	first := func(in *iam.SimulatePrincipalPolicyInput) {
		in.ActionNames, in.ResourceArns = in.ActionNames[:1], in.ResourceArns[:1]
	}
	for _, test := range []struct {
		name  string
		setup func()
		edit  func(*iam.SimulatePrincipalPolicyInput)
		want  string
	}{
		{"all pairs, in pages of three", func() {}, func(in *iam.SimulatePrincipalPolicyInput) { in.MaxItems = new(int32(3)) },
			"GetObject pics/cat.jpg allowed policy\nGetObject dogs/dog.jpg implicitDeny\nPutObject pics/cat.jpg implicitDeny\nPutObject dogs/dog.jpg implicitDeny"},
		{"with another policy", func() {}, func(in *iam.SimulatePrincipalPolicyInput) {
			first(in)
			in.PolicyInputList = []string{denyPics}
		}, "GetObject pics/cat.jpg explicitDeny PolicyInputList.1"},
		{"with a boundary", func() {}, func(in *iam.SimulatePrincipalPolicyInput) {
			first(in)
			in.PermissionsBoundaryPolicyInputList = []string{strings.ReplaceAll(readPics, "pics", "dogs")}
		}, "GetObject pics/cat.jpg implicitDeny policy boundary:false"},
		{"within its boundary", func() { w.hub.SetPermissionsBoundary(readPics) }, first, "GetObject pics/cat.jpg allowed policy boundary:true"},
		{"with a condition", func() {
			w.hub.SetPermissionsBoundary("")
			w.hub.SetPolicy(strings.Replace(readPics, `"Resource"`, `"Condition":{"StringEquals":{"s3:ExistingObjectTag/a":"b"}},"Resource"`, 1))
		}, first, "GetObject pics/cat.jpg implicitDeny missing:[s3:ExistingObjectTag/a]"},
		{"with the key of the condition", func() {}, func(in *iam.SimulatePrincipalPolicyInput) {
			first(in)
			in.ContextEntries = []iamtypes.ContextEntry{{ContextKeyName: new("s3:ExistingObjectTag/a"), ContextKeyValues: []string{"b"}, ContextKeyType: iamtypes.ContextKeyTypeEnumString}}
		}, "GetObject pics/cat.jpg allowed policy"},
		{"in an organization", func() {
			w.hub.SetPolicy(readPics)
			organization := w.Organization()
			organization.Add(w.dev)
			organization.AttachSCP("no-pics", denyPics)
		}, first, "GetObject pics/cat.jpg explicitDeny policy organization:false"},
	} {
		test.setup()
		if got := simulate(test.edit); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}
