package s3reader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

const (
	mayParts  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectAttributes"],"Resource":"*"}]}`
	mayUpload = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}`
)

// composites are the algorithms whose checksums S3 computes over parts.
var composites = slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return a == "CRC64NVME" })

// uploadedIn makes an object one of equal parts, with a composite checksum.
func uploadedIn(size int64, algorithm string) func(*awstest.Object) {
	return func(o *awstest.Object) {
		o.PartSize, o.ChecksumAlgorithm, o.ChecksumType = size, algorithm, "COMPOSITE"
	}
}

// upload stores parts of any size, as a program does.
func (s *shelf) upload(t *testing.T, key string, algorithm s3types.ChecksumAlgorithm, parts ...[]byte) {
	t.Helper()
	s.SetMinPartSize(0)
	client := s3.NewFromConfig(s.config(mayUpload))
	up, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: new("pics"), Key: &key, ChecksumAlgorithm: algorithm, ChecksumType: s3types.ChecksumTypeComposite,
	})
	if err != nil {
		t.Fatal(err)
	}
	var done s3types.CompletedMultipartUpload
	for i, p := range parts {
		n := int32(i + 1)
		out, err := client.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: new("pics"), Key: &key, UploadId: up.UploadId, PartNumber: &n, Body: bytes.NewReader(p), ChecksumAlgorithm: algorithm,
		})
		if err != nil {
			t.Fatal(err)
		}
		done.Parts = append(done.Parts, s3types.CompletedPart{
			PartNumber: &n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumSHA256: out.ChecksumSHA256,
		})
	}
	if _, err := client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: new("pics"), Key: &key, UploadId: up.UploadId, MultipartUpload: &done,
	}); err != nil {
		t.Fatal(err)
	}
}

// count returns how many requests there were for an operation.
func (s *shelf) count(operation string) (n int) {
	for _, c := range s.cloud.Calls() {
		if c.Operation == operation {
			n++
		}
	}
	return n
}

// flipped changes one byte.
func flipped(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		if at < len(b) {
			b[at] ^= 1
		}
		return b
	}
}

// An object with nothing but a composite checksum is verified part by part, in every way
// to read all of it. That takes one request more.
func TestCompositeChecksums(t *testing.T) {
	data := noise(3*partSize + 5)
	for _, algorithm := range composites {
		for _, size := range []int64{partSize, 7001, 40_000} {
			s := newShelf()
			s.Put("k", data, uploadedIn(size, algorithm))
			r := s.reader(t, mayParts, parts)
			want := 0 // requests
			for how, read := range reads {
				if how == "ReadAt" {
					continue
				}
				got, err := read(t.Context(), r, "k")
				if err != nil {
					t.Fatalf("%s of %s in parts of %d: %v", how, algorithm, size, err)
				}
				same(t, got, data)
				want++
			}
			o := open(t, r, "k")
			for range 2 {
				if _, err := io.Copy(io.Discard, o); err != nil || !o.Info().Verified {
					t.Errorf("%s in parts of %d: %v, %+v", algorithm, size, err, o.Info())
				}
				if _, err := o.Seek(0, io.SeekStart); err != nil {
					t.Error(err)
				}
			}
			path := filepath.Join(t.TempDir(), "f")
			info, err := r.DownloadFile(t.Context(), "k", path)
			if err != nil || !info.Verified {
				t.Errorf("DownloadFile of %s in parts of %d: %v, %+v", algorithm, size, err, info)
			}
			same(t, onDisk(t, path), data)
			var w memory
			info, err = r.Download(t.Context(), "k", &w)
			if crc := strings.HasPrefix(algorithm, "CRC"); err != nil || info.Verified != crc {
				t.Errorf("Download of %s in parts of %d: %v, %+v", algorithm, size, err, info)
			}
			same(t, w.data, data)
			if want += 3; size > int64(len(data)) {
				want = 0 // the only part is the object
			}
			if n := s.count("GetObjectAttributes"); n != want {
				t.Errorf("%s in parts of %d: %d requests for parts, want %d", algorithm, size, n, want)
			}
		}
	}
}

// One flipped bit, wherever it is.
func TestCompositeChecksumMismatch(t *testing.T) {
	data := noise(3*partSize + 5)
	for _, algorithm := range []string{"CRC32", "SHA256", "XXHASH64"} {
		for _, at := range []int{0, 7000, 7001, len(data) - 1} {
			s := newShelf()
			s.Put("k", data, uploadedIn(7001, algorithm))
			r := s.reader(t, mayParts)
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: flipped(at)})
			for how, read := range reads {
				if how == "ReadAt" {
					continue
				}
				// The part that is wrong does not arrive completely.
				got, err := read(t.Context(), r, "k")
				if !errors.Is(err, s3reader.ChecksumMismatch) || len(got) >= min(len(data), (at/7001+1)*7001) {
					t.Errorf("%s of %s, byte %d: %d bytes, %v", how, algorithm, at, len(got), err)
				}
				if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%s of part %d of 5 (", algorithm, at/7001+1)) {
					t.Errorf("got %q", err)
				}
			}
			o := open(t, r, "k")
			for range 2 {
				if got, err := io.ReadAll(o); !errors.Is(err, s3reader.ChecksumMismatch) || len(got) >= min(len(data), (at/7001+1)*7001) {
					t.Errorf("again: %d bytes, %v", len(got), err)
				}
				if _, err := o.Seek(0, io.SeekStart); err != nil {
					t.Error(err)
				}
			}
			path := filepath.Join(t.TempDir(), "f")
			if _, err := r.DownloadFile(t.Context(), "k", path); !errors.Is(err, s3reader.ChecksumMismatch) {
				t.Errorf("DownloadFile of %s, byte %d: %v", algorithm, at, err)
			}
			if left := names(t, filepath.Dir(path)); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		}
	}
}

// Downloads over several connections, whose ranges end anywhere.
func TestCompositeChecksumMismatchInRanges(t *testing.T) {
	data := noise(9*partSize + 5)
	for _, algorithm := range []string{"CRC32", "CRC32C", "SHA256"} {
		for range 3 { // different connections fetch the wrong byte
			s := newShelf()
			s.Put("k", data, uploadedIn(17_001, algorithm))
			r := s.reader(t, mayParts, parts)
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: flipped(3000), Skip: 4, Times: 1})
			path := filepath.Join(t.TempDir(), "f")
			if _, err := r.DownloadFile(t.Context(), "k", path); !errors.Is(err, s3reader.ChecksumMismatch) {
				t.Errorf("DownloadFile of %s: %v", algorithm, err)
			}
			if left := names(t, filepath.Dir(path)); len(left) > 0 {
				t.Errorf("left %q", left)
			}
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: flipped(3000), Skip: 4, Times: 1})
			var w memory
			if info, err := r.Download(t.Context(), "k", &w); algorithm != "SHA256" && !errors.Is(err, s3reader.ChecksumMismatch) || info != nil && info.Verified {
				t.Errorf("Download of %s: %v, %+v", algorithm, err, info)
			}
		}
	}
}

// Parts may have any sizes, and there may be up to 10,000.
func TestCompositeOfUnequalParts(t *testing.T) {
	for name, c := range map[string]struct {
		sizes    []int
		requests int
	}{
		"uneven":      {[]int{7, 20_000, 1, 15_000, 3}, 1},
		"empty last":  {[]int{100, 0}, 1},
		"empty":       {[]int{0}, 0},
		"1,000 parts": {[]int{3 * 1000}, 1},
		"1,001 parts": {[]int{3*1001 - 1}, 2},
	} {
		for _, algorithm := range []s3types.ChecksumAlgorithm{s3types.ChecksumAlgorithmCrc32, s3types.ChecksumAlgorithmSha256} {
			s := newShelf()
			var all [][]byte
			for i, n := range c.sizes {
				all = append(all, noise(n + i)[i:])
			}
			data := bytes.Join(all, nil)
			if strings.HasSuffix(name, "parts") {
				s.Put("k", data, uploadedIn(3, string(algorithm)))
			} else {
				s.upload(t, "k", algorithm, all...)
			}
			r := s.reader(t, mayParts, parts)
			o := open(t, r, "k")
			got, err := io.ReadAll(o)
			if err != nil || !o.Info().Verified {
				t.Fatalf("%s: %v, %+v", name, err, o.Info())
			}
			same(t, got, data)
			if n := s.count("GetObjectAttributes"); n != c.requests {
				t.Errorf("%s: %d requests", name, n)
			}
			path := filepath.Join(t.TempDir(), "f")
			if info, err := r.DownloadFile(t.Context(), "k", path); err != nil || !info.Verified {
				t.Errorf("%s: %v, %+v", name, err, info)
			}
			same(t, onDisk(t, path), data)
		}
	}
}

// A resumed download is verified too, where its ranges do not end with the parts.
func TestResumedCompositeChecksum(t *testing.T) {
	for _, algorithm := range []string{"CRC32", "SHA256"} {
		for _, policy := range []string{mayRead, mayParts} { // of the call that was interrupted
			s := newShelf()
			data := noise(12 * partSize)
			s.Put("k", data, uploadedIn(13_001, algorithm))
			path := filepath.Join(t.TempDir(), "f")
			remove := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Status: 403, Code: "AccessDenied", Skip: 4})
			if _, err := s.reader(t, policy, parts).DownloadFile(t.Context(), "k", path); err == nil {
				t.Fatal("not interrupted")
			}
			remove()
			if left := names(t, filepath.Dir(path)); len(left) != 1 {
				t.Fatalf("left %q", left)
			}
			had := s.count("GetObject")
			info, err := s.reader(t, mayParts, parts).DownloadFile(t.Context(), "k", path)
			if err != nil || !info.Verified {
				t.Errorf("%s: %v, %+v", algorithm, err, info)
			}
			if n := s.count("GetObject") - had; n >= 12 {
				t.Errorf("%d requests, so nothing was resumed", n)
			}
			same(t, onDisk(t, path), data)
		}
	}
}

// Objects with a checksum of all bytes, and programs that want none, pay nothing.
func TestPartsAreNotAskedForNeedlessly(t *testing.T) {
	s := newShelf()
	s.Put("whole", noise(100), func(o *awstest.Object) { o.PartSize = 30 })
	s.Put("none", noise(100), func(o *awstest.Object) { o.PartSize, o.ChecksumAlgorithm = 30, "NONE" })
	s.Put("composite", noise(100), uploadedIn(30, "CRC32"))
	r := s.reader(t, mayParts)
	for _, key := range []string{"whole", "none"} {
		if _, err := r.Get(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.reader(t, mayParts, func(o *s3reader.Options) { o.Verify = s3reader.VerifyOff }).Get(t.Context(), "composite"); err != nil {
		t.Error(err)
	}
	if _, err := open(t, r, "composite").ReadAt(make([]byte, 10), 0); err != nil {
		t.Error(err)
	}
	if _, err := r.Stat(t.Context(), "composite"); err != nil {
		t.Error(err)
	}
	if n := s.count("GetObjectAttributes"); n > 0 {
		t.Errorf("%d requests", n)
	}
}

// A program that reads the header of a file for random access does not pay for the parts.
// One that reads on to the end does, once, and its bytes are verified.
func TestPartsOfFilesForRandomAccess(t *testing.T) {
	const header = 512
	s := newShelf()
	data := noise(50_000)
	s.Put("k", data, uploadedIn(7001, "SHA256"))
	r := s.reader(t, mayParts)
	for name, opened := range map[string]func() (handle, func() bool){
		"Random": func() (handle, func() bool) {
			o := open(t, r, "k", randomly)
			return o, func() bool { return o.Info().Verified }
		},
		"FS": func() (handle, func() bool) {
			f, err := r.FS(t.Context()).Open("k")
			if err != nil {
				t.Fatal(err)
			}
			return f.(handle), func() bool {
				info, err := f.Stat()
				return err == nil && info.Sys().(*s3reader.Info).Verified
			}
		},
	} {
		had := s.count("GetObjectAttributes")
		h, verified := opened()
		for _, from := range []int64{0, 30_000, 0} { // as net/http does, to find out the type
			if _, err := h.Seek(from, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, header)
			if _, err := io.ReadFull(h, got); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			same(t, got, data[from:from+header])
		}
		if n := s.count("GetObjectAttributes") - had; n > 0 {
			t.Errorf("%s: %d requests for the parts, after a header was read", name, n)
		}
		rest, err := io.ReadAll(struct{ io.Reader }{h})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, rest, data[header:])
		if n := s.count("GetObjectAttributes") - had; n != 1 || !verified() {
			t.Errorf("%s: %d requests for the parts, verified %v", name, n, verified())
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	remove := s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: flipped(1), Key: "k"})
	defer remove()
	o := open(t, r, "k", randomly)
	for {
		if _, err := o.Read(make([]byte, 1000)); err != nil {
			if !errors.Is(err, s3reader.ChecksumMismatch) {
				t.Errorf("got %v", err)
			}
			break
		}
	}
}

// A role that may not ask for parts, or a store that has none, is asked rarely.
func TestPartsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		fault  awstest.Fault
	}{
		"denied":               {mayRead, awstest.Fault{Operation: "PutObject", Drop: true}},
		"not implemented":      {mayParts, awstest.Fault{Status: 501, Code: "NotImplemented"}},
		"not allowed":          {mayParts, awstest.Fault{Status: 405, Code: "MethodNotAllowed"}},
		"the object":           {mayParts, awstest.Fault{Edit: func([]byte) []byte { return noise(5000) }}},
		"an object of text":    {mayParts, awstest.Fault{Edit: func([]byte) []byte { return bytes.Repeat([]byte("text "), 1000) }}},
		"an object of XML":     {mayParts, awstest.Fault{Edit: func([]byte) []byte { return []byte("<Pages><Page>1</Page></Pages>") }}},
		"an object of garbled": {mayParts, awstest.Fault{Edit: func([]byte) []byte { return []byte("<a></b>") }}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			for i := range 20 {
				s.Put(fmt.Sprint(i), noise(100+i), uploadedIn(30, "CRC32"))
			}
			if c.fault.Operation == "" {
				c.fault.Operation = "GetObjectAttributes"
			}
			s.cloud.Fault(c.fault)
			r := s.reader(t, c.policy)
			for round := 1; round <= 2; round++ {
				var all sync.WaitGroup
				for i := range 20 {
					all.Go(func() {
						o := open(t, r, fmt.Sprint(i))
						if got, err := io.ReadAll(o); err != nil || len(got) != 100+i || o.Info().Verified {
							t.Errorf("%s: %d bytes, %v, %+v", name, len(got), err, o.Info())
						}
					})
				}
				all.Wait()
				if n := s.count("GetObjectAttributes"); n != round {
					t.Errorf("%s: %d requests in round %d", name, n, round)
				}
				time.Sleep(time.Hour)
			}
		})
	}
}

// After a failure of the one request, objects of the next minute are not verified. Their
// bytes arrive, and those of later objects are verified again.
func TestPartsAreUnavailable(t *testing.T) {
	for name, f := range map[string]awstest.Fault{
		"broken": {Status: 500, Code: "InternalError"}, "throttled": {Status: 503, Code: "SlowDown"}, "bad": {Status: 400, Code: "InvalidArgument"},
		"dropped": {Drop: true}, "hung": {Hang: true}, "ended": {EndAfter: new(int64(60))}, "reset": {ResetAfter: new(int64(0))},
		"of no length": {NoLength: true, EndAfter: new(int64(100))},
		"no parts":     {Edit: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("ObjectParts"), []byte("Objections")) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			s.Put("k", noise(100), uploadedIn(30, "CRC32"))
			r := s.reader(t, mayParts)
			read := func() bool {
				o := open(t, r, "k")
				if got, err := io.ReadAll(o); err != nil || len(got) != 100 {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
				return o.Info().Verified
			}
			f.Operation = "GetObjectAttributes"
			remove := s.cloud.Fault(f)
			for round := range 2 {
				began := time.Now()
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						if read() {
							t.Errorf("%s: verified", name)
						}
					})
				}
				all.Wait()
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("%s, round %d: 20 Gets took %v", name, round, took)
				}
				if n := s.count("GetObjectAttributes"); n > 3*(round+1) { // the SDK's own retries
					t.Errorf("%s, round %d: %d requests", name, round, n)
				}
				time.Sleep(time.Minute)
			}
			remove()
			if !read() {
				t.Errorf("%s: not verified when it was over", name)
			}
			// An outage of a store that has listed parts before.
			s.cloud.Fault(f)
			for range 20 {
				read()
			}
			if n := s.count("GetObjectAttributes"); name != "bad" && name != "no parts" && n > 3*3+1 {
				t.Errorf("%s: %d requests", name, n)
			}
		})
	}
}

// A policy may deny one object: that keeps others from being verified for a minute at most,
// and not at all if the parts of one were listed before. So does a response that is cut.
func TestPartsOfOneObjectAreDenied(t *testing.T) {
	for name, f := range map[string]awstest.Fault{
		"denied":     {Status: 403, Code: "AccessDenied"},
		"unreadable": {Edit: func(b []byte) []byte { return b[:len(b)/2] }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			for _, key := range []string{"secret", "k"} {
				s.Put(key, noise(100), uploadedIn(30, "CRC32"))
			}
			f.Operation, f.Key = "GetObjectAttributes", "secret"
			s.cloud.Fault(f)
			r := s.reader(t, mayParts)
			verified := func(key string) bool {
				o := open(t, r, key)
				if _, err := io.Copy(io.Discard, o); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return o.Info().Verified
			}
			if verified("secret") {
				t.Errorf("%s: verified", name)
			}
			time.Sleep(time.Minute)
			if !verified("k") {
				t.Errorf("%s: another object is not verified", name)
			}
			if verified("secret"); name == "denied" && !verified("k") {
				t.Errorf("%s: another object is no longer verified", name)
			}
		})
	}
}

// Objects that cannot be described say nothing about others.
func TestPartsOfOneObjectAreUnavailable(t *testing.T) {
	for _, f := range []awstest.Fault{
		{Status: 404, Code: "NoSuchKey"},
		{Edit: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("<ETag>"), []byte("<ETag>0")) }},
	} {
		s := newShelf()
		for _, key := range []string{"gone", "k"} {
			s.Put(key, noise(100), uploadedIn(30, "CRC32"))
		}
		f.Operation, f.Key = "GetObjectAttributes", "gone"
		s.cloud.Fault(f)
		r := s.reader(t, mayParts)
		for _, key := range []string{"gone", "k"} {
			o := open(t, r, key)
			if _, err := io.Copy(io.Discard, o); err != nil || o.Info().Verified != (key == "k") {
				t.Errorf("%s: %v, %+v", key, err, o.Info())
			}
		}
	}
}

// The end of a context ends the wait for the parts.
func TestPartsOfAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.Put("k", noise(100), uploadedIn(30, "CRC32"))
		r := s.reader(t, mayParts)
		s.cloud.Fault(awstest.Fault{Operation: "GetObjectAttributes", Hang: true})
		var all sync.WaitGroup
		for range 2 { // one asks, the other waits for it
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				if _, err := r.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
			})
		}
		all.Wait()
	})
}

// A panic in the caller's HTTP client is an error, as in any other request.
func TestPartsOfAPanickingClient(t *testing.T) {
	s := newShelf()
	s.Put("k", noise(100), uploadedIn(30, "CRC32"))
	cfg := s.config(mayParts)
	inner := cfg.HTTPClient
	cfg.HTTPClient = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Has("attributes") {
			panic("ouch")
		}
		return inner.Do(r)
	})
	if _, err := newReader(t, cfg, "pics").Get(t.Context(), "k"); !errors.Is(err, s3reader.Panicked) {
		t.Errorf("got %v", err)
	}
}

// Parts that are not this object's are not used.
func TestPartsThatDoNotFit(t *testing.T) {
	endless := bytes.Repeat([]byte("<Part></Part>"), 3<<20)
	replaced := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				panic("no " + old)
			}
			return bytes.ReplaceAll(b, []byte(old), []byte(new))
		}
	}
	for name, edit := range map[string]func([]byte) []byte{
		"other sizes":    replaced("<Size>30</Size>", "<Size>31</Size>"),
		"smaller sizes":  replaced("<Size>30</Size>", "<Size>29</Size>"),
		"negative sizes": replaced("<Size>30</Size>", "<Size>-30</Size>"),
		"huge sizes":     replaced("<Size>30</Size>", "<Size>9223372036854775807</Size>"),
		"no sizes":       replaced("<Size>30</Size>", ""),
		"other numbers":  replaced("<PartNumber>2<", "<PartNumber>3<"),
		"another ETag":   replaced("<ETag>", "<ETag>0"),
		"parts for ever": replaced("<IsTruncated>false", "<IsTruncated>true"),
		"no parts":       replaced("ObjectParts", "Objections"),
		"too few parts": func(b []byte) []byte {
			return append(b[:bytes.LastIndex(b, []byte("<Part>"))], "</ObjectParts></GetObjectAttributesResponse>"...)
		},
		"no end of a list": func(b []byte) []byte { return append(b[:len(b)-60], endless...) },
	} {
		s := newShelf()
		s.Put("k", noise(100), uploadedIn(30, "CRC32"))
		r := s.reader(t, mayParts)
		s.cloud.Fault(awstest.Fault{Operation: "GetObjectAttributes", Edit: edit})
		o := open(t, r, "k")
		if got, err := io.ReadAll(o); err != nil || len(got) != 100 || o.Info().Verified {
			t.Errorf("%s: %d bytes, %v, %+v", name, len(got), err, o.Info())
		}
		if n := s.count("GetObjectAttributes"); n > 5 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
	// Without the checksums of the parts, the object's is enough.
	for name, edit := range map[string]func([]byte) []byte{
		"no checksums":   replaced("ChecksumCRC32>", "Unknown>"),
		"long checksums": replaced("<ChecksumCRC32>", "<ChecksumCRC32>AAAA"),
		"one is missing": func(b []byte) []byte {
			return bytes.Replace(b, []byte("<ChecksumCRC32>"), []byte("<ChecksumCRC32>AAAA"), 1)
		},
		"no base64":        replaced("<ChecksumCRC32>", "<ChecksumCRC32>*"),
		"no numbers given": replaced("<PartsCount>4</PartsCount>", ""),
	} {
		s := newShelf()
		s.Put("k", noise(100), uploadedIn(30, "CRC32"))
		r := s.reader(t, mayParts)
		s.cloud.Fault(awstest.Fault{Operation: "GetObjectAttributes", Edit: edit})
		o := open(t, r, "k")
		if _, err := io.Copy(io.Discard, o); err != nil || !o.Info().Verified {
			t.Errorf("%s: %v, %+v", name, err, o.Info())
		}
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: flipped(31)})
		if got, err := r.Get(t.Context(), "k"); !errors.Is(err, s3reader.ChecksumMismatch) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// A hostile store cannot make the reader keep or request much.
func TestPartsOfAHostileStore(t *testing.T) {
	long := strings.Repeat("A", 64<<10)
	for name, page := range map[string]func(n int) string{
		"long checksums": func(n int) string {
			return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><Size>1</Size><ChecksumSHA256>%s</ChecksumSHA256></Part>", n, long)
		},
		"long pages": func(n int) string {
			var b strings.Builder
			for i := range 1001 {
				fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><Size>1</Size></Part>", (n-1)*1001+i+1)
			}
			return b.String()
		},
	} {
		heap := func() int {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc)
		}
		before, kept, n := heap(), 0, 0
		srv := server(func(r *http.Request) *http.Response {
			if !r.URL.Query().Has("attributes") {
				return answer(200, strings.Repeat("x", 9000), "Content-Length: 9000", `ETag: "e"`, "X-Amz-Checksum-Sha256: AAAA-9000", "X-Amz-Checksum-Type: COMPOSITE")
			}
			if n++; n == 90 {
				kept = heap() - before
			}
			return answer(200, "<GetObjectAttributesResponse><ETag>e</ETag><ObjectParts><IsTruncated>true</IsTruncated>"+page(n)+"</ObjectParts></GetObjectAttributesResponse>")
		})
		if _, err := newReader(t, srv.config(), "pics").Get(t.Context(), "k"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if limit := map[string]int{"long checksums": 100, "long pages": 1}[name]; n > limit || kept > 2<<20 {
			t.Errorf("%s: %d requests, %d bytes kept", name, n, kept)
		}
	}
}

// A store that computes the object's checksum in its own way, and not over those of the
// parts, does not make right bytes wrong.
func TestCompositeThatIsNotOverItsParts(t *testing.T) {
	for _, algorithm := range []string{"CRC32", "SHA256"} {
		s := newShelf()
		data := noise(3 * partSize)
		s.Put("k", data, uploadedIn(7001, algorithm))
		other := map[string]string{"CRC32": "AAAAAA==", "SHA256": strings.Repeat("A", 43) + "="}[algorithm]
		s.cloud.Fault(awstest.Fault{Operation: "GetObject", Header: map[string]string{"X-Amz-Checksum-" + algorithm: other + "-5"}})
		s.cloud.Fault(awstest.Fault{Operation: "HeadObject", Header: map[string]string{"X-Amz-Checksum-" + algorithm: other + "-5"}})
		r := s.reader(t, mayParts, parts)
		for range 2 {
			o := open(t, r, "k")
			if got, err := io.ReadAll(o); err != nil || len(got) != len(data) || o.Info().Verified {
				t.Errorf("%s: %d bytes, %v, %+v", algorithm, len(got), err, o.Info())
			}
		}
		path := filepath.Join(t.TempDir(), "f")
		if info, err := r.DownloadFile(t.Context(), "k", path); err != nil || info.Verified {
			t.Errorf("%s: %v, %+v", algorithm, err, info)
		}
	}
}

// Objects that are encrypted with the caller's key, and buckets whose reader pays.
func TestPartsOfSpecialObjects(t *testing.T) {
	s := newShelf()
	s.SetRequesterPays()
	s.Put("k", noise(100), uploadedIn(30, "SHA256"), func(o *awstest.Object) { o.CustomerKey = rawKey })
	r := s.reader(t, mayParts, withKey(customerKey(t, rawKey)), func(o *s3reader.Options) {
		o.RequestPayer, o.ExpectedBucketOwner = true, s.account.ID()
	})
	o := open(t, r, "k")
	if _, err := io.Copy(io.Discard, o); err != nil || !o.Info().Verified {
		t.Errorf("%v, %+v", err, o.Info())
	}
}

// An object that is overwritten before its parts are asked for is still read.
func TestPartsOfAnOverwrittenObject(t *testing.T) {
	s := newShelf()
	data := noise(100)
	s.Put("k", data, uploadedIn(30, "CRC32"))
	o := open(t, s.reader(t, mayParts), "k")
	s.Put("k", noise(101), uploadedIn(30, "CRC32"))
	got, err := io.ReadAll(o)
	if err != nil || o.Info().Verified {
		t.Errorf("%v, %+v", err, o.Info())
	}
	same(t, got, data)
}

// A file of a directory is verified as any other.
func TestCompositeChecksumsOfDirectories(t *testing.T) {
	s := newShelf()
	for i := range 5 {
		s.Put(fmt.Sprint("d/", i), noise(3*partSize+i), uploadedIn(7001, "SHA256"))
	}
	policy := strings.Replace(mayParts, `"s3:GetObject"`, `"s3:GetObject","s3:ListBucket"`, 1)
	r := s.reader(t, policy, parts)
	dir := t.TempDir()
	if _, err := r.DownloadDir(t.Context(), "d/", dir); err != nil {
		t.Fatal(err)
	}
	if n := s.count("GetObjectAttributes"); n != 5 {
		t.Errorf("%d requests", n)
	}
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", Edit: flipped(1), Key: "d/3"})
	dir = t.TempDir()
	if _, err := r.DownloadDir(t.Context(), "d/", dir); !errors.Is(err, s3reader.ChecksumMismatch) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "3")); err == nil {
		t.Error("the file is there")
	}
}
