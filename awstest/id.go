package awstest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// newID is an id as IAM makes them: a prefix that tells the kind (AROA a role,
// AIDA a user, ASIA and AKIA access keys) and random letters and digits.
func newID(prefix string, length int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, length-len(prefix))
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))]
	}
	return prefix + string(b)
}

// newSecret is n random bytes in base64.
func newSecret(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// newUUID is a random UUID, as STS numbers requests.
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return uuid(b)
}

// newRequestID is a request id in the form of the service.
func newRequestID(service string) string {
	if service != serviceS3 {
		return newUUID()
	}
	b := make([]byte, 8)
	rand.Read(b)
	return strings.ToUpper(hex.EncodeToString(b))
}

// hostID is S3's extended request id (x-amz-id-2) to a request id.
func hostID(requestID string) string {
	sum := sha256.Sum256([]byte(requestID))
	return base64.StdEncoding.EncodeToString(append(sum[:], sum[:24]...))
}

// stableUUID is the UUID of the object that these names name.
func stableUUID(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return uuid(sum[:16])
}

func uuid(b []byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
