package credentials_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/credentials"
)

// Check tries every fallback region and says which account has not enabled it.
func TestCheckTriesEachRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain, client := newScene(t).abroad(t, "us-east-2", "eu-west-1")
		report := chain.Check(t.Context())
		if !report.Healthy() || report.Verdict() != "healthy" || strings.Count(report.String(), "fallback us-east-2: ok") != 2 {
			t.Errorf("with all regions up:\n%v", report)
		}
		client.set(nearby, replies(403, "RegionDisabledException", "STS is not activated in this region"))
		report = chain.Check(t.Context())
		if got := report.String(); !report.Healthy() || !strings.Contains(got, "fallback us-east-2: NOT ENABLED") || !strings.Contains(got, "fallback eu-west-1: ok") ||
			!strings.Contains(report.Verdict(), "not in fallback region us-east-2") {
			t.Errorf("with a disabled region:\n%v", got)
		}
		if h := report.Hops[0]; len(h.Regions) != 2 || h.Regions[0].Err == nil || h.Regions[0].Err.Kind != credentials.RegionNotEnabled || h.Endpoint != home {
			t.Errorf("hop 1: %+v", h)
		}
		text, err := json.Marshal(report)
		check(t, err)
		if !strings.Contains(string(text), `"fallback_regions":[{"region":"us-east-2"`) || !strings.Contains(string(text), `"code":"RegionDisabledException"`) {
			t.Errorf("JSON: %s", text)
		}
		client.set(home, refuses)
		report = chain.Check(t.Context())
		if got := report.String(); !report.Healthy() || !strings.Contains(got, "the session is from eu-west-1, because us-east-1 gave none: connection refused") || report.Hops[1].Endpoint != faraway {
			t.Errorf("with the own region down:\n%v", got)
		}
		client.set(home, replies(403, "AccessDenied", "no"))
		report = chain.Check(t.Context())
		if report.Healthy() || !strings.Contains(report.Verdict(), "TrustDenied") {
			t.Errorf("a denial of the own region:\n%v", report)
		}
	})
}
