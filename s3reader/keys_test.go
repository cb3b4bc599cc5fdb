package s3reader_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/s3reader"
)

// awkward are keys that break when somebody cleans, trims or unescapes them.
var awkward = []string{
	" ", "!", "%2e", "%2F", "+", "./x", "/", "/lead", "//", "100%.csv", "\u00e9", "e\u0301", "\U0001f408", "a", "a b", "a+b",
	"a%20b", "a/", "a/../b", "a//b", "a/b", "a\tb", "a\nb", "a\x01b", "a\"b'<&>", "b", "back\\slash", "dir/", "file..txt",
	"q?x#y", "tail/ ", "~", strings.Repeat("k", 1024),
}

// Case B40: every key is its own object.
func TestKeysAreOpaque(t *testing.T) {
	s := newShelf()
	for _, key := range awkward {
		s.Put(key, []byte("is "+key))
	}
	inMemory := s.config(mayList)
	served := inMemory.Copy()
	served.HTTPClient = nil
	endpoint := s.cloud.Serve(t)
	served.BaseEndpoint = &endpoint
	for name, r := range map[string]*s3reader.Reader{"memory": newReader(t, inMemory, "pics"), "served": newReader(t, served, "pics")} {
		t.Run(name, func(t *testing.T) {
			for _, key := range awkward {
				got, err := r.Get(t.Context(), key)
				if err != nil || string(got) != "is "+key {
					t.Errorf("Get(%q) = %q, %v", key, got, err)
				}
				if info, err := r.Stat(t.Context(), key); err != nil || info.Key != key || info.Size != int64(len(got)) {
					t.Errorf("Stat(%q) = %+v, %v", key, info, err)
				}
			}
			listed := map[string]bool{}
			for info, err := range r.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				listed[info.Key] = true
			}
			for _, key := range awkward {
				if !listed[key] {
					t.Errorf("%q is not listed", key)
				}
			}
			if len(listed) != len(awkward) {
				t.Errorf("%d keys are listed, want %d", len(listed), len(awkward))
			}
		})
	}
}

func TestBadKeysAreNotAskedFor(t *testing.T) {
	s := newShelf()
	r := s.reader(t, mayList)
	for _, key := range []string{"", strings.Repeat("k", 1025)} {
		_, stat := r.Stat(t.Context(), key)
		_, get := r.Get(t.Context(), key)
		_, open := r.Open(t.Context(), key)
		for op, err := range map[string]error{"stat": stat, "get": get, "open": open} {
			if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Op != op || !errors.Is(err, s3reader.BadKey) {
				t.Errorf("%s of %d bytes: got %#v", op, len(key), err)
			}
		}
	}
	for _, err := range r.List(t.Context(), strings.Repeat("k", 1025)) {
		if !errors.Is(err, s3reader.BadKey) {
			t.Errorf("list: got %v", err)
		}
	}
	if got := s.requests(); len(got) != 0 {
		t.Errorf("asked for %q", got)
	}
}
