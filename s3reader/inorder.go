package s3reader

import "time"

const (
	// headSize is how many of the first bytes a handle keeps: what is sniffed for
	// its type and read again from the start costs one request.
	headSize = 16 << 10

	// maxSkip is how far ahead a body is read on rather than asked for anew.
	maxSkip = 1 << 20
)

// next reads at the position: from the body of Open's request as long as reading
// goes on in order and the connection keeps up, else through the cache.
func (o *Object) next(p []byte) (int, error) {
	s := &o.stream
	if o.pos != s.pos && o.pos < int64(len(o.head)) {
		return copy(p, o.head[o.pos:]), nil
	}
	if gap := o.pos - s.pos; gap > 0 && gap <= maxSkip && s.body != nil && o.pos < s.end {
		if err := o.skip(p); err != nil {
			return 0, err
		}
	}
	if o.pos != s.pos || s.pos >= s.end {
		s.close()
		s.end = 0
		if n, err := o.ahead.read(o.cache, p, o.pos, o.r.connections()); n > 0 || err != nil {
			return n, err
		}
		s.pos, s.end, s.fruitless = o.pos, o.info.Size, 0 // no room: over one connection
	}
	began := time.Now()
	n, err := s.Read(p)
	if err != nil {
		return 0, err
	}
	if o.pos == int64(len(o.head)) && o.pos < headSize {
		o.head = append(o.head, p[:min(int64(n), headSize-o.pos)]...)
	}
	o.share(began, n)
	return n, nil
}

// skip reads the body up to the position, using p as room.
func (o *Object) skip(p []byte) error {
	for o.stream.pos < o.pos {
		if _, err := o.stream.Read(p[:min(int64(len(p)), o.pos-o.stream.pos)]); err != nil {
			return err
		}
	}
	return nil
}

// share lets other connections take over where the body's own does not keep up.
func (o *Object) share(began time.Time, n int) {
	s := &o.stream
	if s.end == o.info.Size {
		if !o.pace.slow(began, time.Now(), n) || s.end-s.pos < 2*handover || o.cache.limit < 4*handover {
			return
		}
		s.end = s.pos + handover
		o.ahead = readahead{pos: s.end, window: 2 * handover, next: s.end, since: time.Now()}
	}
	o.ahead.fill(o.cache, o.r.connections())
}

// letGo ends the body of Open's request if nobody has begun to read it: whoever
// reads here and there by ReadAt has no use for it.
func (o *Object) letGo() {
	if o.mu.TryLock() {
		if o.pos == 0 && o.stream.pos == 0 && o.stream.body != nil {
			o.stream.close()
			o.stream.end = 0
		}
		o.unlock()
	}
}
