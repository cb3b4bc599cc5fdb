package credentials_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// namesOf is what the chain's hops called their sessions, in order.
func (s *scene) namesOf(t *testing.T, chain *credentials.Chain) []string {
	t.Helper()
	before := len(s.cloud.Calls())
	_, err := chain.Retrieve(t.Context())
	check(t, err)
	var names []string
	for _, call := range s.cloud.Calls()[before:] {
		names = append(names, call.Params["RoleSessionName"])
	}
	return names
}

// The default name shows the pod; it is the same at every hop, for every
// refresh and after a restart, and long names stay apart.
func TestSessionNameTellsThePod(t *testing.T) {
	long := strings.Repeat("reader-", 37)[:253]
	for _, row := range []struct {
		name, pod, want string
	}{
		{"short", "reader-7d4b9c6f5-x2x9k", "default.s3-shared-content@reader-7d4b9c6f5-x2x9k"},
		{"just fits", "reader-" + strings.Repeat("x", 31), "default.s3-shared-content@reader-" + strings.Repeat("x", 31)},
		{"253 characters", long, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newScene(t)
			names := map[string]bool{}
			for range 2 { // a restart
				s.pod.Rotate(func(token *trust.Token) { token.Pod = row.pod })
				chain := s.hubChain(t)
				for _, name := range s.namesOf(t, chain) {
					names[name] = true
					if !sessionName.MatchString(name) || row.want != "" && name != row.want {
						t.Errorf("the name is %q, want %q", name, row.want)
					}
					if !strings.HasPrefix(name, "default.s3-shared-content@reader-") {
						t.Errorf("the name %q does not begin with namespace, service account and pod", name)
					}
				}
				creds, err := chain.Retrieve(t.Context())
				check(t, err)
				chain.Invalidate(creds.AccessKeyID)
				names[s.namesOf(t, chain)[0]] = true
			}
			if len(names) != 1 {
				t.Errorf("several names: %v", names)
			}
		})
	}
}

func TestSessionNamesOfLongPodNamesDiffer(t *testing.T) {
	s := newScene(t)
	names := map[string]bool{}
	prefix := strings.Repeat("x", 64)
	for _, end := range []string{"-a", "-b", "-c"} {
		s.pod.Rotate(func(token *trust.Token) { token.Pod = prefix + end })
		names[s.namesOf(t, s.directChain(t))[0]] = true
	}
	if len(names) != 3 {
		t.Errorf("three pods have the names %v", names)
	}
}

// A token that is bound to no pod, or to no Kubernetes at all, leaves the host.
func TestSessionNameWithoutPod(t *testing.T) {
	for name, row := range map[string]struct {
		edit   func(*trust.Token)
		prefix string
	}{
		"not bound to a pod": {func(token *trust.Token) { token.Pod = "" }, "default.s3-shared-content@"},
		"not Kubernetes": {func(token *trust.Token) {
			token.Pod, token.Namespace, token.ServiceAccount, token.Subject = "", "", "", "repo:acme/app"
		}, "repo-acme-app@"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.hub.SetTrust(trust.WebIdentityPolicy(s.dev.ID(), []string{s.blue.Issuer()}, []string{"system:serviceaccount:default:s3-shared-content", "repo:acme/app"}).String())
			s.pod.Rotate(row.edit)
			for _, got := range s.namesOf(t, s.hubChain(t)) {
				if !sessionName.MatchString(got) || !strings.HasPrefix(got, row.prefix) {
					t.Errorf("the name is %q, want %s…", got, row.prefix)
				}
			}
		})
	}
}

func TestSessionNameExplicit(t *testing.T) {
	for _, row := range []struct {
		name            string
		source, role    string
		environment     string
		wantHub, wantS3 string // "": the pod's
	}{
		{name: "at the source", source: "ok_name-1", wantHub: "ok_name-1", wantS3: "ok_name-1"},
		{name: "at the role", role: "reader@team", wantS3: "reader@team"},
		{name: "at both", source: "a+b", role: "c=d,e.f", wantHub: "a+b", wantS3: "c=d,e.f"},
		{name: "in the environment", environment: "from-env", wantHub: "from-env", wantS3: "from-env"},
		{name: "the option first", environment: "from-env", source: "from-option", wantHub: "from-option", wantS3: "from-option"},
		{name: "longest", source: strings.Repeat("x", 64), wantHub: strings.Repeat("x", 64), wantS3: strings.Repeat("x", 64)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("AWS_ROLE_SESSION_NAME", row.environment)
			s := newScene(t)
			names := s.namesOf(t, s.hubChain(t, func(o *credentials.Options) {
				w := s.web()
				w.SessionName = row.source
				o.Source = w
				o.Roles[0].SessionName = row.role
			}))
			for i, want := range []string{row.wantHub, row.wantS3} {
				if want == "" && !strings.HasPrefix(names[i], "default.s3-shared-content@") || want != "" && names[i] != want {
					t.Errorf("hop %d is called %q, want %q", i+1, names[i], want)
				}
			}
		})
	}
}

// Where no token names the pod, every role has one name of the host's, and an
// explicit one goes on to the roles after it.
func TestSessionNameAfterAProvider(t *testing.T) {
	s := newScene(t)
	keys := s.laptop()
	for _, explicit := range []string{"", "ada"} {
		names := s.namesOf(t, newChain(t, s.cloud.Config(), func(o *credentials.Options) {
			o.Source = credentials.Provider{Credentials: keys}
			o.Roles = []credentials.Role{{ARN: s.hub.ARN(), SessionName: explicit}, {ARN: s.target.ARN()}}
		}))
		if len(names) != 2 || names[0] != names[1] || !sessionName.MatchString(names[0]) {
			t.Errorf("the names are %q, want the same valid one twice", names)
		}
		if explicit != "" && names[0] != explicit || explicit == "" && !strings.HasPrefix(names[0], "crossrole@") {
			t.Errorf("the name is %q", names[0])
		}
	}
}
