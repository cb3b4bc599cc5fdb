package awstest_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
)

// evaluation is a request, the policies that apply to it, and what AWS's page says
// about it. The lists are statements; ORGID in them is the organization's id.
type evaluation struct {
	Name, Page string

	Caller string // "user" (the default) is user/ann; "role" is assumed-role/<Role>/s1; "token" is of default/app; "anonymous"
	Role   string // with its path; "app" by default
	Owner  string // account of the bucket; that of the caller by default. Other resources name theirs

	Members    []string // of the organization; none: there is none
	Management string
	OU         []string // members in the OU production
	SCPs, RCPs []attachment
	Detached   []string // where FullAWSAccess is not attached

	Identity, Boundary, Session statements
	Policy                      statements // of the resource

	Action, Resource string

	Want    string // "allow" or "deny"
	Phrase  string // in AWS's message
	Explain string // in Call.Explain

	// Flip are fields with which the decision is the opposite: what the row is
	// about decides it, and nothing else.
	Flip json.RawMessage
}

type statements []json.RawMessage

// attachment is a policy of the organization and where it is attached: "root",
// "ou" or "account", for an RCP the resource's.
type attachment struct {
	Name, At  string
	Statement statements
}

const callerID = "111122223333"

// TestEvaluation holds the evaluator to AWS's documents. Each row is tried as it
// stands and with its Flip.
func TestEvaluation(t *testing.T) {
	document, err := os.ReadFile("testdata/evaluation.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []evaluation
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 60 {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows {
		t.Run(row.Name, func(t *testing.T) {
			if !strings.HasPrefix(row.Page, "https://docs.aws.amazon.com/") || row.Want == "deny" && (row.Phrase == "" || row.Explain == "") {
				t.Errorf("no page, phrase or explanation: %+v", row)
			}
			call, err := row.try(t)
			switch {
			case row.Want == "allow":
				if err != nil {
					t.Errorf("refused: %v\n%v", err, call)
				}
			case row.Want != "deny":
				t.Errorf("Want is %q", row.Want)
			case !isDenial(err) || !strings.Contains(err.Error(), row.Phrase):
				t.Errorf("got %v, want %q\n%v", err, row.Phrase, call)
			case !strings.Contains(call.Explain, row.Explain):
				t.Errorf("explained as %q, want %q", call.Explain, row.Explain)
			}

			flipped := row
			decoder := json.NewDecoder(bytes.NewReader(row.Flip))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&flipped); err != nil {
				t.Fatalf("Flip: %v", err)
			}
			call, err = flipped.try(t)
			if row.Want == "allow" && !isDenial(err) || row.Want == "deny" && err != nil {
				t.Errorf("with %s too: got %v\n%v", row.Flip, err, call)
			}
		})
	}
}

// isDenial reports whether AWS refused, and did not fail for another reason.
func isDenial(err error) bool {
	refused, ok := errors.AsType[smithy.APIError](err)
	return ok && slices.Contains([]string{"AccessDenied", "AccessDeniedException"}, refused.ErrorCode())
}

// policy returns the document with these statements; empty if there are none.
func (s statements) policy(org string) string {
	if len(s) == 0 {
		return ""
	}
	parts := make([]string, len(s))
	for i, statement := range s {
		parts[i] = strings.ReplaceAll(string(statement), "ORGID", org)
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(parts, ",") + `]}`
}

// try makes the request in a world of its own.
func (row evaluation) try(t *testing.T) (awstest.Call, error) {
	cloud := awstest.New()
	org := "o-none"
	if row.Members != nil {
		org = cloud.Organization().ID()
	}
	account := cloud.Account(callerID)
	cfg := row.caller(t, cloud, org)

	owner := account
	switch fields := strings.SplitN(row.Resource, ":", 6); {
	case row.Owner != "":
		owner = cloud.Account(row.Owner)
	case len(fields) == 6 && fields[4] != "":
		owner = cloud.Account(fields[4])
	}
	send := row.resource(t, cloud, owner, org)
	row.organize(cloud, account, owner)

	err := send(cfg)
	calls := cloud.Calls()
	return calls[len(calls)-1], err
}

// caller sets up the caller and returns its configuration.
func (row evaluation) caller(t *testing.T, cloud *awstest.Cloud, org string) aws.Config {
	account, cfg := cloud.Account(callerID), cloud.Config()
	cfg.RetryMaxAttempts = 1
	blue := cloud.Cluster(blueIssuer)
	if row.Caller != "" && row.Caller != "user" {
		account.UserCredentials("ann", "") // a policy may name her
	}
	switch row.Caller {
	case "", "user":
		cfg.Credentials = provider(account.UserCredentials("ann", row.Identity.policy(org)))
		account.SetUserPermissionsBoundary("ann", row.Boundary.policy(org))
	case "role":
		account.AddOIDCProvider(blue)
		role := account.CreateRole(cmp.Or(row.Role, "app"), podTrust(callerID, blueIssuer, "default", "app"), row.Identity.policy(org))
		if row.Boundary != nil {
			role.SetPermissionsBoundary(row.Boundary.policy(org))
		}
		in := &sts.AssumeRoleWithWebIdentityInput{RoleArn: new(role.ARN()), RoleSessionName: new("s1"), WebIdentityToken: new(blue.Token("default", "app"))}
		if row.Session != nil {
			in.Policy = new(row.Session.policy(org))
		}
		out, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Credentials = provider(credentialsOf(out.Credentials))
	case "token", "anonymous":
	default:
		t.Fatalf("Caller is %q", row.Caller)
	}
	return cfg
}

// resource sets up the resource and returns a function that makes the request.
func (row evaluation) resource(t *testing.T, cloud *awstest.Cloud, owner *awstest.Account, org string) func(aws.Config) error {
	policy := row.Policy.policy(org)
	service, operation, _ := strings.Cut(row.Action, ":")
	switch service {
	case "s3":
		name, key, _ := strings.Cut(strings.TrimPrefix(row.Resource, "arn:aws:s3:::"), "/")
		bucket := owner.CreateBucket(name)
		bucket.Put("a", []byte("a"))
		bucket.SetPolicy(policy)
		return func(cfg aws.Config) error {
			client := s3.NewFromConfig(cfg)
			var err error
			switch operation {
			case "GetObject":
				_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: &key})
			case "PutObject":
				_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader("b")})
			case "ListBucket":
				_, err = client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &name})
			default:
				t.Fatalf("Action is %q", row.Action)
			}
			return err
		}
	case "sts":
		if strings.Contains(policy, "oidc-provider") {
			owner.AddOIDCProvider(cloud.Cluster(blueIssuer))
		}
		role := owner.CreateRole(path.Base(row.Resource), policy, "")
		return func(cfg aws.Config) error {
			client := sts.NewFromConfig(cfg)
			if operation == "AssumeRole" {
				_, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: new(role.ARN()), RoleSessionName: new("s2")})
				return err
			}
			_, err := client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: new(role.ARN()), RoleSessionName: new("s2"), WebIdentityToken: new(cloud.Cluster(blueIssuer).Token("default", "app")),
			})
			return err
		}
	}
	cloud.Handle(service, awstest.ServiceHandler{
		Permissions: func(*awstest.ServiceRequest) ([]awstest.Permission, error) {
			return []awstest.Permission{{Action: row.Action, Resource: row.Resource, Policy: policy}}, nil
		},
		Serve: func(*awstest.ServiceRequest) (any, error) { return nil, nil },
	})
	return func(cfg aws.Config) error {
		status, body := postJSON(cfg, service, "Any."+operation, "{}")
		if status == 200 {
			return nil
		}
		var refused struct {
			Type    string `json:"__type"`
			Message string
		}
		if err := json.Unmarshal([]byte(body), &refused); err != nil {
			return fmt.Errorf("%w: %d %s", err, status, body)
		}
		return &smithy.GenericAPIError{Code: refused.Type, Message: refused.Message}
	}
}

// organize sets up the organization and its policies.
func (row evaluation) organize(cloud *awstest.Cloud, account, owner *awstest.Account) {
	if row.Members == nil {
		return
	}
	org := cloud.Organization()
	if row.Management != "" {
		org.SetManagementAccount(cloud.Account(row.Management))
	}
	for _, id := range row.Members {
		org.Add(cloud.Account(id))
	}
	ou := org.CreateOU("production")
	for _, id := range row.OU {
		ou.Add(cloud.Account(id))
	}
	at := func(place string, account *awstest.Account) []awstest.PolicyTarget {
		switch place {
		case "ou":
			return []awstest.PolicyTarget{ou}
		case "account":
			return []awstest.PolicyTarget{account}
		}
		return nil
	}
	for _, a := range row.SCPs {
		org.AttachSCP(a.Name, a.Statement.policy(org.ID()), at(a.At, account)...)
	}
	for _, a := range row.RCPs {
		org.AttachRCP(a.Name, a.Statement.policy(org.ID()), at(a.At, owner)...)
	}
	for _, place := range row.Detached {
		org.DetachSCP("FullAWSAccess", at(place, account)...)
	}
}
