package ceph

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// wholeReplies is an HTTP client that returns a reply only when it has all of
// it.
//
// The SDK closes a request's body as soon as the headers of the reply are there.
// If the transport has not looked for the body's end by then, which happens with
// a server as near and quick as this one, it takes the closed body (smithy-go
// v1.28: WriteTo gives io.EOF as an error) for a failed write and closes the
// connection under the rest of the reply. A repeated CreateRole would then fail,
// because the first one did its work.
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
