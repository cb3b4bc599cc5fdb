package s3reader

import (
	"fmt"
	"testing"
)

func TestParseContentRange(t *testing.T) {
	for s, want := range map[string]contentRange{
		"bytes 0-0/1":  {0, 1, 1},
		"bytes 2-4/10": {2, 5, 10},
		"bytes 0-1125899906842623/1125899906842624": {0, 1 << 50, 1 << 50},
	} {
		if got, err := parseContentRange(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "bytes", "bytes ", "bytes 0-1", "bytes 0/1", "bytes 0-1/*", "bytes */10", "bytes 1-0/10", "bytes 0-10/10", "bytes -1-1/10", "bytes +0-1/10",
		"bytes 0-+1/10", "bytes 0x0-1/10", "bytes  0-1/10", "Bytes 0-1/10", "bytes 0-1/10 ", "bytes 0-1/10,2-3/10", "bytes 0-1_0/100", "bytes=0-1/10",
		"bytes 0-9223372036854775807/9223372036854775808", "bytes 0-9223372036854775805/9223372036854775806", "bytes 0-1/1125899906842625",
	} {
		if got, err := parseContentRange(s); err == nil {
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
		r, err := parseContentRange(s)
		if err != nil {
			return
		}
		if r.start < 0 || r.start >= r.end || r.end > r.total {
			t.Errorf("%q: no such range: %v", s, r)
		}
		again, err := parseContentRange(fmt.Sprintf("bytes %d-%d/%d", r.start, r.end-1, r.total))
		if err != nil || again != r {
			t.Errorf("%q: %v, then %v, %v", s, r, again, err)
		}
	})
}
