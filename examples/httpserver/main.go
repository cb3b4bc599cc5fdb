// Httpserver serves the shared account's bucket over HTTP, as a pod would:
//
//	httpserver [-addr :8080] [-role ARN]... bucket
//
// GET and HEAD of /files/KEY return the object, with Range, If-None-Match and
// If-Modified-Since. /healthz is for a readiness probe, /metrics for Prometheus.
//
// The environment configures it: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE,
// which EKS injects, and AWS_REGION. Without -role, the token is exchanged for a
// session of AWS_ROLE_ARN (direct); each -role is assumed after that one (hub).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/crossrole/crossrole"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/credentials/metrics"
	"github.com/crossrole/crossrole/s3reader"
)

func main() {
	var roles []string
	addr := flag.String("addr", ":8080", "`address` to listen on")
	flag.Func("role", "`ARN` of a role to assume next; may be given several times", func(arn string) error {
		roles = append(roles, arn)
		return nil
	})
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: httpserver [-addr :8080] [-role ARN]... bucket")
		os.Exit(2)
	}
	// Kubernetes sends SIGTERM when the pod is to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err == nil {
		err = run(ctx, listener, flag.Arg(0), roles)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "httpserver:", err)
		stop()
		os.Exit(1)
	}
}

// run serves the bucket until ctx ends.
func run(ctx context.Context, listener net.Listener, bucket string, roles []string) error {
	logger := slog.Default()
	collector := metrics.New()
	cfg, err := crossrole.LoadConfig(ctx, credentials.Assume(roles...), collector.Observe,
		func(o *credentials.Options) { o.Logger = logger })
	if err != nil {
		return err
	}
	chain, ok := credentials.ChainOf(cfg)
	if !ok {
		return errors.New("the configuration has no chain")
	}
	collector.Watch(chain)
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector); err != nil {
		return err
	}
	files, err := s3reader.New(cfg, bucket, func(o *s3reader.Options) { o.Logger = logger })
	if err != nil {
		return err
	}
	go func() { _ = chain.KeepFresh(ctx) }() // returns nil, when ctx ends
	return serve(ctx, listener, newHandler(chain, files, registry, logger))
}

// drain is how long requests in progress may take to end. Kubernetes kills a pod 30
// seconds after SIGTERM.
const drain = 20 * time.Second

// serve accepts requests until ctx ends, and then lets those in progress end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	// No WriteTimeout: it would limit the size of an object that a slow client can get.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

func newHandler(chain *credentials.Chain, files *s3reader.Reader, gatherer prometheus.Gatherer, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /files/{key...}", &fileServer{files, logger})
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !chain.Status().Healthy() {
			http.Error(w, "no session", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// fileServer serves objects. A HEAD request and a 304 cost one HEAD request to S3, and a
// range little more than its bytes.
type fileServer struct {
	files  *s3reader.Reader
	logger *slog.Logger
}

func (s *fileServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	key := req.PathValue("key")
	// With the context of the request, nothing is read for a client that has left.
	f, err := s.files.FS(req.Context()).Open(key)
	if err != nil {
		s.refuse(w, req, key, err)
		return
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		s.refuse(w, req, key, err)
		return
	}
	info, isObject := stat.Sys().(*s3reader.Info)
	content, ok := f.(io.ReadSeeker)
	if !isObject || !ok {
		s.refuse(w, req, key, fs.ErrNotExist) // a directory
		return
	}
	header := w.Header()
	for name, value := range map[string]string{
		"Etag": info.ETag, "Content-Type": info.ContentType, "Content-Encoding": info.ContentEncoding,
		"Content-Disposition": info.ContentDisposition, "Cache-Control": info.CacheControl,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
	header.Set("X-Content-Type-Options", "nosniff")
	body := &watched{ReadSeeker: content}
	http.ServeContent(w, req, key, info.LastModified, body)
	if body.err != nil && req.Context().Err() == nil {
		// The client notices too: the connection ends before Content-Length.
		s.logger.Error("reading an object failed", "key", key, "err", body.err)
	}
}

// refuse responds to a request for an object that cannot be opened. The client does not
// learn why; the log does.
func (s *fileServer) refuse(w http.ResponseWriter, req *http.Request, key string, err error) {
	status := http.StatusBadGateway
	switch {
	case req.Context().Err() != nil:
		return // the client has left
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		http.NotFound(w, req)
		return
	case errors.Is(err, fs.ErrPermission):
		// To a role without s3:ListBucket, a missing object is denied too.
		status = http.StatusForbidden
	}
	s.logger.Error("opening an object failed", "key", key, "err", err)
	http.Error(w, http.StatusText(status), status)
}

// watched keeps the error of a Read, which http.ServeContent does not return.
type watched struct {
	io.ReadSeeker
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
