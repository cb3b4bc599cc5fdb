package main

import (
	"context"
	"crypto/sha1" //nolint:gosec // what IAM calls a thumbprint
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newIssuer() *cobra.Command {
	return &cobra.Command{
		Use:   "issuer URL",
		Short: "Check a cluster's issuer as STS would",
		Long: `issuer fetches the discovery document and the keys of a cluster's issuer and
checks what STS requires: the issuer spelled as in the tokens, an https jwks_uri,
and RSA or EC keys with an ID. It prints the thumbprint that IAM may ask for.

AWS needs the thumbprint only if the issuer's certificate does not chain to a public
certificate authority. Since 2023 it trusts those, including the one of EKS's own
issuers, and you can omit --thumbprint-list
(https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html).`,
		Example: "  crossrole issuer https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkIssuer("issuer", args[0]); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			e := examination{out: c.OutOrStdout(), issuer: args[0]}
			e.run(ctx)
			if e.bad {
				return errFound
			}
			return nil
		},
	}
}

// examination checks an issuer and prints one finding after the other.
type examination struct {
	out    io.Writer
	issuer string
	bad    bool
}

func (e *examination) ok(format string, args ...any) {
	fmt.Fprintf(e.out, "ok       %s\n", printable(fmt.Sprintf(format, args...)))
}

func (e *examination) problem(format string, args ...any) {
	e.bad = true
	fmt.Fprintf(e.out, "PROBLEM  %s\n", printable(fmt.Sprintf(format, args...)))
}

func (e *examination) run(ctx context.Context) {
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	certificates, ok := e.fetch(ctx, strings.TrimSuffix(e.issuer, "/")+"/.well-known/openid-configuration", "the discovery document", &discovery)
	if !ok {
		return
	}
	e.thumbprint(certificates)
	if discovery.Issuer == e.issuer {
		e.ok("the discovery document names this issuer")
	} else {
		e.problem("the discovery document names the issuer %q, not %q: STS compares them byte for byte; register it as the tokens spell it", discovery.Issuer, e.issuer)
	}
	if err := checkIssuer("jwks_uri", discovery.JWKSURI); err != nil {
		e.problem("jwks_uri is %q; it must be an https URL", discovery.JWKSURI)
		return
	}
	var keys struct {
		Keys []struct {
			Type string `json:"kty"`
			ID   string `json:"kid"`
			Alg  string `json:"alg"`
			Use  string `json:"use"`
		} `json:"keys"`
	}
	if _, ok := e.fetch(ctx, discovery.JWKSURI, "the keys", &keys); !ok {
		return
	}
	if len(keys.Keys) == 0 {
		e.problem("there is no key at %s", discovery.JWKSURI)
	}
	for i, k := range keys.Keys {
		switch {
		case k.ID == "":
			e.problem("key %d has no kid: STS cannot find the key of a token", i+1)
		case k.Type != "RSA" && k.Type != "EC":
			e.problem("key %q is of type %q; STS takes RSA and EC", k.ID, k.Type)
		case k.Use != "" && k.Use != "sig":
			e.problem("key %q is for %q, not for signatures", k.ID, k.Use)
		default:
			e.ok("key %q: %s %s", k.ID, k.Type, k.Alg)
		}
	}
}

// thumbprint prints the thumbprint of the last certificate that the server sends: with a
// complete chain, that is the top intermediate.
func (e *examination) thumbprint(chain []*x509.Certificate) {
	last := chain[len(chain)-1]
	sum := sha1.Sum(last.Raw) //nolint:gosec // as above
	fmt.Fprintf(e.out, "         thumbprint %s, of the last certificate sent (%s); needed only if the chain does not lead to a public authority\n", hex.EncodeToString(sum[:]), shown(last.Subject.String()))
}

// fetch gets a JSON document over https.
func (e *examination) fetch(ctx context.Context, url, what string, into any) ([]*x509.Certificate, bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		e.problem("%s: %v", what, err)
		return nil, false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.problem("%s cannot be fetched: %v", what, err)
		return nil, false
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		e.problem("%s: %s responds %s", what, url, resp.Status)
		return nil, false
	case resp.TLS == nil:
		e.problem("%s: %s leads to a page without https", what, url)
		return nil, false
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(into); err != nil {
		e.problem("%s: %s is not JSON: %v", what, url, err)
		return nil, false
	}
	e.ok("%s: %s", what, url)
	return resp.TLS.PeerCertificates, true
}
