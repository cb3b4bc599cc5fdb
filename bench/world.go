package main

import (
	"fmt"

	"github.com/crossrole/crossrole/awstest"
)

const (
	issuer     = "https://oidc.eks.us-east-1.amazonaws.com/id/BENCH"
	bucketName = "pics"
	objectKey  = "indoor-cat.jpg"
	objectSize = 5556
)

// world is the AWS for the rows that read objects: a pod of the developer
// account, a hub role that it may assume, and a role of the shared account that
// may read the bucket.
type world struct {
	cloud  *awstest.Cloud
	pod    *awstest.Pod
	target *awstest.Role
}

func newWorld(dir string) *world {
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster(issuer)
	dev.AddOIDCProvider(cluster)
	host := issuer[len("https://"):]
	hub := dev.CreateRole("hub", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/%s"},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{"%[1]s:sub":"%[2]s","%[1]s:aud":"sts.amazonaws.com"}}}]}`, host, awstest.Subject("default", "bench")),
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+targetARN+`"}]}`)
	target := shared.CreateRole("S3_Pics",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+hub.ARN()+`"},"Action":"sts:AssumeRole"}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+bucketName+`/*"}]}`)
	shared.CreateBucket(bucketName).Put(objectKey, make([]byte, objectSize))
	return &world{cloud: cloud, pod: cluster.Pod(dir, "default", "bench", hub.ARN()), target: target}
}
