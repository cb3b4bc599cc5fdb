package daemon

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Tail returns the last lines of the server's log, under a heading with the server's
// name. A failing test prints it.
func (d *Daemon) Tail(lines int) string {
	head := fmt.Sprintf("--- %s: last %d lines\n", d.name, lines)
	text, err := end(d.log, 64<<10)
	if err != nil {
		return head + err.Error() + "\n"
	}
	all := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	return head + strings.Join(all[max(0, len(all)-lines):], "\n") + "\n"
}

// end reads the last size bytes of a file, or all of it.
func end(file string, size int64) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-size), size))
	return string(b), err
}
