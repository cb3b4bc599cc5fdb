package observe_test

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// recording holds what was scraped during a test, and implements enough of a database
// for Prometheus' engine.
type recording struct {
	first, last time.Time
	series      map[string]*series
}

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

func newRecording() *recording { return &recording{series: map[string]*series{}} }

// scrape records what the registry exports now.
func (r *recording) scrape(t *testing.T, registry prometheus.Gatherer) {
	t.Helper()
	now := time.Now()
	if r.first.IsZero() {
		r.first = now
	}
	r.last = now
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())}, families...)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		b := labels.NewScratchBuilder(len(s.Metric) + 1)
		b.Add("instance", "pod:9912")
		for name, value := range s.Metric {
			b.Add(string(name), string(value))
		}
		b.Sort()
		of := b.Labels()
		if r.series[of.String()] == nil {
			r.series[of.String()] = &series{labels: of}
		}
		to := r.series[of.String()]
		to.samples = append(to.samples, sample{int64(s.Timestamp), float64(s.Value)})
	}
}

// Querier makes a recording a storage.Queryable.
func (r *recording) Querier(from, to int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		set := &selection{}
		for _, s := range r.series {
			if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
				continue
			}
			within := func(at int64) int {
				i, _ := slices.BinarySearchFunc(s.samples, at, func(s chunks.Sample, at int64) int { return int(s.T() - at) })
				return i
			}
			set.series = append(set.series, storage.NewListSeries(s.labels, s.samples[within(from):within(to+1)]))
		}
		return set
	}}, nil
}

// selection is a storage.SeriesSet.
type selection struct {
	series []storage.Series
	next   int
}

func (s *selection) Next() bool                        { s.next++; return s.next <= len(s.series) }
func (s *selection) At() storage.Series                { return s.series[s.next-1] }
func (s *selection) Err() error                        { return nil }
func (s *selection) Warnings() annotations.Annotations { return nil }

// sample is a numeric chunks.Sample.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
