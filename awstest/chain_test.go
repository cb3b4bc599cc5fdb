package awstest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestChainAcrossAccounts(t *testing.T) {
	w := newWorld()
	hub := w.hubSession(t)
	if who, err := w.as(hub).GetCallerIdentity(t.Context(), nil); err != nil || aws.ToString(who.Arn) != "arn:aws:sts::111122223333:assumed-role/hub/pod" {
		t.Fatalf("hub's session is %v, %v", who, err)
	}
	out, err := w.as(hub).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: new(w.target.ARN()), RoleSessionName: new("pod-2")})
	if err != nil {
		t.Fatalf("%v\n%v", err, w.Calls())
	}
	if got, want := aws.ToString(out.AssumedRoleUser.Arn), "arn:aws:sts::444455556666:assumed-role/S3_Pics/pod-2"; got != want {
		t.Errorf("AssumedRoleUser is %s, want %s", got, want)
	}
}
