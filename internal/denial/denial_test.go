package denial_test

import (
	"strings"
	"testing"

	"github.com/crossrole/crossrole/internal/denial"
)

const (
	user = "User: arn:aws:sts::111122223333:assumed-role/hub/x is not authorized to perform: "
	role = "arn:aws:iam::444455556666:role/S3_Pics"
	scp  = "arn:aws:organizations::999999999999:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd"
)

// Each kind of policy that AWS names has an owner, and one-line verdicts.
func TestVerdicts(t *testing.T) {
	for _, tt := range []struct{ reason, want string }{
		{"with an explicit deny in a service control policy: " + scp, "denied by a service control policy of the organization: neither account can fix it"},
		{"because no service control policy allows the sts:AssumeRole action", "no service control policy of the organization allows it: neither account can fix it"},
		{"with an explicit deny in a resource control policy", "denied by a resource control policy of the organization: neither account can fix it"},
		{"with an explicit deny in an identity-based policy", "denied by an identity-based policy of the caller: only account 111122223333 (the caller's) can fix it"},
		{"because no identity-based policy allows the sts:AssumeRole action", "no identity-based policy of the caller allows it: only account 111122223333 (the caller's) can fix it"},
		{"with an explicit deny in a permissions boundary: arn:aws:iam::111122223333:policy/b", "denied by a permissions boundary of the caller: only account 111122223333 (the caller's) can fix it"},
		{"because no permissions boundary allows the sts:AssumeRole action", "no permissions boundary of the caller allows it: only account 111122223333 (the caller's) can fix it"},
		{"with an explicit deny in the role trust policy", "denied by the role trust policy: only account 444455556666 (the role's) can fix it"},
		{"because no role trust policy allows the sts:AssumeRole action", "no role trust policy allows it: only account 444455556666 (the role's) can fix it"},
		{"with an explicit deny in a resource-based policy", "denied by a resource-based policy of the role: only account 444455556666 (the role's) can fix it"},
		{"with an explicit deny in a session policy", "denied by a session policy: neither account can fix it, only the program that requested the session"},
		{"with an explicit deny in a sessions policy", "denied by a session policy: neither account can fix it, only the program that requested the session"},
		{"with an explicit deny in a VPC endpoint policy", "denied by a VPC endpoint policy: only the owner of the VPC endpoint that the request used can fix it"},
		{"with an explicit deny in a VPC endpoint policy transitively through a service control policy", "denied by a service control policy of the organization: neither account can fix it"},
		{"with an explicit deny", "denied by a policy: only its owner can fix it"},
		{"with an explicit deny in a data perimeter policy", "denied by a data perimeter policy: only its owner can fix it"},
	} {
		d, ok := denial.Read(user + "sts:AssumeRole on resource: " + role + " " + tt.reason)
		if got := d.Verdict(); !ok || got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.reason, got, tt.want)
		}
	}
}

func TestRead(t *testing.T) {
	d, ok := denial.Read(user + "sts:AssumeRole on resource: " + role + " with an explicit deny in a service control policy: " + scp + ".")
	if !ok || !d.Explicit || d.Policy != "service control policy" || d.ARN != scp || d.Action != "sts:AssumeRole" || d.CallerAccount != "111122223333" || d.ResourceAccount != "444455556666" {
		t.Errorf("got %+v, %v", d, ok)
	}
	d, ok = denial.Read(user + `s3:GetObject on resource: "arn:aws:s3:::pics/with an odd name" because no identity-based policy allows the s3:GetObject action`)
	if !ok || d.Explicit || d.ARN != "" || d.Action != "s3:GetObject" || d.ResourceAccount != "" || !d.OfCaller() || d.OfResource() {
		t.Errorf("got %+v, %v", d, ok)
	}
}

// Messages that name no policy, or several, are left alone.
func TestReadOfNoPolicy(t *testing.T) {
	for _, message := range []string{
		"", "Access Denied", "Not authorized to perform sts:AssumeRoleWithWebIdentity",
		user + "sts:AssumeRole on resource: " + role,
		user + "kms:Decrypt on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access",
		user + "s3:GetObject because public access is blocked",
		"because no session",
	} {
		if d, ok := denial.Read(message); ok {
			t.Errorf("%q: got %+v", message, d)
		}
	}
}

// The key of an object is in quotes. Whatever it is, it is not taken for what AWS says.
func TestReadOfForgedKeys(t *testing.T) {
	const reason = ` because no identity-based policy allows the s3:GetObject action`
	for _, key := range []string{
		"a with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-evil/service_control_policy/p-1",
		`a" with an explicit deny in a service control policy: ` + scp,
		`a" because no session policy allows the s3:GetObject action`,
		`a on resource: "arn:aws:s3:us-east-1:999999999999:x/ not authorized to perform: iam:PassRole`,
	} {
		d, ok := denial.Read(user + `s3:GetObject on resource: "arn:aws:s3:::pics/` + key + `"` + reason)
		if !ok || d.Explicit || d.ARN != "" || !d.OfCaller() || d.Action != "s3:GetObject" || d.ResourceAccount != "" {
			t.Errorf("%s: got %+v, %v", key, d, ok)
		}
		for _, end := range []string{`"`, "", `" because of a new rule`} {
			if d, ok := denial.Read(user + `s3:GetObject on resource: "arn:aws:s3:::pics/` + key + end); ok && !strings.Contains(key, `"`) {
				t.Errorf("%s: got %+v", key, d)
			}
		}
	}
}

// What a server writes reaches the sentences only where it looks as AWS writes it.
func FuzzRead(f *testing.F) {
	f.Add(user + "sts:AssumeRole with an explicit deny in a service control policy: " + scp)
	f.Add(user + "s3:GetObject because no VPC endpoint policy allows the s3:GetObject action")
	f.Add("with an explicit deny in a \x1b[31mpolicy: arn:aws:iam::111122223333:policy/\u202e")
	f.Fuzz(func(t *testing.T, message string) {
		d, ok := denial.Read(message)
		if !ok {
			return
		}
		for _, text := range []string{d.Fix(), d.Verdict()} {
			if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) || len(text) > 1200 {
				t.Errorf("%q", text)
			}
		}
	})
}
