package main

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what IAM calls a thumbprint
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/issuerdoc"
)

func newIssuer() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "issuer URL | issuer --publish DIR [FILE...]",
		Short: "Check a cluster's issuer as STS would, or write its documents for hosting",
		Long: `issuer fetches the discovery document and the keys of a cluster's issuer and
checks what STS requires: the issuer spelled as in the tokens, a host that AWS can
reach, an https jwks_uri, and public RSA or EC keys with an ID. It prints the
thumbprint that IAM may ask for. The last line says whether STS can use the issuer.

AWS needs the thumbprint only if the issuer's certificate does not chain to a public
certificate authority. Since 2023 it trusts those, including the one of EKS's own
issuers, and you can omit --thumbprint-list
(https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html).

With --publish, issuer reads the two documents of a cluster from files or standard
input, in either order, makes the same checks, and writes them to DIR as they must be
hosted below the issuer's URL. Publish them again after the API server's keys change.`,
		Example: `  crossrole issuer https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E
  { kubectl get --raw /.well-known/openid-configuration; kubectl get --raw /openid/v1/jwks; } |
    crossrole issuer --publish public`,
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("publish") {
				return nil
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("publish") {
				return publish(c, dir, args)
			}
			if err := checkIssuer("issuer", args[0]); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			e := examination{out: c.OutOrStdout(), issuer: args[0]}
			e.run(ctx)
			e.verdict()
			if len(e.problems) > 0 {
				return errFound
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "publish", "", "`DIR` to write the discovery document and the keys to")
	return c
}

// publish writes the documents of an issuer to dir.
func publish(c *cobra.Command, dir string, files []string) error {
	if dir == "" {
		return usagef(`--publish ""; want a directory`)
	}
	input := c.InOrStdin()
	if len(files) > 0 {
		var readers []io.Reader
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				return usageError{err}
			}
			readers = append(readers, bytes.NewReader(text))
		}
		input = io.MultiReader(readers...)
	}
	docs, err := issuerdoc.Read(io.LimitReader(input, maxIssuerDocuments))
	if err != nil {
		return fmt.Errorf("issuer --publish wrote nothing: %w", err)
	}
	texts, err := docs.Files()
	if err != nil {
		return err
	}
	paths := []string{docs.KeysPath, issuerdoc.DiscoveryPath} // a discovery document without keys must not exist
	if err := writeAll(dir, paths, texts); err != nil {
		return fmt.Errorf("issuer --publish wrote nothing: %w", err)
	}
	base := strings.TrimSuffix(docs.Discovery.Issuer, "/") + "/"
	for _, path := range paths {
		fmt.Fprintf(c.OutOrStdout(), "%s: host it at %s%s (Content-Type: application/json)\n", quote(filepath.Join(dir, filepath.FromSlash(path))), base, path)
	}
	fmt.Fprintf(c.OutOrStdout(), "Then check it: crossrole issuer %s\n", docs.Discovery.Issuer)
	return nil
}

const maxIssuerDocuments = 1 << 20

// writeAll writes files below dir, or none of them.
func writeAll(dir string, paths []string, texts map[string][]byte) (err error) {
	var undo []string // what was created, to be removed in reverse order
	defer func() {
		if err != nil {
			for _, name := range slices.Backward(undo) {
				_ = os.Remove(name) // a directory with other files stays
			}
		}
	}()
	staged := map[string]string{}
	for _, path := range paths {
		name := filepath.Join(dir, filepath.FromSlash(path))
		for parent := filepath.Dir(name); ; parent = filepath.Dir(parent) {
			if _, err := os.Stat(parent); err == nil || parent == filepath.Dir(parent) {
				break
			}
			undo = slices.Insert(undo, 0, parent)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := os.CreateTemp(filepath.Dir(name), ".crossrole-*")
		if err != nil {
			return err
		}
		undo = append(undo, f.Name())
		_, err = f.Write(texts[path])
		if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
			return err
		}
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file", name)
		}
		staged[f.Name()] = name
	}
	for _, from := range undo {
		to := staged[from]
		if to == "" {
			continue
		}
		if _, err := os.Stat(to); err != nil {
			undo = append(undo, to)
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
	}
	return nil
}

// examination checks an issuer and prints one finding after the other.
type examination struct {
	out      io.Writer
	issuer   string
	problems []string
	loopback bool // this machine serves the issuer, for a test
}

func (e *examination) ok(format string, args ...any) {
	fmt.Fprintf(e.out, "ok       %s\n", printable(fmt.Sprintf(format, args...)))
}

func (e *examination) problem(format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	e.problems = append(e.problems, text)
	fmt.Fprintf(e.out, "PROBLEM  %s\n", text)
}

// verdict prints in one line whether STS can use the issuer.
func (e *examination) verdict() {
	switch {
	case len(e.problems) > 0:
		fmt.Fprintf(e.out, "verdict  STS cannot use %s: %s\n", e.issuer, strings.Join(strings.Fields(e.problems[0]), " "))
	case e.loopback:
		fmt.Fprintf(e.out, "verdict  STS could use these documents, but it cannot reach the loopback address of %s\n", e.issuer)
	default:
		fmt.Fprintf(e.out, "verdict  STS can use %s\n", e.issuer)
	}
}

// reach checks that AWS can reach a host. An address of this machine is fine for a test
// of the documents.
func (e *examination) reach(ctx context.Context, what, link string) bool {
	u, err := url.Parse(link)
	if err != nil {
		e.problem("%s: %v", what, err)
		return false
	}
	host := u.Hostname()
	reason := issuerdoc.Unreachable(host)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		e.loopback = true
		return true
	} else if err != nil && reason == "" {
		addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return true // behind a proxy, only the request itself can tell
		}
		for _, ip := range addresses {
			if reason = issuerdoc.Unreachable(ip.Unmap().String()); reason == "" {
				return true
			}
		}
		reason = host + " has the address " + reason
	}
	if reason != "" {
		e.problem("%s is private, and STS must fetch it: %s; host the documents at a public https URL (crossrole issuer --publish) and set the API server's --service-account-issuer to it", what, reason)
		return false
	}
	return true
}

func (e *examination) run(ctx context.Context) {
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if !e.reach(ctx, "the issuer", e.issuer) {
		return
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
	if !e.reach(ctx, "jwks_uri", discovery.JWKSURI) {
		return
	}
	var keys issuerdoc.KeySet
	if _, ok := e.fetch(ctx, discovery.JWKSURI, "the keys", &keys); !ok {
		return
	}
	if err := keys.Check(); err != nil {
		e.problem("%v at %s", err, discovery.JWKSURI)
	}
	for _, k := range keys.Keys {
		err := k.Check()
		if err == nil && k.HasNumbers() {
			err = k.CheckNumbers()
		}
		if err != nil {
			e.problem("%v", err)
		} else {
			e.ok("key %q: %s %s", k.ID, k.Type, k.Alg)
		}
	}
}

// thumbprint prints the thumbprint of the last certificate that the server sends: with a
// complete chain, that is the top intermediate.
func (e *examination) thumbprint(chain []*x509.Certificate) {
	last := chain[len(chain)-1]
	sum := sha1.Sum(last.Raw) //nolint:gosec // as above
	fmt.Fprintf(e.out, "         thumbprint %s, of the last certificate sent (%s); needed only if the chain does not lead to a public authority\n", hex.EncodeToString(sum[:]), quote(last.Subject.String()))
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
