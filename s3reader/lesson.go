package s3reader

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/encoding/httpbinding"
	"github.com/aws/smithy-go/metrics"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/tracing"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// lesson watches the SDK make one request, to find out whether it can be
// repeated without it: only if there is nothing between the caller and S3 but
// what the SDK itself puts there, and what a chain does to recover.
type lesson struct {
	stock  bool // nothing else was there
	url    *url.URL
	header http.Header
}

func (*lesson) ID() string { return "s3reader:lesson" }

// look comes before what this package adds to the stack.
func (l *lesson) look(stack *middleware.Stack) error {
	ids := slices.DeleteFunc(stack.List(), func(id string) bool { return strings.HasPrefix(id, "crossrole") })
	l.stock = slices.Equal(ids, stockStack())
	return stack.Deserialize.Add(l, middleware.After)
}

// HandleDeserialize comes last before the HTTP client.
func (l *lesson) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	if req, ok := in.Request.(*smithyhttp.Request); ok {
		l.url, l.header = new(*req.URL), req.Header.Clone()
	}
	return next.HandleDeserialize(ctx, in)
}

// stockStack is what stands between a caller and S3 if nobody has added anything.
var stockStack = sync.OnceValue(func() []string {
	var ids []string
	client := s3.New(s3.Options{
		Region: "us-east-1", Credentials: aws.AnonymousCredentials{},
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			ids = stack.List()
			return errors.New("s3reader: seen") // no request is made
		}},
	})
	_, _ = client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	return ids
})

// perRequest are the headers that the next request does not share.
var perRequest = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "If-Match", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"}

// pattern is what the lesson teaches; nil if the request cannot be repeated.
func (l *lesson) pattern(client *s3.Client, key string) *pattern {
	o := client.Options()
	if !l.stock || l.url == nil || !plainOptions(&o) {
		return nil
	}
	// AWS4-HMAC-SHA256 Credential=AKIA…/20260102/eu-west-1/s3/aws4_request, …
	_, scope, signed := strings.Cut(l.header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=")
	parts := strings.SplitN(scope, "/", 5)
	before, ends := strings.CutSuffix(l.url.EscapedPath(), httpbinding.EscapePath(key, false))
	path, err := url.PathUnescape(before)
	if !signed || len(parts) != 5 || parts[3] != "s3" || !ends || err != nil || l.header.Get("X-Amz-S3session-Token") != "" {
		return nil
	}
	p := &pattern{
		client: client, http: o.HTTPClient, signer: o.HTTPSignerV4, creds: o.Credentials, region: parts[2],
		url: *l.url, escaped: before, header: l.header, payloadHash: l.header.Get("X-Amz-Content-Sha256"),
	}
	p.url.Path, p.url.RawPath = path, ""
	for _, name := range perRequest {
		p.header.Del(name)
	}
	return p
}

// plainOptions reports whether nobody watches the requests.
func plainOptions(o *s3.Options) bool {
	_, untraced := o.TracerProvider.(*tracing.NopTracerProvider)
	_, unmetered := o.MeterProvider.(metrics.NopMeterProvider)
	if !untraced || !unmetered || o.ClientLogMode != 0 || o.HTTPSignerV4 == nil || o.Credentials == nil {
		return false
	}
	for _, of := range reflect.ValueOf(o.Interceptors).Fields() { // a slice for each place
		if of.Len() > 0 {
			return false
		}
	}
	return true
}
