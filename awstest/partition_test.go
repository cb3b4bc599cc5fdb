package awstest_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// TestPartitions goes from a token over the hub to an object, in each partition,
// with the policies that trust writes.
func TestPartitions(t *testing.T) {
	for partition, place := range map[string]struct{ region, suffix string }{
		"aws": {"us-east-1", "amazonaws.com"}, "aws-cn": {"cn-north-1", "amazonaws.com.cn"},
		"aws-us-gov": {"us-gov-west-1", "amazonaws.com"}, "aws-eusc": {"eusc-de-east-1", "amazonaws.eu"},
	} {
		t.Run(partition, func(t *testing.T) {
			cloud := awstest.New()
			cloud.SetPartition(partition)
			dev, shared := cloud.Account(devID), cloud.Account(sharedID)
			issuer := "https://oidc.eks." + place.region + "." + place.suffix + "/id/BLUE"
			cluster := cloud.Cluster(issuer)
			dev.AddOIDCProvider(cluster)
			target := "arn:" + partition + ":iam::" + sharedID + ":role/S3_Pics"
			hub := dev.CreateRole("hub",
				trust.WebIdentityPolicy(devID, []string{issuer}, []string{awstest.Subject("default", "app")}).String(),
				trust.AssumePolicy([]string{target}).String())
			role := shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(),
				trust.ReadBucketPolicy("pics", "", func(o *trust.PolicyOptions) { o.Partition = partition }).String())
			shared.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
			if role.ARN() != target {
				t.Errorf("the role is %s, want %s", role.ARN(), target)
			}
			pod := cluster.Pod(t.TempDir(), "default", "app", hub.ARN())
			if env := strings.Join(pod.Env(), " "); !strings.Contains(env, "AWS_REGION="+place.region) {
				t.Errorf("environment %s", env)
			}

			cfg := cloud.Config()
			as := func(c aws.Credentials) aws.Config {
				signed := cfg.Copy()
				signed.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
				return signed
			}
			token := cluster.Token("default", "app")
			first, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: new(hub.ARN()), RoleSessionName: new("pod"), WebIdentityToken: &token,
			})
			if err != nil {
				t.Fatalf("%v\n%v", err, cloud.Calls())
			}
			second, err := sts.NewFromConfig(as(credentialsOf(first.Credentials))).AssumeRole(t.Context(), &sts.AssumeRoleInput{
				RoleArn: &target, RoleSessionName: new("pod"),
			})
			if err != nil {
				t.Fatalf("%v\n%v", err, cloud.Calls())
			}
			if got, want := *second.AssumedRoleUser.Arn, "arn:"+partition+":sts::"+sharedID+":assumed-role/S3_Pics/pod"; got != want {
				t.Errorf("the session is %s, want %s", got, want)
			}
			object, err := s3.NewFromConfig(as(credentialsOf(second.Credentials))).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
			if err != nil {
				t.Fatalf("%v\n%v", err, cloud.Calls())
			}
			defer object.Body.Close()
			if data, err := io.ReadAll(object.Body); err != nil || string(data) != "meow" {
				t.Errorf("got %q, %v", data, err)
			}
			calls := cloud.Calls()
			if host := calls[len(calls)-1].Host; !strings.HasSuffix(host, place.region+"."+place.suffix) {
				t.Errorf("the object came from %s", host)
			}
		})
	}
}

// A role of another partition does not exist, and cannot be trusted.
func TestOtherPartition(t *testing.T) {
	w := newWorld()
	form := webIdentityForm(w, "RoleArn", strings.Replace(hubARN, "arn:aws:", "arn:aws-cn:", 1))
	answer := post(t, w.Config().HTTPClient, "https://sts.us-east-1.amazonaws.com", form, nil)
	answer.expect(t, w, 403, "AccessDenied", "sts:AssumeRoleWithWebIdentity")
	for name, misuse := range map[string]func(){
		"Invalid principal": func() { w.target.SetTrust(roleTrust("arn:aws-cn:iam::111122223333:role/hub")) },
		"unknown partition": func() { awstest.New().SetPartition("aws-mars") },
		"right after New":   func() { w.SetPartition("aws-cn") },
		"invalid resource":  func() { w.dev.CreateBucket("pics").SetPolicy(bucketOfChina) },
	} {
		func() {
			defer func() {
				if message := fmt.Sprint(recover()); !strings.Contains(message, name) {
					t.Errorf("panic %q does not say %q", message, name)
				}
			}()
			misuse()
		}()
	}
}

const bucketOfChina = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws-cn:s3:::pics/*"}]}`
