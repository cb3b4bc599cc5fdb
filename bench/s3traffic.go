package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// trafficPath is not the path of a bucket.
const trafficPath = "/-/traffic"

// traffic counts the object requests that a server has received so far.
type traffic struct {
	Requests int64
	Bytes    int64 // sent, including those that the client did not wait for
	Open     int64 // requests in flight
}

// meter counts the traffic of a server.
type meter struct{ requests, bytes, open atomic.Int64 }

func (m *meter) begin() (end func()) {
	m.requests.Add(1)
	m.open.Add(1)
	return func() { m.open.Add(-1) }
}

func (m *meter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	t := traffic{Open: m.open.Load()} // first, so that a request that is no longer open is in the other two
	t.Requests, t.Bytes = m.requests.Load(), m.bytes.Load()
	_ = json.NewEncoder(w).Encode(t) // it does not matter if the client has disconnected
}

// traffic returns the totals once no request is in flight.
func (a s3Addresses) traffic(ctx context.Context) (t traffic, err error) {
	for first := true; first || t.Open > 0; first = false {
		if !first {
			time.Sleep(time.Millisecond)
		}
		if t, err = a.trafficNow(ctx); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (a s3Addresses) trafficNow(ctx context.Context) (t traffic, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Plain+trafficPath, nil)
	if err != nil {
		return t, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return t, err
	}
	err = json.NewDecoder(resp.Body).Decode(&t)
	return t, errors.Join(err, resp.Body.Close())
}
