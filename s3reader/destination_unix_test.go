//go:build unix

package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// place puts something at a path. It skips the test where this user may not.
type place func(t *testing.T, path string)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func node(mode uint32, major, minor int) place {
	return func(t *testing.T, path string) {
		err := syscall.Mknod(path, mode|0o600, major<<8|minor)
		if errors.Is(err, fs.ErrPermission) {
			t.Skipf("this user may not make a device: %v", err)
		}
		must(t, err)
	}
}

func regular(t *testing.T, path string) { write(t, path, []byte("old")) }

func fifo(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }

func socket(t *testing.T, path string) {
	l, err := net.Listen("unix", path)
	must(t, err)
	t.Cleanup(func() { l.Close() })
}

func directory(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }

func nothing(*testing.T, string) {}

// linkTo puts what it is given beside a link to it.
func linkTo(to place) place {
	return func(t *testing.T, path string) {
		to(t, path+"-target")
		must(t, os.Symlink(filepath.Base(path)+"-target", path))
	}
}

func circle(t *testing.T, path string) {
	must(t, errors.Join(os.Symlink(path+"2", path), os.Symlink(path, path+"2")))
}

// types are what there is in a directory, by name.
func types(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	types := map[string]fs.FileMode{}
	for _, e := range entries {
		types[e.Name()] = e.Type()
	}
	return types
}

// What is not a regular file is never replaced: it is written to, or refused
// before any request.
func TestOnlyRegularFilesAreReplaced(t *testing.T) {
	const (
		char  = syscall.S_IFCHR
		block = syscall.S_IFBLK
	)
	for name, c := range map[string]struct {
		put    place
		refuse string // part of the error; empty: it succeeds
	}{
		"new":                    {nothing, ""},
		"file":                   {regular, ""},
		"null device":            {node(char, 1, 3), ""},
		"full device":            {node(char, 1, 7), "no space"},
		"block device":           {node(block, 7, 99), "is a block device"},
		"socket":                 {socket, "is a socket"},
		"directory":              {directory, "is a directory"},
		"link to file":           {linkTo(regular), ""},
		"link to link":           {linkTo(linkTo(regular)), ""},
		"link to null device":    {linkTo(node(char, 1, 3)), ""},
		"link to full device":    {linkTo(node(char, 1, 7)), "no space"},
		"link to block device":   {linkTo(node(block, 7, 99)), "is a block device"},
		"link to socket":         {linkTo(socket), "is a socket"},
		"link to directory":      {linkTo(directory), "is a directory"},
		"link to nothing":        {linkTo(nothing), "does not exist"},
		"link in a circle":       {circle, "in a circle"},
		"link to its directory":  {func(t *testing.T, path string) { must(t, os.Symlink(".", path)) }, "link to the directory"},
		"link to dot dot":        {func(t *testing.T, path string) { must(t, os.Symlink("..", path)) }, "link to the directory"},
		"link with a slash":      {func(t *testing.T, path string) { directory(t, path+"-d"); must(t, os.Symlink("f-d/", path)) }, "link to the directory"},
		"link through a file":    {func(t *testing.T, path string) { regular(t, path+"-f"); must(t, os.Symlink("f-f/x", path)) }, "not a directory"},
		"link to no descriptor":  {func(t *testing.T, path string) { must(t, os.Symlink("/dev/fd/987654", path)) }, "bad file descriptor"},
		"link into no directory": {func(t *testing.T, path string) { must(t, os.Symlink("absent/f", path)) }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			data := noise(20 * partSize)
			s.Put("k", data)
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			c.put(t, path)
			before := types(t, dir)
			info, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", path)
			if c.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), c.refuse) {
					t.Errorf("got %v", err)
				}
				if c.refuse != "no space" && len(s.requests()) != 0 {
					t.Errorf("asked for %q", s.requests())
				}
			} else if err != nil || !info.Verified || info.Size != int64(len(data)) {
				t.Errorf("got %+v, %v", info, err)
			}
			delete(before, "f") // which may be new
			after := types(t, dir)
			delete(after, "f")
			if fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("left %v, there was %v", after, before)
			}
			if stat, err := os.Stat(path); err == nil && stat.Mode().IsRegular() {
				same(t, onDisk(t, path), data)
			}
		})
	}
}

// A link stays a link, and so does everything else.
func TestTypesStay(t *testing.T) {
	for name, put := range map[string]place{
		"device": node(syscall.S_IFCHR, 1, 3), "block device": node(syscall.S_IFBLK, 7, 99), "socket": socket, "directory": directory,
		"link": linkTo(regular), "dangling link": linkTo(nothing), "link to a device": linkTo(node(syscall.S_IFCHR, 1, 3)),
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.putAll("f", "k")
			r := s.reader(t, mayList)
			path := filepath.Join(t.TempDir(), "f")
			put(t, path)
			before, err := os.Lstat(path)
			must(t, err)
			_, _ = r.DownloadFile(t.Context(), "k", path) // whether it may is another test's
			_, err = r.DownloadDir(t.Context(), "", filepath.Dir(path))
			if err == nil || !strings.Contains(err.Error(), path+" is a") {
				t.Errorf("DownloadDir: %v", err)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
				t.Errorf("was %v, is %v, %v", before.Mode(), after.Mode(), err)
			}
		})
	}
}

func TestNamedPipe(t *testing.T) {
	s := newShelf()
	data := noise(20*partSize + 1)
	s.Put("k", data)
	path := filepath.Join(t.TempDir(), "f")
	fifo(t, path)
	var seen s3reader.Progress
	r := s.reader(t, mayRead, parts, func(o *s3reader.Options) { o.Progress = func(p s3reader.Progress) { seen = p } })
	read := make(chan []byte, 1)
	go func() {
		got, _ := os.ReadFile(path) // an error shows in what was read
		read <- got
	}()
	info, err := r.DownloadFile(t.Context(), "k", path)
	if err != nil || !info.Verified {
		t.Fatalf("got %+v, %v", info, err)
	}
	same(t, <-read, data)
	if want := (s3reader.Progress{Key: "k", Bytes: int64(len(data)), Total: int64(len(data))}); seen != want {
		t.Errorf("progress ended at %+v", seen)
	}
}

// Neither a pipe that nothing opens nor one from which nothing is read holds the
// caller beyond its context.
func TestNamedPipeObeysTheContext(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(100*partSize))
	path := filepath.Join(t.TempDir(), "f")
	fifo(t, path)
	r := s.reader(t, mayRead, parts)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.DownloadFile(ctx, "k", path); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "for reading") || len(s.requests()) != 0 {
		t.Errorf("got %v after %q", err, s.requests())
	}
	idle, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer idle.Close()
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.DownloadFile(ctx, "k", path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A pipe gets no byte of which it is not known that it is the object's last.
func TestNamedPipeWithWrongBytes(t *testing.T) {
	s := newShelf()
	data := noise(partSize)
	s.Put("k", data)
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: spoil})
	path := filepath.Join(t.TempDir(), "f")
	fifo(t, path)
	read := make(chan []byte, 1)
	go func() {
		got, _ := os.ReadFile(path) // an error shows in what was read
		read <- got
	}()
	if _, err := s.reader(t, mayRead).DownloadFile(t.Context(), "k", path); !errors.Is(err, s3reader.ChecksumMismatch) {
		t.Errorf("got %v", err)
	}
	if got := <-read; len(got) >= len(data) {
		t.Errorf("all of %d bytes were written", len(got))
	}
}

// What a shell has opened is written to where it stands. The child is not root,
// who could replace the machine's own /dev/stdout.
func TestDescriptors(t *testing.T) {
	s := newShelf()
	data := noise(10 * partSize)
	s.Put("k", data)
	endpoint := s.cloud.Serve(t)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink("/dev/fd/1", link))
	for _, path := range []string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "/dev/fd/3", link} {
		if _, err := os.Lstat(filepath.Dir(path)); err != nil {
			continue // not on every system
		}
		without := "CHILD_WITHOUT=root"
		if path == link {
			without = "" // root alone can read the test's directory
		}
		for name, open := range map[string]func(string) (*os.File, error){
			"written": os.Create,
			"appended": func(path string) (*os.File, error) {
				write(t, path, []byte("before"))
				return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			},
		} {
			t.Run(name+path, func(t *testing.T) {
				dir := t.TempDir()
				file := filepath.Join(dir, "out")
				f, err := open(file)
				must(t, err)
				defer f.Close()
				cmd := childOf(t, s, "CHILD_ENDPOINT="+endpoint, "CHILD_FILE="+path, without)
				cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = f, os.Stderr, []*os.File{f}
				must(t, cmd.Run())
				_, err = f.WriteString("after")
				must(t, err)
				want := slices.Concat(data, []byte("after"))
				if name == "appended" {
					want = slices.Concat([]byte("before"), want)
				}
				same(t, onDisk(t, file), want)
				if got := names(t, dir); !slices.Equal(got, []string{"out"}) {
					t.Errorf("left %q", got)
				}
			})
		}
		t.Run("piped"+path, func(t *testing.T) {
			cmd := childOf(t, s, "CHILD_ENDPOINT="+endpoint, "CHILD_FILE="+path, without)
			cmd.Stderr = os.Stderr
			same(t, piped(t, cmd, path == "/dev/fd/3"), data)
		})
	}
}

// piped is what a command writes to a pipe, which is its descriptor 1 or 3.
func piped(t *testing.T, cmd *exec.Cmd, third bool) []byte {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	if third {
		cmd.ExtraFiles = []*os.File{w}
	} else {
		cmd.Stdout = w
	}
	must(t, cmd.Start())
	must(t, w.Close())
	got, err := io.ReadAll(r)
	must(t, errors.Join(err, cmd.Wait()))
	return got
}

func TestHardLinkKeepsTheOldBytes(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("new"))
	dir := t.TempDir()
	path, other := filepath.Join(dir, "f"), filepath.Join(dir, "other")
	regular(t, path)
	must(t, os.Link(path, other))
	_, err := s.reader(t, mayRead).DownloadFile(t.Context(), "k", path)
	must(t, err)
	if got := files(t, dir); got["f"] != "new" || got["other"] != "old" {
		t.Errorf("got %q", got)
	}
}

// A file that became something else while its bytes arrived is not replaced.
func TestDestinationThatChangesMeanwhile(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(20*partSize))
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	regular(t, path)
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Times: 1, Edit: func(b []byte) []byte {
		must(t, os.Remove(path))
		fifo(t, path)
		return b
	}})
	_, err := s.reader(t, mayRead).DownloadFile(t.Context(), "k", path)
	if err == nil || !strings.Contains(err.Error(), "is a named pipe") {
		t.Errorf("got %v", err)
	}
	if got := types(t, dir); len(got) != 1 || got["f"] != fs.ModeNamedPipe {
		t.Errorf("left %v", got)
	}
}

// Links and pipes of others in a directory like /tmp lead nowhere.
func TestLinkOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play another user")
	}
	s := newShelf()
	s.Put("k", noise(10))
	for name, put := range map[string]place{"link": linkTo(regular), "pipe": fifo} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		put(t, path)
		must(t, errors.Join(os.Lchown(path, 65534, 65534), os.Chmod(dir, 0o777|fs.ModeSticky)))
		_, err := s.reader(t, mayRead).DownloadFile(t.Context(), "k", path)
		if err == nil || !strings.Contains(err.Error(), "belongs to user 65534") || len(s.requests()) != 0 {
			t.Errorf("%s: got %v after %q", name, err, s.requests())
		}
	}
}

// A file that cannot be written at offsets is refused before any request.
func TestDownloadToUnfitFiles(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(10))
	path := filepath.Join(t.TempDir(), "f")
	regular(t, path)
	appending, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	reading, err := os.Open(path)
	must(t, err)
	dir, err := os.Open(filepath.Dir(path))
	must(t, err)
	_, pipe, err := os.Pipe()
	must(t, err)
	closed, err := os.Open(path)
	must(t, errors.Join(err, closed.Close()))
	for name, f := range map[string]*os.File{"append": appending, "read only": reading, "directory": dir, "pipe": pipe, "closed": closed, "nil": nil} {
		_, err := s.reader(t, mayRead).Download(t.Context(), "k", f)
		e, ok := errors.AsType[*s3reader.Error](err)
		if !ok || e.Op != "download" || len(s.requests()) != 0 {
			t.Errorf("%s: got %v after %q", name, err, s.requests())
		}
		if f != nil && !strings.Contains(err.Error(), "cannot be written at offsets") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, f := range []*os.File{appending, reading, dir, pipe} {
		must(t, f.Close())
	}
	same(t, onDisk(t, path), []byte("old"))
}
