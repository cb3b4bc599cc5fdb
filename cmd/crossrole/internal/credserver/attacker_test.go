package credserver_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// send writes a raw request from a peer's address, and returns the status and body of the
// response; status 0: none.
func send(t *testing.T, to *pipes, from net.IP, raw string) (int, string) {
	t.Helper()
	conn, err := to.dial(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, raw) }() // the server may stop reading
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // a connection that ends in the middle says enough
	return resp.StatusCode, string(body)
}

var me = net.IPv4(127, 0, 0, 1)

// An attacker in the pod, or near it, gets nothing without the token, and does not
// block other callers.
func TestAttacker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, nil, "pics="+target, "own")
		good, other := s.tokenOf("pics"), s.tokenOf("own")
		ask := func(line, host string, headers ...string) string {
			return line + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "Connection: close\r\n\r\n"
		}
		const here = "127.0.0.1:9911"
		authorized := "Authorization: " + good
		for _, host := range []string{here, "127.0.0.1", "localhost"} { // the AWS Common Runtime sends no port
			if status, body := send(t, s.endpoint, me, ask("GET /v1/pics", host, authorized)); status != http.StatusOK || !strings.Contains(body, "SecretAccessKey") {
				t.Fatalf("the rightful request, to %s: %d %s", host, status, body)
			}
		}
		attacks := map[string]struct {
			raw    string
			from   net.IP
			status []int
		}{
			"no token":                 {ask("GET /v1/pics", here), me, []int{401}},
			"an empty token":           {ask("GET /v1/pics", here, "Authorization: "), me, []int{401}},
			"another role's token":     {ask("GET /v1/pics", here, "Authorization: "+other), me, []int{403}},
			"half of the token":        {ask("GET /v1/pics", here, "Authorization: "+good[:32]), me, []int{403}},
			"a token too long":         {ask("GET /v1/pics", here, authorized+"0"), me, []int{403}},
			"as a bearer":              {ask("GET /v1/pics", here, "Authorization: Bearer "+good), me, []int{403}},
			"two tokens":               {ask("GET /v1/pics", here, "Authorization: "+other, authorized), me, []int{401}},
			"a header of another name": {ask("GET /v1/pics", here, "X-Authorization: "+good), me, []int{401}},
			"token in the query":       {ask("GET /v1/pics?Authorization="+good, here), me, []int{401}},
			"a query":                  {ask("GET /v1/pics?x", here, authorized), me, []int{403}},
			"a role that is not there": {ask("GET /v1/nothing", here, authorized), me, []int{403}},
			"no role":                  {ask("GET /", here, authorized), me, []int{403}},

			"another host":          {ask("GET /v1/pics", "attacker.example:9911", authorized), me, []int{403}},
			"a name that resolves":  {ask("GET /v1/pics", "127.0.0.1.nip.io:9911", authorized), me, []int{403}},
			"another port":          {ask("GET /v1/pics", "127.0.0.1:80", authorized), me, []int{403}},
			"another host, no port": {ask("GET /v1/pics", "attacker.example", authorized), me, []int{403}},
			"the metadata's host":   {ask("GET /v1/pics", "169.254.169.254", authorized), me, []int{403}},
			"no host":               {"GET /v1/pics HTTP/1.0\r\n" + authorized + "\r\n\r\n", me, []int{403}},
			"two hosts":             {ask("GET /v1/pics", here, "Host: "+here, authorized), me, []int{400}},
			"a peer in the network": {ask("GET /v1/pics", here, authorized), net.IPv4(10, 0, 0, 5), []int{403}},
			"a peer by IPv6":        {ask("GET /v1/pics", here, authorized), net.ParseIP("fd00::5"), []int{403}},

			"dots":                {ask("GET /v1/../v1/pics", here, authorized), me, []int{403}},
			"dots from own":       {ask("GET /v1/own/../pics", here, "Authorization: "+other), me, []int{403}},
			"two slashes":         {ask("GET /v1//pics", here, authorized), me, []int{403}},
			"a slash before":      {ask("GET //v1/pics", here, authorized), me, []int{403}},
			"a slash behind":      {ask("GET /v1/pics/", here, authorized), me, []int{403}},
			"escaped":             {ask("GET /v1/%70ics", here, authorized), me, []int{403}},
			"an escaped slash":    {ask("GET /v1%2fpics", here, authorized), me, []int{403}},
			"an escaped zero":     {ask("GET /v1/pics%00", here, authorized), me, []int{403}},
			"capitals":            {ask("GET /V1/PICS", here, authorized), me, []int{403}},
			"a parameter":         {ask("GET /v1/pics;x", here, authorized), me, []int{403}},
			"an absolute target":  {ask("GET http://127.0.0.1:9911/v1/pics", here, authorized), me, []int{403}},
			"through the back":    {ask("GET http://attacker.example/v1/pics", here, authorized), me, []int{403}},
			"another version":     {ask("GET /v2/pics", here, authorized), me, []int{403}},
			"an admin page":       {ask("GET /status", here, authorized), me, []int{403}},
			"a token file's path": {ask("GET /v1/..%2f..%2fetc%2fpasswd", here, authorized), me, []int{403}},

			"POST":       {ask("POST /v1/pics", here, authorized, "Content-Length: 0"), me, []int{405}},
			"HEAD":       {ask("HEAD /v1/pics", here, authorized), me, []int{405}},
			"OPTIONS":    {ask("OPTIONS /v1/pics", here, authorized, "Origin: http://attacker.example"), me, []int{405}},
			"DELETE":     {ask("DELETE /v1/pics", here, authorized), me, []int{405}},
			"CONNECT":    {ask("CONNECT "+here, here, authorized), me, []int{400, 403, 405}},
			"smuggling":  {ask("GET /v1/own", here, authorized, "Content-Length: 5", "Transfer-Encoding: chunked"), me, []int{400, 403}},
			"no HTTP":    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", me, []int{400}},
			"HTTP/2":     {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", me, []int{400, 401, 403, 405, 505}},
			"1 MiB":      {ask("GET /v1/pics", here, authorized, "X-Fill: "+strings.Repeat("a", 1<<20)), me, []int{0, 431}},
			"1 MiB path": {ask("GET /v1/pics?"+strings.Repeat("a", 1<<20), here, authorized), me, []int{0, 431}},
		}
		for name, a := range attacks {
			status, body := send(t, s.endpoint, a.from, a.raw)
			wanted := false
			for _, want := range a.status {
				wanted = wanted || status == want
			}
			if !wanted || strings.Contains(body, "SecretAccessKey") || strings.Contains(body, good) || strings.Contains(body, other) {
				t.Errorf("%s: %d %s; want %v", name, status, body, a.status)
			}
		}
		for _, line := range []string{"GET /v1/pics", "GET /", "GET /debug/pprof/", "GET /../v1/pics", "POST /metrics", "GET /healthz/../v1/pics"} {
			if status, body := send(t, s.admin, net.IPv4(10, 0, 0, 5), ask(line, "10.0.0.1:9912", authorized)); status != 404 && status != 405 {
				t.Errorf("admin, %s: %d %s", line, status, body)
			}
		}
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/status"} {
			_, creds := s.ask("pics", good)
			if _, body := s.look(path); strings.Contains(body, good) || strings.Contains(body, secretOf(t, creds)) {
				t.Errorf("%s shows a secret", path)
			}
		}
		_, creds := s.ask("pics", good)
		s.keepsSilent(good, other, secretOf(t, creds))
		if n := strings.Count(s.log.String(), "request refused"); n == 0 || n > 12 {
			t.Errorf("%d refusals are in the log, want one of each reason:\n%s", n, s.log)
		}
	})
}

// Connections without requests, or with slow ones, are closed soon and block no
// other caller.
func TestSlowPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSidecar(t, nil, "pics="+target)
		token := s.tokenOf("pics")
		s.ask("pics", token) // there is a session
		began := time.Now()
		type end struct {
			peer  int // in the order in which they connected
			after time.Duration
		}
		ended := make(chan end)
		const connections = 256 // that the server keeps open at most
		const peers = 3 * connections
		for i := range peers {
			conn, err := s.endpoint.dial(t.Context(), me)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer conn.Close()
				go func() {
					// A letter per second, forever; some send nothing at all.
					for i%3 > 0 {
						if _, err := io.WriteString(conn, "G"); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				_, _ = io.Copy(io.Discard, conn) // ends with the connection
				ended <- end{i, time.Since(began)}
			}()
		}
		if resp, body := s.ask("pics", token); resp.StatusCode != http.StatusOK || time.Since(began) > time.Second {
			t.Errorf("among %d slow peers: %d %s after %v", peers, resp.StatusCode, body, time.Since(began))
		}
		var longest time.Duration
		immediately := 0
		for range peers {
			e := <-ended
			longest = max(longest, e.after)
			if e.after < time.Second {
				immediately++
			}
			// One more, for the connection of the request.
			if oldest := e.peer < peers-connections; oldest && e.after >= time.Second || !oldest && e.after < time.Second && e.peer > peers-connections {
				t.Errorf("peer %d of %d was closed after %v, want the %d oldest immediately", e.peer, peers, e.after, peers-connections)
			}
		}
		if immediately < peers-connections {
			t.Errorf("%d of %d connections were closed immediately, want all but %d", immediately, peers, connections)
		}
		if longest > 6*time.Second {
			t.Errorf("a slow peer was tolerated for %v", longest)
		}
		if resp, _ := s.ask("pics", token); resp.StatusCode != http.StatusOK {
			t.Errorf("afterwards: %d", resp.StatusCode)
		}
	})
}
