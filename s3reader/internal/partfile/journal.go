package partfile

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/crossrole/crossrole/s3reader/internal/crc"
	"github.com/crossrole/crossrole/s3reader/internal/transfer"
)

// The journal of a part file: which of its bytes are verified.

const (
	// minLine is the smallest part that gets a line in the journal, in bytes: what a killed
	// process loses per connection.
	minLine = 1 << 20

	// maxLines limits the length of a journal.
	maxLines = 16 << 10

	// maxHead limits the line that describes the object, in bytes. A key has up to 1024,
	// which are escaped.
	maxHead = 8 << 10
)

// journal records which parts of the object are in a part file. It starts at the object's
// size with a line that describes the object; each further line is one part. Lines are only
// appended: if a journal ends in the middle of a line, the lines before it are valid. It is
// safe for concurrent use.
type journal struct {
	file readWriterAt
	kind *crc.Kind
	head []byte
	size int64 // of the object
	step int64 // smallest part that gets a line, in bytes

	mu     sync.Mutex // guards what follows
	end    int64
	some   bool  // there is a part
	failed error // why nothing more is written: for example, the disk is full
}

// holdsSome reports whether there is a part to resume from. j may be nil.
func (j *journal) holdsSome() bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.some
}

// journalHead is the first line. The parts are only used if it matches.
type journalHead struct {
	Format            int `json:"crossrole"`
	Bucket, Key, ETag string
	Size              int64
	Checksum          string
	Lines             string // their fields
}

type readWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

func newJournal(file readWriterAt, id ID) (*journal, error) {
	head, err := json.Marshal(journalHead{1, id.Bucket, id.Key, id.ETag, id.Size, id.Checksum.Name, "start end checksum"})
	if err != nil {
		return nil, err
	}
	head = append(head, '\n')
	return &journal{file: file, kind: id.Checksum, head: head, size: id.Size, end: id.Size, step: max(minLine, id.Size/maxLines)}, nil
}

// begin starts a new journal.
func (j *journal) begin() { j.append(j.head) }

// add records that the file has a part.
func (j *journal) add(p transfer.Part) {
	j.append(fmt.Appendf(nil, "%d %d %x\n", p.Start, p.End, p.CRC))
}

func (j *journal) append(line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return
	}
	// After an error, the download still succeeds; it just cannot be resumed.
	n, err := j.file.WriteAt(line, j.end)
	j.some = j.some || j.end > j.size && err == nil
	j.end += int64(n)
	j.failed = err
}

// load returns the parts of the object that are in the file: those whose bytes match the
// checksum in the journal. Later parts are appended after the last complete line. It
// returns none if the journal is for another object.
func (j *journal) load() ([]transfer.Part, error) {
	lines := bufio.NewReaderSize(io.NewSectionReader(j.file, j.size, 1<<62), maxHead)
	head, err := lines.ReadSlice('\n')
	if err != nil || !bytes.Equal(head, j.head) {
		return nil, nil // for another object, or no journal
	}
	j.end = j.size + int64(len(head))
	var listed []transfer.Part
	for len(listed) < 4*maxLines {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			break // the end of the journal
		}
		var p transfer.Part
		if n, err := fmt.Sscanf(string(line), "%d %d %x\n", &p.Start, &p.End, &p.CRC); n != 3 || err != nil {
			break
		}
		j.end += int64(len(line))
		if 0 <= p.Start && p.Start < p.End && p.End <= j.size {
			listed = append(listed, p)
		}
	}
	// A part that an earlier download found to be corrupt was fetched again and is in the
	// journal twice.
	slices.SortStableFunc(listed, func(a, b transfer.Part) int { return cmp.Compare(a.Start, b.Start) })
	var parts []transfer.Part
	at := int64(0)
	for _, p := range listed {
		if p.Start < at {
			continue
		}
		ok, err := j.holds(p)
		if err != nil {
			return nil, err
		}
		if ok {
			parts = append(parts, p)
			at = p.End
		}
	}
	j.some = len(parts) > 0
	return parts, nil
}

// holds reports whether the bytes of a part match its checksum.
func (j *journal) holds(p transfer.Part) (bool, error) {
	buf := transfer.Buffer(transfer.BufferSize)
	defer transfer.PutBuffer(buf)
	var sum uint64
	for at := p.Start; at < p.End; {
		n, err := j.file.ReadAt(buf[:min(int64(len(buf)), p.End-at)], at)
		if n == 0 && err != nil {
			return false, ignore(err, io.EOF)
		}
		sum = j.kind.Update(sum, buf[:n])
		at += int64(n)
	}
	return sum == p.CRC, nil
}
