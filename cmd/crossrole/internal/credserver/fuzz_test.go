package credserver_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
	"github.com/crossrole/crossrole/credentials"
)

// Whatever a request looks like, only a GET of the role's exact path, with its exact
// token, from a loopback peer to a loopback host gets a session.
func FuzzEndpoint(f *testing.F) {
	pod := newPod(f.TempDir())
	chain, err := credentials.New(pod.cloud.Config(), func(o *credentials.Options) {
		o.Source = pod.source()
	})
	if err != nil {
		f.Fatal(err)
	}
	token := credserver.NewToken()
	server := credserver.Server{Roles: []*credserver.Role{credserver.NewRole("pics", token, chain, false)}}
	e := server.Endpoint()
	good := []string{"GET", "/v1/pics", "127.0.0.1:9911", token, "127.0.0.1:40000"}
	f.Add(good[0], good[1], good[2], good[3], good[4])
	f.Add(good[0], good[1], "localhost", good[3], good[4])
	for i, bad := range []string{"get", "/v1/pics/../pics", "LOCALHOST:9911", token[:63] + " ", "[::ffff:10.0.0.1]:1"} {
		seed := append([]string(nil), good...)
		seed[i] = bad
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	local := context.WithValue(f.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911}))
	f.Fuzz(func(t *testing.T, method, target, host, authorization, peer string) {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, (&http.Request{
			Method: method, RequestURI: target, Host: host, RemoteAddr: peer,
			Header: http.Header{"Authorization": {authorization}},
		}).WithContext(local))
		given := strings.Contains(w.Body.String(), "SecretAccessKey")
		if given != (w.Code == http.StatusOK) {
			t.Errorf("status %d with %s", w.Code, w.Body)
		}
		name := strings.TrimSuffix(host, ":9911")
		isLocal := name == "127.0.0.1" || name == "[::1]" || strings.EqualFold(name, "localhost") || name == "[127.0.0.1]" || strings.EqualFold(name, "[localhost]")
		near := strings.HasPrefix(peer, "127.") || strings.HasPrefix(peer, "[::1]:") || strings.HasPrefix(peer, "[127.") || strings.HasPrefix(peer, "[::ffff:127.") || strings.HasPrefix(peer, "[0")
		if given && (method != "GET" || target != "/v1/pics" || authorization != token || !isLocal || !near) {
			t.Errorf("%q %q to %q from %q with %q got a session", method, target, host, peer, authorization)
		}
	})
}
