package ceph

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// wholeReplies is an HTTP client that returns a response only after it has received all
// of it.
//
// The SDK closes the body of a request as soon as it has the headers of the response. If
// the transport has not yet read the body to its end, which happens with a fast local
// server like this one, it takes the closed body (smithy-go v1.28: WriteTo returns
// io.EOF as an error) for a failed write, and closes the connection before the rest of
// the response arrives. The SDK would then retry CreateRole and fail, because the role
// already exists.
type wholeReplies struct{ client *awshttp.BuildableClient }

func (c wholeReplies) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.client.Do(req)
	if err != nil {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("ceph: read the reply: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
