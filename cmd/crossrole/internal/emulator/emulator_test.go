package emulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/emulator"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

const target = "arn:aws:iam::444455556666:role/S3_Pics"

// client drives an emulator over HTTP, as a test suite in another language does.
type client struct {
	t   *testing.T
	url string
}

func start(t *testing.T) client {
	t.Helper()
	document, err := os.ReadFile("../../world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e, err := emulator.New(document, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		server.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return client{t, server.URL}
}

// send makes a request and returns status and body.
func (c client) send(method, path, contentType, body string, headers ...string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// do makes a request that must succeed.
func (c client) do(method, path, body string) string {
	c.t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	status, response := c.send(method, path, contentType, body)
	if status >= 300 {
		c.t.Fatalf("%s %s: %d %s", method, path, status, response)
	}
	return response
}

// environment returns the variables that the emulator prints for the pod.
func (c client) environment() map[string]string {
	c.t.Helper()
	variables := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^export (\w+)='(.*)'$`).FindAllStringSubmatch(c.do("GET", "/_crossrole/pods/app/environment", ""), -1) {
		variables[m[1]] = m[2]
	}
	return variables
}

// reader reads the bucket as the pod; direct without roles.
func (c client) reader(roles ...string) *s3reader.Reader {
	c.t.Helper()
	env := c.environment()
	role := env["AWS_ROLE_ARN"]
	if len(roles) == 0 {
		role = target
	}
	base := aws.Config{Region: env["AWS_REGION"], BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), Credentials: aws.AnonymousCredentials{}}
	cfg, err := credentials.Wrap(base, credentials.Assume(roles...), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: role, TokenFile: env["AWS_WEB_IDENTITY_TOKEN_FILE"]}
		o.STS = func(o *sts.Options) { o.BaseEndpoint = aws.String(env["AWS_ENDPOINT_URL"]) }
	})
	if err != nil {
		c.t.Fatal(err)
	}
	pics, err := s3reader.New(cfg, "pics", func(o *s3reader.Options) { o.PathStyle = true })
	if err != nil {
		c.t.Fatal(err)
	}
	return pics
}

func (c client) read(r *s3reader.Reader) error {
	data, err := r.Get(c.t.Context(), "indoor-cat.jpg")
	if err == nil && string(data) != "meow" {
		c.t.Errorf("read %q", data)
	}
	return err
}

// TestScenario plays a move to another cluster by the control API alone.
func TestScenario(t *testing.T) {
	c := start(t)
	direct, hub := c.reader(), c.reader(target)
	for name, r := range map[string]*s3reader.Reader{"direct": direct, "hub": hub} {
		if err := c.read(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}

	before, err := os.ReadFile(c.environment()["AWS_WEB_IDENTITY_TOKEN_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	c.do("POST", "/_crossrole/pods/app/rotate", "")
	if after, err := os.ReadFile(c.environment()["AWS_WEB_IDENTITY_TOKEN_FILE"]); err != nil || bytes.Equal(before, after) {
		t.Errorf("rotate left the token as it was (%v)", err)
	}

	c.do("POST", "/_crossrole/pods/app/move", `{"cluster": "green"}`)
	if err := c.read(c.reader(target)); err != nil {
		t.Errorf("hub, from green: %v", err)
	}
	if err := c.read(c.reader()); err == nil || !strings.Contains(err.Error(), "OIDCProviderMissing") {
		t.Errorf("direct, from green: %v; want OIDCProviderMissing", err)
	}
	if calls := c.do("GET", "/_crossrole/calls?refused=true&last=1", ""); !strings.Contains(calls, `"InvalidIdentityToken"`) {
		t.Errorf("the last refused call: %s", calls)
	}
	if _, err := hub.Get(t.Context(), "dogs/none.jpg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing object: %v", err)
	}
	if err := c.read(c.reader("arn:aws:iam::444455556666:role/Other")); err == nil {
		t.Error("a role that does not exist was assumed")
	}
	if calls := c.do("GET", "/_crossrole/calls?refused=true&last=1", ""); !strings.Contains(calls, `"explain": "`) {
		t.Errorf("the refused AssumeRole is not explained: %s", calls)
	}

	c.do("POST", "/_crossrole/reset", "")
	if got := c.do("GET", "/_crossrole/calls", ""); strings.TrimSpace(got) != "[]" {
		t.Errorf("calls after a reset: %s", got)
	}
	if err := c.read(c.reader()); err != nil {
		t.Errorf("direct, after a reset: %v", err)
	}
}

// TestSessionsExpire makes a session older, and revokes one: a program that holds
// it is refused, renews it and goes on.
func TestSessionsExpire(t *testing.T) {
	c := start(t)
	for _, step := range [][2]string{
		{"/_crossrole/clock/advance", `{"by": "2h"}`},
		{"/_crossrole/roles/revoke", `{"arn": "` + target + `"}`},
	} {
		r := c.reader(target)
		if err := c.read(r); err != nil {
			t.Fatal(err)
		}
		c.do("POST", step[0], step[1])
		if err := c.read(r); err != nil {
			t.Errorf("after %s: %v", step[0], err)
		}
		if calls := c.do("GET", "/_crossrole/calls?refused=true&last=2", ""); !strings.Contains(calls, "GetObject") {
			t.Errorf("after %s no read was refused: %s", step[0], calls)
		}
	}
}

// TestAdministrator creates a role as the administrator of an account, whose key stays
// the same when the world is reset.
func TestAdministrator(t *testing.T) {
	c := start(t)
	lines := c.do("GET", "/_crossrole/accounts/111122223333/environment", "")
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^export (\w+)='(.*)'$`).FindAllStringSubmatch(lines, -1) {
		env[m[1]] = m[2]
	}
	client := iam.New(iam.Options{
		Region: env["AWS_REGION"], BaseEndpoint: new(env["AWS_ENDPOINT_URL"]),
		Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"]}, nil
		})),
	})
	create := func() error {
		_, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: new("new"), AssumeRolePolicyDocument: new(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}]}`)})
		return err
	}
	if err := create(); err != nil {
		t.Fatal(err)
	}
	c.do("POST", "/_crossrole/reset", "")
	if again := c.do("GET", "/_crossrole/accounts/111122223333/environment", ""); again != lines {
		t.Errorf("after a reset:\n%s\nbefore:\n%s", again, lines)
	}
	if err := create(); err != nil {
		t.Errorf("after a reset: %v", err)
	}
}

func TestFaults(t *testing.T) {
	c := start(t)
	var added struct{ ID int }
	if err := json.Unmarshal([]byte(c.do("POST", "/_crossrole/faults", `{"operation": "GetObject", "status": 403, "code": "AccessDenied", "delay": "1ms"}`)), &added); err != nil {
		t.Fatal(err)
	}
	r := c.reader()
	if err := c.read(r); err == nil {
		t.Error("the fault did not strike")
	}
	if got := c.do("GET", "/_crossrole/faults", ""); !strings.Contains(got, `"delay": "1ms"`) {
		t.Errorf("faults: %s", got)
	}
	c.do("DELETE", "/_crossrole/faults/1", "")
	if err := c.read(r); err != nil {
		t.Errorf("after the fault was removed: %v", err)
	}
}

// TestControlRefuses sends what the control API must refuse; the world stays.
func TestControlRefuses(t *testing.T) {
	c := start(t)
	const json = "application/json"
	for name, x := range map[string]struct {
		method, path, contentType, body string
		headers                         []string
		status                          int
		want                            string
	}{
		"unknown operation":       {"GET", "/_crossrole/nothing", "", "", nil, 404, "has no GET /_crossrole/nothing"},
		"pod":                     {"POST", "/_crossrole/pods/none/rotate", "", "", nil, 404, `there is no pod \"none\"; there are [\"app\"]`},
		"account":                 {"GET", "/_crossrole/accounts/999999999999/environment", "", "", nil, 404, `there is no account \"999999999999\"; there are [\"111122223333\" \"444455556666\"]`},
		"cluster":                 {"POST", "/_crossrole/pods/app/move", json, `{"cluster": "red"}`, nil, 400, `there is no cluster \"red\"`},
		"role":                    {"POST", "/_crossrole/roles/revoke", json, `{"arn": "x"}`, nil, 404, `there is no role \"x\"`},
		"fault without status":    {"POST", "/_crossrole/faults", json, `{"code": "AccessDenied"}`, nil, 400, "set Status too"},
		"fault's operation":       {"POST", "/_crossrole/faults", json, `{"operation": "Nothing"}`, nil, 400, "unknown Operation"},
		"fault's delay":           {"POST", "/_crossrole/faults", json, `{"delay": "soon"}`, nil, 400, "invalid duration"},
		"fault's unknown field":   {"POST", "/_crossrole/faults", json, `{"Operatoin": "x"}`, nil, 400, "unknown field"},
		"no fault":                {"DELETE", "/_crossrole/faults/7", "", "", nil, 404, "there is no fault"},
		"clock backwards":         {"POST", "/_crossrole/clock/advance", json, `{"by": "-1h"}`, nil, 400, "by is -1h0m0s"},
		"two values":              {"POST", "/_crossrole/clock/advance", json, `{"by": "1h"}{}`, nil, 400, "more than one JSON value"},
		"form":                    {"POST", "/_crossrole/clock/advance", "text/plain", `{"by": "1h"}`, nil, 415, "send application/json"},
		"world":                   {"PUT", "/_crossrole/world", "application/yaml", "pods: 1", nil, 422, `1:7: pods is \"1\"; it is a list`},
		"calls":                   {"GET", "/_crossrole/calls?last=0", "", "", nil, 400, "want 1 to 10000"},
		"calls' parameter":        {"GET", "/_crossrole/calls?first=1", "", "", nil, 400, "use last or refused"},
		"long body":               {"PUT", "/_crossrole/world", "application/yaml", strings.Repeat("#", 1<<20+1), nil, 413, "more than 1048576 bytes"},
		"host of another site":    {"POST", "/_crossrole/reset", "", "", []string{"Host", "evil.example:80"}, 403, "not requests for host"},
		"page of another site":    {"POST", "/_crossrole/reset", "", "", []string{"Origin", "https://evil.example"}, 403, "no requests from web pages"},
		"reading by another host": {"GET", "/_crossrole/world", "", "", []string{"Host", "evil.example"}, 403, "not requests for host"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := c.send(x.method, x.path, x.contentType, x.body, x.headers...)
			if status != x.status || !strings.Contains(body, x.want) {
				t.Errorf("%d %s\nwant %d and %q", status, body, x.status, x.want)
			}
		})
	}
	if err := c.read(c.reader(target)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestWorldIsReplaced puts another document; a wrong one leaves all as it was.
func TestWorldIsReplaced(t *testing.T) {
	c := start(t)
	if status, _ := c.send("PUT", "/_crossrole/world", "application/yaml", "accounts: [{id: \"1\"}]"); status != 422 {
		t.Fatalf("a wrong document: %d", status)
	}
	if err := c.read(c.reader()); err != nil {
		t.Fatal(err)
	}
	token := c.environment()["AWS_WEB_IDENTITY_TOKEN_FILE"]
	const other = "accounts:\n  - {id: \"999988887777\", buckets: [{name: other}]}\n"
	if status, got := c.send("PUT", "/_crossrole/world", "application/yaml", other); status != 200 || !strings.Contains(got, "999988887777") {
		t.Fatalf("a right document: %d %s", status, got)
	}
	if _, err := os.Stat(token); err == nil {
		t.Error("the token of a pod that is gone is still there")
	}
}

// TestPage opens the page as a browser does. A signed or another client gets S3's
// response.
func TestPage(t *testing.T) {
	c := start(t)
	if err := c.read(c.reader()); err != nil {
		t.Fatal(err)
	}
	c.send("GET", "/pics/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "", "")
	status, page := c.send("GET", "/", "", "", "Accept", "text/html,application/xhtml+xml")
	for _, want := range []string{"arn:aws:iam::444455556666:role/S3_Pics", "pics", "AssumeRoleWithWebIdentity", "identity policy of arn:aws:iam::444455556666:role/S3_Pics: statement 1", "&lt;script&gt;alert(1)"} {
		if status != 200 || !strings.Contains(page, want) {
			t.Errorf("%d, the page lacks %q", status, want)
		}
	}
	for _, bad := range []string{"<script", "http://www", "src="} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if status, body := c.send("GET", "/", "", ""); status < 400 || !strings.Contains(body, "<Error><Code>") {
		t.Errorf("ListBuckets without a signature: %d %s", status, body)
	}
}

// TestOpenAPI holds the published document against the API: each operation is
// there, answers, and no other is served.
func TestOpenAPI(t *testing.T) {
	c := start(t)
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]json.RawMessage
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]json.RawMessage }
		}
	}
	if err := json.Unmarshal([]byte(c.do("GET", "/_crossrole/openapi.json", "")), &document); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, operations := range document.Paths {
		for method, operation := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
			if operation.OperationID == "" || operation.Responses["default"] == nil {
				t.Errorf("%s %s lacks an operationId or the response of an error", method, path)
			}
		}
	}
	slices.Sort(described)
	if served := emulator.Operations(); !slices.Equal(described, served) {
		t.Errorf("described %q\nserved    %q", described, served)
	}
	for name, fields := range map[string][]string{"Fault": emulator.FaultFields(), "Call": emulator.CallFields()} {
		if described := slices.Sorted(maps.Keys(document.Components.Schemas[name].Properties)); !slices.Equal(described, fields) {
			t.Errorf("a %s is described with %q\nand has                 %q", name, described, fields)
		}
	}
}
