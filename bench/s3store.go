package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	miniocreds "github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossrole/crossrole/s3reader"
)

// store is the S3 server of a measurement, a separate process.
type store struct {
	s3Addresses
	stop func() error
}

func startStore(ctx context.Context) (*store, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, s3Command)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &store{stop: func() error { return errors.Join(in.Close(), cmd.Wait()) }}
	if err := json.NewDecoder(out).Decode(&s.s3Addresses); err != nil {
		return nil, fmt.Errorf("%w\n%s", errors.Join(err, s.stop()), &stderr)
	}
	return s, nil
}

// withStore measures with a store that is stopped afterwards.
func withStore(measure func(ctx context.Context, s settings, st *store, got figures) error) func(context.Context, settings) (figures, error) {
	return func(ctx context.Context, s settings) (_ figures, err error) {
		st, err := startStore(ctx)
		if err != nil {
			return nil, fmt.Errorf("start an S3: %w", err)
		}
		defer func() { err = errors.Join(err, st.stop()) }()
		got := figures{}
		return got, measure(ctx, s, st, got)
	}
}

// roots returns a pool with the store's certificate.
func (a s3Addresses) roots() *tls.Config {
	pool := x509.NewCertPool()
	if raw, err := base64.StdEncoding.DecodeString(a.Certificate); err == nil {
		if cert, err := x509.ParseCertificate(raw); err == nil {
			pool.AddCert(cert)
		}
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// config returns an SDK configuration with its own HTTP client.
func (a s3Addresses) config(endpoint string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(endpoint),
		Credentials: awscredentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
		HTTPClient:  awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig = a.roots() }),
	}
}

// sdkClient verifies no checksums, which is fastest.
func (a s3Addresses) sdkClient(endpoint string) *s3.Client {
	return s3.NewFromConfig(a.config(endpoint), func(o *s3.Options) {
		o.UsePathStyle = true
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
}

func (a s3Addresses) reader(endpoint string, optFns ...func(*s3reader.Options)) (*s3reader.Reader, error) {
	return s3reader.New(a.config(endpoint), bucketName, optFns...)
}

func (a s3Addresses) rawClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = a.roots()
	return &http.Client{Transport: t}
}

func (a s3Addresses) minioClient(endpoint string) (*minio.Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	t, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig = a.roots()
	return minio.New(u.Host, &minio.Options{
		Creds: miniocreds.NewStaticV4("AKIAIOSFODNN7EXAMPLE", "secret", ""), Secure: u.Scheme == "https",
		Region: region, BucketLookup: minio.BucketLookupPath, Transport: t,
	})
}

func bytesKey(size int64) string { return fmt.Sprintf("bytes/%d", size) }

// scratch returns a directory whose files are kept in memory, if the machine has
// one.
func scratch() (dir string, err error) {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return os.MkdirTemp("/dev/shm", "bench-")
	}
	return os.MkdirTemp("", "bench-")
}

const mib = 1 << 20
