package s3reader_test

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/s3reader"
)

// over returns a reader of the shelf's bucket over a line.
func (s *shelf) over(t testing.TB, l *line, optFns ...func(*s3reader.Options)) *s3reader.Reader {
	cfg := s.config(mayRead)
	l.HTTPClient = cfg.HTTPClient
	cfg.HTTPClient = l
	return newReader(t, cfg, "pics", optFns...)
}

// large is an object larger than any window, of whole MiB. All have their bytes in
// common, which no test changes.
func large(size int) []byte { return mebibytes()[:size:size] }

var mebibytes = sync.OnceValue(func() []byte { return bytes.Repeat(noise(1<<20), 128) })

// What one connection delivers is not all that S3 has.
func TestReadingInOrderUsesManyConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 128 << 20
		s := newShelf()
		data := large(size)
		s.Put("k", data)
		l := &line{firstByte: 30 * time.Millisecond, rate: 90e6}
		o := open(t, s.over(t, l), "k")
		start := time.Now()
		got := bytes.NewBuffer(make([]byte, 0, size))
		if _, err := io.Copy(got, o); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		same(t, got.Bytes(), data)
		one := time.Duration(size / l.rate * float64(time.Second))
		if took > one/3 {
			t.Errorf("took %v, one connection takes %v", took, one)
		}
		if !o.Info().Verified {
			t.Error("not verified")
		}
		if extra := l.bytes.Load() - size; extra > 1<<20 {
			t.Errorf("%d bytes in vain", extra)
		}
	})
}

// A reader that is slower than its connection needs no other.
func TestASlowReaderHasOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := large(32 << 20)
		s.Put("k", data)
		l := &line{firstByte: 30 * time.Millisecond, rate: 90e6}
		o := open(t, s.over(t, l), "k")
		p := make([]byte, 1<<20)
		for i := 0; ; i++ {
			n, err := io.ReadFull(o, p)
			if err == io.EOF {
				break
			}
			if err != nil || !bytes.Equal(p[:n], data[i<<20:i<<20+n]) {
				t.Fatalf("piece %d: %v", i, err)
			}
			time.Sleep(50 * time.Millisecond) // in synctest's time
		}
		if n := l.requests.Load(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// A narrow line that all connections share is not given many.
func TestTheWindowStopsWhereItDoesNotPay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 20
		s := newShelf()
		s.Put("k", large(size))
		l := &line{firstByte: time.Millisecond, whole: 50e6}
		o := open(t, s.over(t, l), "k")
		start := time.Now()
		if n, err := io.CopyN(io.Discard, o, size/2); err != nil {
			t.Fatal(n, err)
		}
		took, least := time.Since(start), time.Duration(size/2/l.whole*float64(time.Second))
		if ahead := l.bytes.Load() - size/2; ahead > 8<<20 {
			t.Errorf("%d MiB are ahead of the reader", ahead>>20)
		}
		if took > least*13/10 {
			t.Errorf("took %v, the line takes %v", took, least)
		}
		_ = o.Close()
		time.Sleep(time.Second) // in synctest's time: bodies are let go
	})
}

// After a jump, 1 MiB is asked for, and more only for a reader that goes on.
func TestSeekAsksForLittle(t *testing.T) {
	t.Parallel()
	s := newShelf()
	data := large(64 << 20)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	p := make([]byte, 100)
	for _, pos := range []int64{40 << 20, 20 << 20, 60 << 20} {
		if _, err := o.Seek(pos, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(o, p); err != nil {
			t.Fatal(err)
		}
		same(t, p, data[pos:pos+100])
	}
	want := []string{"GetObject", "GetObject bytes=41943040-42991615", "GetObject bytes=20971520-22020095", "GetObject bytes=62914560-63963135"}
	if got := s.requests(); !slices.Equal(got, want) {
		t.Errorf("asked for %q", got)
	}
}

// Who sniffs the type and starts again, as net/http does, pays for one request.
func TestSniffingCostsNoRequest(t *testing.T) {
	s := newShelf()
	data := noise(100_000)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	sniffed := make([]byte, 512)
	if _, err := io.ReadFull(o, sniffed); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, data)
	if !o.Info().Verified || len(s.requests()) != 1 {
		t.Errorf("verified: %t, asked for %q", o.Info().Verified, s.requests())
	}
}

// A short step ahead is read over.
func TestSkippingCostsNoRequest(t *testing.T) {
	s := newShelf()
	data := noise(2 << 20)
	s.Put("k", data)
	o := open(t, s.reader(t, mayRead), "k")
	p := make([]byte, 1000)
	for pos := 0; pos < len(data)-len(p); pos += 300_000 {
		if _, err := o.Seek(int64(pos), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(o, p); err != nil {
			t.Fatal(err)
		}
		same(t, p, data[pos:pos+len(p)])
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}
