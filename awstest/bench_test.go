package awstest_test

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
)

// BenchmarkRequest measures requests through the SDK's clients to a cloud of 50
// member accounts with 5,000 roles and a bucket of 100,000 objects. The metric
// start-up-s of StartUp is the time to make all of it.
func BenchmarkRequest(b *testing.B) {
	const accounts, roles, objects = 50, 5_000, 100_000
	begin := time.Now()
	cloud := awstest.New()
	dev := cloud.Account(devID)
	ann := dev.UserCredentials("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	org := cloud.Organization()
	org.Add(dev)
	ou := org.CreateOU("workloads")
	org.AttachSCP("Regions", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotAction":["iam:*","sts:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":"us-east-1"}}}]}`)
	org.AttachRCP("Ours", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["s3:*","sts:AssumeRole","sqs:*"],"Resource":"*",
		"Condition":{"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"`+org.ID()+`"},"BoolIfExists":{"aws:PrincipalIsAWSService":"false"}}}]}`)
	trustAnn := roleTrust("arn:aws:iam::111122223333:user/ann")
	var last *awstest.Role
	for a := range accounts {
		account := cloud.Account(fmt.Sprintf("2%011d", a))
		ou.Add(account)
		for r := range roles / accounts {
			last = account.CreateRole(fmt.Sprintf("reader-%d", r), trustAnn, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
		}
	}
	store := cloud.Account("200000000000")
	bucket := store.CreateBucket("pics")
	data := []byte(strings.Repeat("x", 100))
	for o := range objects {
		bucket.Put(fmt.Sprintf("dir-%d/%d", o%1000, o), data)
	}
	bucket.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*"]}]}`)
	cloud.Handle("sqs", (&queue{
		needs: func(*awstest.ServiceRequest) ([]awstest.Permission, error) {
			return []awstest.Permission{{Action: "sqs:SendMessage", Resource: "arn:aws:sqs:us-east-1:200000000000:jobs", Policy: devMaySend}}, nil
		},
		serve: func(r *awstest.ServiceRequest) (any, error) {
			return map[string]string{"MessageId": "1", "MD5OfMessageBody": fmt.Sprintf("%x", md5.Sum([]byte("hello")))}, nil
		},
	}).handler())
	startUp := time.Since(begin)

	cfg := cloud.Config()
	cfg.Credentials = provider(ann)
	measure := func(name string, request func(b *testing.B, i int) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := request(b, i); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
	b.Run("StartUp", func(b *testing.B) {
		for b.Loop() {
			_ = cloud.Config()
		}
		b.ReportMetric(startUp.Seconds(), "start-up-s")
	})
	storage, tokens, queues := s3.NewFromConfig(cfg), sts.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	measure("GetObject", func(b *testing.B, i int) error {
		o := i % objects
		out, err := storage.GetObject(b.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new(fmt.Sprintf("dir-%d/%d", o%1000, o))})
		if err != nil {
			return err
		}
		return out.Body.Close()
	})
	measure("ListObjectsV2", func(b *testing.B, i int) error {
		_, err := storage.ListObjectsV2(b.Context(), &s3.ListObjectsV2Input{Bucket: new("pics"), Prefix: new(fmt.Sprintf("dir-%d/", i%1000))})
		return err
	})
	measure("AssumeRole", func(b *testing.B, _ int) error {
		_, err := tokens.AssumeRole(b.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(last.ARN()), RoleSessionName: new("bench")})
		return err
	})
	measure("SendMessage", func(b *testing.B, _ int) error {
		_, err := queues.SendMessage(b.Context(), &sqs.SendMessageInput{QueueUrl: new(jobsURL), MessageBody: new("hello")})
		return err
	})
}
