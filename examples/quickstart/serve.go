package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// serve serves the world on a loopback listener until ctx is done, and prints the
// environment variables of a pod in it, to try other programs with:
//
//	go run ./examples/quickstart -serve
//	# in another shell, after you paste the lines:
//	go run ./cmd/crossrole doctor --role $TARGET --bucket pics --key indoor-cat.jpg
func serve(ctx context.Context, out io.Writer, dir string) error {
	w := build()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: w.cloud.Handler(), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	url := "http://" + listener.Addr().String()
	pod := w.blue.Pod(dir+"/blue", namespace, serviceAccount, w.hub.ARN())
	for _, variable := range append(pod.Env(), "AWS_ENDPOINT_URL_STS="+url, "AWS_ENDPOINT_URL_S3="+url, "TARGET="+w.target.ARN()) {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(out, "export %s='%s'\n", name, value)
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if err := errors.Join(server.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
