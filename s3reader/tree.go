package s3reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/s3reader/internal/localname"
	"github.com/crossrole/crossrole/s3reader/internal/partfile"
	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// # How DownloadDir works
//
//	List ─► list: Include, path conflicts (localnames.go) ─► targets, a channel
//	                                                             │
//	         work × ramp.size  ◄─────────────────────────────────┘
//	           │ one object at a time
//	           └─► fetch ─► tryOnce ─► download.toFile (download.go)
//
// list and the workers run at the same time. A worker skips a file that is the object
// already (mtimeFor) and opens each directory once (workDir). An object that was
// overwritten after it was listed is tried again as it is then. done counts outcomes:
// it calls Each, decides whether the call ends early (failures.add), and lets the ramp
// start more workers while that raises throughput.
//
// All downloads share limits and reporter, which have locks of their own. mu guards the
// outcomes; including guards the calls of Include.

// listedAhead is how many objects the listing may be ahead of the workers. These are
// some megabytes of names, so that Progress.Total soon is the total.
const listedAhead = 16 << 10

// tree is one call of DownloadDir.
type tree struct {
	r        *Reader
	prefix   string
	root     *os.Root
	include  func(*Info) bool
	each     func(Outcome)
	limits   *transfer.Limits
	reporter *reporter
	dirs     dirMaker

	including sync.Mutex // held while include is called

	mu       sync.Mutex // guards what follows, and is held while each is called
	summary  Summary
	failures failures
	ramp     workerRamp
}

func newTree(r *Reader, prefix string, root *os.Root, opts DirOptions) *tree {
	ramp := workerRamp{size: r.opts.Concurrency}
	if opts.Concurrency > 0 {
		ramp.size = opts.Concurrency
	}
	ramp.most = ramp.size
	if ramp.size == 0 {
		ramp.size, ramp.most = firstObjects, defaultObjects
	}
	return &tree{
		r: r, prefix: prefix, root: root, include: opts.Include, each: opts.Each, ramp: ramp,
		limits:   transfer.NewLimits(max(ramp.most, r.opts.Concurrency), r.opts.memory()),
		reporter: &reporter{key: prefix, call: opts.Progress},
		dirs:     dirMaker{root: root, dirs: map[string]bool{}, modes: map[string]fs.FileMode{}},
	}
}

// run lists the objects and fetches them.
func (t *tree) run(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	targets := make(chan target, listedAhead)
	var workers sync.WaitGroup
	var start func(n int)
	start = func(n int) {
		for range n {
			workers.Go(func() { t.work(ctx, cancel, targets, start) })
		}
	}
	start(t.ramp.size)
	err := safely(func() error { return t.list(ctx, targets) })
	if err != nil && parent.Err() == nil && ctx.Err() == nil {
		cancel() // without a complete listing, the others are stopped
	}
	close(targets)
	workers.Wait()
	if ended := parent.Err(); ended != nil {
		err = t.r.fail("download", t.prefix, ended)
	} else if errors.Is(err, context.Canceled) {
		err = nil // the failures say why
	}
	return t.failures.join(err)
}

// list sends the objects that are to become files.
func (t *tree) list(ctx context.Context, targets chan<- target) error {
	folds, err := localname.Folds(t.root)
	if err != nil {
		return t.r.fail("download", t.prefix, err)
	}
	conflicts := localname.NewConflicts(folds)
	send := func(files []target) error {
		for _, e := range files {
			if reason := conflicts.Add(e.path, e.info.Key); reason != "" {
				if err := t.skip(e.info, reason); err != nil {
					return err
				}
				continue
			}
			t.reporter.expect(e.info.Size)
			select {
			case targets <- e:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	var shared pathConflicts // of objects and directories
	for info, err := range t.r.List(ctx, t.prefix) {
		if err != nil {
			return err
		}
		wanted, err := t.wanted(info)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		name := strings.TrimPrefix(info.Key, t.prefix)
		if reason := localname.Check(name, runtime.GOOS == "windows"); reason != "" {
			if err := t.skip(info, reason); err != nil {
				return err
			}
			continue
		}
		files, directories := shared.add(target{info, name})
		for _, e := range directories {
			if err := t.skip(e.info, fmt.Sprintf("its path is that of the directory of %q", info.Key)); err != nil {
				return err
			}
		}
		if err := send(files); err != nil {
			return err
		}
	}
	return send(shared.end())
}

// wanted calls DirOptions.Include, which may panic.
func (t *tree) wanted(info *Info) (wanted bool, err error) {
	if t.include == nil {
		return true, nil
	}
	t.including.Lock()
	defer t.including.Unlock()
	defer t.r.recovered("download", info.Key, &err)
	return t.include(info), nil
}

func (t *tree) skip(info *Info, reason string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.summary.Skipped = append(t.summary.Skipped, Skipped{info.Key, reason})
	return t.report(Outcome{Info: info, Skipped: reason})
}

// report calls DirOptions.Each, which may panic. t.mu is held.
func (t *tree) report(o Outcome) (err error) {
	if t.each == nil {
		return nil
	}
	defer t.r.recovered("download", o.Info.Key, &err)
	t.each(o)
	return nil
}

func (t *tree) work(ctx context.Context, stop func(), targets <-chan target, start func(n int)) {
	var in workDir
	defer in.leave()
	exited := true
	defer func() {
		if exited { // by the caller's code. The others must end too, or list would wait forever.
			t.mu.Lock()
			defer t.mu.Unlock()
			t.failures.add(t.r.fail("download", t.prefix, errGoexit))
			stop()
		}
	}()
	for e := range targets {
		if ctx.Err() != nil {
			continue
		}
		o, wanted := t.fetchSafely(ctx, e, &in)
		if !wanted || ctx.Err() != nil && errors.Is(o.Err, ctx.Err()) {
			continue
		}
		start(t.done(o, stop))
	}
	exited = false
}

// done records the outcome of an object. It returns how many more workers to start.
func (t *tree) done(o Outcome, stop func()) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.Err != nil {
		if t.failures.add(o.Err) {
			stop()
		}
	} else {
		t.failures.consecutive = 0
		t.summary.Files++
		t.summary.Bytes += o.Info.Size
		if o.Unchanged {
			t.summary.Unchanged++
		}
	}
	if err := t.report(o); err != nil {
		t.failures.add(err)
		stop()
	}
	return t.ramp.finished()
}

// fetchSafely calls fetch. A panic becomes the outcome.
func (t *tree) fetchSafely(ctx context.Context, e target, in *workDir) (o Outcome, wanted bool) {
	err := safely(func() error {
		o, wanted = t.fetch(ctx, e, in)
		return nil
	})
	if err != nil {
		o = Outcome{Info: e.info, Path: path.Join(t.root.Name(), e.path), Err: t.r.fail("download", e.info.Key, err)}
		return o, true
	}
	return o, wanted
}

// fetch fetches an object. It reports false if the object is no longer wanted.
func (t *tree) fetch(ctx context.Context, e target, in *workDir) (Outcome, bool) {
	o := Outcome{Info: e.info, Path: path.Join(t.root.Name(), e.path)}
	for range 3 {
		var info Info
		info, o.Unchanged, o.Err = t.tryOnce(ctx, o.Info, e.path, in)
		if o.Err == nil {
			o.Info = &info
			return o, true
		}
		if !errors.Is(o.Err, ObjectChanged) {
			return o, true
		}
		now, err := t.r.Stat(ctx, e.info.Key)
		if err != nil {
			o.Err = err
			return o, true
		}
		t.reporter.expect(now.Size - o.Info.Size)
		o.Info = now
		wanted, err := t.wanted(now)
		if err != nil {
			o.Err = err
			return o, true
		}
		if !wanted {
			t.reporter.expect(-now.Size)
			return o, false
		}
	}
	return o, true
}

// tryOnce fetches the version of an object that info describes, unless the file has it
// already.
func (t *tree) tryOnce(ctx context.Context, info *Info, name string, in *workDir) (_ Info, unchanged bool, _ error) {
	dir, base := path.Split(name)
	at, err := in.enter(&t.dirs, dir)
	if err != nil {
		return Info{}, false, t.r.fail("download", info.Key, err)
	}
	to := localFile{dir: at, name: base, modified: mtimeFor(info), newMode: func() (fs.FileMode, error) { return t.dirs.mode(dir, at) }}
	to.existing, err = at.Lstat(base)
	switch {
	case err != nil && !isMissing(err):
		return Info{}, false, t.r.fail("download", info.Key, err)
	case err != nil:
		to.existing = nil
	case to.modified.IsZero():
	case to.existing.Mode().IsRegular() && to.existing.Size() == info.Size && to.existing.ModTime().Equal(to.modified):
		t.reporter.bytes.Add(info.Size)
		return *info, true, nil
	}
	d := downloadWith(t.r.client, info.Key, t.r.opts.PartSize, t.r.opts.Concurrency, t.limits, t.reporter)
	d.counter.sized = true
	if err := d.toFile(ctx, to, info.ETag); err != nil {
		if errors.Is(err, ObjectChanged) {
			d.counter.undo() // they will be fetched again
		}
		return Info{}, false, err
	}
	return d.info, false, nil
}

const (
	maxFailures = 100 // errors that are kept

	// maxConsecutive is how many objects in a row may fail for reasons that are probably
	// not their own.
	maxConsecutive = 100
)

// failures collects the errors of single objects.
type failures struct {
	errs        []*Error
	more        int // beyond those that are kept
	consecutive int // since the last object that was fetched
}

// add records an error and reports whether the other objects are likely to fail too.
func (f *failures) add(err error) (stop bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Op: "download", Err: err}
	}
	if len(f.errs) < maxFailures {
		f.errs = append(f.errs, e)
	} else {
		f.more++
	}
	switch e.Kind {
	case NoSuchBucket, WrongRegion, Panicked:
		return true
	case "", Truncated:
		f.consecutive++
	default:
		f.consecutive = 0
	}
	return f.consecutive >= maxConsecutive || partfile.IsDiskFull(err)
}

// join returns all errors and last, which may be nil, as one.
func (f *failures) join(last error) error {
	slices.SortFunc(f.errs, func(a, b *Error) int { return cmp.Compare(a.Key, b.Key) })
	var errs []error
	for _, e := range f.errs {
		errs = append(errs, e)
	}
	if f.more > 0 {
		errs = append(errs, fmt.Errorf("s3reader: download: and %d more objects", f.more))
	}
	if last != nil {
		errs = append(errs, last)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

const (
	firstObjects   = 8  // at a time, at first
	defaultObjects = 64 // at most: 2,000 per second if the first byte takes 30 ms

	// doublingPays is how much faster twice the workers must be.
	doublingPays = 1.2
)

// workerRamp decides how many workers fetch objects. It doubles their number while that
// raises throughput: if S3 is far away, many requests have to be in flight; if it is
// near, they would only take memory.
type workerRamp struct {
	size, most int

	done  int // objects
	since time.Time
	rate  float64 // objects per second with half the size; 0: not known
}

// finished records that an object is done. It returns how many more workers to
// start.
func (c *workerRamp) finished() int {
	if c.since.IsZero() {
		c.since = time.Now()
	}
	if c.done++; c.size >= c.most || c.done < 4*c.size {
		return 0
	}
	now := time.Now()
	rate := float64(c.done) / max(now.Sub(c.since), time.Microsecond).Seconds()
	if rate < c.rate*doublingPays {
		c.most = c.size
		return 0
	}
	more := min(c.size, c.most-c.size)
	c.size, c.rate, c.done, c.since = c.size+more, rate, 0, now
	return more
}
