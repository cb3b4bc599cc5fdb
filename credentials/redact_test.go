package credentials_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcredentials "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

const externalID = "external-id-canary-0815"

// canaries are the secrets that went over the wire, and parts of them that
// would give them away. It listens as an HTTP client.
type canaries struct {
	inner aws.HTTPClient

	mu      sync.Mutex
	secrets map[string]string // what it is, by the secret
}

var (
	replyKeys = regexp.MustCompile(`<(SecretAccessKey|SessionToken)>([^<]*)<`)
	signature = regexp.MustCompile(`Signature=([0-9a-f]{64})`)
)

// Format keeps the test's own double out of what it looks for.
func (c *canaries) Format(f fmt.State, _ rune) { fmt.Fprint(f, "canaries") }

func newCanaries(inner aws.HTTPClient) *canaries {
	return &canaries{inner: inner, secrets: map[string]string{externalID: "external id"}}
}

func (c *canaries) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err := url.ParseQuery(string(body)); err == nil {
			c.add("token", form.Get("WebIdentityToken"))
		}
	}
	if m := signature.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		c.add("signature", m[1])
	}
	resp, err := c.inner.Do(r)
	if err != nil || !strings.HasPrefix(r.URL.Host, "sts.") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	for _, m := range replyKeys.FindAllStringSubmatch(string(body), -1) {
		c.add(m[1], m[2])
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// add takes a secret note of: the whole, its first half and, of a token, each of
// the three parts.
func (c *canaries) add(what, secret string) {
	if len(secret) < 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, part := range append(strings.Split(secret, "."), secret) {
		c.secrets[part] = what
		if len(part) > 32 {
			c.secrets[part[:len(part)/2]] = "half of " + what
		}
	}
}

// silent fails the test if v shows a secret in any of the ways to print it.
func (c *canaries) silent(t *testing.T, name string, v any) {
	t.Helper()
	var texts []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(verb, v)
		texts = append(texts, text)
		if verb == "%x" { // hex hides, and can be read
			if plain, err := fromHex(text); err == nil {
				texts = append(texts, plain)
			}
		}
	}
	var logged bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(handler).Info("canary", "it", v, slog.Group("in", "it", v))
	}
	texts = append(texts, logged.String())
	if b, err := json.Marshal(v); err == nil {
		texts = append(texts, string(b))
	} else {
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		c.check(t, name, text)
	}
}

func fromHex(s string) (string, error) {
	var b []byte
	_, err := fmt.Sscanf(s, "%x", &b)
	return string(b), err
}

func (c *canaries) check(t *testing.T, name, text string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for secret, what := range c.secrets {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			t.Errorf("%s shows the %s %q:\n%s", name, what, secret, text)
		}
	}
}

// Nothing that belongs to the library shows a secret, however it is printed.
func TestNothingPrintsSecrets(t *testing.T) {
	s := newScene(t)
	listener := newCanaries(s.cloud.Config().HTTPClient)
	base := s.cloud.Config()
	base.HTTPClient = listener
	keys := s.dev.UserCredentials("ada", mayAssume)
	listener.add("secret key", keys.SecretAccessKey)
	base.Credentials = sdkcredentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")
	provider := credentials.Provider{Name: "vault", Credentials: base.Credentials}

	role := credentials.Role{ARN: s.target.ARN(), ExternalID: externalID}
	s.target.SetTrust(trust.RolePolicy(s.hub.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = externalID }).String())
	var options credentials.Options
	sent := make(chan credentials.Event, 16)
	chain := newChain(t, base, func(o *credentials.Options) {
		o.Source, o.Roles = s.web(), []credentials.Role{role}
		o.OnEvent = func(e credentials.Event) { sent <- e }
		options = *o
	})
	fromBase := newChain(t, base, func(o *credentials.Options) { o.Source, o.Roles = credentials.FromBase{}, []credentials.Role{role} })
	fromProvider := newChain(t, base, func(o *credentials.Options) { o.Source, o.Roles = provider, []credentials.Role{role} })
	poolOptions := credentials.PoolOptions{Options: options}
	pool, err := credentials.NewPool(base, func(o *credentials.PoolOptions) {
		o.Source, o.OnEvent, o.Roles = provider, nil, []credentials.Role{{ARN: s.hub.ARN(), ExternalID: externalID}}
	})
	check(t, err)
	pooled := poolChain(t, pool, role)
	_, err = fetch(t.Context(), chain.Config())
	check(t, err)
	events := []credentials.Event{<-sent, <-sent}
	if len(listener.secrets) < 10 {
		t.Fatalf("%d secrets: the test heard too little", len(listener.secrets))
	}
	withProvider := options
	withProvider.Source = provider
	for name, v := range map[string]any{
		"the chain": chain, "a chain from base": fromBase, "a chain from a provider": fromProvider,
		"its configuration": chain.Config(), "a pointer to it": new(chain.Config()), "its credentials": chain.Config().Credentials,
		"options": options, "a pointer to them": &options, "options with a provider": withProvider, "pool options": poolOptions,
		"a pool": pool, "a chain of it": pooled, "its turn": credentials.Warmed{Role: role},
		"a role": role, "a pointer to it ": &role, "roles": []credentials.Role{role}, "a map of roles": map[string]credentials.Role{"x": role},
		"a provider": provider, "a pointer to it  ": &provider, "a source": credentials.Source(provider),
		"web identity": s.web(), "status": chain.Status(), "events": events,
		"something that holds it all": struct {
			Chain   *credentials.Chain
			Options credentials.Options
			Any     any
		}{chain, withProvider, role},
	} {
		listener.silent(t, name, v)
	}
}

// The library prints what people need all the same.
func TestWhatIsPrinted(t *testing.T) {
	role := credentials.Role{ARN: targetARN, SessionName: "reader", ExternalID: externalID}
	chain := newChain(t, awstest.New().Config(), credentials.Assume(targetARN), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: "/token"}
	})
	const asText = "web identity → " + hubARN + " → " + targetARN
	for _, row := range []struct {
		format string
		v      any
		want   string
	}{
		{"%v", role, `credentials.Role{ARN: "` + targetARN + `", SessionName: "reader"}`},
		{"%+v", credentials.Provider{Name: "vault"}, "credentials.Provider{vault}"},
		{"%v", chain, asText},
		{"%#v", chain, asText},
		{"%v", chain.Config().Credentials, asText},
	} {
		if got := fmt.Sprintf(row.format, row.v); got != row.want {
			t.Errorf("%s of a %T is %q, want %q", row.format, row.v, got, row.want)
		}
	}
	for _, row := range []struct {
		v    any
		want string
	}{
		{role, `"` + targetARN + `"`},
		{credentials.Provider{Name: "vault"}, `"vault"`},
		{chain, `"` + asText + `"`},
	} {
		if got, err := json.Marshal(row.v); err != nil || string(got) != row.want {
			t.Errorf("%T in JSON is %s (%v), want %s", row.v, got, err, row.want)
		}
	}
}
