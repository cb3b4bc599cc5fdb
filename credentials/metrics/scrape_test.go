package metrics_test

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/crossrole/crossrole/credentials/metrics"
)

// scrape reads the collector as Prometheus does: series by name and labels,
// a histogram as its count and sum.
func scrape(t *testing.T, c *metrics.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if answer.Code != 200 {
		t.Fatalf("scrape: %d %s", answer.Code, answer.Body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(answer.Body.Bytes()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, answer.Body)
	}
	values := map[string]float64{}
	for name, family := range families {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		for _, m := range family.GetMetric() {
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				values[name+labels(m)] = m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				values[name+labels(m)] = m.GetGauge().GetValue()
			case dto.MetricType_HISTOGRAM:
				values[name+"_count"+labels(m)] = float64(m.GetHistogram().GetSampleCount())
				values[name+"_sum"+labels(m)] = m.GetHistogram().GetSampleSum()
			}
		}
	}
	return values
}

// labels are written as in PromQL, without the empty ones, which are as good as
// absent, and with the role's name for its ARN.
func labels(m *dto.Metric) string {
	var list []string
	for _, l := range m.GetLabel() {
		if v := l.GetValue(); v != "" {
			list = append(list, l.GetName()+"="+v[strings.LastIndexByte(v, '/')+1:])
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}
