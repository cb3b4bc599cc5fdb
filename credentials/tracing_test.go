package credentials_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/metrics"
	"github.com/aws/smithy-go/tracing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// tracer keeps the spans of clients by their path, "parent > child".
type tracer struct {
	mu    sync.Mutex
	ended []string
	said  strings.Builder // all properties
}

func (k *tracer) Tracer(string, ...tracing.TracerOption) tracing.Tracer { return k }

func (k *tracer) StartSpan(ctx context.Context, name string, _ ...tracing.SpanOption) (context.Context, tracing.Span) {
	s := &span{tracer: k, path: name}
	if parent, ok := tracing.GetSpan(ctx); ok {
		s.path = parent.Name() + " > " + name
	}
	return tracing.WithSpan(ctx, s), s
}

// operations are the spans of whole operations of a service.
func (k *tracer) operations(service string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(k.ended), func(path string) bool {
		return !strings.HasPrefix(path[strings.LastIndex(path, "> ")+1:], " "+service+".")
	})
}

type span struct {
	tracer *tracer
	path   string
	failed bool
}

func (s *span) Name() string                            { return s.path }
func (s *span) Context() tracing.SpanContext            { return tracing.SpanContext{} }
func (s *span) AddEvent(string, ...tracing.EventOption) {}
func (s *span) SetStatus(status tracing.SpanStatus)     { s.failed = status == tracing.SpanStatusError }

func (s *span) SetProperty(k, v any) {
	s.tracer.mu.Lock()
	defer s.tracer.mu.Unlock()
	fmt.Fprintln(&s.tracer.said, k, v)
}

func (s *span) End() {
	s.tracer.mu.Lock()
	defer s.tracer.mu.Unlock()
	if s.failed {
		s.path += " failed"
	}
	s.tracer.ended = append(s.tracer.ended, s.path)
}

// The trace of the request that had to wait holds the calls to STS, one span an
// attempt.
func TestTracersSeeEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.cloud.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, Status: 503, Code: "ServiceUnavailable"})
		var kept tracer
		chain := s.hubChain(t, func(o *credentials.Options) {
			o.STS = func(o *sts.Options) { o.TracerProvider = &kept }
		})
		client := s3.NewFromConfig(chain.Config(), func(o *s3.Options) { o.TracerProvider = &kept })
		object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("pics"), Key: aws.String("indoor-cat.jpg")})
		if err != nil {
			t.Fatal(err)
		}
		object.Body.Close()
		const get = "S3.GetObject > RetryLoop > Attempt > GetIdentity > "
		want := []string{get + "STS.AssumeRoleWithWebIdentity", get + "STS.AssumeRole failed", get + "STS.AssumeRole"}
		if got := kept.operations("STS"); !slices.Equal(got, want) {
			t.Errorf("spans %q, want %q", got, want)
		}
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		token, err := os.ReadFile(s.pod.TokenFile())
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{string(token), creds.SecretAccessKey, creds.SessionToken} {
			if strings.Contains(kept.said.String(), secret) {
				t.Error("a secret is among the spans' properties")
			}
		}
	})
}

// meter counts what clients measure, by instrument and operation.
type meter struct {
	metrics.NopMeter
	mu     sync.Mutex
	counts map[string]int
}

func (m *meter) Meter(string, ...metrics.MeterOption) metrics.Meter { return m }

func (m *meter) Float64Histogram(name string, _ ...metrics.InstrumentOption) (metrics.Float64Histogram, error) {
	return histogram{m, name}, nil
}

type histogram struct {
	meter *meter
	name  string
}

func (h histogram) Record(_ context.Context, _ float64, opts ...metrics.RecordMetricOption) {
	var o metrics.RecordMetricOptions
	for _, fn := range opts {
		fn(&o)
	}
	h.meter.mu.Lock()
	defer h.meter.mu.Unlock()
	h.meter.counts[fmt.Sprint(h.name, " ", o.Properties.Get("rpc.method"))]++
}

func TestMetersSeeEveryAttempt(t *testing.T) {
	s := newScene(t)
	measured := &meter{counts: map[string]int{}}
	chain := s.hubChain(t, func(o *credentials.Options) {
		o.STS = func(o *sts.Options) { o.MeterProvider = measured }
	})
	for range 2 {
		creds, err := chain.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		chain.Invalidate(creds.AccessKeyID)
	}
	measured.mu.Lock()
	defer measured.mu.Unlock()
	maps.DeleteFunc(measured.counts, func(name string, _ int) bool { return !strings.HasPrefix(name, "client.call.duration ") })
	want := map[string]int{"client.call.duration AssumeRoleWithWebIdentity": 1, "client.call.duration AssumeRole": 2}
	if !maps.Equal(measured.counts, want) {
		t.Errorf("measured %v, want %v", measured.counts, want)
	}
}
