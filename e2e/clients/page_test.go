package clients_test

import (
	"bytes"
	"flag"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/e2e/programs"
)

var screenshot = flag.String("screenshot", "", "write the screenshot of the emulator's page to this PNG `FILE`")

// chromium opens a page without a window, and returns what it prints.
func chromium(t *testing.T, page string, args ...string) []byte {
	t.Helper()
	path := programs.Find(t, "chromium", "install the Debian package chromium")
	args = append(args, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir="+t.TempDir(), page)
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = programs.Alone(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, &stderr)
	}
	return out
}

// otherWorld has a role that admits another service account than the pod's.
const otherWorld = `
clusters:
  - {name: blue, issuer: ` + issuer + `}
accounts:
  - id: "111122223333"
  - id: "444455556666"
    oidcProviders: [{cluster: blue}]
    roles:
      - name: S3_Pics
        trust:
          Version: 2012-10-17
          Statement:
            - Sid: OtherPod
              Effect: Allow
              Principal: {Federated: ` + providerARN + `}
              Action: sts:AssumeRoleWithWebIdentity
              Condition:
                StringEquals:
                  oidc.eks.us-east-1.amazonaws.com/id/BLUE:sub: system:serviceaccount:default:other
                  oidc.eks.us-east-1.amazonaws.com/id/BLUE:aud: sts.amazonaws.com
        policy: {Version: 2012-10-17, Statement: {Effect: Allow, Action: "s3:GetObject", Resource: "arn:aws:s3:::pics/*"}}
    buckets: [{name: pics}]
pods:
  - {name: app, cluster: blue, serviceAccount: app, role: ` + targetRole + `}
`

// Chromium shows the emulator's page with a refused call and the statement that refused
// it.
func TestClientsEmulatePage(t *testing.T) {
	t.Parallel()
	programs.Find(t, "chromium", "install the Debian package chromium")
	e := emulate(t, otherWorld)
	token, err := os.ReadFile(e.tokenFile(t))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.PostForm(e.url, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {targetRole}, "RoleSessionName": {"page"}, "WebIdentityToken": {string(token)},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	refused := e.lastRefusal(t)
	if !strings.Contains(refused.Explain, "OtherPod") {
		t.Fatalf("%v does not name the statement OtherPod", refused)
	}

	dom := string(chromium(t, e.url+"/", "--dump-dom"))
	for _, want := range []string{devID, sharedID, issuer, targetRole, refused.Code, refused.Operation, refused.Explain} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page does not show %q:\n%s", want, dom)
		}
	}

	file := *screenshot
	if file == "" {
		file = filepath.Join(t.TempDir(), "page.png")
	}
	chromium(t, e.url+"/", "--screenshot="+file, "--window-size=1280,900")
	picture, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if config, err := png.DecodeConfig(bytes.NewReader(picture)); err != nil || config.Width != 1280 {
		t.Errorf("the screenshot is %d pixels wide, %v; want 1280", config.Width, err)
	}
}
