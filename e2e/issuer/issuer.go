// Package issuer is an OIDC issuer on loopback: it publishes the keys of a simulated
// cluster and signs service-account tokens as kube-apiserver does.
//
// The key document of a real cluster contains bare keys. Ceph's gateway accepts only
// keys with a certificate (x5c) whose SHA-1 is a thumbprint of the registered provider,
// which is why self-hosted clusters publish their keys through a small static issuer
// like this one.
package issuer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Issuer is a running issuer. Its methods may be called from any goroutine.
type Issuer struct {
	URL string // the iss claim of its tokens

	server http.Server
	mu     sync.Mutex
	keys   []*key // the first one signs, all are published
	hidden bool
}

// Start listens on a free port of 127.0.0.1 and publishes one new key.
func Start() (*Issuer, error) {
	k, err := newKey()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	i := &Issuer{URL: "http://" + l.Addr().String(), keys: []*key{k}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /openid/v1/jwks", i.jwks)
	i.server.Handler = i.unlessHidden(mux)
	go i.server.Serve(l) // ends with http.ErrServerClosed, at Close
	return i, nil
}

// Close stops the server, which makes the issuer's keys unreachable.
func (i *Issuer) Close() error { return i.server.Close() }

// Host returns the issuer without its scheme, as in ARNs and condition keys.
func (i *Issuer) Host() string { return strings.TrimPrefix(i.URL, "http://") }

// Rotate signs with a new key from now on. If keep is set, the old keys stay published,
// as in a cluster while old tokens are valid; otherwise they are removed.
func (i *Issuer) Rotate(keep bool) error {
	k, err := newKey()
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !keep {
		i.keys = nil
	}
	i.keys = slices.Insert(i.keys, 0, k)
	return nil
}

// Retire stops publishing all keys except the one that signs.
func (i *Issuer) Retire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[:1]
}

// Hide makes the issuer respond 503 to every request, until it is called with false.
func (i *Issuer) Hide(hidden bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hidden = hidden
}

// unlessHidden calls the handler unless the issuer is hidden.
func (i *Issuer) unlessHidden(publish http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		hidden := i.hidden
		i.mu.Unlock()
		if hidden {
			http.Error(w, "hidden", http.StatusServiceUnavailable)
			return
		}
		publish.ServeHTTP(w, r)
	})
}

// Thumbprints returns the ThumbprintList of a provider: the SHA-1 digests, in lower
// case, of the certificates of the published keys, the signing key first.
func (i *Issuer) Thumbprints() []string {
	var prints []string
	for _, k := range i.published() {
		prints = append(prints, k.thumbprint)
	}
	return prints
}

func (i *Issuer) published() []*key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.keys)
}

// discovery serves only what OpenID Connect Discovery 1.0 requires.
func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{
		"issuer":                                i.URL,
		"jwks_uri":                              i.URL + "/openid/v1/jwks",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	set := []map[string]any{}
	for _, k := range i.published() {
		set = append(set, map[string]any{
			"use": "sig", "kty": "RSA", "alg": "RS256", "kid": k.id,
			"n":   base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
			"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
			"x5c": []string{base64.StdEncoding.EncodeToString(k.certificate)},
		})
	}
	reply(w, map[string]any{"keys": set})
}

func reply(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(document); err != nil {
		panic(http.ErrAbortHandler) // the client has disconnected
	}
}
