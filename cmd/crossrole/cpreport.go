package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"

	"github.com/crossrole/crossrole/s3reader"
)

// cpReport tells what cp does, on a terminal by a bar that moves, else by a line
// for each file. It is safe for concurrent use.
type cpReport struct {
	out, errors io.Writer
	bucket      string
	json, lines bool

	mu     sync.Mutex
	moving bool                     // there is a terminal
	bar    *progressbar.ProgressBar // nil: none yet
	closed bool
	files  int
	failed int
	lost   int             // keys skipped that are more than markers
	seen   map[string]bool // errors that have been told
}

func newCpReport(out, errs io.Writer, bucket string, asJSON bool) *cpReport {
	r := &cpReport{out: out, errors: errs, bucket: bucket, json: asJSON, lines: !isTerminal(out), seen: map[string]bool{}}
	r.moving = isTerminal(errs)
	return r
}

func newBar(w io.Writer, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowCount(), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
}

// progress is called by downloads, ten times a second at most.
func (r *cpReport) progress(p s3reader.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.moving || r.closed || p.Total == 0 {
		return
	}
	if r.bar == nil {
		r.bar = newBar(r.errors, p.Total)
	}
	if r.files > 0 {
		r.bar.Describe(fmt.Sprintf("%d files", r.files))
	}
	if r.bar.GetMax64() != p.Total { // the listing goes on
		r.bar.ChangeMax64(p.Total)
	}
	// What fails to be drawn is missed by nobody.
	_ = r.bar.Set64(p.Bytes)
}

// done takes the bar away.
func (r *cpReport) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bar != nil && !r.closed {
		_ = r.bar.Clear()
	}
	r.closed = true
}

// line prints a line above the bar.
func (r *cpReport) line(w io.Writer, format string, args ...any) {
	if r.bar != nil && !r.closed {
		_ = r.bar.Clear()
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
	text := fmt.Sprintf("%d files, %d bytes; %d of the files were there already, %d keys skipped, %d failed", sum.Files, sum.Bytes, sum.Unchanged, len(sum.Skipped), r.failed)
	if part.count > 1 {
		text += "; shard " + part.String()
	}
	r.line(r.out, "%s", text)
}
