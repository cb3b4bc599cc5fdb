package main

import (
	"regexp"
	"strings"
	"testing"
)

// The job's arguments are those of cp, and its pods know of how many they are.
func TestIndexedJobManifest(t *testing.T) {
	text := deployed(t, "indexed-job.yaml")
	find := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("the manifest has nothing like %s", pattern)
		}
		return m[1]
	}
	completions := find(`(?m)^  completions: (\d+)`)
	if find(`(?m)^  completionMode: (\w+)$`) != "Indexed" || find(`(?m)- name: JOB_COMPLETION_COUNT\n +value: "(\d+)"`) != completions {
		t.Errorf("JOB_COMPLETION_COUNT is not the %s completions", completions)
	}
	args := strings.Fields(strings.ReplaceAll(find(`(?s) args:\n(.*?)\n +env:`), "  - ", ""))
	c, rest, err := newRoot().Find(args)
	if err != nil || c.Name() != "cp" {
		t.Fatalf("%q: %v", args, err)
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	if c.Flags().Lookup("recursive").Value.String() != "true" || c.Flags().NArg() != 2 {
		t.Errorf("%q", args)
	}
	if u, err := parseS3URL(c.Flags().Arg(0)); err != nil || u.key == "" {
		t.Errorf("%v, %v", u, err)
	}
	if mount := find(`mountPath: (\S+)`); !strings.HasPrefix(c.Flags().Arg(1), mount+"/") {
		t.Errorf("%s is not on the volume at %s", c.Flags().Arg(1), mount)
	}
	if codes := find(`values: \[(.*)\]`); codes != "2, 3" {
		t.Errorf("the exit codes that cannot be helped are %s", codes)
	}
}
