package s3reader

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

const (
	// minLine is the least that a line of a journal is written for, in bytes: what
	// a killed process loses of each connection.
	minLine = 1 << 20

	// maxLines bounds the length of a journal.
	maxLines = 16 << 10
)

// journal says which bytes of a partial file are the object's. It begins where
// they end, with a line about the object; each further line is one piece. Lines
// are only ever added, so that it may end anywhere.
type journal struct {
	file readWriterAt
	head []byte
	size int64 // of the object
	step int64 // bytes that are worth a line

	mu   sync.Mutex // guards what follows
	end  int64
	some bool  // there is a piece
	dead error // no more is written: the disk is full, say
}

// holdsSome reports whether there is something to resume.
func (j *journal) holdsSome() bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.some
}

// journalHead is what must be the same for pieces to be of use.
type journalHead struct {
	Format            int `json:"crossrole"`
	Bucket, Key, ETag string
	Size              int64
	Checksum          string
	Lines             string // what they consist of
}

type readWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

func newJournal(file readWriterAt, bucket string, info *Info, kind *crc.Kind) (*journal, error) {
	head, err := json.Marshal(journalHead{1, bucket, info.Key, info.ETag, info.Size, kind.Name, "start end checksum"})
	if err != nil {
		return nil, err
	}
	head = append(head, '\n')
	return &journal{file: file, head: head, size: info.Size, end: info.Size, step: max(minLine, info.Size/maxLines)}, nil
}

// begin starts the journal anew.
func (j *journal) begin() { j.append(j.head) }

// add notes that the file has a piece.
func (j *journal) add(p transfer.Piece) {
	j.append(fmt.Appendf(nil, "%d %d %x\n", p.Start, p.End, p.CRC))
}

func (j *journal) append(line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead != nil {
		return
	}
	// Without a journal the download still succeeds; it could only not be resumed.
	n, err := j.file.WriteAt(line, j.end)
	j.some = j.some || j.end > j.size && err == nil
	j.end += int64(n)
	j.dead = err
}

// load returns the pieces of the object that the file has: those whose bytes have
// the checksum that the journal says. Later pieces are added behind the last line
// that is whole.
func (j *journal) load(kind *crc.Kind) ([]transfer.Piece, error) {
	lines := bufio.NewReaderSize(io.NewSectionReader(j.file, j.size, 1<<62), 8*maxKey) // keys are escaped
	head, err := lines.ReadSlice('\n')
	if err != nil || !bytes.Equal(head, j.head) {
		return nil, nil // of another object, or none
	}
	j.end = j.size + int64(len(head))
	var said []transfer.Piece
	for len(said) < 4*maxLines {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			break // the end, or what is no journal
		}
		var p transfer.Piece
		if n, err := fmt.Sscanf(string(line), "%d %d %x\n", &p.Start, &p.End, &p.CRC); n != 3 || err != nil {
			break
		}
		j.end += int64(len(line))
		if 0 <= p.Start && p.Start < p.End && p.End <= j.size {
			said = append(said, p)
		}
	}
	// What was found spoilt by an earlier download was fetched again, and stands
	// here twice.
	slices.SortStableFunc(said, func(a, b transfer.Piece) int { return cmp.Compare(a.Start, b.Start) })
	var pieces []transfer.Piece
	at := int64(0)
	for _, p := range said {
		if p.Start < at {
			continue
		}
		ok, err := j.holds(p, kind)
		if err != nil {
			return nil, err
		}
		if ok {
			pieces = append(pieces, p)
			at = p.End
		}
	}
	j.some = len(pieces) > 0
	return pieces, nil
}

// holds reports whether the bytes of a piece are what they were.
func (j *journal) holds(p transfer.Piece, kind *crc.Kind) (bool, error) {
	buf := transfer.Buffer(transfer.BufferSize)
	defer transfer.PutBuffer(buf)
	var sum uint64
	for at := p.Start; at < p.End; {
		n, err := j.file.ReadAt(buf[:min(int64(len(buf)), p.End-at)], at)
		if n == 0 && err != nil {
			return false, ignore(err, io.EOF)
		}
		sum = kind.Update(sum, buf[:n])
		at += int64(n)
	}
	return sum == p.CRC, nil
}
