package credentials_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// bait stands where the SDK's default chain would turn to when the pod's own
// identity is not usable: the instance metadata service and a container's
// credentials endpoint. Nobody may ask it.
type bait struct{ metadata, container atomic.Int64 }

func newBait(t *testing.T) *bait {
	t.Helper()
	b := &bait{}
	serve := func(count *atomic.Int64) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			count.Add(1)
			http.Error(w, "no caller should ask", http.StatusTeapot)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", serve(&b.metadata))
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", serve(&b.container)+"/v1/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "bait")
	return b
}

// untouched fails the test if the bait was taken.
func (b *bait) untouched(t *testing.T) {
	t.Helper()
	if m, c := b.metadata.Load(), b.container.Load(); m+c > 0 {
		t.Errorf("%d requests to the metadata service and %d to the container endpoint, want none", m, c)
	}
}
