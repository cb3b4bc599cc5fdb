package main

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/internal/bareenv"
	"github.com/crossrole/crossrole/trust"
)

func TestMain(m *testing.M) {
	testscript.Main(bareTests{m}, map[string]func(){"crossrole": main})
}

// bareTests are the tests, and not the command that the scripts run, without the
// shell's AWS variables.
type bareTests struct{ *testing.M }

func (t bareTests) Run() int {
	bareenv.Clear()
	debug.SetGCPercent(400) // the tests hold little memory, so that much of their time went into collecting it
	return t.M.Run()
}

// TestScripts runs testdata/script: the command in a pod of awstest. Each script
// has its own cloud; the command pod changes it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Setup:               setUpPod,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"pod": changePod},
		RequireExplicitExec: true,
	})
}

// fakePod is what the scripts' pod stands in.
type fakePod struct {
	cloud       *awstest.Cloud
	dev         *awstest.Account
	cluster     *awstest.Cluster
	hub, target *awstest.Role
	pod         *awstest.Pod
	pics        *awstest.Bucket
}

func setUpPod(env *testscript.Env) error {
	p, vars := newFakePod(deferring{env}, env.WorkDir)
	issuer, certificate := issuerServer(env)
	env.Vars = append(append(env.Vars, vars...), "ISSUER="+issuer, "SSL_CERT_FILE="+certificate)
	env.Values["pod"] = p
	return os.WriteFile(filepath.Join(env.WorkDir, "hub-trust.json"), []byte(p.trusts("app")), 0o600)
}

// newFakePod makes a cloud and a pod in it, with files below dir, and the
// environment that the pod has.
func newFakePod(t awstest.TB, dir string) (*fakePod, []string) {
	p := newQuietPod(dir)
	url := p.cloud.Serve(t)
	return p, append(p.pod.Env(),
		"AWS_ENDPOINT_URL_STS="+url, "AWS_ENDPOINT_URL_S3="+url,
		"AWS_CONFIG_FILE="+filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(dir, "none"),
		"HUB="+p.hub.ARN(), "TARGET="+target)
}

const target = "arn:aws:iam::444455556666:role/S3_Pics"

// newQuietPod is the same without a listener, as a testing/synctest bubble needs
// it.
func newQuietPod(dir string) *fakePod {
	p := &fakePod{cloud: awstest.New()}
	p.dev = p.cloud.Account("111122223333")
	shared := p.cloud.Account("444455556666")
	p.cluster = p.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	p.dev.AddOIDCProvider(p.cluster)
	p.hub = p.dev.CreateRole("hub", p.trusts("app"), trust.AssumePolicy([]string{target}).String())
	p.target = shared.CreateRole("S3_Pics", trust.RolePolicy(p.hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	p.pics = shared.CreateBucket("pics")
	p.pics.Put("indoor-cat.jpg", []byte("meow"))
	p.pod = p.cluster.Pod(filepath.Join(dir, "volume"), "default", "app", p.hub.ARN())
	return p
}

func (p *fakePod) trusts(serviceAccount string) string {
	return trust.WebIdentityPolicy(p.dev.ID(), []string{p.cluster.Issuer()}, []string{awstest.Subject("default", serviceAccount)}).String()
}

// changePod makes something go wrong: pod THING.
func changePod(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value("pod").(*fakePod)
	switch what := strings.Join(args, " "); what {
	case "loses its provider":
		p.dev.RemoveOIDCProvider(p.cluster)
	case "is not trusted":
		p.hub.SetTrust(p.trusts("other"))
	case "is not trusted by the target":
		p.target.SetTrust(trust.RolePolicy("arn:aws:iam::444455556666:root").String())
	case "may not assume roles, by its organization":
		org := p.cloud.Organization()
		org.Add(p.dev)
		org.AttachSCP("NoRoles", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}`)
	case "may not read, by its organization":
		org := p.cloud.Organization()
		org.Remove(p.dev)
		org.Add(p.cloud.Account("444455556666"))
		org.AttachRCP("NoReading", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":"*"}]}`)
	case "may not list":
		p.target.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/*"}]}`)
	case "has a bucket in another region":
		p.pics.SetRegion("eu-west-1")
	case "fills the bucket":
		p.fill()
	case "loses an object":
		p.cloud.Fault(awstest.Fault{Operation: "GetObject", Key: "tree/a/2", Status: 403, Code: "AccessDenied"})
	case "has a new token":
		p.pod.Rotate()
	case "has an old token":
		p.pod.Rotate(func(token *trust.Token) { token.Expires = time.Now().Add(-time.Hour) })
	default:
		ts.Fatalf("pod %s: not known", what)
	}
}

// fill puts objects into the bucket that are to become files.
func (p *fakePod) fill() {
	bucket := p.pics
	for _, key := range []string{"tree/a/1", "tree/a/2", "tree/a/3", "tree/b", "odd/../up", "odd/line\nbreak"} {
		bucket.Put(key, []byte(key[:min(6, len(key))]))
	}
	bucket.Put("tree/a/", nil)
	for i := range 100 {
		bucket.Put(fmt.Sprintf("many/%d/%d", i%3, i), []byte("x"))
	}
}

// deferring is the part of a test that awstest needs.
type deferring struct{ env *testscript.Env }

func (deferring) Helper()                          {}
func (d deferring) Cleanup(f func())               { d.env.Defer(f) }
func (d deferring) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

// issuerServer is a cluster's issuer by https on loopback, and the file of the
// certificate that vouches for it.
func issuerServer(env *testscript.Env) (url, certificate string) {
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	env.Defer(server.Close)
	for path, name := range map[string]string{"/good": "/good", "/slash": "/slash/", "/nokeys": "/nokeys"} {
		mux.HandleFunc(path+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, server.URL+name, server.URL+path+"/keys")
		})
		keys := `{"keys":[{"kty":"RSA","kid":"k1","alg":"RS256","use":"sig"}]}`
		if path == "/nokeys" {
			keys = `{"keys":[]}`
		}
		mux.HandleFunc(path+"/keys", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, keys) })
	}
	file := filepath.Join(env.WorkDir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		panic(err)
	}
	return server.URL, file
}
