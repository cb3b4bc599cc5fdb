package credserver_test

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/credserver"
)

// tokenIn returns the token that a server finds in the directory, or makes.
func tokenIn(t *testing.T, dir, name string) (string, error) {
	t.Helper()
	d, err := credserver.OpenTokenDir(dir)
	if err != nil {
		return "", err
	}
	defer d.Close()
	return d.Token(name)
}

func TestTokenIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := tokenIn(t, dir, "pics")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pics")
	if b, err := os.ReadFile(file); err != nil || string(b) != first || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(first) {
		t.Errorf("the file holds %d bytes, %v; want the 64 of the token and no line's end", len(b), err)
	}
	again, err := tokenIn(t, dir, "pics")
	if err != nil || again != first {
		t.Errorf("after a restart the token is another, or %v", err)
	}
	if other, err := tokenIn(t, dir, "own"); err != nil || other == first {
		t.Errorf("another role has the same token, or %v", err)
	}
	// What a start that was killed leaves behind does not matter.
	if err := os.WriteFile(filepath.Join(dir, ".new.new"), []byte("0123"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tokenIn(t, dir, "new"); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v; want three files", entries, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v; want 0640", info.Mode(), err)
	}
	// kubelet gives the group of a volume the right to write.
	if err := os.Chmod(file, 0o660); err != nil {
		t.Fatal(err)
	}
	if again, err := tokenIn(t, dir, "pics"); err != nil || again != first {
		t.Errorf("with mode 0660: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o640 {
		t.Errorf("then its mode is %v, %v; want 0640", info.Mode(), err)
	}
}

// A file that another user may have created or read is refused, and left as it is.
func TestTokenIsRefused(t *testing.T) {
	good := strings.Repeat("ab", 32)
	write := func(t *testing.T, file, content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		plant func(t *testing.T, dir, file string)
		want  string
	}{
		"symlink": {func(t *testing.T, dir, file string) {
			write(t, filepath.Join(dir, "elsewhere"), good, 0o640)
			if err := os.Symlink("elsewhere", file); err != nil {
				t.Fatal(err)
			}
		}, "no regular file"},
		"symlink to nothing": {func(t *testing.T, dir, file string) {
			if err := os.Symlink(filepath.Join(dir, "nothing"), file); err != nil {
				t.Fatal(err)
			}
		}, "no regular file"},
		"directory": {func(t *testing.T, _, file string) {
			if err := os.Mkdir(file, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "no regular file"},
		"readable by all": {func(t *testing.T, _, file string) { write(t, file, good, 0o644) }, "mode is 0644"},
		"writable by all": {func(t *testing.T, _, file string) { write(t, file, good, 0o642) }, "mode is 0642"},
		"empty":           {func(t *testing.T, _, file string) { write(t, file, "", 0o640) }, "no token of ours"},
		"chosen":          {func(t *testing.T, _, file string) { write(t, file, "secret", 0o640) }, "no token of ours"},
		"two lines":       {func(t *testing.T, _, file string) { write(t, file, good+"\n", 0o640) }, "no token of ours"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(name, "by all") {
				return // no modes there
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "pics")
			tt.plant(t, dir, file)
			before, err := os.Lstat(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tokenIn(t, dir, "pics")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), good) {
				t.Errorf("%v; want %q and the file's name", err, tt.want)
			}
			after, err := os.Lstat(file)
			if err != nil || after.Mode() != before.Mode() || after.Size() != before.Size() {
				t.Errorf("it was changed: %v, %v", after, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "nothing")); err == nil {
				t.Error("the symlink's target was made")
			}
		})
	}
	if _, err := credserver.OpenTokenDir(filepath.Join(t.TempDir(), "nothing")); err == nil || !strings.Contains(err.Error(), "mount a volume there") {
		t.Errorf("no directory: %v", err)
	}
}
