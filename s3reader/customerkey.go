package s3reader

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// CustomerKey is the key of objects that are encrypted with a customer-provided key
// (SSE-C), for Options.CustomerKey. Make one with [NewCustomerKey]; the zero value
// is no key. It prints as "[redacted]", whatever the verb, and in an unexported
// field not at all. It is safe for concurrent use.
type CustomerKey struct {
	// A function, because fmt prints the contents of all other kinds of fields.
	bytes func() [customerKeySize]byte
}

const customerKeySize = 32 // AES-256, the only algorithm

// NewCustomerKey returns a key. It keeps a copy of key, which must have 32 bytes
// (AES-256).
func NewCustomerKey(key []byte) (CustomerKey, error) {
	if len(key) != customerKeySize {
		return CustomerKey{}, fmt.Errorf("s3reader: a customer key has %d bytes (AES-256), this one has %d: give the key itself, not its text in base64 or hex", customerKeySize, len(key))
	}
	own := [customerKeySize]byte(key)
	return CustomerKey{func() [customerKeySize]byte { return own }}, nil
}

const redacted = "[redacted]"

// Format prints "[redacted]", whatever the verb.
func (CustomerKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText returns "[redacted]", for JSON.
func (CustomerKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]", for slog.
func (CustomerKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// headers returns what S3 requires with every GET and HEAD
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html);
// nil without a key.
func (k CustomerKey) headers() (algorithm, key, sum *string) {
	if k.bytes == nil {
		return nil, nil, nil
	}
	raw := k.bytes()
	hash := md5.Sum(raw[:])
	return new("AES256"), new(base64.StdEncoding.EncodeToString(raw[:])), new(base64.StdEncoding.EncodeToString(hash[:]))
}

// onlyEncrypted refuses to send a key over plain HTTP, except to this machine. S3 would
// refuse the request only after the key was exposed.
func onlyEncrypted(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("s3reader:onlyEncrypted",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			req, ok := in.Request.(*smithyhttp.Request)
			if ok && req.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key") != "" && !private(req.URL) {
				return middleware.DeserializeOutput{}, middleware.Metadata{},
					errors.New("Options.CustomerKey is not sent to " + req.URL.Host + " over plain HTTP: use an https endpoint")
			}
			return next.HandleDeserialize(ctx, in)
		}), middleware.Before)
}

// private reports whether no one can read a request to u on the network.
func private(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	return u.Scheme == "https" || host == "localhost" || err == nil && addr.IsLoopback()
}
