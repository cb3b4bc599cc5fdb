package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// progressBar shows on a terminal how far a copy is, in one line that it draws
// over. It is not safe for concurrent use.
type progressBar struct {
	w     io.Writer
	width func() int // columns of the terminal
	drawn bool
	marks []progressMark // of the last rateSpan, the oldest first
}

type progressMark struct {
	at    time.Time
	bytes int64
}

const (
	rateSpan  = 5 * time.Second // what a rate is the mean of
	rateFirst = time.Second     // before that there is none
)

func newProgressBar(w io.Writer) *progressBar {
	return &progressBar{w: w, width: func() int { return columns(w) }}
}

// columns is how wide a terminal is now; 80 if it does not say.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// draw shows bytes of total, and what else there is to say in front of them.
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
	// A line as wide as the terminal makes some of them scroll.
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
	// What fails to be drawn is not missed.
	_, _ = fmt.Fprintf(p.w, "\r%.*s\x1b[K", max(0, room), line)
	p.drawn = true
}

// clear takes the line away.
func (p *progressBar) clear() {
	if p.drawn {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

var byteUnits = []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// unitOf is the power of 1024 that a size is shown in.
func unitOf(size int64) (unit int, divisor float64) {
	divisor = 1
	for unit < len(byteUnits)-1 && float64(size)/divisor >= 1024 {
		unit, divisor = unit+1, divisor*1024
	}
	return unit, divisor
}

// byteSize writes a size with its unit, such as 1.5 MiB.
func byteSize(size int64) string {
	unit, _ := unitOf(size)
	return inUnit(size, size) + " " + byteUnits[unit]
}

// inUnit writes a size in the unit that another one is shown in.
func inUnit(size, other int64) string {
	unit, divisor := unitOf(other)
	if unit == 0 {
		return fmt.Sprint(size)
	}
	return fmt.Sprintf("%.1f", float64(size)/divisor)
}
