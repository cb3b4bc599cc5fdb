package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

const metadataHost = "169.254.169.254"

// metadata is the instance metadata service (IMDSv2 only) of a node whose role
// is the hub.
type metadata struct {
	scene *scene
	reply map[string]func() (*http.Response, error) // by path, instead of the real response
	asked []string
}

const metadataToken = "imds-session-token"

func (s *scene) withMetadata() (*metadata, aws.Config) {
	m := &metadata{scene: s, reply: map[string]func() (*http.Response, error){}}
	base := s.cloud.Config()
	cloud := base.HTTPClient
	base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == metadataHost {
			return m.answer(r)
		}
		return cloud.Do(r)
	})
	return m, base
}

func (m *metadata) answer(r *http.Request) (*http.Response, error) {
	m.asked = append(m.asked, r.Method+" "+r.URL.Path)
	if reply := m.reply[r.URL.Path]; reply != nil {
		return reply()
	}
	const list = "/latest/meta-data/iam/security-credentials/"
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
		resp := answer(200, "text/plain", metadataToken)
		resp.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		return resp, nil
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") != metadataToken:
		return answer(401, "text/plain", "Unauthorized"), nil
	case r.URL.Path == list:
		return answer(200, "text/plain", "hub"), nil
	case r.URL.Path == list+"hub":
		c := m.scene.hubSession()
		return answer(200, "text/plain", fmt.Sprintf(`{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
			c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expires.UTC().Format(time.RFC3339))), nil
	}
	return answer(404, "text/plain", "Not Found"), nil
}

// The environment switches the service off and moves it elsewhere for the SDK's
// default chain; a source that was chosen stays what it is.
func TestNodeRole(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	bait := newBait(t)
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		metadata, base := s.withMetadata()
		chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = credentials.NodeRole{} })
		for range 2 {
			if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
				t.Fatalf("got %q, %v", got, err)
			}
			time.Sleep(2 * time.Hour)
		}
		want := []string{
			"PUT /latest/api/token",
			"GET /latest/meta-data/iam/security-credentials/", "GET /latest/meta-data/iam/security-credentials/hub",
			"GET /latest/meta-data/iam/security-credentials/", "GET /latest/meta-data/iam/security-credentials/hub",
		}
		if got := strings.Join(metadata.asked, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("asked:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
		}
		if got, want := fmt.Sprint(chain.ProviderSources()), fmt.Sprint([]aws.CredentialSource{aws.CredentialSourceIMDS, aws.CredentialSourceSTSAssumeRole}); got != want {
			t.Errorf("sources %s, want %s", got, want)
		}
	})
	bait.untouched(t)
}

// Nothing but the choice of NodeRole leads to the metadata service.
func TestNodeRoleIsNeverTheWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		metadata, base := s.withMetadata()
		for _, source := range []credentials.Source{
			nil,
			credentials.WebIdentity{RoleARN: s.hub.ARN(), TokenFile: "/not/there"},
			credentials.PodIdentity{Endpoint: agentEndpoint, TokenFile: s.pod.TokenFile()},
			credentials.FromBase{},
			credentials.Provider{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, errors.New("sealed")
			})},
		} {
			cfg, err := credentials.Wrap(base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = source })
			if err == nil {
				_, err = fetch(t.Context(), cfg)
			}
			if err == nil {
				t.Errorf("%v read the bucket", source)
			}
		}
		if len(metadata.asked) > 0 {
			t.Errorf("asked: %v", metadata.asked)
		}
	})
}

func TestNodeRoleFails(t *testing.T) {
	const token, list = "/latest/api/token", "/latest/meta-data/iam/security-credentials/"
	status := func(code int, body string) func() (*http.Response, error) {
		return func() (*http.Response, error) { return answer(code, "text/plain", body), nil }
	}
	dropped := func() (*http.Response, error) {
		return nil, &url.Error{Op: "Put", URL: "http://" + metadataHost + token, Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("i/o timeout")}}
	}
	const hopLimit = "HttpPutResponseHopLimit=2"
	for _, row := range []struct {
		name, path string
		reply      func() (*http.Response, error)
		kind       credentials.Kind
		want       []string
	}{
		// The reply to the PUT has a TTL of one network hop, and a pod is two away.
		{"hop limit", token, dropped, credentials.STSUnreachable, []string{"i/o timeout", hopLimit, "--http-put-response-hop-limit 2"}},
		{"switched off", token, status(403, "Forbidden"), credentials.STSUnreachable, []string{"HTTP 403"}},
		{"no role", list, status(404, "Not Found"), credentials.STSUnreachable, []string{"HTTP 404", "instance profile"}},
		{"failure", list + "hub", status(200, `{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role hub"}`), credentials.Unknown,
			[]string{"AssumeRoleUnauthorizedAccess", "EC2 cannot assume the role hub"}},
		{"down", list + "hub", status(500, "oops"), credentials.STSUnreachable, []string{"HTTP 500", "oops"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				metadata, base := s.withMetadata()
				metadata.reply[row.path] = row.reply
				chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = credentials.NodeRole{} })
				_, err := chain.Retrieve(t.Context())
				if !errors.Is(err, row.kind) {
					t.Fatalf("got %v, want %v", err, row.kind)
				}
				for _, part := range append(row.want, "hop 1 of 2: GetCredentials of the instance metadata service at "+metadataHost) {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the message lacks %q:\n%v", part, err)
					}
				}
				if calls := s.cloud.Calls(); len(calls) > 0 {
					t.Errorf("another server was asked: %v", calls)
				}
			})
		})
	}
}

// The usual way in which the hop limit shows: the request hangs.
func TestNodeRoleHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		base := s.cloud.Config()
		base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		chain := newChain(t, base, func(o *credentials.Options) { o.Source = credentials.NodeRole{} })
		_, err := chain.Retrieve(t.Context())
		if !errors.Is(err, credentials.RefreshTimeout) || !strings.Contains(err.Error(), "HttpPutResponseHopLimit=2") {
			t.Errorf("got %v, want %v with the hop limit", err, credentials.RefreshTimeout)
		}
	})
}

// A node with IPv6 only.
func TestNodeRoleOverIPv6(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.253")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv4")
	for endpoint, host := range map[string]string{
		"":                          metadataHost,
		"http://[fd00:ec2::254]":    "[fd00:ec2::254]",
		"http://[fd00:ec2::254]/":   "[fd00:ec2::254]",
		"http://[fd00:ec2:0::254]":  "[fd00:ec2:0::254]",
		"http://127.0.0.1:1338":     "127.0.0.1:1338",
		"https://metadata.internal": "metadata.internal",
	} {
		s := newScene(t)
		m, base := s.withMetadata()
		cloud := base.HTTPClient
		base.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == host {
				return m.answer(r)
			}
			return cloud.Do(r)
		})
		chain := newChain(t, base, credentials.Assume(s.target.ARN()), func(o *credentials.Options) { o.Source = credentials.NodeRole{Endpoint: endpoint} })
		if got, err := fetch(t.Context(), chain.Config()); err != nil || got != photo {
			t.Errorf("%q: got %q, %v", endpoint, got, err)
		}
		if len(m.asked) != 3 {
			t.Errorf("%q: asked %q", endpoint, m.asked)
		}
		if h := chain.Status().Hops[0]; h.Endpoint != host {
			t.Errorf("%q: the status names %q", endpoint, h.Endpoint)
		}
	}
}

func TestNodeRoleEndpointIsChecked(t *testing.T) {
	for _, endpoint := range []string{
		"fd00:ec2::254", "[fd00:ec2::254]", "http://", "http://metadata", "http://10.0.0.1", "http://[fd00:ec2::23]", "http://169.254.170.23",
		"http://169.254.169.254/latest", "http://169.254.169.254?x=1", "http://u:pass-word@169.254.169.254", "ftp://169.254.169.254", "http://[fd00:ec2::254%25eth0]", "::",
	} {
		_, err := credentials.New(newScene(t).cloud.Config(), func(o *credentials.Options) { o.Source = credentials.NodeRole{Endpoint: endpoint} })
		if !errors.Is(err, credentials.ConfigInvalid) || !strings.Contains(err.Error(), "NodeRole.Endpoint") || !strings.Contains(err.Error(), "[fd00:ec2::254]") || strings.Contains(err.Error(), "pass-word") {
			t.Errorf("%q: got %v", endpoint, err)
		}
	}
}

// A document of the metadata service that cannot be read is named after one request
// for it.
func TestNodeRoleWithAnOddExpiration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		m, base := s.withMetadata()
		m.reply["/latest/meta-data/iam/security-credentials/hub"] = func() (*http.Response, error) {
			return answer(200, "text/plain", `{"Code":"Success","AccessKeyId":"ASIANODE","SecretAccessKey":"secret","Token":"t","Expiration":""}`), nil
		}
		chain := newChain(t, base, func(o *credentials.Options) { o.Source = credentials.NodeRole{} })
		_, err := chain.Retrieve(t.Context())
		says(t, err, credentials.WrongSession, "Expiration", "empty")
		if len(m.asked) != 3 {
			t.Errorf("asked %q", m.asked)
		}
	})
}
