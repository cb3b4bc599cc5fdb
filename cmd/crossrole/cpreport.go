package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/s3reader"
)

// cpReport shows what cp does: on a terminal by a bar that moves, else by a line
// for each file. It is safe for concurrent use.
type cpReport struct {
	out, errors io.Writer
	bucket      string
	json, lines bool

	mu     sync.Mutex
	began  time.Time
	moving bool         // there is a terminal
	bar    *progressBar // nil: none yet
	closed bool
	files  int
	failed int
	lost   int             // keys skipped that are more than markers
	seen   map[string]bool // errors that have been printed
}

func newCpReport(out, errs io.Writer, bucket string, asJSON bool) *cpReport {
	r := &cpReport{out: out, errors: errs, bucket: bucket, json: asJSON, lines: !isTerminal(out), began: time.Now(), seen: map[string]bool{}}
	r.moving = isTerminal(errs) && os.Getenv("TERM") != "dumb"
	return r
}

// progress is called by downloads, ten times a second at most.
func (r *cpReport) progress(p s3reader.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.moving || r.closed || p.Total == 0 {
		return
	}
	if r.bar == nil {
		r.bar = newProgressBar(r.errors)
	}
	note := ""
	if r.files > 0 {
		note = fmt.Sprintf("%d files", r.files)
	}
	r.bar.draw(note, p.Bytes, p.Total)
}

// done takes the bar away.
func (r *cpReport) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bar != nil && !r.closed {
		r.bar.clear()
	}
	r.closed = true
}

// line prints a line above the bar.
func (r *cpReport) line(w io.Writer, format string, args ...any) {
	if r.bar != nil && !r.closed {
		r.bar.clear()
	}
	fmt.Fprintln(w, printable(fmt.Sprintf(format, args...)))
}

// outcome is an object of --json.
type outcome struct {
	Key       string `json:"key"`
	Path      string `json:"path,omitempty"`
	Size      int64  `json:"size"`
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"versionId,omitempty"`
	Verified  bool   `json:"verified,omitempty"`
	Unchanged bool   `json:"unchanged,omitempty"`
	Skipped   string `json:"skipped,omitempty"`
	Error     string `json:"error,omitempty"`
}

// told is what became of an object.
func (r *cpReport) told(o s3reader.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	url := s3URL{r.bucket, o.Info.Key}
	if o.Skipped != "" && !(o.Info.Size == 0 && strings.HasSuffix(o.Info.Key, "/")) {
		r.lost++
	}
	switch {
	case o.Err != nil:
		r.failed++
		r.seen[o.Err.Error()] = true
	case o.Skipped == "":
		r.files++
	}
	if r.json {
		line := outcome{Key: o.Info.Key, Path: o.Path, Size: o.Info.Size, ETag: o.Info.ETag, VersionID: o.Info.VersionID, Verified: o.Info.Verified, Unchanged: o.Unchanged, Skipped: o.Skipped}
		if o.Err != nil {
			line.Error = o.Err.Error()
		}
		r.encode(line)
		return
	}
	switch {
	case o.Err != nil:
		r.line(r.errors, "crossrole: %v", o.Err)
	case o.Skipped != "":
		r.line(r.errors, "skipped %v: %s", url, o.Skipped)
	case !r.lines:
	case o.Unchanged:
		r.line(r.out, "unchanged %v -> %s", url, shown(o.Path))
	case o.Info.Verified:
		r.line(r.out, "copied %v -> %s (%d bytes, checksum verified)", url, shown(o.Path), o.Info.Size)
	default:
		r.line(r.out, "copied %v -> %s (%d bytes)", url, shown(o.Path), o.Info.Size)
	}
}

func (r *cpReport) encode(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers
	}
	r.line(r.out, "%s", line)
}

// rest tells of what in err is not an object's failure, which has been told.
func (r *cpReport) rest(err error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range all {
		if _, ok := errors.AsType[*s3reader.Error](err); ok && !r.seen[err.Error()] {
			r.line(r.errors, "crossrole: %v", err)
		}
	}
}

func (r *cpReport) summary(sum *s3reader.Summary, part shard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.json {
		r.encode(struct {
			Files     int    `json:"files"`
			Unchanged int    `json:"unchanged"`
			Bytes     int64  `json:"bytes"`
			Skipped   int    `json:"skipped"`
			Failed    int    `json:"failed"`
			Shard     string `json:"shard"`
		}{sum.Files, sum.Unchanged, sum.Bytes, len(sum.Skipped), r.failed, part.String()})
		return
	}
	took := time.Since(r.began).Round(10 * time.Millisecond)
	if took > time.Minute {
		took = took.Round(time.Second)
	}
	text := fmt.Sprintf("%d files, %s in %s; %d of the files were there already, %d keys skipped, %d failed", sum.Files, byteSize(sum.Bytes), took, sum.Unchanged, len(sum.Skipped), r.failed)
	if part.count > 1 {
		text += "; shard " + part.String()
	}
	r.line(r.out, "%s", text)
}
