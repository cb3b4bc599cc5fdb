package s3reader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

// Case B21: a session that S3 takes for expired in the middle of a download
// costs one refresh, and no part comes more than twice.
func TestSessionExpiresDuringDownload(t *testing.T) {
	cloud := awstest.New()
	dev, shared := cloud.Account("111122223333"), cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	dev.AddOIDCProvider(cluster)
	hub := dev.CreateRole("hub", trust.WebIdentityPolicy(dev.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "reader")}).String(),
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
	target := shared.CreateRole("S3_Pics", trust.RolePolicy(hub.ARN()).String(), trust.ReadBucketPolicy("pics", "").String())
	data := noise(32 * partSize)
	shared.CreateBucket("pics").Put("k", data)
	pod := cluster.Pod(t.TempDir(), "default", "reader", hub.ARN())
	cfg, err := credentials.Wrap(cloud.Config(), credentials.Assume(target.ARN()), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
	})
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.PartSize, o.Concurrency = partSize, 8 })
	first, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cloud.Fault(awstest.Fault{Operation: "GetObject", AccessKeyID: first.AccessKeyID, Skip: 10, Status: 400, Code: "ExpiredToken"})
	path := filepath.Join(t.TempDir(), "f")
	if info, err := r.DownloadFile(t.Context(), "k", path); err != nil || !info.Verified {
		t.Fatal(info, err)
	}
	same(t, onDisk(t, path), data)
	hops, asked := 0, map[string]int{}
	for _, c := range cloud.Calls() {
		switch c.Operation {
		case "AssumeRole":
			hops++
		case "GetObject":
			asked[c.Params["Range"]]++
		}
	}
	if hops != 2 {
		t.Errorf("hop 2 was called %d times", hops)
	}
	for part, n := range asked {
		if n > 2 {
			t.Errorf("%s was asked for %d times", part, n)
		}
	}
	if len(asked) != 32 {
		t.Errorf("%d parts", len(asked))
	}
}

// A large object with a slow connection among its connections: the others take
// over what that one has left.
func TestOthersHelpTheSlowOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := large(64 << 20)
		s.Put("k", data)
		cfg := s.config(mayRead)
		cfg.HTTPClient = slowly{inner: cfg.HTTPClient}
		r := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.Concurrency = 4 })
		w := memory{data: make([]byte, 0, len(data))}
		start := time.Now()
		info, err := r.Download(t.Context(), "k", &w)
		if err != nil || !info.Verified {
			t.Fatal(err)
		}
		same(t, w.data, data)
		// 64 MiB at 3 × 16 and 1 × 1 MiB/s take 1.3 s; the slow one's share alone
		// would take 16 s.
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// slowly delivers the third quarter of an object at 1 MiB/s, and what else is
// asked for at 16 MiB/s, in a synctest bubble.
type slowly struct {
	inner interface {
		Do(*http.Request) (*http.Response, error)
	}
}

func (s slowly) Do(r *http.Request) (*http.Response, error) {
	resp, err := s.inner.Do(r)
	if err == nil {
		rate := 16 << 20
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=33554432-") {
			rate = 1 << 20
		}
		resp.Body = &trickle{resp.Body, rate}
	}
	return resp, err
}

// trickle delivers slowly, in synctest's time.
type trickle struct {
	io.ReadCloser
	rate int
}

// Read sleeps in the time of synctest.
func (b *trickle) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 64<<10)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(b.rate)) // in synctest's time
	return n, err
}

// One that stalls holds up nobody who could do its work, be it the first, whose
// request was for the whole object, or another.
func TestOthersTakeOverFromTheStalled(t *testing.T) {
	t.Parallel()
	for _, stalls := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			data := large(64 << 20)
			s.Put("k", data)
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", Skip: stalls, Times: 1, StallAfter: new(int64(5<<20 + 100_000))})
			w := memory{data: make([]byte, 0, len(data))}
			start := time.Now()
			info, err := s.reader(t, mayRead, func(o *s3reader.Options) { o.Concurrency = 4 }).Download(t.Context(), "k", &w)
			if err != nil || !info.Verified {
				t.Fatal(info, err)
			}
			same(t, w.data, data)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("request %d stalled, which took %v", stalls, took)
			}
		})
	}
}

// An object that is overwritten in the middle is one version or none.
func TestOverwrittenDuringDownload(t *testing.T) {
	for _, versioned := range []bool{false, true} {
		s := newShelf()
		if versioned {
			s.SetVersioning()
		}
		old, recent := noise(20*partSize), noise(21*partSize)
		s.Put("k", old)
		path := filepath.Join(t.TempDir(), "f")
		cfg := s.config(mayVersion)
		cfg.HTTPClient = &onNth{inner: cfg.HTTPClient, n: 8, do: func() { s.Put("k", recent) }}
		_, err := newReader(t, cfg, "pics", parts).DownloadFile(t.Context(), "k", path)
		if versioned {
			if err != nil {
				t.Fatal(err)
			}
			same(t, onDisk(t, path), old)
			continue
		}
		if !errors.Is(err, s3reader.ObjectChanged) || len(names(t, filepath.Dir(path))) != 0 {
			t.Errorf("got %v, left %q", err, names(t, filepath.Dir(path)))
		}
	}
}

// onNth does something before the nth request.
type onNth struct {
	inner interface {
		Do(*http.Request) (*http.Response, error)
	}
	mu sync.Mutex
	n  int
	do func()
}

func (o *onNth) Do(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	if o.n--; o.n == 0 {
		o.do()
	}
	o.mu.Unlock()
	return o.inner.Do(r)
}

// Whatever happens, no body stays open and no request's context alive.
func TestDownloadsLeaveNothingOpen(t *testing.T) {
	for name, m := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				s.Put("k", noise(20*partSize))
				s.Put("small", noise(10))
				cfg := s.config(mayList)
				l := &ledger{inner: cfg.HTTPClient}
				cfg.HTTPClient = l
				s.cloud.Fault(m.fault)
				r := newReader(t, cfg, "pics", parts)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				_, _ = r.Download(ctx, "k", &memory{})
				_, _ = r.DownloadFile(ctx, "k", filepath.Join(t.TempDir(), "f"))
				_, _ = r.DownloadDir(ctx, "", t.TempDir())
				synctest.Wait()
				if l.bodies.Load() != 0 || l.live.Load() != 0 {
					t.Errorf("%d bodies are open, %d contexts live", l.bodies.Load(), l.live.Load())
				}
			})
		})
	}
}

// Several downloads to one path do not spoil it, nor leave anything.
func TestOnePathManyDownloads(t *testing.T) {
	s := newShelf()
	data := noise(40 * partSize)
	s.Put("k", data)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	interrupted(t, s, dir)
	r := s.reader(t, mayRead, parts)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				if _, err := r.DownloadFile(t.Context(), "k", path); err != nil {
					t.Error(err)
				}
				if got := onDisk(t, path); !bytes.Equal(got, data) {
					t.Errorf("%d bytes that are not the object", len(got))
				}
			}
		})
	}
	all.Wait()
	if got := names(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("left %q", got)
	}
}

// What somebody has put in the place of the part is not written to.
func TestPlantedParts(t *testing.T) {
	for name, plant := range map[string]func(part, victim string) error{
		"link outside":  func(part, victim string) error { return os.Symlink(victim, part) },
		"link inside":   func(part, victim string) error { return os.Symlink("f", part) },
		"dangling link": func(part, victim string) error { return os.Symlink(victim+"-absent", part) },
		"hard link":     func(part, victim string) error { return os.Link(victim, part) },
		"directory":     func(part, victim string) error { return os.Mkdir(part, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			data := noise(20 * partSize)
			s.Put("k", data)
			base := t.TempDir()
			dir, victim := filepath.Join(base, "dir"), filepath.Join(base, "victim")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			part := interrupted(t, s, dir)
			// As large as a part, with its journal.
			write(t, victim, onDisk(t, part))
			before := onDisk(t, victim)
			if err := errors.Join(os.Remove(part), plant(part, victim)); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "f"), []byte("old"))
			if _, err := s.reader(t, mayRead, parts).DownloadFile(t.Context(), "k", filepath.Join(dir, "f")); err != nil {
				t.Fatal(err)
			}
			same(t, onDisk(t, filepath.Join(dir, "f")), data)
			same(t, onDisk(t, victim), before)
			if got := fmt.Sprint(names(t, base), names(t, dir)); got != "[dir victim] [f]" {
				t.Errorf("left %v", got)
			}
		})
	}
}
