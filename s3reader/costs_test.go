package s3reader_test

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/s3reader"
)

// What readers of the standard library cost over a handle for random access and over a
// file of FS, compared with what they use.

// meter counts the bytes of objects that were requested, and the requests.
type meter struct {
	aws.HTTPClient
	bytes, gets, others int64
}

func (m *meter) Do(req *http.Request) (*http.Response, error) {
	resp, err := m.HTTPClient.Do(req)
	switch {
	case err != nil:
	case req.Method == http.MethodGet && !req.URL.Query().Has("list-type"):
		m.gets++
		m.bytes += resp.ContentLength
	default:
		m.others++
	}
	return resp, err
}

// handle is what both kinds of handle have.
type handle interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// used wraps a handle and counts the bytes that its reader uses.
type used struct {
	handle
	n int64
}

func (u *used) Read(p []byte) (int, error) {
	n, err := u.handle.Read(p)
	u.n += int64(n)
	return n, err
}

func (u *used) ReadAt(p []byte, off int64) (int, error) {
	n, err := u.handle.ReadAt(p, off)
	u.n += int64(n)
	return n, err
}

func value[T any](t *testing.T) func(T, error) T {
	return func(got T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}

// photo returns a JPEG whose size stands after a thumbnail of 60 KB.
func photo(t *testing.T) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 640, 480)), nil); err != nil {
		t.Fatal(err)
	}
	const extra = 60_000
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, extra+2)
	return bytes.Join([][]byte{b.Bytes()[:2], segment, make([]byte, extra), b.Bytes()[2:], make([]byte, 1<<20)}, nil)
}

// members are names and bytes of an archive.
func members(do func(name string, data []byte) error) error {
	for i := range 50 {
		if err := do(fmt.Sprint(i), noise(100_000)); err != nil {
			return err
		}
	}
	return nil
}

func zipOf(t *testing.T, method uint16) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	err := members(func(name string, data []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t *testing.T) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := members(func(name string, data []byte) error {
		err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600})
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadersCostWhatTheyUse(t *testing.T) {
	text := []byte(strings.Repeat("a line of text\n", 300_000))
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	value[int](t)(gz.Write(noise(4 << 20)))
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	large, stored, deflated := noise(4<<20), zipOf(t, zip.Store), zipOf(t, zip.Deflate)
	serve := func(header, value string) func(t *testing.T, h *used) {
		return func(t *testing.T, h *used) {
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header.Set(header, value)
			resp := httptest.NewRecorder()
			resp.Header().Set("Content-Type", "image/x-cat")
			resp.Header().Set("ETag", `"e"`)
			http.ServeContent(resp, req, "k", time.Time{}, h)
			if resp.Code >= 400 && resp.Code != 416 {
				t.Errorf("%s: %s: %d", header, value, resp.Code)
			}
		}
	}
	for _, c := range []struct {
		name string
		data []byte
		read func(t *testing.T, h *used)
		// At most this many bytes beside those that are used, and GETs.
		more, gets int64
	}{
		{"size of a picture", photo(t), func(t *testing.T, h *used) {
			if c, format, err := image.DecodeConfig(h); err != nil || format != "jpeg" || c.ColorModel != color.GrayModel {
				t.Errorf("got %v, %s, %v", c, format, err)
			}
		}, 0, 4},
		{"first line", text, func(t *testing.T, h *used) {
			if !bufio.NewScanner(h).Scan() {
				t.Error("no line")
			}
		}, 0, 1},
		{"first member of a gzip file", packed.Bytes(), func(t *testing.T, h *used) {
			value[int64](t)(io.CopyN(io.Discard, value[*gzip.Reader](t)(gzip.NewReader(h)), 1000))
		}, 21_000, 3},
		{"CopyN", large, func(t *testing.T, h *used) { value[int64](t)(io.CopyN(io.Discard, h, 1000)) }, 0, 1},
		{"names of a zip file", deflated, func(t *testing.T, h *used) {
			value[*zip.Reader](t)(zip.NewReader(h, value[int64](t)(h.Seek(0, io.SeekEnd))))
		}, 0, 2},
		{"stored member of a zip file", stored, func(t *testing.T, h *used) {
			z := value[*zip.Reader](t)(zip.NewReader(h, value[int64](t)(h.Seek(0, io.SeekEnd))))
			value[[]byte](t)(fs.ReadFile(z, "7"))
		}, 99_000, 5},
		{"packed member of a zip file", deflated, func(t *testing.T, h *used) {
			z := value[*zip.Reader](t)(zip.NewReader(h, value[int64](t)(h.Seek(0, io.SeekEnd))))
			value[[]byte](t)(fs.ReadFile(z, "7"))
		}, 18_000, 7},
		{"names of a tar file", tarOf(t), func(t *testing.T, h *used) {
			r, n := tar.NewReader(h), 0
			for {
				if _, err := r.Next(); err != nil {
					break
				}
				n++
			}
			if n != 50 {
				t.Errorf("%d members", n)
			}
		}, 18_000, 152},
		{"like Parquet", large, func(t *testing.T, h *used) {
			rng := rand.New(rand.NewPCG(1, 2))
			value[int](t)(h.ReadAt(make([]byte, 8), int64(len(large))-8))
			value[int](t)(h.ReadAt(make([]byte, 20_000), int64(len(large))-20_008))
			for i := range 30 {
				value[int](t)(h.ReadAt(make([]byte, 1000+rng.IntN(50_000)), int64(i)*120_000))
			}
		}, 0, 32},
		{"two sequences", large, func(t *testing.T, h *used) {
			for i := range 50 {
				value[int](t)(h.ReadAt(make([]byte, 1000), int64(i)*1000))
				value[int](t)(h.ReadAt(make([]byte, 1000), 2_000_000+int64(i)*1000))
			}
		}, 26_000, 12},
		{"every tenth block", large, func(t *testing.T, h *used) {
			for i := range 50 {
				value[int64](t)(h.Seek(int64(i)*40_960, io.SeekStart))
				value[int](t)(io.ReadFull(h, make([]byte, 4096)))
			}
		}, 0, 50},
		{"backwards", large, func(t *testing.T, h *used) {
			for i := range 50 {
				value[int64](t)(h.Seek(-int64(i+1)*4096, io.SeekEnd))
				value[int](t)(io.ReadFull(h, make([]byte, 4096)))
			}
		}, 0, 50},
		{"ServeContent, 304", large, serve("If-None-Match", `"e"`), 0, 0},
		{"ServeContent, 416", large, serve("Range", "bytes=4194304-"), 0, 0},
		{"ServeContent, first bytes", large, serve("Range", "bytes=0-99"), 0, 1},
		{"ServeContent, in the middle", large, serve("Range", "bytes=1000000-1000099"), 0, 1},
		{"ServeContent, last bytes", large, serve("Range", "bytes=-100"), 0, 1},
		{"ServeContent, 1 MB", large, serve("Range", "bytes=1000000-1999999"), 220_000, 6},
		{"ServeContent, several", large, serve("Range", "bytes=0-99,1000000-1000099,-100"), 0, 3},
		{"ServeContent, all", large, serve("Range", "bytes=0-"), 0, 17},
	} {
		s := newShelf()
		s.Put("k", c.data)
		for kind, open := range map[string]func(r *s3reader.Reader) (handle, error){
			"Random": func(r *s3reader.Reader) (handle, error) { return r.Open(t.Context(), "k", randomly) },
			"FS": func(r *s3reader.Reader) (handle, error) {
				f, err := r.FS(t.Context()).Open("k")
				if err != nil {
					return nil, err
				}
				return f.(handle), nil
			},
		} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				cfg := s.config(mayList)
				m := &meter{HTTPClient: cfg.HTTPClient}
				cfg.HTTPClient = m
				h := &used{handle: value[handle](t)(open(newReader(t, cfg, "pics")))}
				defer h.Close()
				c.read(t, h)
				if m.bytes > h.n+c.more || m.gets > c.gets || m.others != 1 {
					t.Errorf("used %d bytes, requested %d in %d GETs after %d other requests; want at most %d more, %d, 1",
						h.n, m.bytes, m.gets, m.others, c.more, c.gets)
				}
				if m.bytes > 2*h.n {
					t.Errorf("requested %d bytes for %d", m.bytes, h.n)
				}
			})
		}
	}
}

// A walk describes all files and requests no byte of them.
func TestWalkCostsItsListings(t *testing.T) {
	s := newShelf()
	for i := range 30 {
		s.Put(fmt.Sprintf("%d/%d.bin", i%3, i), noise(1000))
	}
	cfg := s.config(mayList)
	m := &meter{HTTPClient: cfg.HTTPClient}
	cfg.HTTPClient = m
	fsys := newReader(t, cfg, "pics").FS(t.Context())
	total := int64(0)
	err := fs.WalkDir(fsys, ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil || total != 30_000 || m.gets != 0 || m.others != 5 {
		t.Errorf("%v: %d bytes in all; %d GETs, %d others, want 0 and 5", err, total, m.gets, m.others)
	}
	m.others = 0
	if found, err := fs.Glob(fsys, "1/*.bin"); err != nil || len(found) != 10 || m.gets != 0 || m.others > 2 {
		t.Errorf("%q, %v; %d GETs, %d others", found, err, m.gets, m.others)
	}
}
