package s3reader_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/smithy-go/logging"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

var algorithms = []string{"CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"}

func spoil(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b
}

func TestWholeObjectsAreVerified(t *testing.T) {
	for _, algorithm := range algorithms {
		for _, size := range []int{0, 1, 100_000} {
			s := newShelf()
			s.Put("k", noise(size), func(o *awstest.Object) { o.ChecksumAlgorithm = algorithm })
			o := open(t, s.reader(t, mayRead), "k")
			if size > 0 && o.Info().Verified {
				t.Errorf("%s of %d bytes: verified before it was read", algorithm, size)
			}
			if _, err := io.Copy(io.Discard, o); err != nil || !o.Info().Verified {
				t.Errorf("%s of %d bytes: %v, %+v", algorithm, size, err, o.Info())
			}
			// Once compared, the object may be read anew.
			if _, err := o.Seek(0, io.SeekStart); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(o); err != nil || len(got) != size || !o.Info().Verified {
				t.Errorf("%s of %d bytes, again: %d, %v", algorithm, size, len(got), err)
			}
		}
	}
}

// One flipped bit is told before the last bytes are handed out, so that nobody
// who counts bytes instead of waiting for io.EOF is deceived.
func TestChecksumMismatch(t *testing.T) {
	for _, algorithm := range algorithms {
		for how, read := range reads {
			if how == "ReadAt" {
				continue // of ranges there is no checksum
			}
			s := newShelf()
			s.Put("k", noise(100_000), func(o *awstest.Object) { o.ChecksumAlgorithm = algorithm })
			r, unchecked := s.reader(t, mayRead), s.reader(t, mayRead, func(o *s3reader.Options) { o.Verify = s3reader.VerifyOff })
			s.cloud.Fault(awstest.Fault{Edit: spoil})
			got, err := read(t.Context(), r, "k")
			if !errors.Is(err, s3reader.ChecksumMismatch) || len(got) >= 100_000 {
				t.Errorf("%s of %s: got %d bytes, %v", how, algorithm, len(got), err)
			}
			if err != nil && !strings.Contains(err.Error(), algorithm+" of the 100000 bytes received is ") {
				t.Errorf("got %q", err)
			}
			if _, err := read(t.Context(), unchecked, "k"); err != nil {
				t.Errorf("%s with VerifyOff: %v", how, err)
			}
		}
	}
}

func TestMismatchStaysUntilTheStart(t *testing.T) {
	s := newShelf()
	data := noise(100)
	s.Put("k", data)
	r := s.reader(t, mayRead)
	s.cloud.Fault(awstest.Fault{Edit: spoil, Times: 1})
	o := open(t, r, "k")
	for range 2 {
		if got, err := io.ReadAll(o); len(got) != 0 || !errors.Is(err, s3reader.ChecksumMismatch) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
	if _, err := o.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(o)
	if err != nil || !o.Info().Verified {
		t.Fatal(err, o.Info())
	}
	same(t, got, data)
}

func TestEmptyObjectWithAnotherChecksum(t *testing.T) {
	s := newShelf()
	s.Put("k", nil, func(o *awstest.Object) {
		o.Headers = map[string]string{"X-Amz-Checksum-Crc64nvme": "AAAAAAAAAAE="}
	})
	if _, err := s.reader(t, mayRead).Open(t.Context(), "k"); !errors.Is(err, s3reader.ChecksumMismatch) {
		t.Errorf("got %v", err)
	}
}

// The checksum covers the object, not an answer.
func TestResumedBodiesAreVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := noise(1000)
		s.Put("k", data)
		r := s.reader(t, mayRead)
		cut := func() {
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(300)), Times: 3})
		}
		cut()
		o := open(t, r, "k")
		if _, err := io.Copy(io.Discard, o); err != nil || !o.Info().Verified {
			t.Errorf("got %v, %+v", err, o.Info())
		}
		cut()
		s.cloud.Fault(awstest.Fault{Edit: spoil})
		if _, err := r.Get(t.Context(), "k"); !errors.Is(err, s3reader.ChecksumMismatch) {
			t.Errorf("got %v", err)
		}
	})
}

// Case B39: what cannot be compared is not compared, and nobody is told at
// length. Stores that put the whole object's checksum on everything are read.
func TestChecksumsThatDoNotApply(t *testing.T) {
	for name, edit := range map[string]func(*awstest.Object){
		"none":      func(o *awstest.Object) { o.ChecksumAlgorithm = "NONE" },
		"composite": func(o *awstest.Object) { o.PartSize, o.ChecksumAlgorithm = 30, "CRC32" },
		"composite without suffix": func(o *awstest.Object) {
			o.Headers = map[string]string{"X-Amz-Checksum-Crc32": "AAAAAA==", "X-Amz-Checksum-Type": "COMPOSITE"}
			o.ChecksumAlgorithm = "NONE"
		},
		"old store": func(o *awstest.Object) {
			o.Headers = map[string]string{"X-Amz-Checksum-Crc32": "AAAAAA==-4"}
			o.ChecksumAlgorithm = "NONE"
		},
	} {
		s := newShelf()
		s.Put("k", noise(100), edit)
		o := open(t, s.reader(t, mayRead), "k")
		if got, err := io.ReadAll(o); err != nil || len(got) != 100 || o.Info().Verified {
			t.Errorf("%s: %d bytes, %v, %+v", name, len(got), err, o.Info())
		}
	}

}

func TestWholeChecksumOnARange(t *testing.T) {
	s := newShelf()
	data := noise(100)
	// The checksum of other bytes than the range's, as some stores send it.
	s.Put("k", data, func(o *awstest.Object) {
		o.Headers = map[string]string{"X-Amz-Checksum-Crc64nvme": "AAAAAAAAAAE=", "X-Amz-Checksum-Type": "FULL_OBJECT"}
	})
	var log bytes.Buffer
	cfg := s.config(mayRead)
	cfg.Logger = logging.NewStandardLogger(&log)
	r := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	part := make([]byte, 10)
	if _, err := open(t, r, "k").ReadAt(part, 50); err != nil {
		t.Fatal(err)
	}
	same(t, part, data[50:60])
	if _, err := r.Get(t.Context(), "k"); !errors.Is(err, s3reader.ChecksumMismatch) {
		t.Errorf("got %v", err)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", &log)
	}
}

// Info.Checksum is what the store has, whichever call describes the object.
func TestInfoHasTheChecksum(t *testing.T) {
	for _, algorithm := range algorithms {
		s := newShelf()
		s.Put("k", noise(3*partSize), func(o *awstest.Object) { o.ChecksumAlgorithm = algorithm })
		r := s.reader(t, mayRead, parts)
		stat, err := r.Stat(t.Context(), "k")
		if err != nil || stat.Checksum.Algorithm != algorithm || stat.Checksum.Value == "" || stat.Verified {
			t.Fatalf("%s: got %+v, %v", algorithm, stat, err)
		}
		random, err := r.Open(t.Context(), "k", func(o *s3reader.OpenOptions) { o.Random = true })
		if err != nil {
			t.Fatal(err)
		}
		defer random.Close()
		var w memory
		downloaded, err := r.Download(t.Context(), "k", &w)
		if err != nil {
			t.Fatal(err)
		}
		for how, info := range map[string]s3reader.Info{"Open": open(t, r, "k").Info(), "Open Random": random.Info(), "Download": *downloaded} {
			if info.Checksum != stat.Checksum {
				t.Errorf("%s of %s: got %+v, want %+v", how, algorithm, info.Checksum, stat.Checksum)
			}
		}
		if crc := strings.HasPrefix(algorithm, "CRC"); downloaded.Verified != crc {
			t.Errorf("%s: Download to memory in parts: Verified is %v", algorithm, downloaded.Verified)
		}
	}
	s := newShelf()
	s.Put("none", noise(100), func(o *awstest.Object) { o.ChecksumAlgorithm = "NONE" })
	s.Put("composite", noise(100), func(o *awstest.Object) { o.PartSize, o.ChecksumAlgorithm = 30, "SHA256" })
	s.Put("off", noise(100))
	for key, verify := range map[string]s3reader.Verify{"none": 0, "composite": 0, "off": s3reader.VerifyOff} {
		r := s.reader(t, mayRead, func(o *s3reader.Options) { o.Verify = verify })
		if stat, err := r.Stat(t.Context(), key); err != nil || stat.Checksum != (s3reader.Checksum{}) {
			t.Errorf("%s: got %+v, %v", key, stat, err)
		}
		if info := open(t, r, key).Info(); info.Checksum != (s3reader.Checksum{}) {
			t.Errorf("%s: got %+v", key, info)
		}
	}
}

// A file is read again where parts cannot be combined.
func TestDownloadedFilesAreVerified(t *testing.T) {
	data := noise(3*partSize + 5)
	for _, algorithm := range algorithms {
		s := newShelf()
		s.Put("k", data, func(o *awstest.Object) { o.ChecksumAlgorithm = algorithm })
		r := s.reader(t, mayRead, parts)
		for _, fault := range []bool{false, true} {
			if fault {
				s.cloud.Fault(awstest.Fault{Edit: spoil})
			}
			path := filepath.Join(t.TempDir(), "f")
			f, err := os.Create(path + ".open")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for how, download := range map[string]func() (*s3reader.Info, error){
				"DownloadFile": func() (*s3reader.Info, error) { return r.DownloadFile(t.Context(), "k", path) },
				"Download":     func() (*s3reader.Info, error) { return r.Download(t.Context(), "k", f) },
			} {
				info, err := download()
				switch {
				case fault && !errors.Is(err, s3reader.ChecksumMismatch):
					t.Errorf("%s of %s: got %+v, %v", how, algorithm, info, err)
				case !fault && (err != nil || !info.Verified):
					t.Errorf("%s of %s: got %+v, %v", how, algorithm, info, err)
				}
			}
			if _, err := os.Stat(path); fault != (err != nil) {
				t.Errorf("%s: the file is there, or not: %v", algorithm, err)
			}
			writable, err := os.OpenFile(path+".open", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer writable.Close()
			info, err := r.Download(t.Context(), "k", writable)
			if crc := strings.HasPrefix(algorithm, "CRC"); fault && crc != (err != nil) || !fault && (err != nil || info.Verified != crc) {
				t.Errorf("%s to a file that cannot be read: got %+v, %v", algorithm, info, err)
			}
		}
	}
}

// Every checksum of an object is compared, in every way to read it.
func TestSeveralChecksums(t *testing.T) {
	const wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	data := noise(3 * partSize)
	sum := sha256.Sum256(data)
	for _, other := range []struct {
		sha256 string
		want   error
	}{{wrong, s3reader.ChecksumMismatch}, {base64.StdEncoding.EncodeToString(sum[:]), nil}} {
		s := newShelf()
		s.Put("k", data, func(o *awstest.Object) { o.Headers = map[string]string{"X-Amz-Checksum-Sha256": other.sha256} })
		r := s.reader(t, mayRead, parts)
		if stat, err := r.Stat(t.Context(), "k"); err != nil || stat.Checksum.Algorithm != "CRC64NVME" {
			t.Errorf("got %+v, %v", stat, err)
		}
		for how, read := range reads {
			if how == "ReadAt" {
				continue
			}
			if _, err := read(t.Context(), r, "k"); !errors.Is(err, other.want) {
				t.Errorf("%s: got %v, want %v", how, err, other.want)
			}
		}
		if _, err := r.DownloadFile(t.Context(), "k", filepath.Join(t.TempDir(), "f")); !errors.Is(err, other.want) {
			t.Errorf("DownloadFile: got %v, want %v", err, other.want)
		}
	}
}

// S3 returns no checksum to a role that may not use the object's key.
func TestStatWithoutTheKey(t *testing.T) {
	s := newShelf()
	key := s.account.CreateKMSKey("")
	s.Put("k", noise(100), func(o *awstest.Object) { o.KMSKey = key })
	info, err := s.reader(t, mayRead).Stat(t.Context(), "k")
	if err != nil || info.Size != 100 || info.Checksum != (s3reader.Checksum{}) {
		t.Errorf("got %+v, %v", info, err)
	}
	if got := s.requests(); len(got) != 2 || got[1] != "HeadObject" {
		t.Errorf("requests: %q", got)
	}
}
