package s3reader

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// DownloadFile writes an object to a file, as Download does. At every moment,
// path names the old file, if there was one, or the complete new one, which takes
// its permissions: the bytes go to another file of that directory, which is
// renamed at the end. A link at path is replaced, not followed.
//
// When an object of more than 8 MiB (or Options.PartSize, if set) could not be fetched to its end, the part
// that has arrived is kept, even if the process was killed, and the next call
// with that path goes on from there, provided that the object is still the same.
// What the part holds is read and compared with its checksums first. The error
// says where the part is; removing it is safe. A part of a version that is gone
// is removed.
//
// Any number of processes may write the same file at the same time: one of them
// continues the part, the others begin their own.
//
// The file system decides when the bytes reach the disk. Who has to be sure of
// that before going on opens the file and calls its Sync.
func (r *Reader) DownloadFile(ctx context.Context, key, path string) (*Info, error) {
	const op = "download"
	if err := checkKey(key); err != nil {
		return nil, r.fail(op, key, err)
	}
	_, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return nil, r.fail(op, key, fmt.Errorf("the path %q names no file: end it with the file's name", path))
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, r.fail(op, key, err)
	}
	defer dir.Close()
	old, err := dir.Lstat(name)
	if ignore(err, fs.ErrNotExist) != nil {
		return nil, r.fail(op, key, err)
	}
	d := r.newDownload(key)
	d.tally.meter.begin()
	err = d.toFile(ctx, local{dir: dir, name: name, old: old}, "")
	d.tally.meter.end(err == nil)
	if err != nil {
		return nil, err
	}
	return &d.info, nil
}

// local is where an object goes.
type local struct {
	dir      *os.Root
	name     string
	old      os.FileInfo // what has the name now; nil: nothing
	modified time.Time   // becomes the file's; zero: not set
}

// toFile fetches the object to a file. A version with another ETag than that,
// unless empty, is ObjectChanged.
func (d *download) toFile(ctx context.Context, l local, etag string) error {
	fail := func(err error) error { return d.r.fail("download", d.info.Key, err) }
	if l.old != nil && l.old.IsDir() {
		return fail(fmt.Errorf("%s is a directory: add the file's name, or remove the directory", filepath.Join(l.dir.Name(), l.name)))
	}
	p, err := openPartial(l.dir, l.name)
	if err != nil {
		return fail(err)
	}
	err = d.toPartial(ctx, p, etag)
	useful := p.shared && (p.found || d.journal.holdsSome())
	if err == nil {
		if err = d.commit(p, l); err == nil {
			return nil
		}
		useful = false // its journal is cut off
	}
	if err = fail(err); useful && !spoils(err) {
		return kept(err, p)
	}
	if left := p.discard(); left != nil {
		note(err, left.Error())
	}
	return err
}

// commit gives a complete partial file its name.
func (d *download) commit(p *partial, l local) error {
	if d.journal != nil {
		if err := p.file.Truncate(d.info.Size); err != nil {
			return err
		}
	}
	if l.old != nil && l.old.Mode().IsRegular() {
		if err := p.file.Chmod(l.old.Mode().Perm()); err != nil {
			return err
		}
	}
	return p.commit(l.modified)
}

// spoils reports whether err says that what has arrived is of no use.
func spoils(err error) bool {
	return errors.Is(err, ObjectChanged) || errors.Is(err, ChecksumMismatch) || errors.Is(err, NotFound)
}

// kept is err with a word on where the bytes are.
func kept(err error, p *partial) error {
	if left := p.file.Close(); left != nil {
		note(err, left.Error())
	}
	note(err, "what has arrived is in "+p.path()+", and the next download to this file goes on from there")
	return err
}

// note adds a remark to an error of this package.
func note(err error, text string) {
	if e, ok := errors.AsType[*Error](err); ok {
		if e.note != "" {
			e.note += "; "
		}
		e.note += text
	}
}

func (d *download) toPartial(ctx context.Context, p *partial, etag string) error {
	if p.shared && p.found {
		if resumed, err := d.resume(ctx, p, etag); resumed || err != nil {
			return err
		}
	}
	return d.fresh(ctx, etag, func() error {
		// Not before there is an answer: it may still be of use.
		if p.found {
			p.found = false
			if err := p.file.Truncate(0); err != nil {
				return err
			}
		}
		d.w = &serial{WriterAt: p.file}
		if d.info.Size <= d.r.leastShare() || d.info.ETag == "" || !p.shared {
			return nil // nothing to go on from
		}
		if err := p.file.Truncate(d.info.Size); err != nil {
			return err
		}
		if err := d.keepJournal(p); err != nil {
			return err
		}
		d.journal.begin()
		return nil
	})
}

func (d *download) keepJournal(p *partial) (err error) {
	if d.kind == nil { // there is nothing to compare the whole with
		d.kind = crc64NVME
	}
	d.journal, err = newJournal(p.file, d.r.bucket.name, &d.info, d.kind)
	return err
}

// resume goes on from what an earlier download has left in a partial file. It
// reports false if there is nothing to go on from.
func (d *download) resume(ctx context.Context, p *partial, etag string) (bool, error) {
	stat, err := p.file.Stat()
	if err != nil || stat.Size() <= d.r.leastShare() {
		return false, err
	}
	if err := d.describe(ctx); err != nil {
		// A GET will tell why, to which S3 says more.
		return false, ctx.Err()
	}
	if etag != "" && etag != d.info.ETag {
		return false, nil
	}
	if err := d.keepJournal(p); err != nil {
		return false, err
	}
	pieces, err := d.journal.load(d.kind)
	if err != nil || len(pieces) == 0 {
		d.journal = nil
		return false, err
	}
	d.w = &serial{WriterAt: p.file}
	d.fetched.pieces = pieces
	missing := gaps(pieces, d.info.Size)
	left := total(missing)
	d.r.opts.Logger.Info("s3reader: a download goes on", "bucket", d.r.bucket.name, "key", d.info.Key, "file", p.path(), "bytes", d.info.Size, "missing", left)
	d.tally.expect(d.info.Size)
	d.tally.add(d.info.Size - left)
	return true, d.fan(ctx, d.r.plan(&d.info, left, d.gate.most), missing, nil, nil)
}
