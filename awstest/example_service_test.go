package awstest_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/crossrole/crossrole/awstest"
)

// A queue and a secret of another account, each with a resource policy.
func ExampleCloud_Handle() {
	cloud := awstest.New()
	cloud.Account("444455556666")
	ann := cloud.Account("111122223333").UserCredentials("ann",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:SendMessage","secretsmanager:GetSecretValue"],"Resource":"*"}]}`)
	policies := map[string]string{
		"arn:aws:sqs:us-east-1:444455556666:jobs":                 `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sqs:SendMessage","Resource":"*"}]}`,
		"arn:aws:secretsmanager:us-east-1:444455556666:secret:db": "",
	}

	cloud.Handle("sqs", awstest.ServiceHandler{
		Permissions: func(r *awstest.ServiceRequest) ([]awstest.Permission, error) {
			queue := "arn:aws:sqs:us-east-1:444455556666:jobs"
			return []awstest.Permission{{Action: "sqs:" + r.Operation, Resource: queue, Policy: policies[queue]}}, nil
		},
		Serve: func(r *awstest.ServiceRequest) (any, error) {
			sum := md5.Sum([]byte(r.Param("MessageBody")))
			return map[string]string{"MessageId": "1", "MD5OfMessageBody": fmt.Sprintf("%x", sum)}, nil
		},
	})
	cloud.Handle("secretsmanager", awstest.ServiceHandler{
		Permissions: func(r *awstest.ServiceRequest) ([]awstest.Permission, error) {
			secret := r.Param("SecretId")
			return []awstest.Permission{{Action: "secretsmanager:" + r.Operation, Resource: secret, Policy: policies[secret]}}, nil
		},
		Serve: func(r *awstest.ServiceRequest) (any, error) {
			return map[string]string{"SecretString": "hunter2"}, nil
		},
	})

	cfg := cloud.Config()
	cfg.Credentials = provider(ann)
	sent, err := sqs.NewFromConfig(cfg).SendMessage(context.Background(), &sqs.SendMessageInput{
		QueueUrl: new("https://sqs.us-east-1.amazonaws.com/444455556666/jobs"), MessageBody: new("hello"),
	})
	fmt.Println(aws.ToString(sent.MessageId), err)
	secret := `{"SecretId":"arn:aws:secretsmanager:us-east-1:444455556666:secret:db"}`
	fmt.Println(postJSON(cfg, "secretsmanager", "secretsmanager.GetSecretValue", secret))
	// Output:
	// 1 <nil>
	// 400 {"__type":"AccessDeniedException","message":"User: arn:aws:iam::111122223333:user/ann is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:us-east-1:444455556666:secret:db because no resource-based policy allows the secretsmanager:GetSecretValue action"}
}

// A handler refuses in the words of its service, and sets condition keys of it.
func ExampleServiceError() {
	cloud := awstest.New()
	ann := cloud.Account("111122223333").UserCredentials("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*",
		"Condition":{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":"ann"}}}]}`)
	cloud.Handle("dynamodb", awstest.ServiceHandler{
		Permissions: func(r *awstest.ServiceRequest) ([]awstest.Permission, error) {
			return []awstest.Permission{{
				Action:   "dynamodb:" + r.Operation,
				Resource: "arn:aws:dynamodb:" + r.Region + ":" + r.CallerAccount + ":table/" + r.Param("TableName"),
				Keys:     map[string][]string{"dynamodb:LeadingKeys": {r.Param("Key")}},
			}}, nil
		},
		Serve: func(r *awstest.ServiceRequest) (any, error) {
			return nil, &awstest.ServiceError{Code: "ResourceNotFoundException", Message: "no table " + r.Param("TableName")}
		},
	})
	cfg := cloud.Config()
	cfg.Credentials = provider(ann)
	fmt.Println(postJSON(cfg, "dynamodb", "DynamoDB_20120810.GetItem", `{"TableName":"scores","Key":"ann"}`))
	status, _ := postJSON(cfg, "dynamodb", "DynamoDB_20120810.GetItem", `{"TableName":"scores","Key":"bob"}`)
	calls := cloud.Calls()
	fmt.Println(status, calls[1].Code)
	fmt.Println(calls[1].Explain)
	// Output:
	// 400 {"__type":"ResourceNotFoundException","message":"no table scores"}
	// 400 AccessDeniedException
	// identity policy of arn:aws:iam::111122223333:user/ann: statement 0: Condition: ForAllValues:StringEquals: dynamodb:LeadingKeys is "bob", the policy requires every value to be "ann"
}

// postJSON sends a request of the JSON protocol, for services whose SDK client is
// not here.
func postJSON(cfg aws.Config, service, target, body string) (int, string) {
	ctx := context.Background()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+service+"."+cfg.Region+".amazonaws.com/", bytes.NewBufferString(body))
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	return sendSigned(ctx, cfg, service, r, body)
}

// sendSigned signs and sends a request, and returns status and body.
func sendSigned(ctx context.Context, cfg aws.Config, service string, r *http.Request, body string) (int, string) {
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return 0, err.Error()
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	if err := v4.NewSigner().SignHTTP(ctx, keys, r, hash, service, cfg.Region, time.Now()); err != nil {
		return 0, err.Error()
	}
	response, err := cfg.HTTPClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(bytes.TrimSpace(answer))
}
