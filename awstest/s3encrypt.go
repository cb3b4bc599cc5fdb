package awstest

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
)

// Server-side encryption: with S3's own keys, with a key of KMS (SSE-KMS), with a
// key that every request brings (SSE-C). Nothing is really encrypted; what counts
// is who may write and read.

// customerKeySize is AES-256's, in bytes.
const customerKeySize = 32

const (
	customerKeyHeader = "X-Amz-Server-Side-Encryption-Customer-"
	kmsKeyHeader      = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
)

// encrypt sets how the object of a write is encrypted: as its headers ask for, or
// as the bucket has it by default. The caller must be allowed to use the key.
func encrypt(s *s3Request, o *Object) *refusal {
	key, refused := customerKey(s.Header)
	if refused != nil {
		return refused
	}
	method, id := s.Header.Get("X-Amz-Server-Side-Encryption"), s.Header.Get(kmsKeyHeader)
	switch {
	case key != nil && (method != "" || id != ""):
		return badArgument("Server Side Encryption with Customer provided key is incompatible with the encryption method specified", "x-amz-server-side-encryption", method)
	case key != nil && !s.settings.customerKeys:
		s.call.Explain = "writes with customer-provided keys are blocked, as for every new bucket; see Bucket.AllowCustomerKeys"
		return refuse(403, "AccessDenied", customerKeysBlocked(s))
	case key != nil:
		o.CustomerKey = key
		return nil
	case method == "" && id == "":
		o.KMSKey = s.settings.defaultKey
	case method == "aws:kms" && id == "":
		return refuse(501, "NotImplemented", "awstest does not implement the AWS managed key aws/s3; name a key that Account.CreateKMSKey made", "Header", "x-amz-server-side-encryption")
	case method == "aws:kms":
		if o.KMSKey, refused = namedKey(s, id); refused != nil {
			return refused
		}
	case method == "aws:kms:dsse" || method == "aws:fsx":
		return refuse(501, "NotImplemented", "awstest does not implement the encryption "+method, "Header", "x-amz-server-side-encryption")
	case method != "" && method != "AES256":
		return badArgument("The encryption method specified is not supported", "x-amz-server-side-encryption", method)
	case id != "":
		return badArgument("Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms", "x-amz-server-side-encryption", method)
	}
	if o.KMSKey == nil {
		return nil
	}
	return o.KMSKey.use(s, "kms:GenerateDataKey")
}

// customerKeysBlocked is the message of a bucket that blocks SSE-C.
func customerKeysBlocked(s *s3Request) string {
	if s.caller == nil || s.caller.account != s.of.owner {
		return "Access Denied"
	}
	return "User: " + s.caller.arn + " is not authorized to perform: s3:PutObject on resource: \"" + s.of.arnPrefix() + s.of.name + "/" + s.key +
		"\" because this bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify a different server-side encryption type"
}

// namedKey finds the key that a request names, by its ARN or, in the caller's
// account, by its id.
func namedKey(s *s3Request, id string) (*KMSKey, *refusal) {
	if strings.Contains(id, "alias/") {
		return nil, refuse(501, "NotImplemented", "awstest does not implement aliases of KMS keys", "Header", strings.ToLower(kmsKeyHeader))
	}
	arn := id
	if !strings.HasPrefix(id, "arn:") && s.caller != nil {
		arn = "arn:" + s.cloud.partition.name + ":kms:" + s.settings.region + ":" + s.caller.account.id + ":key/" + id
	}
	k := s.cloud.kms.get(arn)
	switch {
	case k == nil:
		return nil, refuse(400, "KMS.NotFoundException", "Key '"+arn+"' does not exist")
	case k.region != s.settings.region:
		return nil, refuse(400, "KMS.NotFoundException", "Invalid arn "+k.region)
	}
	return k, nil
}

// decrypt refuses a caller that may not use the key with which the version is
// encrypted.
func decrypt(s *s3Request, v *version) *refusal {
	if refused := checkCustomerKey(s, v); refused != nil || v.KMSKey == nil {
		return refused
	}
	return v.KMSKey.use(s, "kms:Decrypt")
}

// customerKey reads the key that a request brings; nil if it brings none (Amazon S3
// User Guide, "Using server-side encryption with customer-provided keys").
func customerKey(h http.Header) ([]byte, *refusal) {
	algorithm, key, sum := h.Get(customerKeyHeader+"Algorithm"), h.Get(customerKeyHeader+"Key"), h.Get(customerKeyHeader+"Key-Md5")
	if algorithm == "" && key == "" && sum == "" {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	hash := md5.Sum(raw)
	switch {
	case algorithm != "AES256":
		return nil, refuse(400, "InvalidEncryptionAlgorithmError", "The encryption request that you specified is not valid. Supported value: AES256.")
	case key == "":
		return nil, badArgument("Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.", "x-amz-server-side-encryption", "null")
	case err != nil || len(raw) != customerKeySize:
		return nil, badArgument("The secret key was invalid for the specified algorithm.", "x-amz-server-side-encryption", "null")
	case sum != base64.StdEncoding.EncodeToString(hash[:]):
		return nil, badArgument("The calculated MD5 hash of the key did not match the hash that was provided.", "x-amz-server-side-encryption", "null")
	}
	return raw, nil
}

// checkCustomerKey compares the key that a read brings with the one that the object
// was stored with.
func checkCustomerKey(s *s3Request, v *version) *refusal {
	key, refused := customerKey(s.Header)
	switch {
	case refused != nil:
		return refused
	case key == nil && v.CustomerKey != nil:
		return refuse(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	case key != nil && v.CustomerKey == nil:
		return refuse(400, "InvalidRequest", "The encryption parameters are not applicable to this object.")
	case string(key) != string(v.CustomerKey):
		return refuse(403, "AccessDenied", "Access Denied")
	}
	return nil
}

// checkUploadKey compares the key that a request for an upload in progress brings
// with the one that the upload was created with, and lets KMS decide.
func checkUploadKey(s *s3Request, u *upload) *refusal {
	key, refused := customerKey(s.Header)
	switch {
	case refused != nil:
		return refused
	case key == nil && u.object.CustomerKey != nil:
		return refuse(400, "InvalidRequest", "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
	case string(key) != string(u.object.CustomerKey):
		return refuse(400, "InvalidRequest", "The provided encryption parameters did not match the ones used originally.")
	case u.object.KMSKey != nil:
		return u.object.KMSKey.use(s, "kms:Decrypt")
	}
	return nil
}

// describeEncryption adds what S3 says of an object's encryption.
func describeEncryption(h http.Header, o *Object) {
	switch {
	case o.CustomerKey != nil:
		hash := md5.Sum(o.CustomerKey)
		h.Set(customerKeyHeader+"Algorithm", "AES256")
		h.Set(customerKeyHeader+"Key-Md5", base64.StdEncoding.EncodeToString(hash[:]))
	case o.KMSKey != nil:
		h.Set("X-Amz-Server-Side-Encryption", "aws:kms")
		h.Set(kmsKeyHeader, o.KMSKey.arn)
	default:
		h.Set("X-Amz-Server-Side-Encryption", "AES256")
	}
}
