package issuer

import (
	"crypto/x509"
	"encoding/pem"
)

// PrivateKeys returns the published keys in the form that kube-apiserver reads (PEM,
// PKCS #1), the signing key first.
func (i *Issuer) PrivateKeys() [][]byte {
	var files [][]byte
	for _, k := range i.published() {
		files = append(files, pem.EncodeToMemory(&pem.Block{
			Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.private),
		}))
	}
	return files
}
