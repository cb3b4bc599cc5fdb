package awstest

import (
	"crypto/md5"
	"encoding/base64"
)

// customerKeySize is AES-256's, in bytes.
const customerKeySize = 32

const customerKeyHeader = "X-Amz-Server-Side-Encryption-Customer-"

// checkCustomerKey compares the key that a GET or HEAD brings with the one that
// the object was stored with (Amazon S3 User Guide, "Using server-side encryption
// with customer-provided keys"). It refuses as S3 does.
func (s *s3Request) checkCustomerKey(v *version) *refusal {
	algorithm, key, sum := s.Header.Get(customerKeyHeader+"Algorithm"), s.Header.Get(customerKeyHeader+"Key"), s.Header.Get(customerKeyHeader+"Key-Md5")
	if algorithm == "" && key == "" && sum == "" {
		if v.CustomerKey == nil {
			return nil
		}
		return refuse(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	hash := md5.Sum(raw)
	switch {
	case algorithm != "AES256":
		return refuse(400, "InvalidEncryptionAlgorithmError", "The encryption request that you specified is not valid. Supported value: AES256.")
	case key == "":
		return badArgument("Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.", "x-amz-server-side-encryption", "null")
	case err != nil || len(raw) != customerKeySize:
		return badArgument("The secret key was invalid for the specified algorithm.", "x-amz-server-side-encryption", "null")
	case sum != base64.StdEncoding.EncodeToString(hash[:]):
		return badArgument("The calculated MD5 hash of the key did not match the hash that was provided.", "x-amz-server-side-encryption", "null")
	case v.CustomerKey == nil:
		return refuse(400, "InvalidRequest", "The encryption parameters are not applicable to this object.")
	case string(raw) != string(v.CustomerKey):
		return refuse(403, "AccessDenied", "Access Denied")
	}
	return nil
}

// describeCustomerKey adds what S3 says of an object with such a key.
func (v *version) describeCustomerKey(resp *response) {
	if v.CustomerKey == nil {
		return
	}
	hash := md5.Sum(v.CustomerKey)
	resp.header.Del("X-Amz-Server-Side-Encryption")
	resp.header.Set(customerKeyHeader+"Algorithm", "AES256")
	resp.header.Set(customerKeyHeader+"Key-Md5", base64.StdEncoding.EncodeToString(hash[:]))
}
