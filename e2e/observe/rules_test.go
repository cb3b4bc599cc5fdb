// Package observe_test checks that Prometheus accepts the alert rules of
// examples/deploy, and that they fire exactly when they should.
package observe_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// rules returns the alerts of examples/deploy as loaded by Prometheus, which validates
// their expressions and templates.
func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../../examples/deploy/alerts.yaml", false, model.LegacyValidation, parser.NewParser(parser.Options{}), nil)
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	var list []rulefmt.Rule
	for _, g := range groups.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// fired returns when each alert first fired, counted from the beginning. It evaluates
// the rules every minute.
func (r *recording) fired(t *testing.T, rules []rulefmt.Rule) map[string]time.Duration {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
	fired := map[string]time.Duration{}
	for _, rule := range rules {
		since := map[string]time.Time{} // by labels
		for at := r.first; !at.After(r.last); at = at.Add(time.Minute) {
			query, err := engine.NewInstantQuery(t.Context(), r, nil, rule.Expr, at)
			if err != nil {
				t.Fatalf("%s: %v", rule.Alert, err)
			}
			vector, err := query.Exec(t.Context()).Vector()
			if err != nil {
				t.Fatalf("%s: %v", rule.Alert, err)
			}
			holds := map[string]time.Time{}
			for _, s := range vector {
				key := s.Metric.String()
				if holds[key] = at; !since[key].IsZero() {
					holds[key] = since[key]
				}
				for _, name := range labelsOf(rule) {
					if !s.Metric.Has(name) {
						t.Errorf("%s: its text uses the label %s, which the result %v has not", rule.Alert, name, s.Metric)
					}
				}
				if _, before := fired[rule.Alert]; !before && at.Sub(holds[key]) >= time.Duration(rule.For) {
					fired[rule.Alert] = at.Sub(r.first)
				}
			}
			since = holds
			query.Close()
		}
	}
	return fired
}

// labelsOf returns the labels that the texts of an alert use.
func labelsOf(rule rulefmt.Rule) []string {
	var names []string
	for _, text := range rule.Annotations {
		for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
	}
	return names
}
