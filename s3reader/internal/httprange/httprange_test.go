package httprange_test

import (
	"fmt"
	"testing"

	"github.com/crossrole/crossrole/s3reader/internal/httprange"
)

func TestParseContent(t *testing.T) {
	for s, want := range map[string]httprange.Content{
		"bytes 0-0/1":  {0, 1, 1},
		"bytes 2-4/10": {2, 5, 10},
		"bytes 0-1125899906842623/1125899906842624": {0, 1 << 50, 1 << 50},
	} {
		if got, err := httprange.ParseContent(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "bytes", "bytes ", "bytes 0-1", "bytes 0/1", "bytes 0-1/*", "bytes */10", "bytes 1-0/10", "bytes 0-10/10", "bytes -1-1/10", "bytes +0-1/10",
		"bytes 0-+1/10", "bytes 0x0-1/10", "bytes  0-1/10", "Bytes 0-1/10", "bytes 0-1/10 ", "bytes 0-1/10,2-3/10", "bytes 0-1_0/100", "bytes=0-1/10",
		"bytes 0-9223372036854775807/9223372036854775808", "bytes 0-9223372036854775805/9223372036854775806", "bytes 0-1/1125899906842625",
	} {
		if got, err := httprange.ParseContent(s); err == nil {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

// FuzzContentRange holds that what parses is a range that exists, and parses the
// same when written again.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 2-4/10", "bytes 0-1/*", "bytes */10", "bytes 5-4/10", "bytes 00-1/10", "bytes 0-9223372036854775806/9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := httprange.ParseContent(s)
		if err != nil {
			return
		}
		if r.Start < 0 || r.Start >= r.End || r.End > r.Total {
			t.Errorf("%q: no such range: %v", s, r)
		}
		again, err := httprange.ParseContent(fmt.Sprintf("bytes %d-%d/%d", r.Start, r.End-1, r.Total))
		if err != nil || again != r {
			t.Errorf("%q: %v, then %v, %v", s, r, again, err)
		}
	})
}

// What a request asks for is the range that the response is expected to have.
func TestHeader(t *testing.T) {
	if got := httprange.Header(5, 10); got != "bytes=5-9" {
		t.Errorf("got %q", got)
	}
}

func TestParseUnsatisfied(t *testing.T) {
	for s, want := range map[string]int64{"bytes */0": 0, "bytes */12": 12, "bytes */1125899906842624": 1 << 50} {
		if got, ok := httprange.ParseUnsatisfied(s); !ok || got != want {
			t.Errorf("%q: got %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "bytes */", "bytes */*", "bytes */-1", "bytes */+1", "bytes 0-1/2", "*/1", "bytes */1125899906842625", "bytes */9223372036854775808"} {
		if got, ok := httprange.ParseUnsatisfied(s); ok {
			t.Errorf("%q: got %d", s, got)
		}
	}
}
