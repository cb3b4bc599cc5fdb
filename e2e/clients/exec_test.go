package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/programs"
	"github.com/crossrole/crossrole/e2e/served"
)

// client is a program that prints the ARN of its identity, or several.
type client struct {
	name string
	args []string
	dir  string
}

const pythonClient = `
import botocore.session, os
sts = botocore.session.get_session().create_client("sts", endpoint_url=os.environ["ENDPOINT"])
print(sts.get_caller_identity()["Arn"])
`

// execClients returns botocore and the CLI in all installed versions, and the JavaScript
// SDKs.
func execClients(t *testing.T, w *world) []client {
	t.Helper()
	node, js := programs.Node(t, "js", "exec.mjs")
	clients := []client{{"JavaScript v2 and v3", []string{node, "exec.mjs"}, js}}
	seen := map[string]bool{}
	add := func(name string, version, args []string) {
		out, err := exec.CommandContext(t.Context(), version[0], version[1:]...).CombinedOutput()
		if text := strings.TrimSpace(string(out)); err == nil && !seen[text] {
			seen[text] = true
			clients = append(clients, client{name + " " + text, args, t.TempDir()})
		}
	}
	for _, aws := range []string{programs.AWS(t), "/usr/bin/aws"} {
		add("CLI", []string{aws, "--version"}, []string{aws, "sts", "get-caller-identity", "--query", "Arn", "--output", "text", "--endpoint-url", w.url})
	}
	for _, python := range programs.Pythons(t, "botocore", "install the Debian package python3-boto3") {
		clients = append(clients, client{"botocore " + python.Version, []string{python.Path, "-c", pythonClient}, t.TempDir()})
	}
	return clients
}

// way is a way to give a client credentials other than the role's.
type way struct {
	name     string
	env      []string
	homeFile string // below HOME
	text     string
	keep     bool // the file cannot be hidden from every SDK
}

func waysOf(t *testing.T, w *world) []way {
	t.Helper()
	rival := w.cloud.Account("111122223333").UserCredentials("rival", "")
	keys := fmt.Sprintf("aws_access_key_id = %s\naws_secret_access_key = %s\n", rival.AccessKeyID, rival.SecretAccessKey)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":"","Expiration":%q}`, rival.AccessKeyID, rival.SecretAccessKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(endpoint.Close)
	return []way{
		{name: "keys", env: []string{"AWS_ACCESS_KEY_ID=" + rival.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + rival.SecretAccessKey}},
		{name: "AMAZON keys", env: []string{"AMAZON_ACCESS_KEY_ID=" + rival.AccessKeyID, "AMAZON_SECRET_ACCESS_KEY=" + rival.SecretAccessKey}},
		{name: "profile", env: []string{"AWS_PROFILE=rival", "AWS_SHARED_CREDENTIALS_FILE=" + file("credentials", "[rival]\n"+keys)}},
		{name: "config file", env: []string{"AWS_CONFIG_FILE=" + file("config", "[default]\n"+keys)}},
		{name: "AWS_CREDENTIAL_FILE", env: []string{"AWS_CREDENTIAL_FILE=" + file("tools", "AWSAccessKeyId="+rival.AccessKeyID+"\nAWSSecretKey="+rival.SecretAccessKey+"\n")}},
		{name: "BOTO_CONFIG", env: []string{"BOTO_CONFIG=" + file("boto", "[Credentials]\n"+keys)}},
		{name: "endpoint", env: []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + endpoint.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN=x"}},
		{name: "~/.boto", homeFile: ".boto", text: "[Credentials]\n" + keys},
		{name: "~/.aws/credentials", homeFile: ".aws/credentials", text: "[default]\n" + keys, keep: true},
		{name: "~/.aws/config", homeFile: ".aws/config", text: "[default]\n" + keys, keep: true},
		{name: "credential_process", homeFile: ".aws/config", keep: true, text: "[default]\ncredential_process = echo '" +
			fmt.Sprintf(`{"Version":1,"AccessKeyId":%q,"SecretAccessKey":%q}`, rival.AccessKeyID, rival.SecretAccessKey) + "'\n"},
	}
}

// Each client is given other credentials in every way that it supports, and still uses
// the role.
func TestClientsExec(t *testing.T) {
	w := newWorld(t)
	defer w.report(t)
	program := served.Command(t)
	clients := execClients(t, w)
	for _, way := range waysOf(t, w) {
		t.Run(way.name, func(t *testing.T) {
			home := t.TempDir()
			env := append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"), "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"), "NO_PROXY=*", "AWS_REGION=us-east-1", "ENDPOINT=" + w.url}, way.env...)
			if way.homeFile != "" {
				path := filepath.Join(home, way.homeFile)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(way.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			pod := append(append(w.pod.Env(), "AWS_ENDPOINT_URL_STS="+w.url), env...)
			taken := false
			for _, c := range clients {
				if !taken {
					alone := exec.CommandContext(t.Context(), c.args[0], c.args[1:]...)
					alone.Dir, alone.Env = c.dir, append(env, "AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_REGION=us-east-1")
					out, _ := alone.Output() // without other credentials it fails
					taken = strings.Contains(string(out), "user/rival")
				}
				args := []string{"exec", "--role", w.target.ARN()}
				if way.keep {
					refused := exec.CommandContext(t.Context(), program, append(args, "--", "true")...)
					refused.Env = pod
					if out, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(out), way.homeFile) {
						t.Errorf("exec starts although ~/%s is there: %v\n%s", way.homeFile, err, out)
					}
					args = append(args, "--keep-home-files")
				}
				under := exec.CommandContext(t.Context(), program, append(append(args, "--"), c.args...)...)
				under.Dir, under.Env = c.dir, pod
				var stderr strings.Builder
				under.Stderr = &stderr
				out, err := under.Output()
				if err != nil {
					t.Errorf("%s: %v\n%s", c.name, err, &stderr)
					continue
				}
				arns := map[string]string{"": strings.TrimSpace(string(out))}
				if strings.HasPrefix(string(out), "{") {
					arns = map[string]string{}
					if err := json.Unmarshal(out, &arns); err != nil {
						t.Fatalf("%s: %v in %s", c.name, err, out)
					}
				}
				for version, arn := range arns {
					if !strings.HasPrefix(arn, "arn:aws:sts::444455556666:assumed-role/S3_Pics/") {
						t.Errorf("%s %s acts as %s", c.name, version, arn)
					}
				}
			}
			if !taken {
				t.Error("no client takes these credentials without exec: this is no way any more")
			}
		})
	}
	for _, c := range clients {
		t.Log(c.name)
	}
}
