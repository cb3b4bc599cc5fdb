//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// copyTo runs cp of an object with "meow" as a process of its own.
func copyTo(t *testing.T, vars []string, stdout io.Writer, args ...string) (status int, stderr string) {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "crossrole", append([]string{"cp", "--role", target, "s3://pics/indoor-cat.jpg"}, args...)...)
	cmd.Env = append(vars, "PATH="+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = stdout, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

// copyHere runs cp of the same object in this process, in the pod that inPod made.
func copyHere(t *testing.T, stdout io.Writer, args ...string) (status int, stderr string) {
	t.Helper()
	out, errs, err := crossrole(t.Context(), append([]string{"cp", "--role", target, "s3://pics/indoor-cat.jpg"}, args...)...)
	var message strings.Builder
	status = exitStatus(&message, err)
	if _, err := io.WriteString(stdout, out); err != nil {
		t.Fatal(err)
	}
	return status, errs + message.String()
}

func mustBe(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != want {
		t.Errorf("%s is %v, %v; want %v", path, info, err, want)
	}
}

func mustHold(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

// Whatever stands at the destination is either a regular file, which is
// replaced, or is still there afterwards.
func TestCopyDestinations(t *testing.T) {
	inPod(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	link := func(name, to string) string {
		must(os.Symlink(to, at(name)))
		return at(name)
	}

	for _, path := range []string{at("new"), at("deep/er/new")} {
		if status, stderr := copyHere(t, io.Discard, path); status != 0 {
			t.Errorf("%s: %d %s", path, status, stderr)
		}
		mustHold(t, path, "meow")
	}
	must(os.WriteFile(at("old"), []byte("woof, woof"), 0o640))
	for _, path := range []string{at("old"), link("to-old", "old"), link("to-to-old", "to-old")} {
		must(os.WriteFile(at("old"), []byte("woof, woof"), 0o640))
		if status, stderr := copyHere(t, io.Discard, path); status != 0 {
			t.Errorf("%s: %d %s", path, status, stderr)
		}
		mustHold(t, at("old"), "meow")
		if info, err := os.Stat(at("old")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", info, err)
		}
	}
	mustBe(t, at("to-old"), fs.ModeSymlink)
	must(os.Mkdir(at("folder"), 0o755))
	for _, path := range []string{at("folder"), at("folder/"), link("to-folder", "folder")} {
		if status, stderr := copyHere(t, io.Discard, path); status != 0 {
			t.Errorf("%s: %d %s", path, status, stderr)
		}
		mustHold(t, at("folder/indoor-cat.jpg"), "meow")
		must(os.Remove(at("folder/indoor-cat.jpg")))
	}
	mustBe(t, at("to-folder"), fs.ModeSymlink)
	if status, _ := copyHere(t, io.Discard, link("dangling", "nothing")); status != 1 {
		t.Errorf("a link that leads nowhere: %d", status)
	}
	mustBe(t, at("dangling"), fs.ModeSymlink)
	if status, stderr := copyHere(t, io.Discard, at("old/cat.jpg")); status != 1 || !strings.Contains(stderr, "not a directory") {
		t.Errorf("below a file: %d %s", status, stderr)
	}
	mustHold(t, at("old"), "meow")

	must(unix.Mkfifo(at("fifo"), 0o600))
	for _, path := range []string{at("fifo"), link("to-fifo", "fifo")} {
		reader, err := os.OpenFile(at("fifo"), os.O_RDWR, 0) // waits for no writer
		must(err)
		status, stderr := copyHere(t, io.Discard, path)
		if status != 0 {
			t.Errorf("%s: %d %s", path, status, stderr)
		} else if got := make([]byte, 4); true {
			if _, err := io.ReadFull(reader, got); err != nil || string(got) != "meow" {
				t.Errorf("%s: read %q, %v", path, got, err)
			}
		}
		must(reader.Close())
	}
	mustBe(t, at("fifo"), fs.ModeNamedPipe)

	null := at("null")
	if unix.Mknod(null, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) != nil {
		null = os.DevNull // only root makes devices
	}
	for _, path := range []string{null, link("to-null", null)} {
		var out bytes.Buffer
		if status, stderr := copyHere(t, &out, path); status != 0 || !strings.HasPrefix(out.String(), "copied ") {
			t.Errorf("%s: %d %s%s", path, status, stderr, &out)
		}
		mustBe(t, null, fs.ModeDevice|fs.ModeCharDevice)
	}
	if unix.Mknod(at("block"), unix.S_IFBLK|0o600, int(unix.Mkdev(250, 250))) == nil {
		for _, path := range []string{at("block"), link("to-block", "block")} {
			if status, stderr := copyHere(t, io.Discard, path); status != 1 || !strings.Contains(stderr, "block device") {
				t.Errorf("%s: %d %s", path, status, stderr)
			}
			mustBe(t, at("block"), fs.ModeDevice)
		}
	}
	t.Chdir(dir) // the name of a socket is short
	socket, err := net.Listen("unix", "socket")
	must(err)
	defer socket.Close()
	for _, path := range []string{at("socket"), link("to-socket", "socket")} {
		if status, stderr := copyHere(t, io.Discard, path); status != 1 || !strings.Contains(stderr, "socket") {
			t.Errorf("%s: %d %s", path, status, stderr)
		}
		mustBe(t, at("socket"), fs.ModeSocket)
	}

	must(os.Mkdir(at("closed"), 0o555))
	if os.Geteuid() != 0 {
		for _, path := range []string{at("closed/cat.jpg"), at("closed/deep/cat.jpg")} {
			if status, stderr := copyHere(t, io.Discard, path); status != 1 || !strings.Contains(stderr, "permission denied") {
				t.Errorf("%s: %d %s", path, status, stderr)
			}
		}
	}
	for _, args := range [][]string{{"/proc/nothing/cat.jpg"}, {at("fifo/cat.jpg")}, {"-r", at("fifo")}} {
		if status, stderr := copyHere(t, io.Discard, args...); status != 1 || stderr == "" {
			t.Errorf("%q: %d %s", args, status, stderr)
		}
	}
}

// Standard output by any name gets the object and nothing else, from where it
// stands.
func TestCopyToStandardOutput(t *testing.T) {
	_, vars := newFakePod(t, t.TempDir())
	dir := t.TempDir()
	through := filepath.Join(dir, "through")
	if err := os.Symlink("/dev/stdout", through); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", through} {
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			continue // not on this system
		}
		var piped bytes.Buffer
		if status, stderr := copyTo(t, vars, &piped, name); status != 0 || piped.String() != "meow" {
			t.Errorf("%s: %d %s, %q in the pipe", name, status, stderr, &piped)
		}
		for _, flag := range []int{os.O_APPEND, os.O_TRUNC} {
			path := filepath.Join(dir, "file")
			if err := os.WriteFile(path, []byte("first "), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(path, os.O_WRONLY|flag, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			status, stderr := copyTo(t, vars, file, name)
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			if status != 0 {
				t.Errorf("%s: %d %s", name, status, stderr)
			}
			mustHold(t, path, map[int]string{os.O_APPEND: "first meow", os.O_TRUNC: "meow"}[flag])
		}
		if status, _ := copyTo(t, vars, io.Discard, "--json", name); status != 2 {
			t.Errorf("--json to %s: %d", name, status)
		}
	}
	mustBe(t, through, fs.ModeSymlink)
	mustBe(t, os.DevNull, fs.ModeDevice|fs.ModeCharDevice)
	// A copy that waits for a pipe's reader ends with the signal.
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	waiting := startCommand(t, vars, "cp", "--role", target, "s3://pics/indoor-cat.jpg", fifo)
	if err := waiting.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatal(err)
	}
	if status := waiting.end(os.Interrupt); status != 130 && status != -1 {
		t.Errorf("exit status %d: %s", status, waiting.stderr)
	}
}
