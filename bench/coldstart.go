package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

// The coldstart rows: a pod's program from the start of its process to the first byte
// of an object, with STS and S3 some distance away.

const (
	coldMsRow    = "coldstart/ms"
	coldTripsRow = "coldstart/round-trips"
)

var coldstart = group{rows: []Row{lower(coldMsRow, "ms"), lower(coldTripsRow, "round trips")}, measure: measureColdstart}

const (
	roundTrip      = 20 * time.Millisecond
	tripsToConnect = 2 // TCP, TLS 1.3
	coldLimit      = 20 * time.Second
)

// remote is a server of the cloud, some distance away.
type remote struct {
	server   *httptest.Server
	way      *distance
	requests atomic.Int64
}

// newRemote returns a server that speaks HTTP/1.1 over TLS, as STS and S3 do.
func newRemote(handler http.Handler) (*remote, error) {
	r := &remote{}
	r.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.requests.Add(1)
		handler.ServeHTTP(w, q)
	}))
	way, err := newDistance(r.server.Listener.Addr().String(), roundTrip)
	if err != nil {
		r.server.Close()
		return nil, err
	}
	r.way = way
	return r, nil
}

func (r *remote) url() string { return "https://" + r.way.addr() }

// trips returns how many times a client has waited for the server so far.
func (r *remote) trips() int64 {
	return r.requests.Load() + tripsToConnect*r.way.connections.Load()
}

func (r *remote) close() error {
	r.server.Close()
	return r.way.close()
}

func measureColdstart(ctx context.Context, s settings) (got figures, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := newWorld(filepath.Join(dir, "token"))
	sts, err := newRemote(w.cloud.Handler())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sts.close()) }()
	s3, err := newRemote(w.cloud.Handler())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s3.close()) }()
	// Both servers use the certificate of httptest.
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sts.server.Certificate().Raw}), 0o600); err != nil {
		return nil, err
	}
	env := append(w.pod.Env(), "HOME="+dir, "AWS_CA_BUNDLE="+ca, "AWS_ENDPOINT_URL_STS="+sts.url(), "AWS_ENDPOINT_URL_S3="+s3.url())
	got = figures{}
	order := []string{ours, sdk}
	for n := range 1 + s.rounds(7, 21) {
		for _, name := range order {
			before := sts.trips() + s3.trips()
			took, err := start(ctx, name, env)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if n == 0 { // loads the program file into the page cache
				continue
			}
			got.add(coldMsRow, name, milliseconds(took))
			got.add(coldTripsRow, name, float64(sts.trips()+s3.trips()-before))
		}
		order[0], order[1] = order[1], order[0]
	}
	return got, nil
}

// start runs a pod's program and returns how long it takes to the first byte.
func start(ctx context.Context, name string, env []string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, coldLimit)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, podCommand, name)
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, readErr := io.ReadFull(out, make([]byte, 1))
	took := time.Since(begin)
	if err := errors.Join(cmd.Wait(), readErr); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, &stderr)
	}
	return took, nil
}
