package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crossrole/crossrole/credentials/metrics"
)

// The package's doc names every metric, and no other.
func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for word := range strings.FieldsSeq(string(text)) {
		if strings.HasPrefix(word, "crossrole_") {
			documented[word] = true
		}
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		metrics.New().Describe(descriptions)
	}()
	for d := range descriptions {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		if !documented[name] {
			t.Errorf("%s is not in the package's doc", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("%s is in the package's doc and not exported", name)
	}
}
