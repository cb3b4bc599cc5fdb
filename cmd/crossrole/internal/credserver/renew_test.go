package credserver_test

import (
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
)

// post sends a POST to the admin address.
func (s *sidecar) post(path string, headers ...string) (int, string) {
	s.t.Helper()
	var raw strings.Builder
	raw.WriteString("POST " + path + " HTTP/1.1\r\nHost: 10.0.0.7:9912\r\nContent-Length: 0\r\nConnection: close\r\n")
	for _, h := range headers {
		raw.WriteString(h + "\r\n")
	}
	return send(s.t, s.admin, net.IPv4(10, 0, 0, 5), raw.String()+"\r\n")
}

// After sessions were revoked, whether the hub's or the role's, a renewal gets
// new ones at every hop, and shows none.
func TestRenewal(t *testing.T) {
	var hangups chan os.Signal
	for name, renew := range map[string]func(s *sidecar) string{
		"POST": func(s *sidecar) string {
			status, body := s.post("/renew?role=pics")
			if status != http.StatusOK {
				t.Errorf("%d %s", status, body)
			}
			return body
		},
		"POST for all": func(s *sidecar) string {
			status, body := s.post("/renew")
			if status != http.StatusOK || !strings.Contains(body, "own: renewed\n") {
				t.Errorf("%d %s", status, body)
			}
			return body
		},
		"SIGHUP": func(s *sidecar) string { // in a synctest bubble
			hangups <- syscall.SIGHUP
			time.Sleep(time.Second) // of the bubble
			return "pics: renewed"
		},
	} {
		for _, revoked := range []string{"hub", "target"} {
			synctest.Test(t, func(t *testing.T) {
				s := newSidecar(t, func(s *sidecar) {
					if name == "SIGHUP" {
						hangups = make(chan os.Signal, 1) // of this bubble
						s.server.Signals = hangups
					}
				}, "pics="+target, "own")
				token := s.tokenOf("pics")
				_, before := s.ask("pics", token)
				time.Sleep(5 * time.Minute)
				map[string]*awstest.Role{"hub": s.hub, "target": s.target}[revoked].RevokeSessions()
				time.Sleep(time.Second)
				asked := s.sessions("AssumeRoleWithWebIdentity")
				body := renew(s)
				resp, after := s.ask("pics", token)
				if resp.StatusCode != http.StatusOK || secretOf(t, after) == secretOf(t, before) {
					t.Errorf("%s: %d, a new session: %v", name, resp.StatusCode, secretOf(t, after) != secretOf(t, before))
				}
				if s.sessions("AssumeRoleWithWebIdentity") == asked {
					t.Errorf("%s: the hub's session is the old one", name)
				}
				if !strings.Contains(body, "pics: renewed") || strings.Contains(body, secretOf(t, after)) || strings.Contains(body, token) {
					t.Errorf("%s: %s", name, body)
				}
				// The new session is kept fresh.
				time.Sleep(3 * time.Hour)
				if resp, now := s.ask("pics", token); resp.StatusCode != http.StatusOK || !expiration(t, now).After(time.Now().Add(10*time.Minute)) {
					t.Errorf("%s: three hours later: %d", name, resp.StatusCode)
				}
				s.keepsSilent(token, secretOf(t, after), secretOf(t, before))
			})
		}
	}
}

// Renewals are paced, replace a session only by a new one, and are not for web pages.
func TestRenewalIsNoWeapon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, nil, "pics="+target, "own")
		token := s.tokenOf("pics")
		_, before := s.ask("pics", token)
		calls := s.sessions("AssumeRole")
		for _, header := range []string{"Origin: http://10.0.0.7:9912", "Origin: http://attacker.example", "Origin: null", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors"} {
			if status, body := s.post("/renew", header); status != http.StatusForbidden {
				t.Errorf("%s: %d %s", header, status, body)
			}
		}
		for path, want := range map[string]int{"/renew?role=other": 404, "/renew?role=": 400, "/renew?role=pics&role=own": 400, "/renew?x=1": 400, "/renew/": 404, "/renew?role=pics&x=1": 400, "/renew?role=%00": 404} {
			if status, body := s.post(path); status != want {
				t.Errorf("%s: %d %s, want %d", path, status, body, want)
			}
		}
		if status, _ := s.look("/renew"); status != http.StatusMethodNotAllowed {
			t.Errorf("GET: %d", status)
		}
		if _, now := s.ask("pics", token); secretOf(t, now) != secretOf(t, before) || s.sessions("AssumeRole") != calls {
			t.Error("a refused request renewed something")
		}
		remove := s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Status: 403, Code: "AccessDenied"})
		if status, body := s.post("/renew?role=pics"); status != http.StatusServiceUnavailable || body != "pics: not renewed, the session is kept: AssumeDenied\n" {
			t.Errorf("while the role refuses: %d %s", status, body)
		}
		if _, now := s.ask("pics", token); secretOf(t, now) != secretOf(t, before) {
			t.Error("a failed renewal replaced the session")
		}
		remove()
		for range 100 {
			if status, body := s.post("/renew?role=pics"); status != http.StatusTooManyRequests {
				t.Fatalf("again: %d %s", status, body)
			}
		}
		if n := s.sessions("AssumeRole"); n != calls {
			t.Errorf("%d sessions for 100 requests", n-calls)
		}
		time.Sleep(time.Minute)
		if status, body := s.post("/renew?role=pics"); status != http.StatusOK {
			t.Errorf("a minute later: %d %s", status, body)
		}
		hang := s.cloud.Fault(awstest.Fault{Hang: true})
		time.Sleep(time.Minute)
		began := time.Now()
		if status, body := s.post("/renew?role=pics"); status != http.StatusServiceUnavailable || time.Since(began) > 11*time.Second {
			t.Errorf("while STS hangs: %d %s after %v", status, body, time.Since(began))
		}
		hang()
	})
}
