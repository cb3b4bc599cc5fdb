package s3reader_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

const kmsKey = "arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// Case B35: what is known of a refusal is said, and a guess is called one.
func TestDeniedSaysWhatIsKnown(t *testing.T) {
	encrypted := func(o *awstest.Object) {
		o.Headers = map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": kmsKey}
	}
	for _, c := range []struct {
		name   string
		fault  awstest.Fault
		stored func(*awstest.Object)
		want   []string
		not    []string
		asks   []string
	}{
		{
			name:  "the text names the key",
			fault: awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::111122223333:user/u is not authorized to perform: kms:Decrypt on resource: " + kmsKey + " because no resource-based policy allows the kms:Decrypt action"},
			want:  []string{"because no resource-based policy", "KMS denied the request: let the resource-based policy allow kms:Decrypt on " + kmsKey + ": account 444455556666 (the key's) can change it"},
			not:   []string{"guess", "the key does not exist", "the role's own policy"},
			asks:  []string{"GetObject"},
		},
		{
			name:  "the text names kms alone",
			fault: awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: "The ciphertext refers to a customer master key that does not exist, or KMS refuses."},
			want:  []string{"KMS denied the request: the object's KMS key"},
			asks:  []string{"GetObject"},
		},
		{
			name:  "the code is KMS's",
			fault: awstest.Fault{Operation: "GetObject", Status: 400, Code: "KMS.DisabledException", Message: kmsKey + " is disabled."},
			want:  []string{"KMS denied the request: " + kmsKey},
			asks:  []string{"GetObject"},
		},
		{
			name:   "bare, and HEAD shows the key",
			fault:  awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: "Access Denied"},
			stored: encrypted,
			want:   []string{"does not allow kms:Decrypt on " + kmsKey, "(a guess: "},
			not:    []string{"VPC endpoint", "the key does not exist"},
			asks:   []string{"GetObject", "HeadObject"},
		},
		{
			name:  "bare, and HEAD shows no key",
			fault: awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: "Access Denied"},
			want:  []string{"S3 does not say why", "the role's policy may not allow s3:GetObject", "the bucket's policy or that of a VPC endpoint", "a different account", "kms:Decrypt"},
			not:   []string{"possibly", "the key does not exist"},
			asks:  []string{"GetObject", "HeadObject"},
		},
		{
			name:  "an explicit deny",
			fault: awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: `User: arn:aws:iam::111122223333:user/u is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::pics/k" with an explicit deny in a VPC endpoint policy`},
			want:  []string{"explicit deny in a VPC endpoint policy", "an explicit deny overrides every allow"},
			not:   []string{"the key does not exist", "requester pays", "trust read", "S3 does not say why"},
			asks:  []string{"GetObject"},
		},
		{
			name:  "the key does not exist",
			fault: awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: `User: arn:aws:iam::111122223333:user/u is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::pics" because no identity-based policy allows the s3:ListBucket action`},
			want:  []string{"access to the object itself is not denied", "the key does not exist", `"crossrole trust read --bucket pics"`},
			not:   []string{"S3 does not say why"},
			asks:  []string{"GetObject"},
		},
		{
			name:  "no policy allows it",
			fault: awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: `User: arn:aws:iam::111122223333:user/u is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::pics/k" because no identity-based policy allows the s3:GetObject action`},
			want:  []string{"because no identity-based policy", `"crossrole trust read --bucket pics"`},
			not:   []string{"S3 does not say why", "explicit deny"},
			asks:  []string{"GetObject"},
		},
		{
			name:  "bare both",
			fault: awstest.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"},
			want:  []string{"S3 does not say why", "s3:GetObject", "VPC endpoint", "a different account", "kms:Decrypt", "the key does not exist", "Options.RequestPayer"},
			not:   []string{"possibly"},
			asks:  []string{"GetObject", "HeadObject"},
		},
	} {
		for _, op := range []string{"get", "open"} {
			t.Run(c.name+" "+op, func(t *testing.T) {
				cloud, bucket, cfg := gallery(t)
				if c.stored == nil {
					c.stored = func(*awstest.Object) {}
				}
				bucket.Put("k", []byte("v"), c.stored)
				r := newReader(t, cfg, "pics")
				if _, err := r.Get(t.Context(), "k"); err != nil { // signs in
					t.Fatal(err)
				}
				before := len(cloud.Calls())
				cloud.Fault(c.fault)
				var err error
				if op == "get" {
					_, err = r.Get(t.Context(), "k")
				} else {
					_, err = r.Open(t.Context(), "k")
				}
				if !errors.Is(err, fs.ErrPermission) || !errors.Is(err, s3reader.AccessDenied) || errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("got %v", err)
				}
				e, _ := errors.AsType[*s3reader.Error](err)
				chain, _ := credentials.ChainOf(cfg)
				if e.RoleARN != chain.RoleARN() || e.Region != "us-east-1" || e.RequestID == "" || e.HostID == "" {
					t.Errorf("role %q, region %q, request %q, host %q", e.RoleARN, e.Region, e.RequestID, e.HostID)
				}
				text := err.Error()
				for _, want := range append(c.want, strings.TrimSuffix(c.fault.Message, "Access Denied"), c.fault.Code, e.RoleARN, "region us-east-1", e.RequestID, e.HostID) {
					if !strings.Contains(text, want) {
						t.Errorf("%q is not in %s", want, text)
					}
				}
				for _, not := range c.not {
					if strings.Contains(text, not) {
						t.Errorf("%q is in %s", not, text)
					}
				}
				var asks []string
				for _, call := range cloud.Calls()[before:] {
					asks = append(asks, call.Operation)
				}
				if !slices.Equal(asks, c.asks) {
					t.Errorf("asks %q, want %q", asks, c.asks)
				}
			})
		}
	}
}

// A refusal that says which action it is about needs no HEAD.
func TestDeniedWithTheActionAsksOnce(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("v"))
	_, err := s.reader(t, "").Get(t.Context(), "k")
	if got := s.requests(); !errors.Is(err, fs.ErrPermission) || !slices.Equal(got, []string{"GetObject"}) {
		t.Errorf("asked for %q, %v", got, err)
	}
	if text := err.Error(); !strings.Contains(text, "is not authorized to perform: s3:GetObject") || strings.Contains(text, "S3 does not say why") {
		t.Errorf("got %s", text)
	}
}

// Ranges of an object that is open are never explained by a HEAD.
func TestDeniedRangesAskNoHead(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(100))
	o := open(t, s.reader(t, mayRead), "k")
	s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"})
	for off := range int64(5) {
		if _, err := o.ReadAt(make([]byte, 1), 10*off); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
	}
	if got := s.requests(); slices.Contains(got, "HeadObject") {
		t.Errorf("asked for %q", got)
	}
}

// A HEAD that fails for another reason leaves the refusal as it was.
func TestDeniedIsNotHiddenByItsHead(t *testing.T) {
	for _, f := range []awstest.Fault{{Status: 400, Code: "ExpiredToken"}, {Status: 404, Code: "NoSuchKey"}, {Status: 301, Code: "PermanentRedirect"}} {
		s := newShelf()
		s.Put("k", []byte("v"))
		r := s.reader(t, mayRead)
		f.Operation = "HeadObject"
		s.cloud.Fault(f)
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Message: "Access Denied"})
		_, err := r.Get(t.Context(), "k")
		if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Kind != s3reader.AccessDenied || e.Code != "AccessDenied" {
			t.Errorf("%s: got %v", f.Code, err)
		}
	}
}

func TestDeniedListingSaysWhatItTakes(t *testing.T) {
	s := newShelf()
	listings := func() map[string]error {
		_, list := listed(t, s.reader(t, mayRead, func(o *s3reader.Options) { o.ExpectedBucketOwner = "444455556666" }), "")
		return map[string]error{"list": list, "readdir": do(s.reader(t, mayRead).FS(t.Context()), "readdir", ".")}
	}
	for op, err := range listings() {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "listing requires s3:ListBucket on the bucket: let the identity-based policy allow s3:ListBucket: account 444455556666") || strings.Contains(err.Error(), "Options.") || strings.Contains(err.Error(), "the key does not exist") {
			t.Errorf("%s, and S3 names the policy: got %v", op, err)
		}
	}
	s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied", Message: "Access Denied"})
	bare := listings()
	for op, err := range bare {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "listing requires s3:ListBucket on the bucket") || !strings.Contains(err.Error(), "Options.RequestPayer") || strings.Contains(err.Error(), "the key does not exist") {
			t.Errorf("%s: got %v", op, err)
		}
	}
	if !strings.Contains(bare["list"].Error(), "not owned by 444455556666") {
		t.Errorf("got %v", bare["list"])
	}
}

// S3 and KMS name the policy that denies, too. The hint speaks of that one and of no
// other, and says whose it is.
func TestDeniedByANamedPolicy(t *testing.T) {
	const (
		scp   = "arn:aws:organizations::999999999999:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd"
		print = `"crossrole trust read --bucket pics"`
	)
	for _, tt := range []struct {
		reason string   // ACTION stands for the action
		want   []string // OWNER stands for the resource's account
		prints bool     // the command that prints the role's policy
	}{
		{"with an explicit deny in a service control policy: " + scp, []string{"a service control policy (" + scp + ") denies ACTION", "an administrator of the organization of account 444455556666 (the caller's) must exempt the caller", "an explicit deny overrides every allow"}, false},
		{"because no service control policy allows the ACTION action", []string{"let a service control policy at each level"}, false},
		{"with an explicit deny in a resource control policy", []string{"a resource control policy denies ACTION", "an administrator of the organization of OWNER must exempt the caller"}, false},
		{"with an explicit deny in an identity-based policy", []string{"an identity-based policy denies ACTION", "account 444455556666 (the caller's) must exempt the caller"}, false},
		{"because no identity-based policy allows the ACTION action", []string{"let the identity-based policy allow ACTION", "account 444455556666 (the caller's)"}, true},
		{"with an explicit deny in a resource-based policy", []string{"a resource-based policy denies ACTION", "OWNER must exempt the caller"}, false},
		{"because no resource-based policy allows the ACTION action", []string{"let the resource-based policy allow ACTION", "OWNER can change it"}, false},
		{"with an explicit deny in a permissions boundary", []string{"a permissions boundary denies ACTION", "account 444455556666 (the caller's) must exempt the caller"}, false},
		{"because no permissions boundary allows the ACTION action", []string{"let the permissions boundary allow ACTION", "no other allow counts"}, false},
		{"because no session policy allows the ACTION action", []string{"let the session policy allow ACTION", "the Policy or PolicyARNs with which the caller's session was requested"}, false},
		{"with an explicit deny in a VPC endpoint policy", []string{"a VPC endpoint policy denies ACTION", "the owner of the VPC endpoint"}, false},
		{"because no VPC endpoint policy allows the ACTION action", []string{"let the VPC endpoint policy allow ACTION", "the owner of the VPC endpoint"}, false},
	} {
		for _, at := range []struct{ action, resource, owner string }{
			{"s3:GetObject", `"arn:aws:s3:::pics/k"`, "the bucket's account"},
			{"s3:ListBucket", `"arn:aws:s3:::pics"`, "the bucket's account"},
			{"kms:Decrypt", "arn:aws:kms:us-east-1:777788889999:key/1234abcd-12ab-34cd-56ef-1234567890ab", "account 777788889999 (the key's)"},
		} {
			fill := strings.NewReplacer("ACTION", at.action, "OWNER", at.owner).Replace
			s := newShelf()
			s.Put("k", []byte("v"))
			r := s.reader(t, mayRead)
			s.cloud.Fault(awstest.Fault{Status: 403, Code: "AccessDenied",
				Message: "User: arn:aws:sts::444455556666:assumed-role/S3_Pics/x is not authorized to perform: " + at.action + " on resource: " + at.resource + " " + fill(tt.reason)})
			var err error
			if at.action == "s3:ListBucket" {
				_, err = listed(t, r, "")
			} else {
				_, err = r.Get(t.Context(), "k")
			}
			if !errors.Is(err, s3reader.AccessDenied) {
				t.Fatalf("got %v", err)
			}
			text := err.Error()
			for _, want := range tt.want {
				if !strings.Contains(text, fill(want)) {
					t.Errorf("%q is not in %s", fill(want), text)
				}
			}
			if got := strings.Contains(text, print); got != (tt.prints && at.action != "kms:Decrypt") {
				t.Errorf("%v: %s prints the role's policy", got, text)
			}
			for _, guess := range []string{"the key does not exist", "Options.RequestPayer", "S3 does not say why", "in the bucket's", "must be enabled"} {
				if strings.Contains(text, guess) {
					t.Errorf("%q is in %s", guess, text)
				}
			}
			if len(s.requests()) != 1 {
				t.Errorf("asked for %q", s.requests())
			}
		}
	}
}

// The account's organization, a boundary or a session policy denies: doctor and logs show
// whose policy it is, for the object, a listing and the object's key.
func TestDeniedByTheOrganization(t *testing.T) {
	deny := func(action string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"` + action + `","Resource":"*"}]}`
	}
	for _, action := range []string{"s3:GetObject", "s3:ListBucket", "kms:Decrypt"} {
		for want, set := range map[string]func(s *shelf, org *awstest.Organization) (arn string){
			"a service control policy (ARN) denies " + action + "RES: an administrator of the organization of account 444455556666 (the caller's) must": func(s *shelf, org *awstest.Organization) string {
				return org.AttachSCP("No", deny(action))
			},
			"a resource control policy (ARN) denies " + action + "RES: an administrator of the organization of ": func(_ *shelf, org *awstest.Organization) string {
				return org.AttachRCP("No", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"`+action+`","Resource":"*"}]}`)
			},
			"a permissions boundary (ARN) denies " + action + "RES: account 444455556666 (the caller's) must": func(s *shelf, _ *awstest.Organization) string {
				s.account.SetUserPermissionsBoundary("user1", deny(action))
				return "arn:aws:iam::444455556666:policy/user1-boundary"
			},
		} {
			s := newShelf()
			key := s.account.CreateKMSKey("")
			s.Put("k", []byte("v"), func(o *awstest.Object) { o.KMSKey = key })
			org := s.cloud.Organization()
			org.Add(s.account)
			r := s.reader(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","kms:*"],"Resource":"*"}]}`)
			arn := set(s, org)
			var err error
			if action == "s3:ListBucket" {
				_, err = listed(t, r, "")
			} else {
				_, err = r.Get(t.Context(), "k")
			}
			resource := ""
			if action == "kms:Decrypt" {
				resource = " on " + key.ARN()
			}
			want := strings.NewReplacer("ARN", arn, "RES", resource).Replace(want)
			if !errors.Is(err, s3reader.AccessDenied) || !strings.Contains(err.Error(), want) {
				t.Errorf("want %q in %v", want, err)
			}
		}
	}
}

// A key cannot forge what S3 says of the denial.
func TestDeniedKeysForgeNothing(t *testing.T) {
	for _, key := range []string{
		"a with an explicit deny in a service control policy",
		"not authorized to perform: s3:ListBucket",
		"kms/arn:aws:kms:us-east-1:999999999999:key/1",
	} {
		s := newShelf()
		_, err := s.reader(t, "").Get(t.Context(), key)
		if text := err.Error(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(text, "let the identity-based policy allow s3:GetObject: account 444455556666") {
			t.Errorf("%s: got %s", key, text)
		}
	}
}
