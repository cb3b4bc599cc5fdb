package conformance

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestClientsTable checks that the table itself is valid.
func TestClientsTable(t *testing.T) {
	rows := table()
	if len(rows) < 450 {
		t.Errorf("the table has %d rows, want at least 450", len(rows))
	}
	names := map[string]bool{}
	for _, r := range rows {
		if names[r.name] {
			t.Errorf("row %q stands twice", r.name)
		}
		names[r.name] = true
		if !strings.HasPrefix(r.doc, "https://") {
			t.Errorf("row %q names no document that decides", r.name)
		}
		for on, d := range r.differs {
			unshown := d.status == r.status && d.code == r.code && d.header == nil && d.match == nil
			switch {
			case d.why == "":
				t.Errorf("row %q: the difference of %s has no reason", r.name, on)
			case unshown:
				t.Errorf("row %q: the difference of %s (%s) shows in nothing that is compared", r.name, on, d.why)
			case on == double && !strings.Contains(d.why, "package documentation"):
				t.Errorf("row %q: awstest differs (%s), and its package documentation does not say so", r.name, d.why)
			}
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(differences)), slices.Collect(maps.Keys(writeDifferences))) {
		if !names[name] {
			t.Errorf("there are differences of a row %q, which does not exist", name)
		}
	}
}

// TestClientsJudge checks that a row rejects unexpected responses, and also a response
// without the listed difference.
func TestClientsJudge(t *testing.T) {
	r := row{
		status: 403, code: "AccessDenied", header: map[string]string{"Content-Type": "application/xml", "Etag": ""}, match: []string{"<Code>", "!secret"},
		differs: map[server]difference{gateway: {status: 404, code: "NoSuchKey", header: map[string]string{"Server": "a|b"}, why: "sends a header"}},
	}
	good := answer{403, http.Header{"Content-Type": {"application/xml"}}, "<Error><Code>AccessDenied</Code></Error>"}
	with := func(change func(a *answer)) answer {
		a := answer{good.status, good.header.Clone(), good.body}
		change(&a)
		return a
	}
	listed := with(func(a *answer) {
		a.status, a.body = 404, "<Error><Code>NoSuchKey</Code></Error>"
		a.header.Set("Server", "a")
	})
	for _, test := range []struct {
		name string
		on   server
		got  answer
		want string // part of the fault; empty: none
	}{
		{"as AWS", double, good, ""},
		{"another status", double, with(func(a *answer) { a.status = 400 }), `got 400 "AccessDenied", want 403`},
		{"another code", double, with(func(a *answer) { a.body = "<Code>InvalidToken</Code>" }), `got 403 "InvalidToken"`},
		{"another header", double, with(func(a *answer) { a.header.Set("Content-Type", "text/xml") }), "Content-Type is"},
		{"no header", double, with(func(a *answer) { a.header.Del("Content-Type") }), "Content-Type is"},
		{"header twice", double, with(func(a *answer) { a.header.Add("Content-Type", "application/xml") }), "Content-Type is"},
		{"header that must not be", double, with(func(a *answer) { a.header.Set("Etag", "x") }), "want none"},
		{"body that must not be", double, with(func(a *answer) { a.body += "secret" }), "the body matches secret"},
		{"another server's difference", double, listed, `got 404 "NoSuchKey"`},
		{"the difference", gateway, listed, ""},
		{"the difference is gone", gateway, good, "take the difference out"},
		{"the difference is another", gateway, with(func(a *answer) { a.status, a.body = 400, "<Code>NoSuchKey</Code>" }), "neither as AWS"},
		{"the difference's header is another", gateway, answer{listed.status, http.Header{"Server": {"c"}}, listed.body}, "neither as AWS"},
	} {
		fault := r.judge(test.on, test.got)
		if test.want == "" && fault != "" || !strings.Contains(fault, test.want) || test.want != "" && fault == "" {
			t.Errorf("%s: %q, want %q", test.name, fault, test.want)
		}
	}
	if whole := (answer{200, nil, "a"}).compare(200, "", nil, "b", nil); !slices.Contains([]string{`body "a", want "b"`}, whole) {
		t.Errorf("another body: %q", whole)
	}
}
