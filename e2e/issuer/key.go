package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"
)

// key is a signing key with a self-signed certificate for it.
type key struct {
	private     *rsa.PrivateKey
	id          string // the kid
	certificate []byte // DER
	thumbprint  string
}

func newKey() (*key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("issuer: new key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("issuer: new key: %w", err)
	}
	// kube-apiserver derives the kid from the public key in the same way.
	digest := sha256.Sum256(spki)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(digest[:8]),
		Subject:      pkix.Name{CommonName: "service-account signing key"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("issuer: certificate of a new key: %w", err)
	}
	// IAM thumbprints are SHA-1 by definition.
	print := sha1.Sum(certificate)
	return &key{
		private:     private,
		id:          base64.RawURLEncoding.EncodeToString(digest[:]),
		certificate: certificate,
		thumbprint:  hex.EncodeToString(print[:]),
	}, nil
}
