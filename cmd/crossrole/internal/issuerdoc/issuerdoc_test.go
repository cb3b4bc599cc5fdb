package issuerdoc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/issuerdoc"
)

const discovery = `{"issuer":"https://issuer.example/blue","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}`

func number(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// keys are a JWKS with an RSA and an EC key, as an API server has them.
var keys = func() string {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := e.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"use": "sig", "kty": "RSA", "kid": "one", "alg": "RS256", "n": number(r.N), "e": "AQAB"},
		{"kty": "EC", "kid": "two", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])},
	}})
	if err != nil {
		panic(err)
	}
	return string(text)
}()

// The documents are those of the cluster, with a jwks_uri below the issuer, in either
// order.
func TestRead(t *testing.T) {
	for _, input := range []string{discovery + keys, keys + "\n" + discovery} {
		docs, err := issuerdoc.Read(strings.NewReader(input))
		if err != nil {
			t.Fatal(err)
		}
		files, err := docs.Files()
		if err != nil || len(files) != 2 {
			t.Fatalf("%v, %v", files, err)
		}
		for path, want := range map[string][]string{
			".well-known/openid-configuration": {`"issuer": "https://issuer.example/blue"`, `"jwks_uri": "https://issuer.example/blue/openid/v1/jwks"`, "ES256", "RS256"},
			"openid/v1/jwks":                   {`"kid": "one"`, `"kid": "two"`, `"alg": "ES256"`, `"e": "AQAB"`},
		} {
			for _, text := range want {
				if !strings.Contains(string(files[path]), text) {
					t.Errorf("no %s in %s:\n%s", text, path, files[path])
				}
			}
		}
		again, err := issuerdoc.Read(strings.NewReader(string(files[issuerdoc.DiscoveryPath]) + string(files["openid/v1/jwks"])))
		if err != nil || again.KeysPath != docs.KeysPath {
			t.Errorf("what it wrote: %v, %+v", err, again)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	edit := func(text, old, replacement string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %s in %s", old, text)
		}
		return strings.ReplaceAll(text, old, replacement)
	}
	issuer := func(url string) string { return edit(discovery, "https://issuer.example/blue", url) + keys }
	for name, tt := range map[string]struct{ input, want string }{
		"nothing":              {"", "no discovery document"},
		"no keys":              {discovery, "no JWKS: kubectl get --raw /openid/v1/jwks"},
		"no discovery":         {keys, "no discovery document"},
		"twice":                {discovery + discovery + keys, "twice"},
		"an error":             {`{"kind":"Status","code":403}`, "neither issuer nor keys"},
		"garbage":              {"Error from server", "not JSON"},
		"half":                 {discovery + keys[:len(keys)-4], "not JSON"},
		"a list":               {"[1]", "not a JSON object"},
		"http":                 {issuer("http://issuer.example"), "public https URL"},
		"a query":              {issuer("https://issuer.example/?a=b"), "public https URL"},
		"the cluster's name":   {issuer("https://kubernetes.default.svc.cluster.local"), "is private (kubernetes.default.svc.cluster.local is a name of a private network"},
		"a name without a dot": {issuer("https://kubernetes"), "is private"},
		"localhost":            {issuer("https://localhost:6443"), "is private"},
		"loopback":             {issuer("https://127.0.0.1:6443"), "loopback address"},
		"a private address":    {issuer("https://10.0.0.1"), "10.0.0.1 is a private address"},
		"link-local":           {issuer("https://169.254.169.254"), "private address"},
		"IPv6":                 {issuer("https://[fd00::1]"), "private address"},
		"IPv4 in IPv6":         {issuer("https://[::ffff:10.0.0.1]"), "private address"},
		"shared":               {issuer("https://100.64.0.1"), "private address"},
		"no kid":               {discovery + edit(keys, `"kid":"one",`, ""), "no kid"},
		"one kid":              {discovery + edit(keys, `"two"`, `"one"`), `two keys have the kid "one"`},
		"no keys in it":        {discovery + `{"keys":[]}`, "there is no key"},
		"symmetric":            {discovery + `{"keys":[{"kty":"oct","kid":"s","k":"hush"}]}`, "PRIVATE"},
		"EdDSA":                {discovery + `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"e","x":"AA"}]}`, `of type "OKP"; STS takes RSA and EC`},
		"HS256":                {discovery + edit(keys, `"RS256"`, `"HS256"`), "RS256, RS384, RS512"},
		"another curve":        {discovery + edit(keys, `"P-256"`, `"secp256k1"`), "P-256, P-384 and P-521"},
		"not on the curve":     {discovery + edit(keys, `"y":"`, `"y":"AAAA`), "not a point"},
		"for encryption":       {discovery + edit(keys, `"sig"`, `"enc"`), "not for signatures"},
		"a short key":          {discovery + `{"keys":[{"kty":"RSA","kid":"s","n":"AQAB","e":"AQAB"}]}`, "2048 bits"},
		"no modulus":           {discovery + `{"keys":[{"kty":"RSA","kid":"s","e":"AQAB"}]}`, `"n" is not a number`},
		"a private RSA key":    {discovery + edit(keys, `"e":"AQAB"`, `"e":"AQAB","d":"hush"`), "PRIVATE"},
	} {
		docs, err := issuerdoc.Read(strings.NewReader(tt.input))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q; it read %+v", name, err, tt.want, docs)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(discovery + keys)
	f.Add(discovery + `{"keys":[{"kty":"EC","crv":"P-521","kid":"s","x":"AQ","y":"AQ"}]}`)
	f.Fuzz(func(t *testing.T, input string) {
		docs, err := issuerdoc.Read(strings.NewReader(input))
		if err != nil {
			return
		}
		if !strings.HasPrefix(docs.Discovery.JWKSURI, "https://") || !strings.HasSuffix(docs.Discovery.JWKSURI, "/"+docs.KeysPath) || strings.Contains(docs.KeysPath, "..") {
			t.Errorf("%+v", docs)
		}
		if files, err := docs.Files(); err != nil || len(files) != 2 {
			t.Errorf("%v, %v", files, err)
		}
	})
}
