package e2e_test

import (
	"testing"
	"time"

	"github.com/crossrole/crossrole/e2e/ceph"
	"github.com/crossrole/crossrole/e2e/served"
	"github.com/crossrole/crossrole/e2e/shortsession"
)

// TestCephServe runs third-party programs that read from the gateway with credentials
// from crossrole serve, over the hub route, while sessions expire every eight seconds.
func TestCephServe(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	for name, read := range map[string]func(*testing.T, *served.Serve){
		"CLI":        func(t *testing.T, serve *served.Serve) { serve.CLI(t) },
		"process":    func(t *testing.T, serve *served.Serve) { serve.Process(t) },
		"JavaScript": func(t *testing.T, serve *served.Serve) { serve.JavaScript(t, "clients/js") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve, _ := s.serve(t)
			read(t, serve)
		})
	}
}

// TestCephServeFifty checks that fifty concurrent clients see no error, and that each
// refresh takes one STS call per hop.
func TestCephServeFifty(t *testing.T) {
	s := cephScene(t)
	t.Parallel()
	serve, short := s.serve(t)
	d := served.Duration(t)
	reads := serve.Fifty(t, d)
	byHop, failed := serve.Refreshes(t)
	handed := short.Handed()
	t.Logf("%d reads in %v, sessions by hop %v, handed out %v", reads, d, byHop, handed)
	if failed > 0 {
		t.Errorf("%d refreshes failed", failed)
	}
	// A refresh may be in flight between the two counts.
	if extra := handed["AssumeRole"] - byHop["2"]; extra < 0 || extra > 1 {
		t.Errorf("%d calls for %d sessions of the role", handed["AssumeRole"], byHop["2"])
	}
	if extra := handed["AssumeRoleWithWebIdentity"] - byHop["1"]; extra < 0 || extra > 1 {
		t.Errorf("%d calls for %d sessions of the hub", handed["AssumeRoleWithWebIdentity"], byHop["1"])
	}
	if most := int(d/(2*time.Second)) + 1; byHop["2"] < int(d/servedLife) || byHop["2"] > most || byHop["1"] > most {
		t.Errorf("sessions by hop: %v in %v", byHop, d)
	}
}

const servedLife = 8 * time.Second

// serve runs crossrole serve in a pod.
func (s *scene) serve(t *testing.T) (*served.Serve, *shortsession.Proxy) {
	t.Helper()
	short, err := shortsession.Start(s.cluster.URL, servedLife)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { short.Close() })
	return served.Start(t, served.Scene{
		Pod: []string{
			"AWS_ROLE_ARN=" + hubRole,
			"AWS_WEB_IDENTITY_TOKEN_FILE=" + tokenFile(t, s.issuer, pod),
			"AWS_REGION=" + ceph.Region,
			"AWS_ENDPOINT_URL_STS=" + short.URL,
		},
		Role:     targetRole,
		Endpoint: s.cluster.URL, Bucket: bucket, Key: object, Content: string(picture()),
	}), short
}
