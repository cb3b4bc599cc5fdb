package blockcache

import "time"

// What is requested beyond the bytes that are read: by a Readahead for a reader in
// order, and by sequences for calls of ReadAt.

const (
	// firstWindow is how much is requested where a reader starts to read in order, in
	// bytes.
	firstWindow = 1 << 20

	// minBlock and maxBlock bound the bytes of one request of a Readahead. A window
	// is several of them, so that it is filled over several connections.
	minBlock = 1 << 20
	maxBlock = 8 << 20

	maxConnections = 8 // of a Readahead

	// keepBehind is how much stays in memory behind the position, for a step back.
	keepBehind = 1 << 20

	// doublingPays is how much faster twice the window must be.
	doublingPays = 1.2
)

// Readahead requests bytes in advance for a reader that reads in order. The window
// doubles only when the reader had to wait and the last doubling raised throughput:
// neither a slow reader nor a slow network takes memory, and a fast reader gets
// several connections. It is for one goroutine at a time.
type Readahead struct {
	Cache       *Cache
	Connections int // to use at the same time, at most 8; 0: 8

	pos    int64 // where the reader is expected
	window int64 // bytes to request beyond pos; 0: not begun
	next   int64 // end of what was requested

	since time.Time // when the window was last considered
	got   int64     // bytes read since
	rate  float64   // bytes per second with half the window; 0: not known
}

// Start begins read-ahead at pos with that window, in bytes. It makes no request.
func (a *Readahead) Start(pos, window int64) {
	*a = Readahead{Cache: a.Cache, Connections: a.Connections, pos: pos, window: window, next: pos, since: time.Now()}
}

// Read reads at pos. It reads nothing if there is no room in the cache.
func (a *Readahead) Read(p []byte, pos int64) (int, error) {
	if a.window == 0 || a.pos != pos {
		a.Start(pos, firstWindow)
	}
	begun := a.next > pos
	a.Fill()
	if a.next == pos {
		return 0, nil
	}
	n, waited, err := a.Cache.read(p, pos, pos, a.next)
	if err != nil {
		return 0, err
	}
	a.pos += int64(n)
	a.next = max(a.next, a.pos)
	a.got += int64(n)
	if waited && begun {
		a.grow(max(min(a.Cache.cfg.Limit/2, a.connections()*maxBlock), firstWindow))
	}
	a.Cache.discard(pos - keepBehind)
	return n, nil
}

func (a *Readahead) connections() int64 {
	if a.Connections == 0 {
		return maxConnections
	}
	return min(int64(a.Connections), maxConnections)
}

// grow doubles the window, up to limit, unless the last doubling did not pay.
func (a *Readahead) grow(limit int64) {
	if a.window >= limit || a.got < a.window {
		return
	}
	now := time.Now()
	if rate := float64(a.got) / now.Sub(a.since).Seconds(); rate > a.rate*doublingPays {
		a.window, a.rate = min(2*a.window, limit), rate
	}
	a.since, a.got = now, 0
}

// Fill requests blocks until the window is full. To make fewer requests, it waits
// until half of the window has been read.
func (a *Readahead) Fill() {
	if a.next-a.pos > a.window/2 {
		return
	}
	size := min(max(a.window/a.connections(), minBlock), maxBlock)
	until := min(a.pos+a.window, a.Cache.cfg.Size)
	for a.next < until {
		next := a.Cache.prefetch(a.next, min(a.next+size, until))
		if next == a.next {
			return // no room
		}
		a.next = next
	}
}

const (
	// nearGap is how far the next read may begin beyond the last one, in bytes, to
	// continue its sequence: requesting the gap too is cheaper than another round
	// trip.
	nearGap = 1 << 20

	// A read that continues a sequence requests a fraction of the sequence in
	// advance, which limits what is fetched and never read.
	aheadFraction = 8
	minAhead      = 1 << 20
	maxAhead      = 8 << 20

	// maxExactAhead is the most that Config.Exact adds, in bytes.
	maxExactAhead = 256 << 10

	// tailSize is requested when a read reaches the object's end: formats with their
	// index at the end (Parquet, ZIP) look for it there first.
	tailSize = 256 << 10
)

// sequence is a run of reads at offsets that continue one another.
type sequence struct {
	next int64  // where the last read ended
	got  int64  // bytes of all of them
	used uint64 // Cache.clock of the last one
}

// sequences distinguish the readers of a handle, of which several may read in
// different places.
type sequences [8]sequence

// ahead records a read of n bytes at off and returns how many bytes after it to
// request as well. With exact, a read continues a sequence only without a gap, and
// at most as many bytes are added as the sequence had before.
func (ss *sequences) ahead(off, n int64, clock uint64, exact bool) int64 {
	gap := int64(nearGap)
	if exact {
		gap = 0
	}
	switch got, continued := ss.record(off, n, gap, clock); {
	case !continued:
		return 0
	case exact:
		return min(got-n, maxExactAhead)
	default:
		return min(max(got/aheadFraction, minAhead), maxAhead)
	}
}

// record adds a read to the sequence that it continues, after a gap of at most that
// many bytes. It returns the bytes of the sequence; false if a new one begins, in
// place of the one that was continued least recently.
func (ss *sequences) record(off, n, gap int64, clock uint64) (got int64, continued bool) {
	oldest := &ss[0]
	for i := range ss {
		s := &ss[i]
		if s.got > 0 && off >= s.next && off-s.next <= gap {
			s.next, s.got, s.used = off+n, s.got+n, clock
			return s.got, true
		}
		if s.used < oldest.used {
			oldest = s
		}
	}
	*oldest = sequence{next: off + n, got: n, used: clock}
	return n, false
}
