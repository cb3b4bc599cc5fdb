package credentials_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcredentials "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// sessionPolicy is a valid policy of exactly n characters.
func sessionPolicy(n int) string {
	const head, tail = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/`, `"}]}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}

// target changes a hub chain's only role.
func target(change func(*credentials.Role)) func(*credentials.Options) {
	return func(o *credentials.Options) {
		role := credentials.Role{ARN: targetARN}
		change(&role)
		o.Roles = append(o.Roles, role)
	}
}

func TestWrongRoleSettings(t *testing.T) {
	manyTags := map[string]string{}
	for i := range 51 {
		manyTags[fmt.Sprintf("tag%d", i)] = "x"
	}
	for _, row := range []wrongSetting{
		{
			name: "no ARN",
			set:  target(func(r *credentials.Role) { r.ARN = "" }),
			want: []string{"Options.Roles[0].ARN", "empty", "arn:<partition>:iam::<12-digit account>:role/<name>"},
		},
		{
			name: "hub equal to target",
			set:  credentials.Assume(hubARN),
			want: []string{"Options.Roles[0].ARN", `"` + hubARN + `" is also the previous hop's role`, "leave the second one out"},
		},
		{
			name: "the same role twice",
			set:  credentials.Assume(targetARN, " "+targetARN+"\n"),
			want: []string{"Options.Roles[1].ARN", `"` + targetARN + `" is also the previous hop's role`},
		},
		{
			name: "session name",
			set:  target(func(r *credentials.Role) { r.SessionName = "me@home!" }),
			want: []string{"Options.Roles[0].SessionName", `"me@home!"`, "without '!'"},
		},
		{
			name:  "external id too short",
			set:   target(func(r *credentials.Role) { r.ExternalID = "Q" }),
			want:  []string{"Options.Roles[0].ExternalID", "1 characters", "2–1224"},
			never: "Q",
		},
		{
			name:  "external id too long",
			set:   target(func(r *credentials.Role) { r.ExternalID = strings.Repeat("Qq", 613) }),
			want:  []string{"Options.Roles[0].ExternalID", "1226 characters", "2–1224"},
			never: "Qq",
		},
		{
			name:  "external id with a space",
			set:   target(func(r *credentials.Role) { r.ExternalID = "hunter2 hunter3" }),
			want:  []string{"Options.Roles[0].ExternalID", "15 characters", "letters, digits"},
			never: "hunter",
		},
		{
			name: "source identity of one letter",
			set:  target(func(r *credentials.Role) { r.SourceIdentity = "a" }),
			want: []string{"Options.Roles[0].SourceIdentity", `"a"`, "2–64"},
		},
		{
			name: "source identity with AWS's prefix",
			set:  target(func(r *credentials.Role) { r.SourceIdentity = "aws:me" }),
			want: []string{"Options.Roles[0].SourceIdentity", `"aws:me"`},
		},
		{
			name: "duration below 15 minutes",
			set:  target(func(r *credentials.Role) { r.Duration = time.Second }),
			want: []string{"Options.Roles[0].Duration", "1s (1 s)", "at least 15 minutes"},
		},
		{
			name: "duration beyond the chaining cap",
			set:  target(func(r *credentials.Role) { r.Duration = 3601 * time.Second }),
			want: []string{"Options.Roles[0].Duration", "(3601 s)", "1h0m0s (3600 s)", "direct chain"},
		},
		{
			name: "duration with a fraction of a second",
			set:  target(func(r *credentials.Role) { r.Duration = 20*time.Minute + time.Nanosecond }),
			want: []string{"Options.Roles[0].Duration", "20m0.000000001s", "whole seconds"},
		},
		{
			name: "policy that is no policy",
			set:  target(func(r *credentials.Role) { r.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}` }),
			want: []string{"Options.Roles[0].Policy", "Effect", "Maybe"},
		},
		{
			name: "policy too long",
			set:  target(func(r *credentials.Role) { r.Policy = sessionPolicy(3000) }),
			want: []string{"Options.Roles[0].Policy", "3000 characters", "2048"},
		},
		{
			name: "policy ARN of a role",
			set:  target(func(r *credentials.Role) { r.PolicyARNs = []string{"arn:aws:iam::aws:policy/ok", hubARN} }),
			want: []string{"Options.Roles[0].PolicyARNs[1]", `"` + hubARN + `"`, "managed policy"},
		},
		{
			name: "51 tags",
			set:  target(func(r *credentials.Role) { r.Tags = manyTags }),
			want: []string{"Options.Roles[0].Tags", "51 tags", "at most 50"},
		},
		{
			name: "tag key too long",
			set:  target(func(r *credentials.Role) { r.Tags = map[string]string{strings.Repeat("k", 129): ""} }),
			want: []string{"Options.Roles[0].Tags", "129 characters", "1–128"},
		},
		{
			name: "empty tag key",
			set:  target(func(r *credentials.Role) { r.Tags = map[string]string{"": "x"} }),
			want: []string{"Options.Roles[0].Tags", `key ""`, "1–128"},
		},
		{
			name: "tag key with a strange character",
			set:  target(func(r *credentials.Role) { r.Tags = map[string]string{"team?": "x"} }),
			want: []string{"Options.Roles[0].Tags", `key "team?"`, "letters, digits"},
		},
		{
			name: "tag key of AWS",
			set:  target(func(r *credentials.Role) { r.Tags = map[string]string{"AWS:team": "x"} }),
			want: []string{"Options.Roles[0].Tags", `"AWS:team"`, "AWS's own"},
		},
		{
			name: "tag value too long",
			set:  target(func(r *credentials.Role) { r.Tags = map[string]string{"team": strings.Repeat("v", 257)} }),
			want: []string{"Options.Roles[0].Tags", `"team"`, "257 characters", "256"},
		},
		{
			name: "tag keys that differ by case",
			set:  target(func(r *credentials.Role) { r.Tags = map[string]string{"Team": "a", "team": "b"} }),
			want: []string{"Options.Roles[0].Tags", `"Team" and "team"`, "case"},
		},
		{
			name: "transitive key without its tag",
			set:  target(func(r *credentials.Role) { r.TransitiveTagKeys = []string{"team"} }),
			want: []string{"Options.Roles[0].TransitiveTagKeys", `"team" is not a key of Tags`},
		},
		{
			name: "the second role has the faults",
			set: func(o *credentials.Options) {
				credentials.Assume("arn:aws:iam::222233334444:role/middle")(o)
				target(func(r *credentials.Role) { r.Duration, r.SessionName = 2*time.Hour, "?" })(o)
			},
			faults: 2,
			want:   []string{"Options.Roles[1].Duration", "Options.Roles[1].SessionName"},
		},
	} {
		t.Run(row.name, row.run)
	}
}

// notRoleARNs are what people paste for a role's ARN.
var notRoleARNs = []struct{ arn, says string }{
	{"arn:aws:iam:111122223333:role/x", "is not an ARN"},
	{"arn:aws:iam::::111122223333:role/x", `has account ""`},
	{"arn:aws:iam::111122223333:role/arn:aws:iam::111122223333:role/x", "an ARN inside the ARN"},
	{"x", "is not an ARN"},
	{"arn:aws:iam::11112222333:role/x", `has account "11112222333"; want 12 digits`},
	{"arn:aws:sts::111122223333:assumed-role/x/y", "is a session of a role; want the role itself, arn:aws:iam::111122223333:role/x"},
	{"arn:aws:iam::111122223333:user/x", "names a user; want a role"},
	{"arn:aws:iam::111122223333:role/", `has role name ""`},
	{"arn:aws:iam::111122223333:role", `has role name ""`},
	{"arn:aws:iam::111122223333:role/my role", `has role name "my role"`},
	{"arn:aws:iam::111122223333:role/" + strings.Repeat("n", 65), "1–64"},
	{"arn:aws:iam::111122223333:role/team//x", `has path "/team//"`},
	{"arn:aws:iam::111122223333:role//x", `has path "//"`},
	{"arn:aws:iam::111122223333:role/a team/x", `has path "/a team/"`},
	{"arn:aws:iam:us-east-1:111122223333:role/x", `has region "us-east-1"`},
	{"arn:aws:s3:::pics", `has service "s3"`},
	{"arn:azure:iam::111122223333:role/x", `has partition "azure"`},
	{"arn:aws:iam::111122223333:role/x\nrole/y", `has path "/x\nrole/"`},
	{"arn:aws:iam::111122223333:role/*", `has role name "*"`},
}

func TestMalformedRoleARN(t *testing.T) {
	for _, bad := range notRoleARNs {
		quoted := fmt.Sprintf("%q", bad.arn)
		for _, row := range []wrongSetting{
			{name: "variable", env: map[string]string{"AWS_ROLE_ARN": bad.arn}, want: []string{"AWS_ROLE_ARN: " + quoted}},
			{name: "source", set: web(func(w *credentials.WebIdentity) { w.RoleARN = bad.arn }), want: []string{"WebIdentity.RoleARN: " + quoted}},
			{name: "role", set: credentials.Assume(bad.arn), want: []string{"Options.Roles[0].ARN: " + quoted}},
		} {
			row.want = append(row.want, bad.says, "want ")
			t.Run(row.name+" "+bad.arn, row.run)
		}
	}
}

func TestAcceptedSettings(t *testing.T) {
	token := "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
	hub := credentials.WebIdentity{RoleARN: hubARN, TokenFile: token}
	keys := sdkcredentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")
	long := func(o *credentials.Options) { o.Roles = []credentials.Role{{ARN: targetARN, Duration: 12 * time.Hour}} }
	for name, set := range map[string]func(*credentials.Options){
		"trailing newline": func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: hubARN + "\n", TokenFile: token}
			credentials.Assume(targetARN + " \n")(o)
		},
		"roles with paths": func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: "arn:aws:iam::111122223333:role/team/x", TokenFile: token}
			credentials.Assume("arn:aws:iam::444455556666:role/a/b/c/S3_Pics")(o)
		},
		"least durations": func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: token, Duration: 15 * time.Minute}
			o.Roles = []credentials.Role{{ARN: targetARN, Duration: 15 * time.Minute}}
		},
		"greatest durations": func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: token, Duration: 12 * time.Hour}
			o.Roles = []credentials.Role{{ARN: targetARN, Duration: time.Hour}}
		},
		"12 hours after a provider": func(o *credentials.Options) {
			o.Source = credentials.Provider{Credentials: keys}
			long(o)
		},
		"12 hours after the node role": func(o *credentials.Options) {
			o.Source = credentials.NodeRole{}
			long(o)
		},
		"12 hours after FromBase": func(o *credentials.Options) {
			o.Source = credentials.FromBase{}
			long(o)
		},
		"everything at its limit": func(o *credentials.Options) {
			o.Source = hub
			o.Roles = []credentials.Role{{
				ARN: targetARN, SessionName: strings.Repeat("x", 64), ExternalID: strings.Repeat("x", 1224), SourceIdentity: "ok",
				Policy: sessionPolicy(2048), PolicyARNs: []string{"arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"},
				Tags: map[string]string{strings.Repeat("k", 128): strings.Repeat("v", 256), "Teäm x": ""}, TransitiveTagKeys: []string{"Teäm x"},
			}}
			o.ExpectedAccount = "444455556666"
		},
		"back to a role by way of another": func(o *credentials.Options) {
			o.Source = hub
			credentials.Assume(targetARN, hubARN)(o)
		},
		"a pointer as source": func(o *credentials.Options) { o.Source = &hub },
	} {
		t.Run(name, func(t *testing.T) {
			base := awstest.New().Config()
			base.Credentials = keys
			newChain(t, base, set)
		})
	}
}

// A chained role's cap holds for every role but the first after keys that may
// be a user's.
func TestLongDurationIsForTheFirstRoleOnly(t *testing.T) {
	keys := credentials.Provider{Credentials: sdkcredentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")}
	long := func(source credentials.Source, first, second time.Duration) func(*credentials.Options) {
		return func(o *credentials.Options) {
			o.Source = source
			o.Roles = []credentials.Role{{ARN: hubARN, Duration: first}, {ARN: targetARN, Duration: second}}
		}
	}
	pod := credentials.PodIdentity{Endpoint: "http://169.254.170.23/v1/credentials", TokenFile: "/token"}
	for _, row := range []wrongSetting{
		{name: "second", set: long(keys, 12*time.Hour, 2*time.Hour), want: []string{"Options.Roles[1].Duration", "at most 1 hour"}},
		{name: "more than 12 hours", set: long(keys, 43201*time.Second, 0), want: []string{"Options.Roles[0].Duration", "(43201 s)", "12 hours"}},
		{name: "after Pod Identity", set: long(pod, 2*time.Hour, 0), want: []string{"Options.Roles[0].Duration", "at most 1 hour"}},
	} {
		t.Run(row.name, row.run)
	}
}

func TestPartitionsAgree(t *testing.T) {
	for region, partition := range map[string]string{
		"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b",
		"eusc-de-east-1": "aws-eusc", "mx-central-1": "aws", "ap-southeast-5": "aws",
	} {
		t.Run(region, func(t *testing.T) {
			base := awstest.New().Config()
			base.Region = region
			set := func(partition string) func(*credentials.Options) {
				return func(o *credentials.Options) {
					o.Source = credentials.WebIdentity{RoleARN: strings.Replace(hubARN, ":aws:", ":"+partition+":", 1), TokenFile: "/token"}
				}
			}
			newChain(t, base, set(partition))
			other := "aws"
			if partition == other {
				other = "aws-cn"
			}
			wrongSetting{base: func(c *aws.Config) { c.Region = region }, set: set(other), want: []string{"WebIdentity.RoleARN", region, partition, other}}.run(t)
		})
	}
}

// Where partitions differ, the error names AWS's way from one to the other, once.
func TestPartitionsDiffer(t *testing.T) {
	s := newScene(t)
	china := func(arn string) string { return strings.Replace(arn, ":aws:", ":aws-cn:", 1) }
	_, err := credentials.New(s.cloud.Config(), func(o *credentials.Options) {
		o.Source = s.web()
		o.Roles = []credentials.Role{{ARN: china(s.hub.ARN())}, {ARN: china(s.target.ARN())}}
	})
	if !errors.Is(err, credentials.ConfigInvalid) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"is of partition aws-cn", "sts:GetWebIdentityToken", "OIDC provider for its issuer", "WebIdentity.Token"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q:\n%v", part, err)
		}
	}
	if n := strings.Count(err.Error(), "sts:GetWebIdentityToken"); n != 1 {
		t.Errorf("the way is named %d times:\n%v", n, err)
	}
}
