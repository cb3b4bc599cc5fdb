// Httpserver serves the shared account's bucket over HTTP, as a pod would:
//
//	httpserver [-addr :8080] [-admin :9090] [-role ARN]... bucket
//
// GET and HEAD of /files/KEY return the object, with Range, If-None-Match and
// If-Modified-Since. The admin port has /healthz for a readiness probe, and /metrics for
// Prometheus, which names roles and accounts: do not publish that port.
//
// The environment configures it: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE,
// which EKS injects, and AWS_REGION. Without -role, the token is exchanged for a
// session of AWS_ROLE_ARN (direct); each -role is assumed after that one (hub).
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
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
	addr := flag.String("addr", ":8080", "`address` of the files")
	adminAddr := flag.String("admin", ":9090", "`address` of /healthz and /metrics")
	flag.Func("role", "`ARN` of a role to assume next; may be given several times", func(arn string) error {
		roles = append(roles, arn)
		return nil
	})
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: httpserver [-addr :8080] [-admin :9090] [-role ARN]... bucket")
		os.Exit(2)
	}
	// Kubernetes sends SIGTERM when the pod is to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *adminAddr, flag.Arg(0), roles); err != nil {
		fmt.Fprintln(os.Stderr, "httpserver:", err)
		stop()
		os.Exit(1)
	}
}

// run serves the bucket until ctx ends.
func run(ctx context.Context, addr, adminAddr, bucket string, roles []string) error {
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
	var listen net.ListenConfig
	public, err := listen.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer public.Close()
	private, err := listen.Listen(ctx, "tcp", adminAddr)
	if err != nil {
		return err
	}
	defer private.Close()
	logger.Info("serving", "bucket", bucket, "addr", public.Addr().String(), "admin", private.Addr().String())
	go func() { _ = chain.KeepFresh(ctx) }() // returns nil, when ctx ends
	return serve(ctx,
		endpoint{public, newFiles(files, logger)},
		endpoint{private, newAdmin(chain, registry)})
}

const (
	// drain is how long requests in progress may take to end. Kubernetes kills a pod 30
	// seconds after SIGTERM.
	drain = 20 * time.Second

	// stalled is how long a client may take to accept what it was sent, some 32 KiB at a
	// time, before it is disconnected.
	stalled = 30 * time.Second
)

// endpoint is a port and what it serves.
type endpoint struct {
	net.Listener
	http.Handler
}

// serve accepts requests until ctx ends, and then lets those in progress end.
func serve(ctx context.Context, endpoints ...endpoint) error {
	ended := make(chan error, len(endpoints))
	var servers []*http.Server
	for _, e := range endpoints {
		// The WriteTimeout is extended while a client accepts bytes (patient), so that
		// it does not limit the size of an object.
		server := &http.Server{Handler: e.Handler, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: stalled, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
		servers = append(servers, server)
		go func() { ended <- server.Serve(e.Listener) }()
	}
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for _, server := range servers {
		if late := server.Shutdown(grace); late != nil {
			err = errors.Join(err, late, server.Close())
		}
	}
	return err
}

func newAdmin(chain *credentials.Chain, gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
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

func newFiles(files *s3reader.Reader, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /files/{key...}", &fileServer{files, logger})
	return mux
}

// fileServer serves objects. A GET of a complete object costs one request to S3, as do HEAD
// and a 304. A range costs one more, or a few if it is long, and little more than its bytes.
type fileServer struct {
	files  *s3reader.Reader
	logger *slog.Logger
}

// maxRanges is how many ranges a request may have: each costs a request to S3.
const maxRanges = 16

func (s *fileServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	key := req.PathValue("key")
	if strings.Count(req.Header.Get("Range"), ",") >= maxRanges {
		http.Error(w, "too many ranges", http.StatusRequestedRangeNotSatisfiable)
		return
	}
	object, info, err := s.open(req, key)
	if err != nil {
		s.refuse(w, req, key, err)
		return
	}
	defer object.Close()
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
	body := &patient{ReadSeeker: object, client: http.NewResponseController(w)}
	http.ServeContent(w, req, key, info.LastModified, body)
	if body.err == nil {
		return
	}
	if req.Context().Err() == nil {
		s.logger.Error("reading an object failed", "key", key, "err", body.err)
	}
	// The client must notice, even if the response has no Content-Length, as that of an
	// encoded object: the connection ends in the middle of it.
	panic(http.ErrAbortHandler)
}

// open opens an object: all of it, or as a file that requests what is read. With the
// context of the request, nothing is read for a client that has left.
func (s *fileServer) open(req *http.Request, key string) (io.ReadSeekCloser, *s3reader.Info, error) {
	if !wantsPart(req) {
		o, err := s.files.Open(req.Context(), key)
		if err != nil {
			return nil, nil, err
		}
		info := o.Info()
		return o, &info, nil
	}
	f, err := s.files.FS(req.Context()).Open(key)
	if err != nil {
		return nil, nil, err
	}
	content, isObject := f.(io.ReadSeekCloser)
	stat, err := f.Stat()
	if err != nil || !isObject { // a directory
		return nil, nil, errors.Join(cmp.Or(err, error(s3reader.NotFound)), f.Close())
	}
	return content, stat.Sys().(*s3reader.Info), nil
}

// wantsPart reports whether the response may do without some bytes of the object.
func wantsPart(req *http.Request) bool {
	for _, name := range []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if req.Header.Get(name) != "" {
			return true
		}
	}
	return req.Method == http.MethodHead
}

// refuse responds to a request for an object that cannot be opened. The client does not
// learn why; the log does.
func (s *fileServer) refuse(w http.ResponseWriter, req *http.Request, key string, err error) {
	status := http.StatusBadGateway
	switch {
	case req.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has left
	case errors.Is(err, s3reader.NotFound), errors.Is(err, s3reader.BadKey):
		status = http.StatusNotFound
	case errors.Is(err, s3reader.AccessDenied):
		// To a role without s3:ListBucket, a missing object is denied too.
		status = http.StatusForbidden
	}
	if status != http.StatusNotFound {
		s.logger.Error("opening an object failed", "key", key, "err", err)
	}
	extend(http.NewResponseController(w)) // S3 may have taken long
	http.Error(w, http.StatusText(status), status)
}

// patient extends the time that the client has whenever there are more bytes for it. It
// keeps the error of a Read, which http.ServeContent does not return.
type patient struct {
	io.ReadSeeker
	client *http.ResponseController
	err    error
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.ReadSeeker.Read(b)
	if err != nil && err != io.EOF {
		p.err = err
	}
	extend(p.client)
	return n, err
}

func extend(client *http.ResponseController) {
	_ = client.SetWriteDeadline(time.Now().Add(stalled)) // fails if the client has left
}
