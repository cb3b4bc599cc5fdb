package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// inPod is the environment of a pod, for commands that run in this process.
func inPod(t *testing.T) *fakePod {
	t.Helper()
	p, vars := newFakePod(t, t.TempDir())
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	return p
}

func crossrole(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs strings.Builder
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

// Ctrl-C leaves nothing under a file's name that is not complete, and the same
// command goes on.
func TestInterruptedCopyGoesOn(t *testing.T) {
	p := inPod(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB: two connections
	p.pics.Put("all/big", big)
	p.pics.Put("all/small", []byte("small"))
	for _, args := range [][]string{{"s3://pics/all/big"}, {"-r", "s3://pics/all"}} {
		dir := t.TempDir()
		to := filepath.Join(dir, "big")
		if len(args) > 1 {
			to = dir
		}
		args = append([]string{"cp", "--role", target}, append(args, to)...)
		ctx, cancel := context.WithCancel(t.Context())
		remove := p.cloud.Fault(awstest.Fault{Operation: "GetObject", Key: "all/big", StallAfter: new(int64(3 << 20))})
		go func() { // cancels once the part is there, with something in it
			for part := filepath.Join(dir, ".big.crossrole-part"); ctx.Err() == nil; {
				if stat, err := os.Stat(part); err == nil && stat.Size() > int64(len(big))+200 {
					cancel()
				}
			}
		}()
		_, stderr, err := crossrole(ctx, args...)
		cancel()
		remove()
		if err != exitError(130) || stderr != "crossrole: interrupted; run the same command again to resume\n" {
			t.Errorf("%q: got %v, %q", args, err, stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, "big")); err == nil {
			t.Error("there is a file already")
		}
		had := len(p.cloud.Calls())
		if stdout, stderr, err := crossrole(t.Context(), args...); err != nil || stderr != "" || !strings.Contains(stdout, "all/big -> ") {
			t.Errorf("%q: %v, %s%s", args, err, stdout, stderr)
		}
		got, err := os.ReadFile(filepath.Join(dir, "big"))
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		for _, c := range p.cloud.Calls()[had:] {
			if c.Operation == "GetObject" && c.Params["Range"] == "" && strings.HasSuffix(c.Params["Key"], "big") {
				t.Error("it began anew")
			}
		}
	}
}

// The lines above a bar that moves, as a terminal gets them.
func TestBar(t *testing.T) {
	var out, errs strings.Builder
	r := newCpReport(&out, &errs, "pics", false)
	r.useBar, r.lines = true, false
	object := func(key string) *s3reader.Info { return &s3reader.Info{Key: key, Size: 1 << 20} }
	r.progress(s3reader.Progress{})
	r.progress(s3reader.Progress{Bytes: 1 << 20, Total: 4 << 20})
	r.report(s3reader.Outcome{Info: object("a"), Path: "d/a"})
	r.report(s3reader.Outcome{Info: object("b\x1b[2J"), Skipped: "it cannot be"})
	r.progress(s3reader.Progress{Bytes: 2 << 20, Total: 8 << 20})
	r.done()
	r.progress(s3reader.Progress{Bytes: 8 << 20, Total: 8 << 20})
	r.done()
	if out.Len() > 0 {
		t.Errorf("printed %q", &out)
	}
	got := errs.String()
	for _, want := range []string{" 25% |", "1 files", "(2.0/8.0 MiB", "skipped \"s3://pics/b\\x1b[2J\": it cannot be\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if strings.Contains(got, "100%") {
		t.Errorf("drawn after its end: %q", got)
	}
}

// The bar keeps to one line of the terminal, whatever its width, and shows no
// rate before there is one.
func TestBarFitsTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, width := range []int{0, 1, 5, 20, 40, 80, 300} {
			var out strings.Builder
			bar := newProgressBar(&out)
			bar.width = func() int { return width }
			// What a resumed copy had comes with the first call.
			for i := range int64(100) {
				bar.draw("12345 files", 50<<30+i<<20, 100<<30)
				time.Sleep(100 * time.Millisecond)
			}
			bar.draw("", 1<<62, 1<<62)
			for i, line := range strings.Split(out.String(), "\r")[1:] {
				text := strings.TrimSuffix(line, "\x1b[K")
				if len([]rune(text)) > max(0, width-1) || strings.Contains(text, "\n") {
					t.Errorf("at %d columns: %q", width, text)
				}
				if rate := strings.Contains(text, "/s"); width == 80 && rate != (i >= 10) {
					t.Errorf("line %d: %q", i, text)
				}
				if i == 60 && width == 80 && !strings.Contains(text, "50% |") || i == 60 && width == 80 && !strings.Contains(text, ", 10.0 MiB/s)") {
					t.Errorf("%q", text)
				}
			}
		}
	})
}
