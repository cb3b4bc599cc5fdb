package issuer

import (
	"crypto/x509"
	"encoding/pem"
)

// PrivateKeys are the published keys as kube-apiserver reads them (PEM, PKCS #1),
// the one that signs first.
func (i *Issuer) PrivateKeys() [][]byte {
	var files [][]byte
	for _, k := range i.published() {
		files = append(files, pem.EncodeToMemory(&pem.Block{
			Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.private),
		}))
	}
	return files
}
