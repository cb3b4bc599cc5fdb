package metrics_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/crossrole/crossrole/credentials/metrics"
)

// page returns the text that Prometheus gets from the collector.
func page(t *testing.T, c *metrics.Collector) string {
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
	return answer.Body.String()
}

// scrape reads the collector as Prometheus does.
func scrape(t *testing.T, c *metrics.Collector) map[string]float64 {
	t.Helper()
	text := page(t, c)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	values := map[string]float64{}
	for name, family := range families {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family)
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range samples {
			values[series(sample.Metric)] = float64(sample.Value)
		}
	}
	return values
}

// series is written as in PromQL, without empty labels, which are as good as
// absent, and with the role's name for its ARN.
func series(m model.Metric) string {
	var list []string
	for name, value := range m {
		if name != model.MetricNameLabel && value != "" {
			list = append(list, fmt.Sprintf("%s=%s", name, value[strings.LastIndexByte(string(value), '/')+1:]))
		}
	}
	slices.Sort(list)
	return string(m[model.MetricNameLabel]) + "{" + strings.Join(list, ",") + "}"
}
