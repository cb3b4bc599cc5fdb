package main

import (
	"strings"
	"testing"
)

func TestMove(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, t.TempDir()); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	want := `on blue: read "meow"
the hub's account registers green and adds it to the hub's trust policy
moved, sessions still valid: read "meow"
on green: read "meow"
event: issuer-changed
blue is removed from the hub's account
without blue: read "meow"
ok: one process, two clusters, no change in the shared account
`
	if out.String() != want {
		t.Errorf("printed\n%swant\n%s", &out, want)
	}
}
