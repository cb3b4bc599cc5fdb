package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// memory is an io.WriterAt.
type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if n := copy(m[off:], p); n < len(p) {
		return n, io.ErrShortWrite
	}
	return len(p), nil
}

// Every contender fetches the whole object, with each byte in its place.
func TestFetchers(t *testing.T) {
	st := newStore(t)
	const size = 40<<20 + 123
	want := content(0, size)
	for _, endpoint := range []string{st.Plain, st.TLS} {
		for _, name := range fetcherNames {
			fetch, err := st.fetcher(name, endpoint)
			if err != nil {
				t.Fatal(err)
			}
			got := make(memory, size)
			if err := fetch(t.Context(), bytesKey(size), size, got); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: other bytes", name)
			}
		}
	}
}

func TestFill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "object")
	const size = 1<<20 + 9
	if err := fill(path, size); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content(0, size)) {
		t.Errorf("%d bytes that are not those of an object", len(got))
	}
}

// A fetching process reports its memory, and the cause if it fails.
func TestSent(t *testing.T) {
	st := newStore(t)
	path := filepath.Join(t.TempDir(), "object")
	const size = 20 << 20
	if err := fill(path, 1); err != nil {
		t.Fatal(err)
	}
	e := errand{s3Addresses: st.s3Addresses, Contender: minioRanges, Endpoint: st.Plain, Size: size, File: path}
	rss, cpu, err := sent(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if rss < 20 || rss > 2000 || cpu <= 0 || cpu > 60 {
		t.Errorf("%v MiB, %v s; two parts of 16 and 4 MiB were in memory", rss, cpu)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content(0, size)) {
		t.Errorf("%d other bytes, %v", len(got), err)
	}
	e.Contender = "unknown"
	if _, _, err := sent(t.Context(), e); err == nil || !strings.Contains(err.Error(), `no contender "unknown"`) {
		t.Errorf("got %v", err)
	}
}
