package awstest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/crossrole/crossrole/awstest"
)

const (
	denyPics      = `{"Version":"2012-10-17","Statement":[{"Sid":"NoPics","Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`
	allowAnything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	thumbprint    = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"
)

// iamOf is an IAM client that signs with these credentials.
func iamOf(cloud *awstest.Cloud, credentials aws.Credentials) *iam.Client {
	cfg := cloud.Config()
	cfg.Credentials = provider(credentials)
	cfg.RetryMaxAttempts = 1
	return iam.NewFromConfig(cfg)
}

// ok fails the test if there is an error, and returns the output.
func ok[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// iamRefuses compares an error of the SDK with the status, code and part of the
// message that AWS returns.
func iamRefuses(t *testing.T, err error, status int, code, message string) {
	t.Helper()
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		t.Errorf("got %v, want %d %s", err, status, code)
		return
	}
	if response.HTTPStatusCode() != status || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Errorf("got %d %s %q\nwant %d %s …%q…", response.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code, message)
	}
}

// TestIAMBuildsBothAccounts makes everything by requests to IAM, from two empty
// accounts, and assumes the role over both routes.
func TestIAMBuildsBothAccounts(t *testing.T) {
	cloud := awstest.New()
	blue := cloud.Cluster(blueIssuer)
	dev, shared := cloud.Account(devID), cloud.Account(sharedID)
	devIAM, sharedIAM := iamOf(cloud, dev.AdminKey()), iamOf(cloud, shared.AdminKey())
	ctx := t.Context()

	p := ok(devIAM.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: new(blueIssuer), ClientIDList: []string{"sts.amazonaws.com"}}))(t)
	if want := "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/BLUE"; *p.OpenIDConnectProviderArn != want {
		t.Errorf("provider %s, want %s", *p.OpenIDConnectProviderArn, want)
	}
	hub := ok(devIAM.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new("hub"), AssumeRolePolicyDocument: new(podTrust(devID, blueIssuer, "default", "app"))}))(t)
	ok(devIAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("hub"), PolicyName: new("assume"), PolicyDocument: new(allowAssume)}))(t)

	target := ok(sharedIAM.CreateRole(ctx, &iam.CreateRoleInput{Path: new("/team/"), RoleName: new("S3_Pics"), AssumeRolePolicyDocument: new(roleTrust(*hub.Role.Arn))}))(t)
	policy := ok(sharedIAM.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("pics"), PolicyDocument: new(readPics)}))(t)
	ok(sharedIAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("S3_Pics"), PolicyArn: policy.Policy.Arn}))(t)

	w := &world{Cloud: cloud}
	assumed := ok(w.as(w.webIdentity(t, *hub.Role.Arn, blue.Token("default", "app"))).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: target.Role.Arn, RoleSessionName: new("pod")}))(t)
	if *target.Role.Arn != targetARN || !strings.HasPrefix(*assumed.AssumedRoleUser.AssumedRoleId, *target.Role.RoleId) {
		t.Errorf("assumed %s, want a session of %s (%s)", *assumed.AssumedRoleUser.AssumedRoleId, *target.Role.Arn, *target.Role.RoleId)
	}

	// The direct route: the shared account trusts the cluster itself.
	ok(sharedIAM.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: new(blueIssuer), ClientIDList: []string{"sts.amazonaws.com"}}))(t)
	ok(sharedIAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: new("S3_Pics"), PolicyDocument: new(podTrust(sharedID, blueIssuer, "default", "app"))}))(t)
	session := w.webIdentity(t, targetARN, blue.Token("default", "app"))

	bucket := shared.CreateBucket("pics")
	bucket.Put("cat.jpg", []byte("meow"))
	if got := getObject(t, cloud, session, "pics", "cat.jpg"); got != "meow" {
		t.Errorf("read %q by the attached policy", got)
	}
}

// TestIAMRoles keeps and returns what a role has.
func TestIAMRoles(t *testing.T) {
	w := newWorld()
	client, ctx := iamOf(w.Cloud, w.dev.AdminKey()), t.Context()
	made := ok(client.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: new("reader"), Path: new("/team/a/"), Description: new("reads <pics> & more"), MaxSessionDuration: new(int32(7200)),
		AssumeRolePolicyDocument: new(roleTrust(hubARN)), Tags: []iamtypes.Tag{{Key: new("team"), Value: new("a")}},
	}))(t)
	got := ok(client.GetRole(ctx, &iam.GetRoleInput{RoleName: new("reader")}))(t).Role
	for what, pair := range map[string][2]any{
		"arn":         {*got.Arn, "arn:aws:iam::111122223333:role/team/a/reader"},
		"path":        {*got.Path, "/team/a/"},
		"description": {*got.Description, "reads <pics> & more"},
		"duration":    {*got.MaxSessionDuration, int32(7200)},
		"id":          {*got.RoleId, *made.Role.RoleId},
		"tags":        {fmt.Sprintln(len(got.Tags), *got.Tags[0].Key, *got.Tags[0].Value), "1 team a\n"},
		"trust":       {unescape(t, *got.AssumeRolePolicyDocument), roleTrust(hubARN)},
		"encoded":     {strings.ContainsAny(*got.AssumeRolePolicyDocument, `{" +`), false},
		"created":     {time.Since(*got.CreateDate) < time.Minute, true},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}

	ok(client.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: new("reader"), Description: new("new"), MaxSessionDuration: new(int32(3600))}))(t)
	ok(client.TagRole(ctx, &iam.TagRoleInput{RoleName: new("reader"), Tags: []iamtypes.Tag{{Key: new("TEAM"), Value: new("b")}, {Key: new("x"), Value: new("")}}}))(t)
	got = ok(client.GetRole(ctx, &iam.GetRoleInput{RoleName: new("reader")}))(t).Role
	if *got.Description != "new" || *got.MaxSessionDuration != 3600 {
		t.Errorf("after UpdateRole: %q, %d s", *got.Description, *got.MaxSessionDuration)
	}
	ok(client.UntagRole(ctx, &iam.UntagRoleInput{RoleName: new("reader"), TagKeys: []string{"x"}}))(t)
	tags := ok(client.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: new("reader")}))(t).Tags
	if len(tags) != 1 || *tags[0].Key != "TEAM" || *tags[0].Value != "b" {
		t.Errorf("tags %v, want TEAM=b: keys are compared without regard to case", tags)
	}
}

// TestIAMRecreatedRole is the trap of trust policies: they keep the unique id of
// a role that was deleted, not its name.
func TestIAMRecreatedRole(t *testing.T) {
	w := newWorld()
	dev, shared, ctx := iamOf(w.Cloud, w.dev.AdminKey()), iamOf(w.Cloud, w.shared.AdminKey()), t.Context()
	old := ok(dev.GetRole(ctx, &iam.GetRoleInput{RoleName: new("hub")}))(t).Role
	trustOfTarget := func() string {
		out := ok(shared.GetRole(ctx, &iam.GetRoleInput{RoleName: new("S3_Pics")}))(t)
		return unescape(t, *out.Role.AssumeRolePolicyDocument)
	}
	if got := ok(dev.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: new("hub")}))(t); len(got.InstanceProfiles) > 0 || got.IsTruncated {
		t.Errorf("instance profiles %v", got.InstanceProfiles)
	}
	if got := trustOfTarget(); !strings.Contains(got, hubARN) {
		t.Errorf("trust policy %s does not name the hub", got)
	}

	ok(dev.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: new("hub"), PolicyName: new("policy")}))(t)
	ok(dev.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("hub")}))(t)
	if got := trustOfTarget(); strings.Contains(got, hubARN) || !strings.Contains(got, `"AWS": "`+*old.RoleId+`"`) {
		t.Errorf("trust policy of a role that trusted a deleted one: %s, want %s in it", got, *old.RoleId)
	}

	again := ok(dev.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new("hub"), AssumeRolePolicyDocument: new(unescape(t, *old.AssumeRolePolicyDocument))}))(t)
	if *again.Role.RoleId == *old.RoleId {
		t.Error("a role created again has the old one's id")
	}
	ok(dev.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("hub"), PolicyName: new("assume"), PolicyDocument: new(allowAssume)}))(t)
	_, err := w.as(w.hubSession(t)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")})
	iamRefuses(t, err, 403, "AccessDenied", "sts:AssumeRole")

	ok(shared.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: new("S3_Pics"), PolicyDocument: new(roleTrust(hubARN))}))(t)
	ok(w.as(w.hubSession(t)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")}))(t)
}

// TestIAMPrincipalByID: a trust policy may name a role by its unique id, which IAM
// shows as the ARN, but not that of one which is gone.
func TestIAMPrincipalByID(t *testing.T) {
	w := newWorld()
	shared, ctx := iamOf(w.Cloud, w.shared.AdminKey()), t.Context()
	id := *ok(iamOf(w.Cloud, w.dev.AdminKey()).GetRole(ctx, &iam.GetRoleInput{RoleName: new("hub")}))(t).Role.RoleId
	update := &iam.UpdateAssumeRolePolicyInput{RoleName: new("S3_Pics"), PolicyDocument: new(roleTrust(id))}
	ok(shared.UpdateAssumeRolePolicy(ctx, update))(t)
	got := unescape(t, *ok(shared.GetRole(ctx, &iam.GetRoleInput{RoleName: new("S3_Pics")}))(t).Role.AssumeRolePolicyDocument)
	if !strings.Contains(got, hubARN) || strings.Contains(got, id) {
		t.Errorf("the trust policy is shown as %s", got)
	}
	ok(w.as(w.hubSession(t)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")}))(t)
	w.dev.DeleteRole(w.hub)
	_, err := shared.UpdateAssumeRolePolicy(ctx, update)
	iamRefuses(t, err, 400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"`+id+`"`)
}

// TestSessionManagedPolicies: a session policy may be one of the role's account.
func TestSessionManagedPolicies(t *testing.T) {
	w, ctx := newWorld(), t.Context()
	bucket := w.shared.CreateBucket("pics")
	bucket.Put("cat.jpg", []byte("meow"))
	for account, document := range map[*awstest.Account]string{w.shared: denyPics, w.dev: readPics} {
		ok(iamOf(w.Cloud, account.AdminKey()).CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: &document}))(t)
	}
	assume := func(arn string) (*sts.AssumeRoleOutput, error) {
		return w.as(w.hubSession(t)).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod"), PolicyArns: []ststypes.PolicyDescriptorType{{Arn: &arn}}})
	}
	for arn, readable := range map[string]bool{"arn:aws:iam::444455556666:policy/p": false, "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess": true} {
		c := ok(assume(arn))(t).Credentials
		session := aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
		if got := getObject(t, w.Cloud, session, "pics", "cat.jpg") == "meow"; got != readable {
			t.Errorf("with the session policy %s: can read: %v", arn, got)
		}
	}
	_, err := assume("arn:aws:iam::111122223333:policy/p")
	iamRefuses(t, err, 400, "ValidationError", "does not exist or is not attachable")
	_, err = assume("arn:aws:iam::aws:policy/ReadOnlyAccess")
	iamRefuses(t, err, 501, "NotImplemented", "ReadOnlyAccess")
}

// TestIAMTwoDoors compares the panics of the methods of Account and Role with IAM's
// errors: the message is the same.
func TestIAMTwoDoors(t *testing.T) {
	for name, test := range map[string]struct {
		call    func(w *world)
		request url.Values
	}{
		"role twice":      {func(w *world) { w.dev.CreateRole("hub", roleTrust(devID), "") }, iamForm("CreateRole", "RoleName", "hub", "AssumeRolePolicyDocument", roleTrust(devID))},
		"trust":           {func(w *world) { w.dev.CreateRole("x", readPics, "") }, iamForm("CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", readPics)},
		"trust length":    {func(w *world) { w.hub.SetTrust(longTrust(2049)) }, iamForm("UpdateAssumeRolePolicy", "RoleName", "hub", "PolicyDocument", longTrust(2049))},
		"trust principal": {func(w *world) { w.hub.SetTrust(roleTrust("arn:aws:iam::444455556666:role/none")) }, iamForm("UpdateAssumeRolePolicy", "RoleName", "hub", "PolicyDocument", roleTrust("arn:aws:iam::444455556666:role/none"))},
		"policy":          {func(w *world) { w.hub.SetPolicy(roleTrust(devID)) }, iamForm("PutRolePolicy", "RoleName", "hub", "PolicyName", "policy", "PolicyDocument", roleTrust(devID))},
		"policy length":   {func(w *world) { w.hub.SetPolicy(longIdentity(10241)) }, iamForm("PutRolePolicy", "RoleName", "hub", "PolicyName", "policy", "PolicyDocument", longIdentity(10241))},
		"boundary length": {func(w *world) { w.hub.SetPermissionsBoundary(longIdentity(6145)) }, iamForm("CreatePolicy", "PolicyName", "p", "PolicyDocument", longIdentity(6145))},
		"user twice":      {func(w *world) { w.dev.UserCredentials("awstest-admin", "") }, iamForm("CreateUser", "UserName", "awstest-admin")},
		"user's policy":   {func(w *world) { w.dev.UserCredentials("u", longIdentity(2049)) }, iamForm("PutUserPolicy", "UserName", "u", "PolicyName", "policy", "PolicyDocument", longIdentity(2049))},
		"client ids": {func(w *world) {
			w.dev.AddOIDCProvider(w.Cluster(greenIssuer), strings.Fields(strings.Repeat("a ", 101))...)
		},
			iamForm("CreateOpenIDConnectProvider", append([]string{"Url", greenIssuer}, members("ClientIDList", 101, func(int) string { return "a" })...)...)},
		"client id": {func(w *world) { w.dev.AddOIDCProvider(w.Cluster(greenIssuer), strings.Repeat("a", 256)) },
			iamForm("CreateOpenIDConnectProvider", "Url", greenIssuer, "ClientIDList.member.1", strings.Repeat("a", 256))},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			admin := w.dev.AdminKey()
			if name == "user's policy" {
				w.admin(t, iamForm("CreateUser", "UserName", "u"))
			}
			answer := postIAM(t, w.Config().HTTPClient, "https://iam.amazonaws.com", test.request, &admin)
			if answer.status == 200 {
				t.Fatalf("the request is served: %s", answer.body)
			}
			if name == "user's policy" {
				w = newWorld()
			}
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, answer.message) {
					t.Errorf("the method panics with %q, IAM returns %q", text, answer.message)
				}
			}()
			test.call(w)
		})
	}
}

// TestIAMPages reads lists in pages, also while roles come and go.
func TestIAMPages(t *testing.T) {
	w := newWorld()
	client, ctx := iamOf(w.Cloud, w.dev.AdminKey()), t.Context()
	for i := range 7 {
		w.dev.CreateRole(fmt.Sprintf("pages/r%d", i), roleTrust(devID), "")
	}
	var names []string
	for page := iam.NewListRolesPaginator(client, &iam.ListRolesInput{PathPrefix: new("/pages/"), MaxItems: new(int32(3))}); page.HasMorePages(); {
		out := ok(page.NextPage(ctx))(t)
		if len(out.Roles) > 3 {
			t.Errorf("a page of %d roles", len(out.Roles))
		}
		for _, r := range out.Roles {
			names = append(names, *r.RoleName)
		}
	}
	if got := strings.Join(names, " "); got != "r0 r1 r2 r3 r4 r5 r6" {
		t.Errorf("pages list %s", got)
	}
	_, err := client.ListRoles(ctx, &iam.ListRolesInput{Marker: new("none")})
	iamRefuses(t, err, 400, "ValidationError", "Marker")
	_, err = client.ListRoles(ctx, &iam.ListRolesInput{MaxItems: new(int32(1001))})
	iamRefuses(t, err, 400, "ValidationError", "'maxItems'")
}

// TestIAMPolicies changes what a session may do by each kind of policy.
func TestIAMPolicies(t *testing.T) {
	w := newWorld()
	client, ctx := iamOf(w.Cloud, w.dev.AdminKey()), t.Context()
	w.dev.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
	session := w.hubSession(t)
	reads := func(want bool, when string) {
		t.Helper()
		if got := getObject(t, w.Cloud, session, "pics", "cat.jpg") == "meow"; got != want {
			t.Errorf("%s: can read: %v\n%v", when, got, w.Calls()[len(w.Calls())-1])
		}
	}
	reads(false, "at first")

	inline := &iam.PutRolePolicyInput{RoleName: new("hub"), PolicyName: new("pics"), PolicyDocument: new(readPics)}
	ok(client.PutRolePolicy(ctx, inline))(t)
	reads(true, "with an inline policy")
	if got := ok(client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: new("hub")}))(t).PolicyNames; !slices.Equal(got, []string{"pics", "policy"}) {
		t.Errorf("inline policies %v", got)
	}
	if got := unescape(t, *ok(client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: new("hub"), PolicyName: new("pics")}))(t).PolicyDocument); got != readPics {
		t.Errorf("inline policy %s", got)
	}

	deny := *ok(client.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("deny"), Path: new("/guard/"), PolicyDocument: new(denyPics), Description: new("no pics")}))(t).Policy.Arn
	ok(client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("hub"), PolicyArn: &deny}))(t)
	reads(false, "with a managed policy that denies")
	if calls := w.Calls(); !strings.Contains(calls[len(calls)-1].Explain, "deny NoPics matched") {
		t.Errorf("the refusal does not name the policy: %s", calls[len(calls)-1].Explain)
	}
	attached := ok(client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: new("hub")}))(t).AttachedPolicies
	if len(attached) != 1 || *attached[0].PolicyArn != "arn:aws:iam::111122223333:policy/guard/deny" || *attached[0].PolicyName != "deny" {
		t.Errorf("attached %v", attached)
	}

	version := ok(client.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &deny, PolicyDocument: new(readPics)}))(t).PolicyVersion
	reads(false, "with a new version that is not the default")
	ok(client.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: &deny, VersionId: version.VersionId}))(t)
	reads(true, "with the new version")
	got := ok(client.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &deny}))(t).Policy
	if *got.DefaultVersionId != "v2" || *got.AttachmentCount != 1 || *got.Description != "no pics" {
		t.Errorf("policy: default %s, attached %d, %q", *got.DefaultVersionId, *got.AttachmentCount, *got.Description)
	}
	old := ok(client.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &deny, VersionId: new("v1")}))(t).PolicyVersion
	if unescape(t, *old.Document) != denyPics || old.IsDefaultVersion {
		t.Errorf("version 1: %+v", old)
	}
	if list := ok(client.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: &deny}))(t).Versions; len(list) != 2 || *list[0].VersionId != "v2" {
		t.Errorf("versions %v", list)
	}

	ok(client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: new("hub"), PolicyName: new("pics")}))(t)
	reads(true, "by the managed policy alone")
	ok(client.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: new("hub"), PolicyArn: &deny}))(t)
	reads(false, "with neither")
	ok(client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("hub"), PolicyArn: new("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")}))(t)
	reads(true, "with a policy of AWS's")

	ok(client.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: &deny, VersionId: new("v1")}))(t)
	ok(client.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: &deny}))(t)
	_, err := client.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &deny})
	iamRefuses(t, err, 404, "NoSuchEntity", "was not found")
}

// TestIAMOldPolicyVersion: "${" is plain text in a policy of the old version, also
// next to one of the new.
func TestIAMOldPolicyVersion(t *testing.T) {
	w := newWorld()
	client, ctx := iamOf(w.Cloud, w.dev.AdminKey()), t.Context()
	bucket := w.dev.CreateBucket("pics")
	for _, key := range []string{"111122223333/x", "${aws:PrincipalAccount}/x"} {
		bucket.Put(key, []byte("meow"))
	}
	const document = `{%s"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/${aws:PrincipalAccount}/*"}]}`
	session := w.hubSession(t)
	for version, readable := range map[string]string{"": "${aws:PrincipalAccount}/x", `"Version":"2012-10-17",`: "111122223333/x"} {
		ok(client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("hub"), PolicyName: new("pics"), PolicyDocument: new(fmt.Sprintf(document, version))}))(t)
		for _, key := range []string{"111122223333/x", "${aws:PrincipalAccount}/x"} {
			if got := getObject(t, w.Cloud, session, "pics", key) == "meow"; got != (key == readable) {
				t.Errorf("with %q, %s can be read: %v", version, key, got)
			}
		}
	}
}

// TestIAMProviders makes, changes and deletes OIDC providers.
func TestIAMProviders(t *testing.T) {
	w := newWorld()
	client, ctx := iamOf(w.Cloud, w.shared.AdminKey()), t.Context()
	green := w.Cluster(greenIssuer)
	role := w.shared.CreateRole("direct", podTrust(sharedID, greenIssuer, "default", "app"), "")
	exchange := func() error {
		_, err := w.as(aws.Credentials{}).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: new(role.ARN()), RoleSessionName: new("pod"), WebIdentityToken: new(green.Token("default", "app")),
		})
		return err
	}
	iamRefuses(t, exchange(), 400, "InvalidIdentityToken", "No OpenIDConnect provider found")

	arn := ok(client.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: new(greenIssuer), ThumbprintList: []string{thumbprint}, Tags: []iamtypes.Tag{{Key: new("a"), Value: new("b")}},
	}))(t).OpenIDConnectProviderArn
	iamRefuses(t, exchange(), 400, "InvalidIdentityToken", "Incorrect token audience")
	for range 2 { // it is idempotent
		ok(client.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: new("sts.amazonaws.com")}))(t)
	}
	if err := exchange(); err != nil {
		t.Errorf("with the audience registered: %v", err)
	}
	other := strings.Repeat("f", 40)
	ok(client.UpdateOpenIDConnectProviderThumbprint(ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: []string{other}}))(t)
	got := ok(client.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	if "https://"+*got.Url != greenIssuer || !slices.Equal(got.ClientIDList, []string{"sts.amazonaws.com"}) || !slices.Equal(got.ThumbprintList, []string{other}) || len(got.Tags) != 1 {
		t.Errorf("provider %s %v %v %v", *got.Url, got.ClientIDList, got.ThumbprintList, got.Tags)
	}
	if list := ok(client.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{}))(t).OpenIDConnectProviderList; len(list) != 1 || *list[0].Arn != *arn {
		t.Errorf("providers %v", list)
	}
	for range 2 {
		ok(client.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: new("sts.amazonaws.com")}))(t)
	}
	iamRefuses(t, exchange(), 400, "InvalidIdentityToken", "Incorrect token audience")
	for range 2 {
		ok(client.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	}
	iamRefuses(t, exchange(), 400, "InvalidIdentityToken", "No OpenIDConnect provider found")
}

// TestIAMProviderWithoutCluster: IAM registers an issuer without a server,
// and no token of it is good.
func TestIAMProviderWithoutCluster(t *testing.T) {
	w := newWorld()
	const issuer = "https://oidc.example.com/gone"
	ok(iamOf(w.Cloud, w.shared.AdminKey()).CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: new(issuer), ClientIDList: []string{"sts.amazonaws.com"}}))(t)
	w.shared.CreateRole("direct", podTrust(sharedID, issuer, "default", "app"), "")
	token := awstest.New().Cluster(issuer).Token("default", "app")
	_, err := w.as(aws.Credentials{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new("arn:aws:iam::444455556666:role/direct"), RoleSessionName: new("pod"), WebIdentityToken: &token,
	})
	iamRefuses(t, err, 400, "InvalidIdentityToken", "Couldn't retrieve verification key")
}

// TestIAMUsers makes a user whose keys work until they are deleted.
func TestIAMUsers(t *testing.T) {
	w := newWorld()
	admin, ctx := iamOf(w.Cloud, w.dev.AdminKey()), t.Context()
	made := ok(admin.CreateUser(ctx, &iam.CreateUserInput{UserName: new("eve"), Path: new("/staff/"), Tags: []iamtypes.Tag{{Key: new("a"), Value: new("b")}}}))(t).User
	key := ok(admin.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("eve")}))(t).AccessKey
	credentials := aws.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey}
	eve := iamOf(w.Cloud, credentials)
	_, err := eve.GetUser(ctx, &iam.GetUserInput{})
	iamRefuses(t, err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/staff/eve is not authorized to perform: iam:GetUser on resource: user eve because no identity-based policy allows the iam:GetUser action")
	ok(admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: new("eve"), PolicyName: new("self"), PolicyDocument: new(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetUser","iam:*AccessKey*"],"Resource":"arn:aws:iam::*:user/staff/${aws:username}"}]}`)}))(t)
	if got := ok(eve.GetUser(ctx, &iam.GetUserInput{}))(t).User; *got.Arn != *made.Arn || *got.UserId != *made.UserId || *got.Path != "/staff/" || len(got.Tags) != 1 {
		t.Errorf("GetUser says %+v, CreateUser said %+v", got, made)
	}
	second := ok(eve.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}))(t).AccessKey
	_, err = eve.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	iamRefuses(t, err, 409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	if keys := ok(eve.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}))(t).AccessKeyMetadata; len(keys) != 2 || *keys[0].AccessKeyId != *key.AccessKeyId || *keys[1].AccessKeyId != *second.AccessKeyId {
		t.Errorf("keys %v", keys)
	}
	ok(iamOf(w.Cloud, aws.Credentials{AccessKeyID: *second.AccessKeyId, SecretAccessKey: *second.SecretAccessKey}).DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: key.AccessKeyId}))(t)
	_, err = eve.GetUser(ctx, &iam.GetUserInput{})
	iamRefuses(t, err, 403, "InvalidClientTokenId", "")
	_, err = iamOf(w.Cloud, w.hubSession(t)).GetUser(ctx, &iam.GetUserInput{})
	iamRefuses(t, err, 400, "ValidationError", "Must specify userName")
}

// TestAdminKey has the same keys in each call, and no power over other accounts.
func TestAdminKey(t *testing.T) {
	w := newWorld()
	if first, again := w.dev.AdminKey(), w.dev.AdminKey(); first != again || first.AccountID != devID {
		t.Errorf("%v and %v", first.AccessKeyID, again.AccessKeyID)
	}
	key := w.dev.AdminKey().AccessKeyID
	ok(iamOf(w.Cloud, w.dev.AdminKey()).DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{AccessKeyId: &key}))(t)
	if again := w.dev.AdminKey().AccessKeyID; again == key {
		t.Error("AdminKey returns a key that was deleted")
	}
	_, err := iamOf(w.Cloud, w.dev.AdminKey()).GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("S3_Pics")})
	iamRefuses(t, err, 404, "NoSuchEntity", "The role with name S3_Pics cannot be found.")
	_, err = w.as(w.dev.AdminKey()).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")})
	iamRefuses(t, err, 403, "AccessDenied", "sts:AssumeRole")
}

// TestIAMConditions are conditions that keep an administrator of roles within
// bounds.
func TestIAMConditions(t *testing.T) {
	w := newWorld()
	ctx := t.Context()
	limited := iamOf(w.Cloud, w.dev.UserCredentials("limited", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:CreateRole","iam:TagRole"],"Resource":"arn:aws:iam::111122223333:role/team/*","Condition":{"StringEquals":{"aws:RequestTag/team":"a"}}},
		{"Effect":"Allow","Action":"iam:AttachRolePolicy","Resource":"*","Condition":{"ArnLike":{"iam:PolicyARN":"arn:aws:iam::aws:policy/AmazonS3*"}}},
		{"Effect":"Allow","Action":"iam:DeleteRole","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}},
		{"Sid":"NotTheHub","Effect":"Deny","Action":"iam:*","Resource":"arn:aws:iam::*:role/hub"}]}`))
	create := func(name, path string, tags ...iamtypes.Tag) error {
		_, err := limited.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, Path: &path, AssumeRolePolicyDocument: new(roleTrust(devID)), Tags: tags})
		return err
	}
	team := func(value string) iamtypes.Tag { return iamtypes.Tag{Key: new("team"), Value: &value} }
	attach := func(role, policy string) error {
		_, err := limited.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: new("arn:aws:iam::aws:policy/" + policy)})
		return err
	}
	remove := func(role string) error {
		_, err := limited.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &role})
		return err
	}
	w.dev.CreateRole("plain", roleTrust(devID), "")
	const denied = "User: arn:aws:iam::111122223333:user/limited is not authorized to perform: "
	iamRefuses(t, create("x", "/"), 403, "AccessDenied", denied+"iam:CreateRole on resource: arn:aws:iam::111122223333:role/x because no identity-based policy allows the iam:CreateRole action")
	iamRefuses(t, create("x", "/team/"), 403, "AccessDenied", denied)
	iamRefuses(t, create("x", "/team/", team("b")), 403, "AccessDenied", denied)
	if err := create("x", "/team/", team("a")); err != nil {
		t.Error(err)
	}
	iamRefuses(t, attach("x", "AdministratorAccess"), 403, "AccessDenied", denied+"iam:AttachRolePolicy on resource: role x because")
	if err := attach("plain", "AmazonS3FullAccess"); err != nil {
		t.Error(err)
	}
	iamRefuses(t, attach("hub", "AmazonS3FullAccess"), 403, "AccessDenied", denied+"iam:AttachRolePolicy on resource: role hub with an explicit deny in an identity-based policy")
	iamRefuses(t, remove("plain"), 403, "AccessDenied", denied+"iam:DeleteRole on resource: role plain")
	iamRefuses(t, remove("none"), 403, "AccessDenied", denied+"iam:DeleteRole on resource: role none")
	if err := remove("x"); err != nil {
		t.Error(err)
	}
}

// TestIAMTags are tags of roles and users in conditions: of the caller, of the role
// that it assumes, and replaced by a session's own.
func TestIAMTags(t *testing.T) {
	w := newWorld()
	dev, shared, ctx := iamOf(w.Cloud, w.dev.AdminKey()), iamOf(w.Cloud, w.shared.AdminKey()), t.Context()
	hub := w.hubSession(t)
	assume := func() error {
		_, err := w.as(hub).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")})
		return err
	}
	w.hub.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"*",
		"Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}","iam:ResourceTag/team":"a"}}}]}`)
	iamRefuses(t, assume(), 403, "AccessDenied", "sts:AssumeRole")
	team := []iamtypes.Tag{{Key: new("team"), Value: new("a")}}
	ok(shared.TagRole(ctx, &iam.TagRoleInput{RoleName: new("S3_Pics"), Tags: team}))(t)
	iamRefuses(t, assume(), 403, "AccessDenied", "sts:AssumeRole")
	ok(dev.TagRole(ctx, &iam.TagRoleInput{RoleName: new("hub"), Tags: team}))(t)
	if err := assume(); err != nil {
		t.Error(err)
	}

	w.shared.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
	w.target.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}}]}`)
	for value, readable := range map[string]bool{"": true, "a": true, "b": false} {
		input := &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")}
		if value != "" {
			input.Tags = []ststypes.Tag{{Key: new("TEAM"), Value: &value}}
		}
		c := ok(w.as(hub).AssumeRole(ctx, input))(t).Credentials
		session := aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
		if got := getObject(t, w.Cloud, session, "pics", "cat.jpg") == "meow"; got != readable {
			t.Errorf("with the session tag %q: can read: %v", value, got)
		}
	}

	ok(dev.CreateUser(ctx, &iam.CreateUserInput{UserName: new("eve"), Tags: team}))(t)
	key := ok(dev.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("eve")}))(t).AccessKey
	ok(dev.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: new("eve"), PolicyName: new("p"), PolicyDocument: new(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:GetRole","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a","aws:ResourceTag/team":"a"}}}]}`)}))(t)
	eve := iamOf(w.Cloud, aws.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey})
	ok(eve.GetRole(ctx, &iam.GetRoleInput{RoleName: new("hub")}))(t)
}

// TestIAMBoundaries limits a role by a boundary, which requests and the methods of
// Role both set, and an administrator to roles with one.
func TestIAMBoundaries(t *testing.T) {
	w := newWorld()
	admin, ctx := iamOf(w.Cloud, w.dev.AdminKey()), t.Context()
	w.dev.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
	w.hub.SetPolicy(readPics)
	session := w.hubSession(t)
	boundaryOf := func(role string) string {
		t.Helper()
		got := ok(admin.GetRole(ctx, &iam.GetRoleInput{RoleName: &role}))(t).Role.PermissionsBoundary
		if got == nil {
			return ""
		}
		return *got.PermissionsBoundaryArn
	}
	reads := func(want bool, when string) {
		t.Helper()
		if got := getObject(t, w.Cloud, session, "pics", "cat.jpg") == "meow"; got != want {
			t.Errorf("%s: can read: %v", when, got)
		}
	}
	limit := ok(admin.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("limit"), PolicyDocument: new(denyPics)}))(t).Policy.Arn
	put := &iam.PutRolePermissionsBoundaryInput{RoleName: new("hub"), PermissionsBoundary: limit}
	ok(admin.PutRolePermissionsBoundary(ctx, put))(t)
	reads(false, "with a boundary that denies")
	if got := boundaryOf("hub"); got != *limit {
		t.Errorf("boundary %q, want %s", got, *limit)
	}
	_, err := admin.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: limit})
	iamRefuses(t, err, 409, "DeleteConflict", "attached to entities")
	if got := ok(admin.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: limit}))(t).Policy; *got.PermissionsBoundaryUsageCount != 1 || *got.AttachmentCount != 0 {
		t.Errorf("used %d times as a boundary, attached %d times", *got.PermissionsBoundaryUsageCount, *got.AttachmentCount)
	}
	ok(admin.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: limit, PolicyDocument: new(readPics), SetAsDefault: true}))(t)
	reads(true, "with a new version of the boundary")
	ok(admin.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: new("hub")}))(t)
	w.hub.SetPermissionsBoundary(denyPics)
	reads(false, "with a boundary that SetPermissionsBoundary set")
	if got := ok(admin.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: new(boundaryOf("hub"))}))(t).Policy; *got.PolicyName != "hub-boundary" {
		t.Errorf("its policy is %s", *got.PolicyName)
	}
	ok(admin.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: new("hub")}))(t)
	reads(true, "without a boundary")

	limited := iamOf(w.Cloud, w.dev.UserCredentials("limited", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*",
		"Condition":{"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::111122223333:policy/limit"}}}}`))
	create := &iam.CreateRoleInput{RoleName: new("x"), AssumeRolePolicyDocument: new(roleTrust(devID))}
	_, err = limited.CreateRole(ctx, create)
	iamRefuses(t, err, 403, "AccessDenied", "iam:CreateRole")
	create.PermissionsBoundary = limit
	ok(limited.CreateRole(ctx, create))(t)
	if got := boundaryOf("x"); got != *limit {
		t.Errorf("created with the boundary %q", got)
	}
	ok(limited.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("x"), PolicyName: new("p"), PolicyDocument: new(readPics)}))(t)
	_, err = limited.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("hub"), PolicyName: new("p"), PolicyDocument: new(readPics)})
	iamRefuses(t, err, 403, "AccessDenied", "iam:PutRolePolicy on resource: role hub")
	put = &iam.PutRolePermissionsBoundaryInput{RoleName: new("x"), PermissionsBoundary: new("arn:aws:iam::aws:policy/AdministratorAccess")}
	_, err = limited.PutRolePermissionsBoundary(ctx, put)
	iamRefuses(t, err, 403, "AccessDenied", "iam:PutRolePermissionsBoundary on resource: role x")
	create = &iam.CreateRoleInput{RoleName: new("y"), AssumeRolePolicyDocument: new(roleTrust(devID)), PermissionsBoundary: new("arn:aws:iam::111122223333:policy/none")}
	_, err = admin.CreateRole(ctx, create)
	iamRefuses(t, err, 404, "NoSuchEntity", "Scope ARN: arn:aws:iam::111122223333:policy/none does not exist or is not attachable.")
}

// TestIAMRefusals names the kind of policy that refuses, as AWS does.
func TestIAMRefusals(t *testing.T) {
	w, ctx := newWorld(), t.Context()
	const denyDelete = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:DeleteRole","Resource":"*"}]}`
	w.dev.CreateRole("x", roleTrust(devID), "")
	refused := func(client *iam.Client, why string) {
		t.Helper()
		_, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("x")})
		iamRefuses(t, err, 403, "AccessDenied", "is not authorized to perform: iam:DeleteRole on resource: role x "+why)
	}
	w.hub.SetPolicy(allowAll)
	refused(iamOf(w.Cloud, w.dev.UserCredentials("ann", "")), "because no identity-based policy allows the iam:DeleteRole action")
	hub := w.hubSession(t)
	w.hub.SetPermissionsBoundary(readPics)
	refused(iamOf(w.Cloud, hub), "because no permissions boundary allows the iam:DeleteRole action")
	w.hub.SetPermissionsBoundary("")
	narrowed := ok(sts.NewFromConfig(w.Config()).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new(hubARN), RoleSessionName: new("pod"), WebIdentityToken: new(w.blue.Token("default", "app")), Policy: new(readPics),
	}))(t).Credentials
	refused(iamOf(w.Cloud, aws.Credentials{AccessKeyID: *narrowed.AccessKeyId, SecretAccessKey: *narrowed.SecretAccessKey, SessionToken: *narrowed.SessionToken}),
		"because no session policy allows the iam:DeleteRole action")
	w.Organization().Add(w.dev)
	arn := w.Organization().AttachSCP("keep-roles", denyDelete)
	refused(iamOf(w.Cloud, w.dev.AdminKey()), "with an explicit deny in a service control policy: "+arn)
	w.Organization().DetachSCP("keep-roles")
	ok(iamOf(w.Cloud, w.dev.AdminKey()).DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: new("x")}))(t)
}

// iamForm is a request to IAM; edits are pairs of name and value.
func iamForm(action string, edits ...string) url.Values {
	return edit(url.Values{"Action": {action}, "Version": {"2010-05-08"}}, edits)
}

// iamForms has a request of each action that succeeds for the administrator of the
// dev account, in the order given, in a cloud made by newWorld.
func iamForms() []url.Values {
	const (
		policy   = "arn:aws:iam::111122223333:policy/p"
		provider = "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/id"
	)
	return []url.Values{
		iamForm("CreateOpenIDConnectProvider", "Url", "https://oidc.example.com/id", "ClientIDList.member.1", "a", "ThumbprintList.member.1", thumbprint),
		iamForm("GetOpenIDConnectProvider", "OpenIDConnectProviderArn", provider),
		iamForm("AddClientIDToOpenIDConnectProvider", "OpenIDConnectProviderArn", provider, "ClientID", "b"),
		iamForm("RemoveClientIDFromOpenIDConnectProvider", "OpenIDConnectProviderArn", provider, "ClientID", "b"),
		iamForm("UpdateOpenIDConnectProviderThumbprint", "OpenIDConnectProviderArn", provider, "ThumbprintList.member.1", thumbprint),
		iamForm("ListOpenIDConnectProviders"),
		iamForm("DeleteOpenIDConnectProvider", "OpenIDConnectProviderArn", provider),
		iamForm("EnableOutboundWebIdentityFederation"),
		iamForm("GetOutboundWebIdentityFederationInfo"),
		iamForm("DisableOutboundWebIdentityFederation"),
		iamForm("CreatePolicy", "PolicyName", "p", "PolicyDocument", readPics, "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"),
		iamForm("GetPolicy", "PolicyArn", policy),
		iamForm("CreatePolicyVersion", "PolicyArn", policy, "PolicyDocument", denyPics, "SetAsDefault", "true"),
		iamForm("GetPolicyVersion", "PolicyArn", policy, "VersionId", "v1"),
		iamForm("ListPolicyVersions", "PolicyArn", policy),
		iamForm("SetDefaultPolicyVersion", "PolicyArn", policy, "VersionId", "v1"),
		iamForm("DeletePolicyVersion", "PolicyArn", policy, "VersionId", "v2"),
		iamForm("CreateRole", "RoleName", "r", "Path", "/x/", "AssumeRolePolicyDocument", roleTrust(hubARN), "MaxSessionDuration", "7200", "Description", "d"),
		iamForm("GetRole", "RoleName", "r"),
		iamForm("UpdateRole", "RoleName", "r", "Description", "e"),
		iamForm("UpdateAssumeRolePolicy", "RoleName", "r", "PolicyDocument", roleTrust(devID)),
		iamForm("ListRoles", "PathPrefix", "/x/", "MaxItems", "1"),
		iamForm("PutRolePolicy", "RoleName", "r", "PolicyName", "in", "PolicyDocument", readPics),
		iamForm("GetRolePolicy", "RoleName", "r", "PolicyName", "in"),
		iamForm("ListRolePolicies", "RoleName", "r"),
		iamForm("DeleteRolePolicy", "RoleName", "r", "PolicyName", "in"),
		iamForm("AttachRolePolicy", "RoleName", "r", "PolicyArn", policy),
		iamForm("ListAttachedRolePolicies", "RoleName", "r"),
		iamForm("DetachRolePolicy", "RoleName", "r", "PolicyArn", policy),
		iamForm("PutRolePermissionsBoundary", "RoleName", "r", "PermissionsBoundary", policy),
		iamForm("DeleteRolePermissionsBoundary", "RoleName", "r"),
		iamForm("TagRole", "RoleName", "r", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v"),
		iamForm("ListRoleTags", "RoleName", "r"),
		iamForm("ListInstanceProfilesForRole", "RoleName", "r"),
		iamForm("UntagRole", "RoleName", "r", "TagKeys.member.1", "k"),
		iamForm("SimulatePrincipalPolicy", "PolicySourceArn", "arn:aws:iam::111122223333:role/x/r", "ActionNames.member.1", "s3:GetObject",
			"ContextEntries.member.1.ContextKeyName", "aws:username", "ContextEntries.member.1.ContextKeyValues.member.1", "ann", "ContextEntries.member.1.ContextKeyType", "string"),
		iamForm("DeleteRole", "RoleName", "r"),
		iamForm("DeletePolicy", "PolicyArn", policy),
		iamForm("CreateUser", "UserName", "u"),
		iamForm("GetUser", "UserName", "u"),
		iamForm("PutUserPolicy", "UserName", "u", "PolicyName", "in", "PolicyDocument", readPics),
		iamForm("CreateAccessKey", "UserName", "u"),
		iamForm("ListAccessKeys", "UserName", "u"),
	}
}

// postIAM sends a form to IAM at its own host or a listener's.
func postIAM(t *testing.T, client doer, endpoint string, form url.Values, credentials *aws.Credentials) stsAnswer {
	t.Helper()
	return post(t, client, endpoint, form, nil, func(r *http.Request) {
		if credentials != nil {
			sign(t, r, []byte(form.Encode()), *credentials, "iam", "us-east-1", time.Now())
		}
	})
}

// TestIAMNeedsPermission sends each action as an administrator, as a user without
// permissions, as one whom only this action is denied, unsigned and with an
// unknown key.
func TestIAMNeedsPermission(t *testing.T) {
	for _, transport := range []string{"memory", "loopback"} {
		t.Run(transport, func(t *testing.T) {
			w := newWorld()
			client, endpoint := doer(w.Config().HTTPClient), "https://iam.amazonaws.com"
			if transport == "loopback" {
				client, endpoint = http.DefaultClient, w.Serve(t)
			}
			admin, nothing := w.dev.AdminKey(), w.dev.UserCredentials("nothing", "")
			unknown := aws.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "x"}
			for _, form := range iamForms() {
				action := form.Get("Action")
				denied := w.dev.UserCredentials("not-"+action[:min(len(action), 60)], strings.Replace(allowAnything, `[{`, `[{"Effect":"Deny","Action":"iam:`+action+`","Resource":"*"},{`, 1))
				postIAM(t, client, endpoint, form, &nothing).expect(t, w, 403, "AccessDenied", "because no identity-based policy allows the iam:"+action+" action")
				postIAM(t, client, endpoint, form, &denied).expect(t, w, 403, "AccessDenied", "with an explicit deny in an identity-based policy")
				postIAM(t, client, endpoint, form, nil).expect(t, w, 403, "MissingAuthenticationToken", "")
				postIAM(t, client, endpoint, form, &unknown).expect(t, w, 403, "InvalidClientTokenId", "")
				postIAM(t, client, endpoint, form, &admin).expect(t, w, 200, "", "")
			}
			postIAM(t, client, endpoint, iamForm("DeleteAccessKey", "UserName", "u", "AccessKeyId", admin.AccessKeyID), &nothing).expect(t, w, 403, "AccessDenied", "because no identity-based policy allows the iam:DeleteAccessKey action")
		})
	}
}

// TestIAMErrors are AWS's errors: each of these requests is refused for the
// administrator.
func TestIAMErrors(t *testing.T) {
	const (
		aws10  = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
		mine   = "arn:aws:iam::111122223333:policy/p"
		none   = "arn:aws:iam::111122223333:policy/none"
		noProv = "arn:aws:iam::111122223333:oidc-provider/oidc.example.com/none"
		prov   = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/BLUE"
	)
	statement := func(element string) string {
		return `{"Version":"2012-10-17","Statement":[` + element + `]}`
	}
	identity := func(element string) []string {
		return []string{"PutRolePolicy", "RoleName", "hub", "PolicyName", "p", "PolicyDocument", statement(element)}
	}
	trust := func(document string) []string {
		return []string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", document}
	}
	for name, test := range map[string]struct {
		setup   func(w *world)
		request []string // action and parameters
		status  int
		code    string
		message string
	}{
		"role twice":            {nil, []string{"CreateRole", "RoleName", "hub", "AssumeRolePolicyDocument", roleTrust(devID)}, 409, "EntityAlreadyExists", "Role with name hub already exists."},
		"role twice, in case":   {nil, []string{"CreateRole", "RoleName", "HUB", "AssumeRolePolicyDocument", roleTrust(devID)}, 409, "EntityAlreadyExists", "Role with name HUB already exists."},
		"no role name":          {nil, []string{"GetRole"}, 400, "ValidationError", "1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null"},
		"bad role name":         {nil, []string{"GetRole", "RoleName", "a b"}, 400, "ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"},
		"long role name":        {nil, []string{"GetRole", "RoleName", strings.Repeat("x", 65)}, 400, "ValidationError", "at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		"bad path":              {nil, []string{"CreateRole", "RoleName", "x", "Path", "team", "AssumeRolePolicyDocument", roleTrust(devID)}, 400, "ValidationError", "The specified value for path is invalid."},
		"short session":         {nil, []string{"CreateRole", "RoleName", "x", "MaxSessionDuration", "3599", "AssumeRolePolicyDocument", roleTrust(devID)}, 400, "ValidationError", "'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600"},
		"long session":          {nil, []string{"UpdateRole", "RoleName", "hub", "MaxSessionDuration", "43201"}, 400, "ValidationError", "less than or equal to 43200"},
		"no such role":          {nil, []string{"GetRole", "RoleName", "none"}, 404, "NoSuchEntity", "The role with name none cannot be found."},
		"role in other case":    {nil, []string{"GetRole", "RoleName", "HUB"}, 404, "NoSuchEntity", "The role with name HUB cannot be found."},
		"no such inline policy": {nil, []string{"GetRolePolicy", "RoleName", "hub", "PolicyName", "none"}, 404, "NoSuchEntity", "The role policy with name none cannot be found."},
		"role with a policy":    {nil, []string{"DeleteRole", "RoleName", "hub"}, 409, "DeleteConflict", "Cannot delete entity, must delete policies first."},
		"role with an attached one": {func(w *world) {
			w.dev.CreateRole("x", roleTrust(devID), "")
			w.admin(t, iamForm("AttachRolePolicy", "RoleName", "x", "PolicyArn", aws10))
		}, []string{"DeleteRole", "RoleName", "x"}, 409, "DeleteConflict", "Cannot delete entity, must detach all policies first."},
		"long tag":       {nil, []string{"TagRole", "RoleName", "hub", "Tags.member.1.Key", "a", "Tags.member.1.Value", strings.Repeat("v", 257)}, 400, "ValidationError", "'tags.1.member.value'"},
		"same tag twice": {nil, []string{"TagRole", "RoleName", "hub", "Tags.member.1.Key", "a", "Tags.member.1.Value", "x", "Tags.member.2.Key", "A", "Tags.member.2.Value", "x"}, 400, "InvalidInput", "Duplicate tag keys found."},
		"reserved tag":   {nil, []string{"TagRole", "RoleName", "hub", "Tags.member.1.Key", "aws:a", "Tags.member.1.Value", "x"}, 400, "InvalidInput", "aws:"},
		"no tag keys":    {nil, []string{"UntagRole", "RoleName", "hub"}, 400, "ValidationError", "'tagKeys'"},
		"no tags":        {nil, []string{"TagRole", "RoleName", "hub"}, 400, "ValidationError", "'tags'"},
		"too many tags": {func(w *world) {
			for i := range 50 {
				w.admin(t, iamForm("TagRole", "RoleName", "hub", "Tags.member.1.Key", fmt.Sprint("k", i), "Tags.member.1.Value", "x"))
			}
		}, []string{"TagRole", "RoleName", "hub", "Tags.member.1.Key", "more", "Tags.member.1.Value", "x"}, 409, "LimitExceeded", "number of tags"},

		"trust: no JSON":           {nil, trust("{"), 400, "MalformedPolicyDocument", "This policy contains invalid Json"},
		"trust: no policy":         {nil, trust(`{"a":1}`), 400, "MalformedPolicyDocument", "Syntax errors in policy."},
		"trust: a resource":        {nil, trust(readPics), 400, "MalformedPolicyDocument", "Has prohibited field Resource"},
		"trust: no principal":      {nil, trust(statement(`{"Effect":"Allow","Action":"sts:AssumeRole"}`)), 400, "MalformedPolicyDocument", "Missing required field Principal"},
		"trust: not a principal":   {nil, trust(statement(`{"Effect":"Allow","NotPrincipal":{"AWS":"*"},"Action":"sts:AssumeRole"}`)), 400, "MalformedPolicyDocument", "Has prohibited field NotPrincipal"},
		"trust: another action":    {nil, trust(statement(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:GetObject"}`)), 400, "MalformedPolicyDocument", "AssumeRole policy may only specify STS AssumeRole actions."},
		"trust: bad principal":     {nil, trust(roleTrust("arn:aws:iam::444455556666:role/*")), 400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::444455556666:role/*"`},
		"trust: unknown principal": {nil, trust(roleTrust("arn:aws:iam::444455556666:role/none")), 400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::444455556666:role/none"`},
		"trust: unknown user":      {nil, trust(roleTrust("arn:aws:iam::444455556666:user/none")), 400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::444455556666:user/none"`},
		"trust: bad federation":    {nil, trust(statement(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:s3:::x"},"Action":"sts:AssumeRoleWithWebIdentity"}`)), 400, "MalformedPolicyDocument", "Federated principals must be valid domain names or SAML metadata ARNs"},
		"trust: a shared issuer":   {nil, trust(statement(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/gitlab.com"},"Action":"sts:AssumeRoleWithWebIdentity"}`)), 400, "MalformedPolicyDocument", "Syntax errors in policy."},
		"trust: too long":          {nil, trust(longTrust(2049)), 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"},
		"trust: updated, too long": {nil, []string{"UpdateAssumeRolePolicy", "RoleName", "hub", "PolicyDocument", longTrust(2049)}, 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"},
		"trust: raised, too long":  {func(w *world) { w.dev.SetTrustPolicyLimit(4096) }, trust(longTrust(4097)), 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 4096"},

		"policy: a principal":     {nil, identity(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}`), 400, "MalformedPolicyDocument", "Policy document should not specify a principal."},
		"policy: no resource":     {nil, identity(`{"Effect":"Allow","Action":"s3:*"}`), 400, "MalformedPolicyDocument", "Policy statement must contain resources."},
		"policy: no action":       {nil, identity(`{"Effect":"Allow","Resource":"*"}`), 400, "MalformedPolicyDocument", "Policy statement must contain actions."},
		"policy: no vendor":       {nil, identity(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`), 400, "MalformedPolicyDocument", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		"policy: no ARN":          {nil, identity(`{"Effect":"Allow","Action":"s3:*","Resource":"pics"}`), 400, "MalformedPolicyDocument", `Resource pics must be in ARN format or "*".`},
		"policy: Sid twice":       {nil, identity(`{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}`), 400, "MalformedPolicyDocument", "Statement IDs (SID) in a single policy must be unique."},
		"policy: effect":          {nil, identity(`{"Effect":"allow","Action":"s3:*","Resource":"*"}`), 400, "MalformedPolicyDocument", "Syntax errors in policy."},
		"policy: empty":           {nil, []string{"PutRolePolicy", "RoleName", "hub", "PolicyName", "p", "PolicyDocument", " "}, 400, "MalformedPolicyDocument", ""},
		"policy: characters":      {nil, []string{"PutRolePolicy", "RoleName", "hub", "PolicyName", "p", "PolicyDocument", strings.Replace(readPics, "pics", "p\u0151cs", 1)}, 400, "ValidationError", "'policyDocument' failed to satisfy constraint: Member must satisfy regular expression pattern"},
		"policy: inline too long": {nil, []string{"PutRolePolicy", "RoleName", "hub", "PolicyName", "p", "PolicyDocument", longIdentity(10241)}, 409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role hub"},
		"policy: all inline too long": {func(w *world) {
			w.admin(t, iamForm("PutRolePolicy", "RoleName", "hub", "PolicyName", "a", "PolicyDocument", longIdentity(6000)))
		}, []string{"PutRolePolicy", "RoleName", "hub", "PolicyName", "b", "PolicyDocument", longIdentity(5000)}, 409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role hub"},
		"policy: user's too long":  {func(w *world) { w.dev.UserCredentials("u", "") }, []string{"PutUserPolicy", "UserName", "u", "PolicyName", "p", "PolicyDocument", longIdentity(2049)}, 409, "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user u"},
		"policy: managed too long": {nil, []string{"CreatePolicy", "PolicyName", "x", "PolicyDocument", longIdentity(6145)}, 409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144"},
		"policy twice": {func(w *world) {
			w.admin(t, iamForm("CreatePolicy", "PolicyName", "p", "PolicyDocument", readPics))
		}, []string{"CreatePolicy", "PolicyName", "P", "PolicyDocument", readPics}, 409, "EntityAlreadyExists", "A policy called P already exists. Duplicate names are not allowed."},
		"policy in use": {func(w *world) {
			w.admin(t, iamForm("CreatePolicy", "PolicyName", "p", "PolicyDocument", readPics))
			w.admin(t, iamForm("AttachRolePolicy", "RoleName", "hub", "PolicyArn", mine))
		}, []string{"DeletePolicy", "PolicyArn", mine}, 409, "DeleteConflict", "Cannot delete a policy attached to entities."},
		"policy with versions": {func(w *world) {
			w.admin(t, iamForm("CreatePolicy", "PolicyName", "p", "PolicyDocument", readPics))
			w.admin(t, iamForm("CreatePolicyVersion", "PolicyArn", mine, "PolicyDocument", readPics))
		}, []string{"DeletePolicy", "PolicyArn", mine}, 409, "DeleteConflict", "more than one version"},
		"default version": {func(w *world) {
			w.admin(t, iamForm("CreatePolicy", "PolicyName", "p", "PolicyDocument", readPics))
		}, []string{"DeletePolicyVersion", "PolicyArn", mine, "VersionId", "v1"}, 409, "DeleteConflict", "Cannot delete the default version of a policy."},
		"six versions": {func(w *world) {
			w.admin(t, iamForm("CreatePolicy", "PolicyName", "p", "PolicyDocument", readPics))
			for range 4 {
				w.admin(t, iamForm("CreatePolicyVersion", "PolicyArn", mine, "PolicyDocument", readPics))
			}
		}, []string{"CreatePolicyVersion", "PolicyArn", mine, "PolicyDocument", readPics}, 409, "LimitExceeded", "A managed policy can have up to 5 versions."},
		"no such policy":       {nil, []string{"GetPolicy", "PolicyArn", none}, 404, "NoSuchEntity", "Policy " + none + " was not found."},
		"no such version":      {nil, []string{"GetPolicyVersion", "PolicyArn", aws10, "VersionId", "v9"}, 404, "NoSuchEntity", "version v9"},
		"attach none":          {nil, []string{"AttachRolePolicy", "RoleName", "hub", "PolicyArn", none}, 404, "NoSuchEntity", "Policy " + none + " does not exist or is not attachable."},
		"attach another's":     {nil, []string{"AttachRolePolicy", "RoleName", "hub", "PolicyArn", "arn:aws:iam::444455556666:policy/x"}, 404, "NoSuchEntity", "does not exist or is not attachable."},
		"attach AWS's unknown": {nil, []string{"AttachRolePolicy", "RoleName", "hub", "PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess"}, 501, "NotImplemented", "awstest does not model the AWS managed policy arn:aws:iam::aws:policy/ReadOnlyAccess"},
		"delete AWS's":         {nil, []string{"DeletePolicy", "PolicyArn", aws10}, 403, "AccessDenied", "iam:DeletePolicy on resource: policy " + aws10},
		"detach none":          {nil, []string{"DetachRolePolicy", "RoleName", "hub", "PolicyArn", aws10}, 404, "NoSuchEntity", "was not found."},
		"attach eleven": {func(w *world) {
			for i := range 11 {
				w.admin(t, iamForm("CreatePolicy", "PolicyName", fmt.Sprint("p", i), "PolicyDocument", readPics))
				if i < 10 {
					w.admin(t, iamForm("AttachRolePolicy", "RoleName", "hub", "PolicyArn", mine+fmt.Sprint(i)))
				}
			}
		}, []string{"AttachRolePolicy", "RoleName", "hub", "PolicyArn", mine + "10"}, 409, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10"},

		"user twice":    {func(w *world) { w.dev.UserCredentials("u", "") }, []string{"CreateUser", "UserName", "U"}, 409, "EntityAlreadyExists", "User with name U already exists."},
		"no such user":  {nil, []string{"GetUser", "UserName", "none"}, 404, "NoSuchEntity", "The user with name none cannot be found."},
		"no such key":   {nil, []string{"DeleteAccessKey", "AccessKeyId", "AKIAAAAAAAAAAAAAAAAA"}, 404, "NoSuchEntity", "The Access Key with id AKIAAAAAAAAAAAAAAAAA cannot be found."},
		"another's key": {func(w *world) { w.dev.UserCredentials("u", "") }, []string{"DeleteAccessKey", "UserName", "u", "AccessKeyId", "AKIAAAAAAAAAAAAAAAAA"}, 404, "NoSuchEntity", "cannot be found"},

		"provider twice":       {nil, []string{"CreateOpenIDConnectProvider", "Url", blueIssuer}, 409, "EntityAlreadyExists", "Provider with url " + blueIssuer + " already exists."},
		"provider over http":   {nil, []string{"CreateOpenIDConnectProvider", "Url", "http://oidc.example.com"}, 400, "ValidationError", "Invalid Open ID Connect Provider URL"},
		"provider with a port": {nil, []string{"CreateOpenIDConnectProvider", "Url", "https://oidc.example.com:8443"}, 400, "ValidationError", "Invalid Open ID Connect Provider URL"},
		"provider with query":  {nil, []string{"CreateOpenIDConnectProvider", "Url", "https://oidc.example.com?x"}, 400, "ValidationError", "Invalid Open ID Connect Provider URL"},
		"provider too long":    {nil, []string{"CreateOpenIDConnectProvider", "Url", "https://oidc.example.com/" + strings.Repeat("x", 231)}, 400, "ValidationError", "at 'url' failed to satisfy constraint: Member must have length less than or equal to 255"},
		"provider unknown":     {nil, []string{"GetOpenIDConnectProvider", "OpenIDConnectProviderArn", noProv}, 404, "NoSuchEntity", "OpenIDConnect Provider not found for arn " + noProv},
		"provider no ARN":      {nil, []string{"GetOpenIDConnectProvider", "OpenIDConnectProviderArn", "oidc.example.com/none"}, 400, "InvalidInput", "Invalid ARN"},
		"thumbprint":           {nil, []string{"UpdateOpenIDConnectProviderThumbprint", "OpenIDConnectProviderArn", prov, "ThumbprintList.member.1", "x"}, 400, "ValidationError", "'thumbprintList'"},
		"six thumbprints":      {nil, append([]string{"UpdateOpenIDConnectProviderThumbprint", "OpenIDConnectProviderArn", prov}, members("ThumbprintList", 6, func(int) string { return thumbprint })...), 400, "InvalidInput", "Thumbprint list must contain fewer than 5 entries."},
		"101 client ids":       {nil, append([]string{"CreateOpenIDConnectProvider", "Url", "https://oidc.example.com"}, members("ClientIDList", 101, func(i int) string { return fmt.Sprint(i) })...), 409, "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"},
		"101st client id": {func(w *world) {
			w.dev.AddOIDCProvider(w.blue, strings.Fields(strings.Repeat("a ", 100))...)
		}, []string{"AddClientIDToOpenIDConnectProvider", "OpenIDConnectProviderArn", prov, "ClientID", "b"}, 409, "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"},
		"long client id": {nil, []string{"AddClientIDToOpenIDConnectProvider", "OpenIDConnectProviderArn", prov, "ClientID", strings.Repeat("x", 256)}, 400, "ValidationError", "'clientID'"},
		"101 providers": {func(w *world) {
			for i := range 99 {
				w.dev.AddOIDCProvider(w.Cluster(fmt.Sprintf("https://oidc.example.com/%d", i)))
			}
		}, []string{"CreateOpenIDConnectProvider", "Url", "https://oidc.example.com"}, 409, "LimitExceeded", "Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100"},

		"federation off": {nil, []string{"DisableOutboundWebIdentityFederation"}, 404, "FeatureDisabled", ""},
		"no federation":  {nil, []string{"GetOutboundWebIdentityFederationInfo"}, 404, "FeatureDisabled", ""},
		"federation on":  {func(w *world) { w.dev.OutboundIssuer() }, []string{"EnableOutboundWebIdentityFederation"}, 409, "FeatureEnabled", ""},

		"simulate nothing":     {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", hubARN}, 400, "ValidationError", "'actionNames'"},
		"simulate what":        {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", hubARN, "ActionNames.member.1", "s3:*"}, 400, "InvalidInput", "s3:*"},
		"simulate where":       {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", hubARN, "ActionNames.member.1", "s3:GetObject", "ResourceArns.member.1", "pics"}, 400, "InvalidInput", "pics"},
		"simulate no one":      {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", "arn:aws:iam::111122223333:role/none", "ActionNames.member.1", "s3:GetObject"}, 404, "NoSuchEntity", "The role with name none cannot be found."},
		"simulate another's":   {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", targetARN, "ActionNames.member.1", "s3:GetObject"}, 404, "NoSuchEntity", "The role with name S3_Pics cannot be found."},
		"simulate a session":   {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", "arn:aws:sts::111122223333:assumed-role/hub/pod", "ActionNames.member.1", "s3:GetObject"}, 400, "InvalidInput", "Invalid Entity Arn"},
		"simulate a group":     {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", "arn:aws:iam::111122223333:group/x", "ActionNames.member.1", "s3:GetObject"}, 501, "NotImplemented", "groups"},
		"simulate by resource": {nil, []string{"SimulatePrincipalPolicy", "PolicySourceArn", hubARN, "ActionNames.member.1", "s3:GetObject", "ResourcePolicy", "{}"}, 501, "NotImplemented", "ResourcePolicy"},

		"no action":         {nil, []string{""}, 400, "MissingAction", ""},
		"another version":   {nil, []string{"GetRole", "Version", "2011-06-15", "RoleName", "hub"}, 400, "InvalidAction", "Could not find operation GetRole for version 2011-06-15"},
		"action of STS":     {nil, []string{"AssumeRole"}, 501, "NotImplemented", "iam:AssumeRole"},
		"action unmodelled": {nil, []string{"CreateGroup", "GroupName", "x"}, 501, "NotImplemented", "awstest does not model iam:CreateGroup"},
		"parameter unknown": {nil, []string{"GetRole", "RoleName", "hub", "Frobnicate", "x"}, 501, "NotImplemented", "awstest does not model the parameter Frobnicate of GetRole"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if test.setup != nil {
				test.setup(w)
			}
			form := iamForm(test.request[0], test.request[1:]...)
			before := w.state(t)
			admin := w.dev.AdminKey()
			postIAM(t, w.Config().HTTPClient, "https://iam.amazonaws.com", form, &admin).expect(t, w, test.status, test.code, test.message)
			if after := w.state(t); after != before {
				t.Errorf("a refused request changed something:\n%s\n%s", before, after)
			}
		})
	}
}

// members are the parameters of a list.
func members(name string, n int, value func(int) string) []string {
	var parameters []string
	for i := range n {
		parameters = append(parameters, fmt.Sprintf("%s.member.%d", name, i+1), value(i))
	}
	return parameters
}

// admin sends a form as the dev account's administrator.
func (w *world) admin(t *testing.T, form url.Values) {
	t.Helper()
	admin := w.dev.AdminKey()
	if a := postIAM(t, w.Config().HTTPClient, "https://iam.amazonaws.com", form, &admin); a.status != 200 {
		t.Fatalf("%v: %d %s %s", form, a.status, a.code, a.message)
	}
}

// getObject reads an object with these credentials; empty if it is refused.
func getObject(t *testing.T, cloud *awstest.Cloud, credentials aws.Credentials, bucket, key string) string {
	t.Helper()
	cfg := cloud.Config()
	cfg.Credentials = provider(credentials)
	out, err := s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return ""
	}
	defer out.Body.Close()
	return string(ok(io.ReadAll(out.Body))(t))
}

// state is what IAM says of the dev account, but for the administrator.
func (w *world) state(t *testing.T) string {
	t.Helper()
	admin := w.dev.AdminKey()
	var b strings.Builder
	for _, form := range []url.Values{iamForm("ListRoles"), iamForm("ListOpenIDConnectProviders"), iamForm("ListRolePolicies", "RoleName", "hub"), iamForm("ListAttachedRolePolicies", "RoleName", "hub"), iamForm("ListRoleTags", "RoleName", "hub")} {
		body := string(postIAM(t, w.Config().HTTPClient, "https://iam.amazonaws.com", form, &admin).body)
		head, _, _ := strings.Cut(body, "<RequestId>")
		b.WriteString(head)
	}
	return b.String()
}

// TestIAMRouting: one address serves all services, which differ by the scope of the
// signature or the version of the API.
func TestIAMRouting(t *testing.T) {
	w := newWorld()
	endpoint := w.Serve(t)
	admin := w.dev.AdminKey()
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		client := iam.New(iam.Options{Region: region, BaseEndpoint: &endpoint, Credentials: provider(admin)})
		ok(client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("hub")}))(t)
		ok(sts.New(sts.Options{Region: region, BaseEndpoint: &endpoint, Credentials: provider(admin)}).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}))(t)
	}
	// Signed for STS, a request is for STS whatever version it names; AWS's own hosts
	// take no other scope.
	post(t, http.DefaultClient, endpoint, iamForm("ListRoles"), &admin).expect(t, w, 400, "InvalidAction", "ListRoles")
	client := w.Config().HTTPClient
	post(t, client, "https://iam.amazonaws.com", iamForm("ListRoles"), &admin).expect(t, w, 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'iam'.")
	post(t, client, "https://iam.amazonaws.com", iamForm("ListRoles"), nil, func(r *http.Request) {
		sign(t, r, []byte(iamForm("ListRoles").Encode()), admin, "iam", "eu-west-1", time.Now())
	}).expect(t, w, 403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region.")
	ok(iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: provider(admin)}).UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: new("hub"), TagKeys: []string{"a", "b"}}))(t)
	if calls := w.Calls(); calls[len(calls)-1].Params["TagKeys"] != "a,b" {
		t.Errorf("recorded %v", calls[len(calls)-1])
	}
	if calls := w.Calls(); calls[0].Operation != "GetRole" || calls[0].Params["RoleName"] != "hub" || calls[0].Caller != "arn:aws:iam::111122223333:user/awstest-admin" {
		t.Errorf("recorded %v", calls[0])
	}
}

// TestIAMPartitions reaches IAM at each partition's host, as the SDK finds it.
func TestIAMPartitions(t *testing.T) {
	for _, partition := range []string{"aws", "aws-cn", "aws-us-gov", "aws-eusc"} {
		cloud := awstest.New()
		cloud.SetPartition(partition)
		client := iamOf(cloud, cloud.Account(devID).AdminKey())
		role := ok(client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: new(roleTrust(devID))}))(t).Role
		if want := "arn:" + partition + ":iam::111122223333:role/r"; *role.Arn != want {
			t.Errorf("%s, want %s", *role.Arn, want)
		}
		ok(client.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: new("r"), PolicyArn: new("arn:" + partition + ":iam::aws:policy/AmazonS3ReadOnlyAccess")}))(t)
	}
}

// TestIAMFault strikes an action of IAM.
func TestIAMFault(t *testing.T) {
	w := newWorld()
	client := iamOf(w.Cloud, w.dev.AdminKey())
	w.Fault(awstest.Fault{Operation: "GetRole", Status: 503, Code: "ServiceUnavailable", Times: 1})
	_, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("hub")})
	iamRefuses(t, err, 503, "ServiceUnavailable", "")
	ok(client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("hub")}))(t)
}

func unescape(t *testing.T, s string) string {
	t.Helper()
	text, err := url.PathUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
