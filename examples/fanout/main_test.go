package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestFanout(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, t.TempDir(), 600, 32, false); err != nil {
		t.Fatal(err)
	}
	table, rest, ok := strings.Cut(out.String(), "\n\n")
	full, last, ok2 := strings.Cut(rest, "\n\n")
	lines := strings.Split(table, "\n")
	if !ok || !ok2 || len(lines) != 1+shown+1 {
		t.Fatalf("got\n%s", &out)
	}
	if last, want := strings.TrimSpace(last), "600 accounts, 1 failed: 599 objects, 239101 bytes"; last != want {
		t.Errorf("got %q, want %q", last, want)
	}
	if denied := lines[len(lines)-1]; !strings.HasPrefix(denied, "200000000499  0        0      AssumeDenied at hop 2") {
		t.Errorf("got %q", denied)
	}
	for _, want := range []string{"Fixes for account 200000000499:", "add this statement to the trust policy of role audit in account 200000000499", `"AWS": "arn:aws:iam::111122223333:role/hub"`, "sts:ExternalId"} {
		if !strings.Contains(full, want) {
			t.Errorf("%q is not in %s", want, full)
		}
	}
	if strings.Contains(out.String(), "scan-") {
		t.Error("an external id is printed")
	}
}

func TestFanoutRefusesNonsense(t *testing.T) {
	if err := run(t.Context(), new(bytes.Buffer), t.TempDir(), 0, 1, false); err == nil || !strings.Contains(err.Error(), "-n 0") {
		t.Errorf("got %v", err)
	}
}
