package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// The figures that do not depend on the machine.
func TestFanoutRows(t *testing.T) {
	code, out, errs := bench(t, "-json", "-quick", "-run", "^fanout/(sts-calls|bytes-per-target)$")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	got := map[string]Row{}
	for line := range strings.Lines(out) {
		var r Row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		got[r.Name] = r
	}
	if r := got[fanoutCalls]; r.Ours != targets+1 || r.Peers[sdk] != 2*targets {
		t.Errorf("%+v: want one request for each target and one for the hub, the SDK's two for each", r)
	}
	if r := got[fanoutBytes]; r.Ours < sessionToken || r.Ours > 4096 || r.Peers[sdk] < sessionToken {
		t.Errorf("%+v: want at most 4,096 bytes, and the token's own", r)
	}
}
