package awstest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/crossrole/crossrole/awstest"
)

const (
	noS3  = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`
	noSTS = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:*","Resource":"*"}]}`
)

// TestOrganizationMisuse holds what AWS Organizations refuses.
func TestOrganizationMisuse(t *testing.T) {
	long := func(n int) string {
		document := `{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Deny","Action":"s3:*","Resource":"*"}]}`
		return strings.Replace(document, `"Sid":""`, `"Sid":"`+strings.Repeat("x", n-len(document))+`"`, 1)
	}
	rcp := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	for name, test := range map[string]struct {
		misuse func(w *world, org *awstest.Organization)
		says   string
	}{
		"account of another cloud": {func(w *world, org *awstest.Organization) { org.Add(awstest.New().Account(devID)) }, "another cloud"},
		"target is no member":      {func(w *world, org *awstest.Organization) { org.AttachSCP("x", noS3, w.Account("777788889999")) }, "Add the account first"},
		"OU of another cloud": {func(w *world, org *awstest.Organization) {
			org.AttachSCP("x", noS3, awstest.New().Organization().CreateOU("x"))
		}, "not in this organization"},
		"management account with policies": {func(w *world, org *awstest.Organization) {
			org.AttachSCP("x", noS3)
			org.SetManagementAccount(w.dev)
		}, "before AttachSCP"},
		"management account leaves": {func(w *world, org *awstest.Organization) {
			org.SetManagementAccount(w.dev)
			org.Remove(w.dev)
		}, "cannot leave"},
		"name of AWS's SCP":    {func(w *world, org *awstest.Organization) { org.AttachSCP("FullAWSAccess", noS3) }, "a name of its own"},
		"name of AWS's RCP":    {func(w *world, org *awstest.Organization) { org.AttachRCP("RCPFullAWSAccess", noSTS) }, "a name of its own"},
		"SCP is no JSON":       {func(w *world, org *awstest.Organization) { org.AttachSCP("x", "{") }, "not valid JSON"},
		"SCP with a principal": {func(w *world, org *awstest.Organization) { org.AttachSCP("x", noSTS) }, "Principal"},
		"SCP of an old version": {func(w *world, org *awstest.Organization) {
			org.AttachSCP("x", strings.Replace(noS3, "2012-10-17", "2008-10-17", 1))
		}, `must be "2012-10-17"`},
		"longest SCP": {func(w *world, org *awstest.Organization) {
			org.AttachSCP("x", long(5120))
			org.AttachSCP("y", long(5121))
		}, `AttachSCP("y"): a policy needs a name of its own and a valid document: it has 5121 characters`},
		"RCP that allows": {func(w *world, org *awstest.Organization) {
			org.AttachRCP("x", strings.Replace(noSTS, "Deny", "Allow", 1))
		}, "can only deny"},
		"RCP for one principal": {func(w *world, org *awstest.Organization) {
			org.AttachRCP("x", rcp(`{"Effect":"Deny","Principal":{"AWS":"`+devID+`"},"Action":"sts:*","Resource":"*"}`))
		}, `the Principal of an RCP is "*"`},
		"RCP with NotPrincipal": {func(w *world, org *awstest.Organization) {
			org.AttachRCP("x", rcp(`{"Effect":"Deny","NotPrincipal":{"AWS":"`+devID+`"},"Action":"sts:*","Resource":"*"}`))
		}, `the Principal of an RCP is "*"`},
		"RCP with NotAction": {func(w *world, org *awstest.Organization) {
			org.AttachRCP("x", rcp(`{"Effect":"Deny","Principal":"*","NotAction":"sts:*","Resource":"*"}`))
		}, "no NotAction"},
		"RCP for a service without": {func(w *world, org *awstest.Organization) {
			org.AttachRCP("x", rcp(`{"Effect":"Deny","Principal":"*","Action":"ec2:*","Resource":"*"}`))
		}, `not to "ec2:*"`},
		"RCP without resource": {func(w *world, org *awstest.Organization) {
			org.AttachRCP("x", rcp(`{"Effect":"Deny","Principal":"*","Action":"sts:*"}`))
		}, "Resource"},
		"not attached":    {func(w *world, org *awstest.Organization) { org.DetachSCP("x") }, "PolicyNotAttachedException"},
		"last SCP":        {func(w *world, org *awstest.Organization) { org.DetachSCP("FullAWSAccess", w.dev) }, "the last SCP of account " + devID},
		"RCPFullAccess":   {func(w *world, org *awstest.Organization) { org.DetachRCP("RCPFullAWSAccess") }, "PolicyNotAttachedException"},
		"OU without name": {func(w *world, org *awstest.Organization) { org.CreateOU("") }, "1 to 128 characters"},
		"OU twice": {func(w *world, org *awstest.Organization) {
			org.CreateOU("x").CreateOU("x")
			org.CreateOU("x")
		}, "the root has an OU of that name"},
		"six levels of OUs": {func(w *world, org *awstest.Organization) {
			org.CreateOU("1").CreateOU("2").CreateOU("3").CreateOU("4").CreateOU("5").CreateOU("6")
		}, `CreateOU("6")`},
		"boundary with a principal": {func(w *world, org *awstest.Organization) { w.hub.SetPermissionsBoundary(noSTS) }, "Principal"},
		"boundary of no user":       {func(w *world, org *awstest.Organization) { w.dev.SetUserPermissionsBoundary("ann", noS3) }, "UserCredentials"},
		"boundary of a service-linked role": {func(w *world, org *awstest.Organization) {
			w.dev.CreateRole("aws-service-role/sqs.amazonaws.com/AWSServiceRoleForX", roleTrust(devID), "").SetPermissionsBoundary(noS3)
		}, "service-linked"},
		"longest boundary": {func(w *world, org *awstest.Organization) {
			w.hub.SetPermissionsBoundary(longIdentity(6144))
			w.hub.SetPermissionsBoundary(longIdentity(6145))
		}, "Cannot exceed quota for PolicySize: 6144"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			org := w.Organization()
			org.Add(w.dev, w.shared)
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "awstest: ") || !strings.Contains(text, test.says) {
					t.Errorf("panicked with %q, want %q", text, test.says)
				}
			}()
			test.misuse(w, org)
		})
	}
}

// TestOrganizationReplacesPolicies shows that a policy attached again under its
// name has one content, wherever it is attached.
func TestOrganizationReplacesPolicies(t *testing.T) {
	w := newWorld()
	org := w.Organization()
	org.Add(w.dev, w.shared)
	hub := w.hubSession(t)
	assumed := func() error { _, err := w.assume(t, hub, targetARN); return err }
	w.target.SetTrust(roleTrust(hubARN))

	first := org.AttachSCP("Limits", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}`, w.dev, w.shared)
	if err := assumed(); err == nil || !strings.HasSuffix(err.Error(), "with an explicit deny in a service control policy: "+first) {
		t.Errorf("got %v", err)
	}
	if again := org.AttachSCP("Limits", noS3, w.shared); again != first {
		t.Errorf("the ARN changed from %s to %s", first, again)
	}
	if err := assumed(); err != nil {
		t.Error(err)
	}
	// An OU is left by moving out of it.
	ou := org.CreateOU("locked", w.dev)
	org.AttachSCP("NoSTS", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:*","Resource":"*"}]}`, ou)
	if err := assumed(); err == nil {
		t.Error("the OU's policy has no effect")
	}
	org.Add(w.dev)
	if err := assumed(); err != nil {
		t.Error(err)
	}
}

// TestOrganizationInUse changes the organization, a boundary and a handler while
// requests are judged by them.
func TestOrganizationInUse(t *testing.T) {
	w := newWorld()
	org := w.Organization()
	ou := org.CreateOU("ou")
	q := &queue{policy: devMaySend, serve: func(*awstest.ServiceRequest) (any, error) {
		return nil, &awstest.ServiceError{Code: "Served"}
	}}
	w.Handle("sqs", q.handler())
	cfg := w.Config()
	cfg.Credentials = provider(w.hubSession(t))
	w.hub.SetPolicy(maySend)

	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				if _, err := send(t, cfg); !refusedWith(err, "Served", "") && !refusedWith(err, "AccessDenied", "") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	for i := range 40 {
		ou.Add(w.dev)
		org.AttachSCP("NoSQS", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sqs:*","Resource":"*"}]}`, w.dev)
		org.Add(w.dev, w.shared)
		org.AttachRCP("NoSTS", noSTS)
		org.DetachSCP("NoSQS", w.dev)
		org.CreateOU(fmt.Sprint(i), w.dev)
		w.hub.SetPermissionsBoundary(maySend)
		org.Remove(w.dev)
		w.Handle("sqs", q.handler())
	}
	all.Wait()
	if _, err := send(t, cfg); !refusedWith(err, "Served", "") {
		t.Errorf("in the end: %v", err)
	}
}
