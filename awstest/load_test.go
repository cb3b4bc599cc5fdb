package awstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

func TestLoad(t *testing.T) {
	document, err := os.ReadFile("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	world, err := awstest.Load(document, func(o *awstest.LoadOptions) { o.TokenDir = t.TempDir() })
	if err != nil {
		t.Fatal(err)
	}
	pod := world.Pod("app")
	for name, roles := range map[string][]string{
		"direct": nil,
		"hub":    {"arn:aws:iam::444455556666:role/S3_Pics"},
	} {
		t.Run(name, func(t *testing.T) {
			role := pod.RoleARN()
			if roles == nil {
				role = "arn:aws:iam::444455556666:role/S3_Pics"
			}
			cfg, err := credentials.Wrap(world.Cloud().Config(), credentials.Assume(roles...), func(o *credentials.Options) {
				o.Source = credentials.WebIdentity{RoleARN: role, TokenFile: pod.TokenFile()}
			})
			if err != nil {
				t.Fatal(err)
			}
			pics, err := s3reader.New(cfg, "pics")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := pics.Get(t.Context(), "cat.jpg"); err != nil || string(got) != "a cat" {
				t.Errorf("cat.jpg = %q, %v; want \"a cat\"", got, err)
			}
		})
	}
}

// TestLoadMistakes loads documents with mistakes. Each is reported at its line
// and column, and nothing is built.
func TestLoadMistakes(t *testing.T) {
	const account = "accounts:\n  - id: \"111122223333\"\n"
	for name, c := range map[string]struct {
		document string
		want     []string
	}{
		"not YAML":           {"accounts: [", []string{":1: this is not YAML: "}},
		"unknown key":        {"acounts: []", []string{"1:1: the document has no key \"acounts\"; it has partition, organization, clusters, accounts, pods, propagationDelay"}},
		"key twice":          {"pods: []\npods: []", []string{"2:1: the document has the key \"pods\" twice"}},
		"list expected":      {"accounts: {}", []string{"1:11: accounts is a mapping; it is a list"}},
		"account id":         {"accounts:\n  - id: 12", []string{"2:5: Account(\"12\"): an account id is 12 digits"}},
		"account twice":      {account + "  - id: 111122223333", []string{"3:9: account 111122223333 is there twice"}},
		"no name":            {account + "    buckets:\n      - region: eu-west-1", []string{"4:9: a bucket lacks the key \"name\""}},
		"bucket name":        {account + "    buckets:\n      - name: Pics", []string{"4:9: CreateBucket(\"Pics\")"}},
		"trust policy":       {account + "    roles:\n      - name: r\n        trust: {Version: 2012-10-17}", []string{"4:9: SetTrust"}},
		"principal":          {account + "    roles:\n      - name: r\n        trust: '{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:role/none\"},\"Action\":\"sts:AssumeRole\"}]}'", []string{"4:9: "}},
		"duration":           {account + "    roles:\n      - name: r\n        trust: '{}'\n        maxSessionDuration: 3600", []string{"6:29: maxSessionDuration is \"3600\"; write a duration such as 1h or 90m"}},
		"cluster of a pod":   {"pods:\n  - {name: a, cluster: green, serviceAccount: a, role: r}", []string{"2:5: there is no cluster \"green\"; declare it under clusters"}},
		"pod's folder":       {"pods:\n  - {name: ../a, cluster: b, serviceAccount: a, role: r}", []string{"2:12: pod \"../a\": a name has 1 to 63"}},
		"files without FS":   {account + "    buckets:\n      - name: pics\n        files: pics", []string{"4:9: bucket \"pics\": files cannot be read here: set LoadOptions.Files"}},
		"two contents":       {account + "    buckets:\n      - name: pics\n        objects:\n          - {key: a, text: b, file: c}", []string{"6:13: object \"a\" has more than one of text, base64 and file"}},
		"several mistakes":   {"partition: aws-mars\nclusters:\n  - name: blue", []string{"1:12: partition \"aws-mars\" is unknown", "3:5: a cluster lacks the key \"issuer\""}},
		"second document":    {"pods: []\n---\npods: []", []string{"there is a second document"}},
		"endless aliases":    {"a: &a [x, x, x, x, x, x, x, x, x, x]\npods: *a", []string{"1:1: the document has no key \"a\"", "a pod is \"x\"; it is a mapping"}},
		"nested aliases":     {account + "    roles:\n      - name: r\n        trust:\n          a: &a [x,x,x,x,x,x,x,x,x,x]\n          b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n          c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n          d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n          e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n          f: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]", []string{"more than 200000 values, aliases included"}},
		"alias of itself":    {"pods: &p [*p]", []string{"1:"}},
		"management account": {"organization: {managementAccount: 12}", []string{"1:15: Account(\"12\")"}},
		"SCP outside":        {account + "    scps:\n      - {name: None, policy: {Version: 2012-10-17, Statement: []}}", []string{"4:9: AttachSCP(\"None\")"}},
		"no RCP":             {"organization:\n  rcps:\n    - {name: A, policy: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: '*', Action: 's3:*', Resource: '*'}}}", []string{"3:7: AttachRCP(\"A\")", "an RCP can only deny"}},
		"one name, two SCPs": {"organization:\n  scps:\n    - {name: A, policy: {Version: 2012-10-17, Statement: {Effect: Deny, Action: 's3:*', Resource: '*'}}}\n  units:\n    - name: U\n      scps: [{name: A, policy: {Version: 2012-10-17, Statement: {Effect: Deny, Action: '*', Resource: '*'}}}]", []string{"6:14: the SCP \"A\" is there with another content"}},
		"unit twice":         {"organization:\n  units:\n    - name: U\n    - name: U", []string{"4:7: CreateOU(\"U\")"}},
		"endless units":      {"organization: &o {units: [*o]}", []string{"1:27: an organizational unit is at most 5 levels below the root"}},
		"real access key":    {account + "    users:\n      - name: ann\n        accessKey: {id: AKIAIOSFODNN7ZZZZZZZ, secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}", []string{"5:20: the access key \"AKIAIOSFODNN7ZZZZZZZ\" is none for tests"}},
		"access key twice":   {account + "    users:\n      - &u {name: ann, accessKey: {id: AKIAIOSFODNN7EXAMPLE, secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}}\n      - {name: bob, accessKey: {id: AKIAIOSFODNN7EXAMPLE, secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}}", []string{"5:9: the access key AKIAIOSFODNN7EXAMPLE is there twice"}},
		"boundary":           {account + "    users:\n      - name: ann\n        permissionsBoundary: '{}'", []string{"4:9: SetUserPermissionsBoundary(\"ann\")"}},
		"document too long":  {strings.Repeat("#", 1<<20) + "\n", []string{"1:1: the document has 1048577 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			world, err := awstest.Load([]byte(c.document), func(o *awstest.LoadOptions) { o.TokenDir = dir })
			if err == nil || world != nil {
				t.Fatalf("Load = %v, %v; want an error alone", world, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestLoadOrganization reads as users whom their own policies allow everything: what
// else the document says decides.
func TestLoadOrganization(t *testing.T) {
	const all = "{Version: 2012-10-17, Statement: {Effect: Allow, Action: '*', Resource: '*'}}"
	const document = `
organization:
  managementAccount: "999988887777"
  scps:
    - {name: NoHead, policy: {Version: 2012-10-17, Statement: {Sid: NoHead, Effect: Deny, Action: s3:ListBucket, Resource: "*"}}}
  units:
    - name: Prod
      accounts: ["111122223333"]
      rcps:
        - {name: NoCats, policy: {Version: 2012-10-17, Statement: {Sid: NoCats, Effect: Deny, Principal: "*", Action: s3:GetObject, Resource: "arn:aws:s3:::*/cat.jpg"}}}
      units:
        - name: Locked
          accounts: [444455556666]
          fullAWSAccess: false
          scps:
            - {name: ReadOnly, policy: {Version: 2012-10-17, Statement: {Effect: Allow, Action: "s3:Get*", Resource: "*"}}}
accounts:
  - id: "111122223333"
    users:
      - {name: ann, policy: ` + all + `, accessKey: {id: AKIAIOSFODNN7EXAMPLE, secret: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}}
      - {name: bob, policy: ` + all + `, permissionsBoundary: {Version: 2012-10-17, Statement: {Effect: Allow, Action: "s3:Put*", Resource: "*"}}}
    buckets: [{name: prod, objects: [{key: cat.jpg}, {key: dog.jpg}]}]
  - id: "444455556666"
    scps:
      - {name: NoDogs, policy: {Version: 2012-10-17, Statement: {Sid: NoDogs, Effect: Deny, Action: s3:GetObject, Resource: "arn:aws:s3:::*/dog.jpg"}}}
    users:
      - {name: cleo, policy: ` + all + `}
    buckets: [{name: locked, objects: [{key: cow.jpg}, {key: dog.jpg}]}]
  - id: "999988887777"
    users:
      - {name: dora, policy: ` + all + `}
    buckets: [{name: own, objects: [{key: cat.jpg}]}]
`
	world, err := awstest.Load([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	keys := func(arn string) aws.Credentials {
		found, ok := world.UserCredentials("arn:aws:iam::" + arn)
		if !ok {
			t.Fatalf("no user %s", arn)
		}
		return found
	}
	ann, bob, cleo, dora := keys("111122223333:user/ann"), keys("111122223333:user/bob"), keys("444455556666:user/cleo"), keys("999988887777:user/dora")
	if ann.AccessKeyID != "AKIAIOSFODNN7EXAMPLE" || ann.SecretAccessKey != "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" {
		t.Errorf("ann's key is %v", ann)
	}
	for _, x := range []struct {
		who         aws.Credentials
		bucket, key string
		want        string // in the explanation; empty: allowed
	}{
		{ann, "prod", "dog.jpg", ""},
		{ann, "prod", "cat.jpg", "statement 0 NoCats"},
		{ann, "prod", "", "statement 0 NoHead"},
		{bob, "prod", "dog.jpg", "permissions boundary arn:aws:iam::111122223333:policy/bob-boundary"},
		{cleo, "locked", "cow.jpg", ""},
		{cleo, "locked", "dog.jpg", "statement 0 NoDogs"},
		{cleo, "locked", "+put", "of OU Locked"},
		{dora, "own", "cat.jpg", ""},
		{dora, "own", "", ""},
	} {
		cfg := world.Cloud().Config()
		cfg.Credentials = provider(x.who)
		client := s3.NewFromConfig(cfg)
		switch x.key {
		case "":
			_, _ = client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &x.bucket})
		case "+put":
			_, _ = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &x.bucket, Key: &x.key})
		default:
			_, _ = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &x.bucket, Key: &x.key})
		}
		calls := world.Cloud().Calls()
		last := calls[len(calls)-1]
		if (last.Code == "") != (x.want == "") || !strings.Contains(last.Explain, x.want) {
			t.Errorf("%v\nwant %q", last, x.want)
		}
	}
}

// TestLoadPropagationDelay shows that what the document says is in force at once, and
// a later change is not.
func TestLoadPropagationDelay(t *testing.T) {
	world, err := awstest.Load([]byte(`
propagationDelay: 10s
accounts:
  - id: "111122223333"
    buckets: [{name: pics, objects: [{key: cat.jpg}]}]
    users: [{name: ann, policy: {Version: 2012-10-17, Statement: {Effect: Allow, Action: "s3:*", Resource: "*"}}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	ann, _ := world.UserCredentials("arn:aws:iam::111122223333:user/ann")
	bob := world.Account("111122223333").UserCredentials("bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	get := func(keys aws.Credentials) string {
		cfg := world.Cloud().Config()
		cfg.Credentials = provider(keys)
		_, err := s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")})
		return code(err)
	}
	got := []string{get(ann), get(bob)}
	world.Cloud().Advance(10 * time.Second)
	if got = append(got, get(bob)); fmt.Sprint(got) != "[ AccessDenied ]" {
		t.Errorf("ann, bob, bob later: %q", got)
	}
}

func TestLoadFiles(t *testing.T) {
	document := []byte(`{"accounts": [{"id": "444455556666", "buckets": [{"name": "pics", "files": "pics", "objects": [{"key": "logo", "file": "other/logo.svg"}]}]}],
		"clusters": [{"name": "blue", "issuer": "https://example.com"}],
		"pods": [{"name": "a", "cluster": "blue", "serviceAccount": "a", "role": "arn:aws:iam::444455556666:role/none"}]}`)
	world, err := awstest.Load(document, func(o *awstest.LoadOptions) {
		o.Files = fstest.MapFS{
			"pics/cat.jpg":       {Data: []byte("cat")},
			"pics/dogs/one.jpg":  {Data: []byte("dog")},
			"pics/dogs/link.jpg": {Data: []byte("one.jpg"), Mode: fs.ModeSymlink},
			"other/logo.svg":     {Data: []byte("logo")},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	token := world.Pod("a").TokenFile()
	if _, err := os.Stat(token); err != nil {
		t.Errorf("without TokenDir the volume is in a temporary folder: %v", err)
	}
	cfg := world.Cloud().Config()
	keys := world.Account("444455556666").UserCredentials("admin", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
	pics, err := s3reader.New(cfg, "pics")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for object, err := range pics.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, object.Key)
	}
	if want := []string{"cat.jpg", "dogs/one.jpg", "logo"}; !slices.Equal(got, want) {
		t.Errorf("objects %q, want %q", got, want)
	}
	if err := world.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(token); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Close left the volume: %v", err)
	}
}

// TestWorldSchema holds the published schema against the parser: the error for an
// unknown key lists the keys that the parser knows.
func TestWorldSchema(t *testing.T) {
	type object struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Required   []string                   `json:"required"`
		Additional *bool                      `json:"additionalProperties"`
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(awstest.WorldSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want     object
		document string
	}{
		"document":          {schema.object, "no: 1"},
		"cluster":           {schema.Defs["cluster"], "clusters: [{no: 1}]"},
		"account":           {schema.Defs["account"], "accounts: [{no: 1}]"},
		"provider":          {schema.Defs["provider"], "accounts: [{oidcProviders: [{no: 1}]}]"},
		"organization":      {schema.Defs["organization"], "organization: {no: 1}"},
		"unit":              {schema.Defs["unit"], "organization: {units: [{no: 1}]}"},
		"SCP":               {schema.Defs["organizationPolicy"], "organization: {scps: [{no: 1}]}"},
		"RCP of an account": {schema.Defs["organizationPolicy"], "accounts: [{rcps: [{no: 1}]}]"},
		"access key":        {schema.Defs["accessKey"], "accounts: [{users: [{accessKey: {no: 1}}]}]"},
		"role":              {schema.Defs["role"], "accounts: [{roles: [{no: 1}]}]"},
		"user":              {schema.Defs["user"], "accounts: [{users: [{no: 1}]}]"},
		"bucket":            {schema.Defs["bucket"], "accounts: [{buckets: [{no: 1}]}]"},
		"object":            {schema.Defs["object"], "accounts: [{buckets: [{objects: [{no: 1}]}]}]"},
		"pod":               {schema.Defs["pod"], "pods: [{no: 1}]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := awstest.Load([]byte(c.document))
			if err == nil {
				t.Fatal("an unknown key was accepted")
			}
			_, list, _ := strings.Cut(err.Error(), "has no key \"no\"; it has ")
			list, _, _ = strings.Cut(list, "\n")
			known := strings.Split(list, ", ")
			if len(known) != len(c.want.Properties) || c.want.Additional == nil || *c.want.Additional {
				t.Errorf("the parser knows %q, the schema %d keys", known, len(c.want.Properties))
			}
			for _, key := range known {
				if c.want.Properties[key] == nil {
					t.Errorf("the schema lacks %q", key)
				}
			}
			for _, key := range c.want.Required {
				if !strings.Contains(err.Error(), "lacks the key \""+key+"\"") {
					t.Errorf("the schema requires %q, the parser does not", key)
				}
			}
			if got := strings.Count(err.Error(), "lacks the key"); name != "document" && got < len(c.want.Required) {
				t.Errorf("the parser requires %d keys, the schema %q", got, c.want.Required)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	document, err := os.ReadFile("testdata/world.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(document)
	f.Add([]byte("pods: &p [*p]"))
	f.Add([]byte("organization: &o {units: [*o]}"))
	f.Add([]byte("organization: {units: [{name: a, accounts: ['111122223333'], fullAWSAccess: false, units: [{name: b}]}]}"))
	f.Add([]byte("accounts: [{id: 1, roles: [{trust: {<<: {a: b}}}]}]"))
	f.Fuzz(func(t *testing.T, document []byte) {
		world, err := awstest.Load(document)
		if (world == nil) == (err == nil) {
			t.Fatalf("Load = %v, %v", world, err)
		}
		if world != nil {
			if err := world.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A test can keep its accounts in a file, which crossrole emulate reads too.
func ExampleLoad() {
	document, err := os.ReadFile("testdata/world.yaml")
	if err != nil {
		panic(err)
	}
	world, err := awstest.Load(document)
	if err != nil {
		panic(err)
	}
	defer world.Close()
	pod := world.Pod("app")
	cfg, err := credentials.Wrap(world.Cloud().Config(), credentials.Assume("arn:aws:iam::444455556666:role/S3_Pics"), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
	})
	if err != nil {
		panic(err)
	}
	pics, err := s3reader.New(cfg, "pics")
	if err != nil {
		panic(err)
	}
	cat, err := pics.Get(context.Background(), "cat.jpg")
	fmt.Println(string(cat), err)
	// Output: a cat <nil>
}
