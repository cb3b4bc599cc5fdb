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
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/crossrole/crossrole/s3reader"
)

// cpReport shows the progress of cp: a bar on a terminal, otherwise a line per file. It
// is safe for concurrent use.
type cpReport struct {
	out, errors io.Writer
	bucket      string
	json, lines bool

	mu     sync.Mutex
	began  time.Time
	useBar bool         // errors is a terminal
	bar    *progressBar // nil: none yet
	closed bool
	files  int
	failed int
	lost   int             // skipped keys that are not mere directory markers
	seen   map[string]bool // errors that were printed
}

func newCpReport(out, errs io.Writer, bucket string, asJSON bool) *cpReport {
	r := &cpReport{out: out, errors: errs, bucket: bucket, json: asJSON, lines: !isTerminal(out), began: time.Now(), seen: map[string]bool{}}
	r.useBar = isTerminal(errs) && os.Getenv("TERM") != "dumb"
	return r
}

// progress draws the bar. Downloads call it at most ten times a second.
func (r *cpReport) progress(p s3reader.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.useBar || r.closed || p.Total == 0 {
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

// done removes the bar.
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

// outcome is a line of --json.
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

// report prints the outcome for an object.
func (r *cpReport) report(o s3reader.Outcome) {
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
		r.line(r.out, "unchanged %v -> %s", url, quote(o.Path))
	case o.Info.Verified:
		r.line(r.out, "copied %v -> %s (%d bytes, checksum verified)", url, quote(o.Path), o.Info.Size)
	default:
		r.line(r.out, "copied %v -> %s (%d bytes)", url, quote(o.Path), o.Info.Size)
	}
}

func (r *cpReport) encode(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers
	}
	r.line(r.out, "%s", line)
}

// reportRest prints the parts of err that report has not printed.
func (r *cpReport) reportRest(err error) {
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
	text := fmt.Sprintf("%d files, %s in %s; %d files were up to date, %d keys skipped, %d failed", sum.Files, byteSize(sum.Bytes), took, sum.Unchanged, len(sum.Skipped), r.failed)
	if part.count > 1 {
		text += "; shard " + part.String()
	}
	r.line(r.out, "%s", text)
}

// progressBar shows the progress of a copy in one line of a terminal. It is not safe for
// concurrent use.
type progressBar struct {
	w     io.Writer
	width func() int // columns of the terminal
	drawn bool
	marks []progressMark // of the last rateSpan, oldest first
}

type progressMark struct {
	at    time.Time
	bytes int64
}

const (
	rateSpan  = 5 * time.Second // over which a rate is averaged
	rateFirst = time.Second     // before that, no rate is shown
)

func newProgressBar(w io.Writer) *progressBar {
	return &progressBar{w: w, width: func() int { return columns(w) }}
}

// columns returns the present width of a terminal, 80 if it is unknown.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// draw shows bytes of total, after a note.
func (p *progressBar) draw(note string, bytes, total int64) {
	now := time.Now()
	p.marks = append(p.marks, progressMark{now, bytes})
	for len(p.marks) > 2 && now.Sub(p.marks[1].at) > rateSpan {
		p.marks = p.marks[1:]
	}
	amount := fmt.Sprintf("%s/%s", inUnit(bytes, total), byteSize(total))
	rate := ""
	if first := p.marks[0]; now.Sub(first.at) >= rateFirst {
		rate = ", " + byteSize(int64(float64(max(0, bytes-first.bytes))/now.Sub(first.at).Seconds())) + "/s"
	}
	if note != "" {
		note += " "
	}
	percent := fmt.Sprintf("%3d%%", int(100*float64(bytes)/float64(max(1, total))))
	// Some terminals scroll if a line is as wide as they are.
	room := p.width() - 1
	var line string
	for _, parts := range []string{note + "(" + amount + rate + ")", "(" + amount + rate + ")", "(" + amount + ")", ""} {
		line = strings.TrimRight(percent+" "+parts, " ")
		if utf8.RuneCountInString(line) <= room {
			if left := room - utf8.RuneCountInString(line) - 3; left >= 5 {
				filled := int(float64(left) * float64(bytes) / float64(max(1, total)))
				line = percent + " |" + strings.Repeat("#", filled) + strings.Repeat(" ", left-filled) + "| " + parts
			}
			break
		}
	}
	// An error of the terminal does not matter to the copy.
	_, _ = fmt.Fprintf(p.w, "\r%.*s\x1b[K", max(0, room), line)
	p.drawn = true
}

// clear removes the line.
func (p *progressBar) clear() {
	if p.drawn {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

var byteUnits = []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// unitOf returns the power of 1024 in which a size is printed.
func unitOf(size int64) (unit int, divisor float64) {
	divisor = 1
	for unit < len(byteUnits)-1 && float64(size)/divisor >= 1024 {
		unit, divisor = unit+1, divisor*1024
	}
	return unit, divisor
}

// byteSize returns a size with its unit, such as 1.5 MiB.
func byteSize(size int64) string {
	unit, _ := unitOf(size)
	return inUnit(size, size) + " " + byteUnits[unit]
}

// inUnit returns a size in the unit of another one.
func inUnit(size, other int64) string {
	unit, divisor := unitOf(other)
	if unit == 0 {
		return fmt.Sprint(size)
	}
	return fmt.Sprintf("%.1f", float64(size)/divisor)
}
