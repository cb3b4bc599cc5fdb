//go:build unix

package s3reader_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// childOf is a process of its own that downloads from the shelf.
func childOf(t *testing.T, s *shelf, env ...string) *exec.Cmd {
	t.Helper()
	keys := s.account.UserCredentials("child"+strconv.Itoa(rand.Int()), mayList)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(env, "CHILD_KEY_ID="+keys.AccessKeyID, "CHILD_KEY="+keys.SecretAccessKey)
	return cmd
}

// kills is how many processes die: CROSSROLE_KILLS=100 for the whole of it.
func kills(t *testing.T) int {
	t.Helper()
	text, ok := os.LookupEnv("CROSSROLE_KILLS")
	if !ok {
		return 12
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// assassin serves a shelf, and kills whom it serves at some request.
type assassin struct {
	*shelf
	url string

	mu     sync.Mutex
	victim *os.Process
	until  int // requests
}

func newAssassin(t *testing.T) *assassin {
	a := &assassin{shelf: newShelf()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		early := rand.IntN(2) == 0
		if early {
			a.strike(t)
		}
		a.cloud.Handler().ServeHTTP(w, r)
		if !early {
			// The answer is on its way, or with the victim already.
			_ = http.NewResponseController(w).Flush()
			a.strike(t)
		}
	}))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *assassin) strike(t *testing.T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until--; a.until == 0 {
		if err := a.victim.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
}

// run runs a child until it has made that many requests, or ends by itself.
func (a *assassin) run(t *testing.T, requests int, env ...string) {
	t.Helper()
	cmd := childOf(t, a.shelf, append(env, "CHILD_ENDPOINT="+a.url)...)
	a.mu.Lock()
	err := cmd.Start()
	a.victim, a.until = cmd.Process, requests
	a.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
}

// At every moment the file is the old one or a complete new one; what a killed
// process leaves is of use to the next, and nothing of it stays.
func TestKilledFile(t *testing.T) {
	t.Parallel()
	s := newAssassin(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	old := noise(50_000)
	write(t, path, old)
	versions := [][]byte{old}
	resumed := 0
	for i := range kills(t) {
		if i%4 == 0 {
			data := slices.Concat(noise(40*partSize), fmt.Append(nil, i))
			versions = append(versions, data)
			s.Put("k", data)
		}
		s.run(t, 1+rand.IntN(45), "CHILD_FILE="+path)
		got := onDisk(t, path)
		if !slices.ContainsFunc(versions, func(v []byte) bool { return bytes.Equal(v, got) }) {
			t.Fatalf("kill %d left a file of %d bytes that is no version", i, len(got))
		}
		left := names(t, dir)
		if len(left) > 2 {
			t.Fatalf("kill %d left %q", i, left)
		}
		resumed += len(left) - 1
	}
	if _, err := newReader(t, s.config(mayRead), "pics", parts).DownloadFile(t.Context(), "k", path); err != nil {
		t.Fatal(err)
	}
	same(t, onDisk(t, path), versions[len(versions)-1])
	if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left %q", got)
	}
	t.Logf("%d of %d were killed with a part under way", resumed, kills(t))
}

func TestKilledDirectory(t *testing.T) {
	t.Parallel()
	s := newAssassin(t)
	want := map[string]string{}
	for i := range 200 {
		key := fmt.Sprintf("d%d/%03d", i%7, i)
		s.putAll(key)
		want[key] = "of " + key
	}
	big := noise(30 * partSize)
	s.Put("d3/big", big)
	want["d3/big"] = string(big)
	dir := t.TempDir()
	for i := range kills(t) {
		s.run(t, 1+rand.IntN(150), "CHILD_DIR="+dir)
		for name, got := range files(t, dir) {
			if !strings.HasSuffix(name, ".crossrole-part") && got != want[name] {
				t.Fatalf("kill %d left %d bytes of %q", i, len(got), name)
			}
		}
		if i%5 == 4 {
			if err := os.RemoveAll(filepath.Join(dir, "d3")); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum, err := newReader(t, s.config(mayList), "pics", parts).DownloadDir(t.Context(), "", dir)
	if err != nil || sum.Files != len(want) {
		t.Errorf("got %+v, %v", sum, err)
	}
	sameFiles(t, dir, want)
	t.Logf("%d files were there already", sum.Unchanged)
}

func TestNoSpace(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(10*partSize))
	s.Put("small", noise(100))
	endpoint := s.cloud.Serve(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, []byte("old"))
	out, err := childOf(t, s, "CHILD_ENDPOINT="+endpoint, "CHILD_WITHOUT=space", "CHILD_FILE="+path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "file too large") {
		t.Errorf("got %s, %v", out, err)
	}
	if got := files(t, dir); len(got) != 1 || got["f"] != "old" {
		t.Errorf("left %q", names(t, dir))
	}
	out, err = childOf(t, s, "CHILD_ENDPOINT="+endpoint, "CHILD_WITHOUT=space", "CHILD_DIR="+filepath.Join(dir, "d")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `download "k" in bucket "pics"`) || !strings.Contains(string(out), "file too large") {
		t.Errorf("got %s, %v", out, err)
	}
	if got := files(t, dir); len(got) != 2 || len(got["d/small"]) != 100 {
		t.Errorf("left %q", names(t, dir))
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(10*partSize))
	endpoint := s.cloud.Serve(t)
	dir, err := os.MkdirTemp("", "readonly") //nolint:usetesting // t.TempDir is not for other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	write(t, filepath.Join(dir, "f"), []byte("old"))
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{"CHILD_FILE=" + filepath.Join(dir, "f"), "CHILD_DIR=" + dir} {
		had := len(s.requests())
		out, err := childOf(t, s, "CHILD_ENDPOINT="+endpoint, "CHILD_WITHOUT=root", env).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "permission denied") || !strings.Contains(string(out), "s3reader: download") {
			t.Errorf("got %s, %v", out, err)
		}
		if got := s.requests()[had:]; len(got) != 0 {
			t.Errorf("asked for %q", got)
		}
	}
	if got := files(t, dir); len(got) != 1 || got["f"] != "old" {
		t.Errorf("left %q", names(t, dir))
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}
