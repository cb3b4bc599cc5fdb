package s3reader_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// told are the calls of Options.Progress, with their times.
type told struct {
	mu    sync.Mutex
	calls []s3reader.Progress
	at    []time.Time
}

func (p *told) tell(now s3reader.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, now)
	p.at = append(p.at, time.Now())
}

// check looks for at most ten calls a second, that never go back, and end with
// all bytes if all is well.
func (p *told) check(t *testing.T, key string, total int64, well bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.calls {
		if c.Key != key || c.Bytes > c.Total || i > 0 && c.Bytes < p.calls[i-1].Bytes {
			t.Errorf("call %d: %+v", i, c)
		}
		if i >= 10 && p.at[i].Sub(p.at[i-10]) < time.Second {
			t.Errorf("calls %d to %d within %v", i-10, i, p.at[i].Sub(p.at[i-10]))
		}
	}
	end := s3reader.Progress{Key: key, Bytes: total, Total: total}
	if got := len(p.calls); well && (got == 0 || p.calls[got-1] != end) || !well && got > 0 && p.calls[got-1] == end {
		t.Errorf("%d calls, %+v", got, p.calls[max(0, got-1):])
	}
}

// In a synctest bubble, where each part takes a second.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("dir/k", noise(40*partSize))
		s.Put("dir/small", noise(10))
		s.Put("dir/empty", nil)
		cfg := s.config(mayList)
		cfg.HTTPClient = &crowd{inner: cfg.HTTPClient}
		var p *told
		r := newReader(t, cfg, "pics", parts, func(o *s3reader.Options) { o.Progress = func(now s3reader.Progress) { p.tell(now) } })
		begin := func() { p = &told{} }

		begin()
		if _, err := r.Download(t.Context(), "dir/k", &memory{}); err != nil {
			t.Fatal(err)
		}
		p.check(t, "dir/k", 40*partSize, true)
		if len(p.calls) < 8 {
			t.Errorf("%d calls in 10 s", len(p.calls))
		}
		for _, key := range []string{"dir/small", "dir/empty"} {
			begin()
			if _, err := r.Download(t.Context(), key, &memory{}); err != nil {
				t.Fatal(err)
			}
			p.check(t, key, int64(map[string]int{"dir/small": 10}[key]), true)
		}

		dir := t.TempDir()
		remove := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Skip: 10, Status: 403, Code: "AccessDenied"})
		begin()
		if _, err := r.DownloadDir(t.Context(), "dir", dir); err == nil {
			t.Fatal("it was to fail")
		}
		p.check(t, "dir/", 40*partSize+10, false)
		remove()
		for range 2 { // goes on, then finds all unchanged
			begin()
			if _, err := r.DownloadDir(t.Context(), "dir", dir); err != nil {
				t.Fatal(err)
			}
			p.check(t, "dir/", 40*partSize+10, true)
		}
	})
}

// Downloads of one Reader at the same time each have their own progress; one that
// sets none has the Reader's.
func TestProgressOfEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		cfg := s.config(mayList)
		cfg.HTTPClient = &crowd{inner: cfg.HTTPClient}
		var readers told
		r := newReader(t, cfg, "pics", parts, func(o *s3reader.Options) { o.Progress = readers.tell })
		dir := t.TempDir()
		calls := map[string]func(key string, tell func(s3reader.Progress)) error{
			"Download": func(key string, tell func(s3reader.Progress)) error {
				_, err := r.Download(t.Context(), key, &memory{}, func(o *s3reader.DownloadOptions) { o.Progress = tell })
				return err
			},
			"DownloadFile": func(key string, tell func(s3reader.Progress)) error {
				_, err := r.DownloadFile(t.Context(), key, dir+"/file", func(o *s3reader.DownloadOptions) { o.Progress = tell })
				return err
			},
			"DownloadDir/": func(key string, tell func(s3reader.Progress)) error {
				_, err := r.DownloadDir(t.Context(), key, dir, func(o *s3reader.DirOptions) { o.Progress = tell })
				return err
			},
			"alone": func(key string, _ func(s3reader.Progress)) error {
				_, err := r.Download(t.Context(), key, &memory{})
				return err
			},
		}
		progress := map[string]*told{}
		var wg sync.WaitGroup
		for key := range calls {
			stored := key
			if strings.HasSuffix(key, "/") {
				stored += "k"
			}
			s.Put(stored, noise((10+len(key))*partSize))
			progress[key] = &told{}
		}
		for key, download := range calls {
			wg.Go(func() {
				if err := download(key, progress[key].tell); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for key, p := range progress {
			if key == "alone" {
				p = &readers
			}
			p.check(t, key, int64(10+len(key))*partSize, true)
		}
	})
}

// Whoever is told may take as long as it likes, or never return: the transfer
// goes on. In a synctest bubble.
func TestSlowProgressHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("k", noise(40*partSize))
		cfg := s.config(mayRead)
		cfg.HTTPClient = &crowd{inner: cfg.HTTPClient}
		for _, pause := range []time.Duration{0, 300 * time.Millisecond, time.Hour} {
			start := time.Now()
			r := newReader(t, cfg, "pics", parts, func(o *s3reader.Options) {
				o.Progress = func(s3reader.Progress) { time.Sleep(pause) }
			})
			if _, err := r.Download(t.Context(), "k", &memory{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 12*time.Second+10*time.Millisecond { // crowd takes some more than a second each
				t.Errorf("took %v with calls of %v", took, pause)
			}
		}
		time.Sleep(5 * time.Hour) // until the last call has returned
	})
}
