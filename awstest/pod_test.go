package awstest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

func readToken(t *testing.T, pod *awstest.Pod) string {
	t.Helper()
	b, err := os.ReadFile(pod.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPodVolume(t *testing.T) {
	w := newWorld()
	dir := filepath.Join(t.TempDir(), "serviceaccount")
	pod := w.blue.Pod(dir, "default", "app", hubARN)
	for link, prefix := range map[string]string{"token": "..data/token", "..data": "..20"} {
		if to, err := os.Readlink(filepath.Join(dir, link)); err != nil || !strings.HasPrefix(to, prefix) {
			t.Errorf("%s → %s, %v", link, to, err)
		}
	}
	first := readToken(t, pod)
	claims, err := trust.ParseToken([]byte(first))
	if err != nil {
		t.Fatal(err)
	}
	if claims.Namespace != "default" || claims.ServiceAccount != "app" || !strings.HasPrefix(claims.Pod, "app-") || claims.Issuer != blueIssuer || claims.Expires.Sub(claims.IssuedAt) != 24*time.Hour {
		t.Errorf("claims %+v", claims)
	}
	w.webIdentity(t, pod.RoleARN(), first)

	pod.Rotate(func(t *trust.Token) { t.Expires = t.IssuedAt.Add(time.Hour) })
	second, err := trust.ParseToken([]byte(readToken(t, pod)))
	if err != nil || second.Expires.Sub(second.IssuedAt) != time.Hour || second.Pod != claims.Pod {
		t.Errorf("after Rotate: %+v, %v", second, err)
	}
	pod.Mount([]byte("garbage"))
	if got := readToken(t, pod); got != "garbage" {
		t.Errorf("after Mount: %q", got)
	}
	green := w.Cluster(greenIssuer)
	pod.Move(green)
	if moved, err := trust.ParseToken([]byte(readToken(t, pod))); err != nil || moved.Issuer != greenIssuer {
		t.Errorf("after Move: %+v, %v", moved, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("the volume holds %v, %v; want token, ..data and one directory", entries, err)
	}
	if !slices.Contains(pod.Env(), "AWS_WEB_IDENTITY_TOKEN_FILE="+pod.TokenFile()) || !slices.Contains(pod.Env(), "AWS_ROLE_ARN="+hubARN) {
		t.Errorf("environment %v", pod.Env())
	}
}

// TestTokenShape compares a token's claims with those of kube-apiserver.
func TestTokenShape(t *testing.T) {
	cloud := awstest.New()
	pod := cloud.Cluster(blueIssuer).Pod(t.TempDir(), "default", "app", hubARN)
	header, payload := decode(t, readToken(t, pod))
	if header["alg"] != "RS256" || header["kid"] == "" {
		t.Errorf("header %v", header)
	}
	for path, want := range map[string]string{
		"iss": blueIssuer, "sub": "system:serviceaccount:default:app", "aud.0": "sts.amazonaws.com",
		"kubernetes.io.namespace": "default", "kubernetes.io.serviceaccount.name": "app",
	} {
		if got := lookUp(payload, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"jti", "kubernetes.io.pod.name", "kubernetes.io.pod.uid", "kubernetes.io.node.name", "kubernetes.io.serviceaccount.uid"} {
		if lookUp(payload, path) == "" {
			t.Errorf("no %s in %v", path, payload)
		}
	}
}

func decode(t *testing.T, token string) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	for i, to := range []*map[string]any{&header, &payload} {
		if err := json.Unmarshal(decodeSegment(t, parts[i]), to); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

func TestJWKS(t *testing.T) {
	cloud := awstest.New()
	blue, green := cloud.Cluster(blueIssuer), cloud.Cluster(greenIssuer)
	keys := func(c *awstest.Cluster) (moduli []string) {
		var set struct {
			Keys []struct{ Kid, N, E, Alg, Kty string }
		}
		if err := json.Unmarshal(c.JWKS(), &set); err != nil {
			t.Fatal(err)
		}
		for _, k := range set.Keys {
			if k.Alg != "RS256" || k.Kty != "RSA" || k.E != "AQAB" || k.Kid == "" {
				t.Errorf("key %+v", k)
			}
			moduli = append(moduli, k.N)
		}
		return moduli
	}
	old := keys(blue)
	if slices.Equal(old, keys(green)) {
		t.Error("two clusters share a key")
	}
	blue.RotateKeys()
	both := keys(blue)
	blue.DropOldKeys()
	if now := keys(blue); len(both) != 2 || both[0] != old[0] || len(now) != 1 || now[0] != both[1] {
		t.Error("keys do not rotate")
	}
}

// An edit may use the pod whose token it changes.
func TestRotateRunsEditsWithoutALock(t *testing.T) {
	w := newWorld()
	green := w.Cluster(greenIssuer)
	pod := w.blue.Pod(t.TempDir(), "default", "app", hubARN)
	moved := false
	pod.Rotate(func(*trust.Token) {
		if !moved {
			moved = true
			pod.Mount([]byte("half a tok"))
			pod.Move(green)
		}
	})
	raw, err := os.ReadFile(pod.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	token, err := trust.ParseToken(raw)
	if err != nil || token.Issuer != greenIssuer {
		t.Errorf("after the move: issuer %q, %v", token.Issuer, err)
	}
}
