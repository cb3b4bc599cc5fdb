//go:build unix

package credentials_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/credentials"
)

// What is no regular file is no token file, whichever source reads it: it is said
// immediately, nothing waits for a writer, and no goroutine is left behind.
func TestTokenFileIsNotRegular(t *testing.T) {
	kinds := map[string]func(t *testing.T, path string){
		"a named pipe": func(t *testing.T, path string) { check(t, syscall.Mkfifo(path, 0o600)) },
		"a directory":  func(t *testing.T, path string) { check(t, os.Mkdir(path, 0o700)) },
		"a socket": func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			check(t, err)
			t.Cleanup(func() { l.Close() })
		},
		"a device": func(t *testing.T, path string) { check(t, os.Symlink("/dev/zero", path)) },
	}
	for kind, make := range kinds {
		for _, linked := range []bool{false, true} {
			for _, source := range []string{"web identity", "pod identity"} {
				t.Run(source+" "+kind, func(t *testing.T) {
					// The bubble does not end while a goroutine is blocked in opening the file.
					synctest.Test(t, func(t *testing.T) {
						s := newScene(t)
						dir, err := os.MkdirTemp("", "f") // short enough for a socket's name
						check(t, err)
						t.Cleanup(func() { os.RemoveAll(dir) })
						path := filepath.Join(dir, "token")
						make(t, path)
						if linked {
							link := filepath.Join(dir, "link")
							check(t, os.Symlink(path, link))
							path = link
						}
						chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
							w := s.web()
							w.TokenFile = path
							o.Source = w
							if source == "pod identity" {
								o.Source = credentials.PodIdentity{Endpoint: agentEndpoint, TokenFile: path}
							}
						})
						started := time.Now()
						for range 5 {
							_, err := chain.Retrieve(t.Context())
							says(t, err, credentials.TokenUnreadable, path, kind, "regular file")
							report := chain.Check(t.Context())
							if h := report.Hops[0]; !errors.Is(h.Err, credentials.TokenUnreadable) || !strings.Contains(report.String(), kind) {
								t.Errorf("got\n%s", report)
							}
						}
						if took := time.Since(started); took > 5*time.Second {
							t.Errorf("took %v", took)
						}
					})
				})
			}
		}
	}
}

// Files of /proc that are regular by name: one without an end, one that blocks.
func TestTokenFileInProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	s := newScene(t)
	for _, path := range []string{"/proc/kmsg", "/proc/self/mem", "/proc/self/pagemap", "/proc/self/environ"} {
		chain := newChain(t, s.cloud.Config(), func(o *credentials.Options) {
			w := s.web()
			w.TokenFile = path
			o.Source = w
		})
		started := time.Now()
		_, err := chain.Retrieve(t.Context())
		if !errors.Is(err, credentials.TokenUnreadable) && !errors.Is(err, credentials.TokenMalformed) {
			t.Errorf("%s: %v", path, err)
		}
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("%s: took %v", path, took)
		}
	}
}
