// Package issuerdoc checks the two documents of a token issuer, the discovery document
// and the JSON Web Key Set (JWKS), as AWS STS reads them, and writes them as they must be
// hosted. It makes no requests.
//
// The rules are those of the IAM User Guide, "Create an OpenID Connect (OIDC) identity
// provider in IAM", and of the AWS STS API reference, AssumeRoleWithWebIdentity.
package issuerdoc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Discovery is the discovery document, with the members that STS and other verifiers
// read.
type Discovery struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// Key is the public part of a key of a JWKS.
type Key struct {
	Use  string `json:"use,omitempty"`
	Type string `json:"kty"`
	ID   string `json:"kid"`
	Alg  string `json:"alg,omitempty"`

	N string `json:"n,omitempty"` // RSA: modulus and exponent
	E string `json:"e,omitempty"`

	Curve string `json:"crv,omitempty"` // EC: a curve and a point on it
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`

	private string // the name of a member that is secret; empty: there is none
}

// UnmarshalJSON also looks for private keys, which must not be published.
func (k *Key) UnmarshalJSON(text []byte) error {
	type plain Key
	if err := json.Unmarshal(text, (*plain)(k)); err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	k.private = ""
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} { // RFC 7518, sections 6.2.2, 6.3.2, 6.4.1
		if _, found := members[name]; found {
			k.private = name
		}
	}
	return nil
}

// KeySet is a JWKS.
type KeySet struct {
	Keys []Key `json:"keys"`
}

const maxKeys = 100 // of each type, for IAM

// Check returns what STS would refuse in the set as a whole, or nil.
func (s *KeySet) Check() error {
	count, seen := map[string]int{}, map[string]bool{}
	for _, k := range s.Keys {
		if seen[k.ID] && k.ID != "" {
			return fmt.Errorf("two keys have the kid %q", k.ID)
		}
		seen[k.ID] = true
		if count[k.Type]++; count[k.Type] > maxKeys {
			return fmt.Errorf("there are more than %d keys of type %q, the limit of STS", maxKeys, k.Type)
		}
	}
	if len(s.Keys) == 0 {
		return errors.New("there is no key")
	}
	return nil
}

// algorithms are the signatures that STS verifies, by the type of the key or its curve.
var algorithms = map[string][]string{
	"RSA":   {"RS256", "RS384", "RS512"},
	"P-256": {"ES256"},
	"P-384": {"ES384"},
	"P-521": {"ES512"},
	"EC":    {"ES256", "ES384", "ES512"},
}

// Check returns what STS would refuse in the description of a key, or nil. It does not
// look at the numbers. Errors contain no part of a private key.
func (k *Key) Check() error {
	kind := k.Type
	if k.Type == "EC" && k.Curve != "" {
		kind = k.Curve
	}
	switch known := algorithms[kind]; {
	case k.private != "":
		return fmt.Errorf("key %q has the member %q: it is a PRIVATE key; do not publish it, replace it if it was public, and take the keys from /openid/v1/jwks", k.ID, k.private)
	case k.ID == "":
		return errors.New("a key has no kid: STS cannot find the key of a token")
	case k.Type != "RSA" && k.Type != "EC":
		return fmt.Errorf("key %q is of type %q; STS takes RSA and EC", k.ID, k.Type)
	case known == nil:
		return fmt.Errorf("key %q is on the curve %q; STS takes P-256, P-384 and P-521", k.ID, k.Curve)
	case k.Use != "" && k.Use != "sig":
		return fmt.Errorf("key %q is for %q, not for signatures", k.ID, k.Use)
	case k.Alg != "" && !slices.Contains(known, k.Alg):
		return fmt.Errorf("key %q is for %s; with this key STS verifies %s", k.ID, k.Alg, strings.Join(known, ", "))
	}
	return nil
}

// HasNumbers reports whether the key has any of the numbers that CheckNumbers checks.
func (k *Key) HasNumbers() bool { return k.N+k.E+k.X+k.Y != "" }

// CheckNumbers returns what is wrong with the numbers of a public key, or nil.
func (k *Key) CheckNumbers() error {
	number := func(name, text string) ([]byte, error) {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(raw) == 0 {
			return nil, fmt.Errorf("key %q: its member %q is not a number in base64url", k.ID, name)
		}
		return raw, nil
	}
	if k.Type == "RSA" {
		modulus, err1 := number("n", k.N)
		exponent, err2 := number("e", k.E)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
		if n.BitLen() < 2048 || e.Cmp(big.NewInt(3)) < 0 || e.Bit(0) == 0 {
			return fmt.Errorf("key %q is not an RSA key of 2048 bits or more: it has %d", k.ID, n.BitLen())
		}
		return nil
	}
	x, err1 := number("x", k.X)
	y, err2 := number("y", k.Y)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
	if curve == nil {
		return fmt.Errorf("key %q has no curve that STS takes", k.ID)
	}
	// RFC 7518, section 6.2.1.2: coordinates have their full length. An uncompressed
	// point is a 4 and both of them.
	size := (curve.Params().BitSize + 7) / 8
	_, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil || len(x) != size || len(y) != size {
		return fmt.Errorf("key %q is not a point on the curve %s", k.ID, k.Curve)
	}
	return nil
}

// Unreachable returns why AWS cannot reach a host, or "" if it may.
func Unreachable(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return unreachableAddress(ip.Unmap())
	}
	if !strings.Contains(host, ".") {
		return fmt.Sprintf("%s is a name of a private network", host)
	}
	for _, suffix := range []string{".svc", ".local", ".internal", ".localhost", ".home.arpa", ".lan"} {
		if strings.HasSuffix(host, suffix) {
			return fmt.Sprintf("%s is a name of a private network (%s)", host, suffix)
		}
	}
	return ""
}

var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

func unreachableAddress(ip netip.Addr) string {
	switch {
	case ip.IsLoopback():
		return fmt.Sprintf("%s is a loopback address", ip)
	case ip.IsPrivate() || ip.IsLinkLocalUnicast() || sharedAddresses.Contains(ip):
		return fmt.Sprintf("%s is a private address", ip)
	case !ip.IsGlobalUnicast():
		return fmt.Sprintf("%s is not an address of a server", ip)
	}
	return ""
}

// Documents are the documents of an issuer, checked and ready to be hosted.
type Documents struct {
	Discovery Discovery
	Keys      KeySet
	KeysPath  string // of jwks_uri, relative to the issuer
}

const (
	// DiscoveryPath is where verifiers look for the discovery document, relative to the
	// issuer (OpenID Connect Discovery 1.0, section 4).
	DiscoveryPath = ".well-known/openid-configuration"

	keysPath = "openid/v1/jwks" // as in the API server
)

// Read reads a discovery document and a JWKS, in either order, as kubectl get --raw
// prints them. It returns an error if STS would refuse them, with everything that is
// wrong. A jwks_uri outside the issuer is replaced: an API server names an address of its
// own there.
func Read(r io.Reader) (*Documents, error) {
	var discovery, keys json.RawMessage
	d := json.NewDecoder(r)
	for {
		var document json.RawMessage
		if err := d.Decode(&document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("the input is not JSON: %w", err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(document, &members); err != nil {
			return nil, errors.New("the input has a document that is not a JSON object")
		}
		_, isKeys := members["keys"]
		_, isDiscovery := members["issuer"]
		switch {
		case isKeys && keys == nil:
			keys = document
		case isDiscovery && discovery == nil:
			discovery = document
		case isKeys || isDiscovery:
			return nil, errors.New("the input has a document twice; want one discovery document and one JWKS")
		default:
			return nil, errors.New("the input has a document with neither issuer nor keys; want a discovery document and a JWKS")
		}
	}
	switch {
	case discovery == nil:
		return nil, errors.New("there is no discovery document: kubectl get --raw /.well-known/openid-configuration")
	case keys == nil:
		return nil, errors.New("there is no JWKS: kubectl get --raw /openid/v1/jwks")
	}
	var docs Documents
	if err := json.Unmarshal(discovery, &docs.Discovery); err != nil {
		return nil, fmt.Errorf("the discovery document: %w", err)
	}
	if err := json.Unmarshal(keys, &docs.Keys); err != nil {
		return nil, errors.New("the JWKS is not a list of keys") // the error could quote a key
	}
	return &docs, docs.complete()
}

// complete checks the documents and fills in what hosting them needs.
func (d *Documents) complete() error {
	issuer := d.Discovery.Issuer
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("the issuer is %q; STS requires a public https URL: set the API server's --service-account-issuer, and add the old issuer as a second one until its tokens have expired", issuer)
	}
	if reason := Unreachable(u.Hostname()); reason != "" {
		return fmt.Errorf("the issuer %s is private (%s), and STS must fetch its documents: set the API server's --service-account-issuer to a public https URL, and add the old issuer as a second one until its tokens have expired", issuer, reason)
	}
	base := strings.TrimSuffix(issuer, "/") + "/"
	rest, inside := strings.CutPrefix(d.Discovery.JWKSURI, base)
	if !inside || !plainPath(rest) || rest == DiscoveryPath {
		rest = keysPath
	}
	d.KeysPath, d.Discovery.JWKSURI = rest, base+rest

	problems := []error{d.Keys.Check()}
	d.Discovery.Algorithms = nil
	for i := range d.Keys.Keys {
		k := &d.Keys.Keys[i]
		err := k.Check()
		if err == nil {
			err = k.CheckNumbers()
		}
		if problems = append(problems, err); err != nil {
			continue
		}
		if k.Alg == "" {
			k.Alg = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Curve]
		}
		if k.Alg == "" {
			k.Alg = "RS256"
		}
		k.Use = "sig"
		d.Discovery.Algorithms = append(d.Discovery.Algorithms, k.Alg)
	}
	slices.Sort(d.Discovery.Algorithms)
	d.Discovery.Algorithms = slices.Compact(d.Discovery.Algorithms)
	if len(d.Discovery.ResponseTypes) == 0 {
		d.Discovery.ResponseTypes = []string{"id_token"}
	}
	if len(d.Discovery.SubjectTypes) == 0 {
		d.Discovery.SubjectTypes = []string{"public"}
	}
	return errors.Join(problems...)
}

// plainPath reports whether a path is one of a file below a directory, without characters
// that a URL escapes.
func plainPath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != "" {
			return false
		}
	}
	return true
}

// Files returns the documents by their path relative to the issuer.
func (d *Documents) Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for path, document := range map[string]any{DiscoveryPath: d.Discovery, d.KeysPath: d.Keys} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(document); err != nil {
			return nil, err
		}
		files[path] = b.Bytes()
	}
	return files, nil
}
