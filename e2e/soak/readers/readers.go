// Package readers is the program of the soak: it reads one object repeatedly with many
// readers, as many pods would.
package readers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// Plan says what is read, and by whom.
type Plan struct {
	S3          string            // endpoint
	STS         map[string]string // endpoint of each region
	Home        string            // region
	Fallback    string            // region
	Bucket, Key string
	Sum         string // SHA-256 of the object, in hex
	Every       time.Duration
	Pods        []Pod     // readers of the library
	Sidecars    []Sidecar // clients of crossrole serve
}

// Pod is a reader that has a token.
type Pod struct{ Name, TokenFile, Hub, Role string }

// Sidecar is the endpoint of a client of the Go SDK.
type Sidecar struct{ Name, URL, TokenFile string }

// Line is one line of output.
type Line struct {
	At         time.Time     // start of the read
	Took       time.Duration // of the read
	Reads      int64         // that were exact
	Sessions   int64         // that the readers' last hops got
	Tokens     int64         // new tokens that the readers found
	Goroutines int
	Heap       uint64 // bytes that the last garbage collection left
	Reader     string `json:",omitempty"` // whose read failed
	Kind       string `json:",omitempty"` // of the error; "wrong bytes" if there was none
	Error      string `json:",omitempty"`
}

// Run carries out the plan in a file until the standard input is closed. It prints one
// JSON [Line] for each failed read, and one a second with the counts.
func Run(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var plan Plan
	if err := json.Unmarshal(data, &plan); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // returns at the end of the input or an error
		stop()
	}()
	s := &shared{plan: plan, out: json.NewEncoder(os.Stdout)}
	reads := map[string]func(context.Context) ([]byte, error){}
	for _, pod := range plan.Pods {
		if reads[pod.Name], err = s.library(pod); err != nil {
			return err
		}
	}
	for _, sidecar := range plan.Sidecars {
		reads[sidecar.Name] = s.client(sidecar)
	}
	var all sync.WaitGroup
	for name, read := range reads {
		all.Go(func() { s.loop(ctx, name, read) })
	}
	all.Go(func() {
		for tick := time.Tick(time.Second); ctx.Err() == nil; {
			select {
			case <-tick:
			case <-ctx.Done():
			}
			s.write(Line{At: time.Now()})
		}
	})
	all.Wait()
	return nil
}

// shared is what the readers have in common.
type shared struct {
	plan                    Plan
	reads, sessions, tokens atomic.Int64
	mu                      sync.Mutex
	out                     *json.Encoder
}

func (s *shared) write(l Line) {
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(heap)
	l.Reads, l.Sessions, l.Tokens, l.Goroutines, l.Heap = s.reads.Load(), s.sessions.Load(), s.tokens.Load(), runtime.NumGoroutine(), heap[0].Value.Uint64()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(l) // the test may have ended
}

// library returns a reader with a chain of its own.
func (s *shared) library(pod Pod) (func(context.Context) ([]byte, error), error) {
	base := aws.Config{Region: s.plan.Home, BaseEndpoint: &s.plan.S3}
	cfg, err := credentials.Wrap(base, credentials.Assume(pod.Role), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.Hub, TokenFile: pod.TokenFile}
		o.FallbackRegions = []string{s.plan.Fallback}
		o.STS = func(o *sts.Options) { o.BaseEndpoint = aws.String(s.plan.STS[o.Region]) }
		o.OnEvent = func(e credentials.Event) {
			switch {
			case e.Type == credentials.Refreshed && e.Hop == 2:
				s.sessions.Add(1)
			case e.Type == credentials.TokenRotated:
				s.tokens.Add(1)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	reader, err := s3reader.New(cfg, s.plan.Bucket)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]byte, error) { return reader.Get(ctx, s.plan.Key) }, nil
}

// client returns a client of the Go SDK with the credentials of a sidecar.
func (s *shared) client(sidecar Sidecar) func(context.Context) ([]byte, error) {
	provider := endpointcreds.New(sidecar.URL, func(o *endpointcreds.Options) {
		o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
			token, err := os.ReadFile(sidecar.TokenFile)
			return string(token), err
		})
	})
	client := s3.New(s3.Options{
		Region: s.plan.Home, BaseEndpoint: &s.plan.S3, UsePathStyle: true,
		Credentials: aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute }),
	})
	return func(ctx context.Context) ([]byte, error) {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.plan.Bucket, Key: &s.plan.Key})
		if err != nil {
			return nil, err
		}
		defer out.Body.Close()
		return io.ReadAll(out.Body)
	}
}

// loop reads until ctx ends.
func (s *shared) loop(ctx context.Context, name string, read func(context.Context) ([]byte, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.plan.Every/2 + rand.N(s.plan.Every)):
		}
		l := Line{At: time.Now(), Reader: name}
		// As a caller would do that cannot wait forever.
		patience, cancel := context.WithTimeout(ctx, 20*time.Second)
		data, err := read(patience)
		cancel()
		sum := sha256.Sum256(data)
		switch l.Took = time.Since(l.At); {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.Kind, l.Error = kind(err), err.Error()
			s.write(l)
		case hex.EncodeToString(sum[:]) != s.plan.Sum:
			l.Kind = "wrong bytes"
			s.write(l)
		default:
			s.reads.Add(1)
		}
	}
}

// kind returns the error's type, as a program would check for it.
func kind(err error) string {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return "credentials." + string(e.Kind)
	}
	if e, ok := errors.AsType[*s3reader.Error](err); ok {
		return strings.TrimSuffix("s3reader.Error "+string(e.Kind), " ")
	}
	return "SDK"
}
