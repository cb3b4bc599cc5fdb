package s3reader_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/awstest"
)

// trouble is what goes wrong, and how each class of operations has to end: "ok",
// a kind, or "code" and a code; alternatives are separated by "|". A class that is not named
// does not meet this trouble.
type trouble struct {
	name   string
	policy string // of the reader; empty: mayVersion
	stored func(*awstest.Object)
	strike func(s *shelf)
	want   map[class]string
}

func faults(fs ...awstest.Fault) func(*shelf) {
	return func(s *shelf) {
		for _, f := range fs {
			s.cloud.Fault(f)
		}
	}
}

// after breaks the first body at byte 1000 so that the next request is for a
// range, which the faults strike.
func after(fs ...awstest.Fault) func(*shelf) {
	first := awstest.Fault{Operation: "GetObject", Key: matrixKey, ResetAfter: new(int64(1000)), Times: 1}
	return faults(append([]awstest.Fault{first}, fs...)...)
}

// everywhere is the same end for all who ask S3 for something.
func everywhere(end string) map[class]string {
	return map[class]string{byAll: end, byRange: end, byHead: end, byList: end}
}

func reading(end string) map[class]string { return map[class]string{byAll: end, byRange: end} }

func troubles() []trouble {
	var all []trouble
	add := func(name string, want map[class]string, strike func(*shelf)) {
		all = append(all, trouble{name: name, strike: strike, want: want})
	}
	stored := func(name string, want map[class]string, o func(*awstest.Object)) {
		all = append(all, trouble{name: name, stored: o, want: want, strike: faults()})
	}

	withBody := map[class]string{byAll: "ok", byRange: "ok", byList: "ok"}
	for _, n := range []int64{0, 1, 500, 999, 1499, 2000, 2998, 2999} {
		add(fmt.Sprintf("reset after %d", n), withBody, faults(awstest.Fault{ResetAfter: &n, Times: 1}))
		add(fmt.Sprintf("stalled after %d", n), withBody, faults(awstest.Fault{StallAfter: &n, Times: 1}))
		add(fmt.Sprintf("short by Content-Length, after %d", n), withBody, faults(awstest.Fault{EndAfter: &n, Times: 1}))
		add(fmt.Sprintf("a range short by its chunks, after %d", n), reading("ok"), after(awstest.Fault{Operation: "GetObject", NoLength: true, EndAfter: &n, Times: 2}))
	}
	add("reset every 700 bytes", reading("ok"), faults(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(700))}))
	add("reset for ever", map[class]string{byAll: "Truncated", byRange: "Truncated", byList: "Truncated"}, faults(awstest.Fault{ResetAfter: new(int64(0))}))
	add("stalled for ever", map[class]string{byAll: "Truncated", byRange: "Truncated", byList: "silent"}, faults(awstest.Fault{StallAfter: new(int64(0))}))
	add("short for ever", map[class]string{byAll: "Truncated", byRange: "Truncated", byList: "Truncated"}, faults(awstest.Fault{EndAfter: new(int64(0))}))
	add("short by chunks for ever", map[class]string{byAll: "Truncated", byRange: "Truncated", byList: "Truncated|code NotFound"}, faults(awstest.Fault{NoLength: true, EndAfter: new(int64(0))}))
	add("no length", everywhere("ok"), faults(awstest.Fault{NoLength: true}))
	for _, n := range []int64{0, 1, 500, 2999} {
		add(fmt.Sprintf("short by chunks, after %d", n), reading("ok"), faults(awstest.Fault{Operation: "GetObject", NoLength: true, EndAfter: &n, Times: 1}))
		add(fmt.Sprintf("reset in chunks, after %d", n), reading("ok"), faults(awstest.Fault{Operation: "GetObject", NoLength: true, ResetAfter: &n, Times: 1}))
	}

	longer := func(b []byte) []byte { return append(slices.Clip(b), "more"...) }
	add("long body", map[class]string{byAll: "ChecksumMismatch", byRange: "ObjectChanged", byFile: "RangeMismatch"}, faults(awstest.Fault{Operation: "GetObject", Edit: longer}))
	add("long body in chunks", map[class]string{byAll: "RangeMismatch"}, faults(awstest.Fault{Operation: "GetObject", NoLength: true, Edit: longer}))
	add("a long range", reading("RangeMismatch"), after(awstest.Fault{Operation: "GetObject", Edit: longer}))
	add("a long range in chunks", reading("ok"), after(awstest.Fault{Operation: "GetObject", NoLength: true, Edit: longer}))
	add("another range", reading("RangeMismatch"), after(awstest.Fault{Operation: "GetObject", WrongRange: true}))
	add("a range of another length", reading("ObjectChanged"), after(awstest.Fault{Operation: "GetObject", Header: map[string]string{"Content-Range": "bytes 1000-2999/3001"}}))
	add("no Content-Range", reading("RangeMismatch"), after(awstest.Fault{Operation: "GetObject", Header: map[string]string{"Content-Range": ""}}))
	add("nonsense for Content-Range", reading("RangeMismatch"), after(awstest.Fault{Operation: "GetObject", Header: map[string]string{"Content-Range": "bytes */3000"}}))
	add("a range for everything", reading("RangeMismatch"), faults(awstest.Fault{Operation: "GetObject", Header: map[string]string{"Content-Range": "bytes 0-2999/3000"}}))
	add("everything for a range", reading("RangeMismatch|ok"), after(awstest.Fault{Operation: "GetObject", IgnoreRange: true}))
	add("another ETag", reading("ObjectChanged"), after(awstest.Fault{Operation: "GetObject", Header: map[string]string{"Etag": `"other"`}}))
	add("no ETag", reading("ObjectChanged"), after(awstest.Fault{Operation: "GetObject", Header: map[string]string{"Etag": ""}}))

	for _, c := range []struct {
		status int
		code   string
	}{{500, "InternalError"}, {503, "SlowDown"}, {503, "ServiceUnavailable"}, {429, "TooManyRequests"}} {
		refusal := awstest.Fault{Status: c.status, Code: c.code}
		end := "code " + c.code
		always := everywhere(end)
		always[byHead] = end + "|code InternalServerError|code ServiceUnavailable|code TooManyRequests" // HEAD has no code
		add(c.code, always, faults(refusal))
		add(c.code+" of ranges", reading(end), after(refusal))
		refusal.Times = 2
		all = append(all, trouble{name: c.code + " twice", strike: faults(refusal), want: everywhere("ok")})
		add(c.code+" of ranges, twice", reading("ok"), after(refusal))
	}
	for _, c := range []struct {
		status    int
		code, end string
	}{
		{400, "ExpiredToken", "code ExpiredToken"}, {403, "AccessDenied", "AccessDenied"}, {301, "PermanentRedirect", "WrongRegion"},
		{404, "NoSuchBucket", "NoSuchBucket"}, {403, "InvalidObjectState", "Archived"}, {403, "RequestTimeTooSkewed", "code RequestTimeTooSkewed"},
	} {
		refusal := awstest.Fault{Status: c.status, Code: c.code}
		all = append(all, trouble{name: c.code, strike: faults(refusal), want: everywhere(c.end)})
		add(c.code+" of ranges", reading(c.end), after(refusal))
	}
	add("301 to nowhere", everywhere("WrongRegion"), faults(awstest.Fault{Status: 301, Code: "PermanentRedirect", Header: map[string]string{"X-Amz-Bucket-Region": "us-west-2"}}))
	add("in another region", everywhere("ok"), func(s *shelf) { s.SetRegion("eu-west-1") })
	add("dropped twice", everywhere("ok"), faults(awstest.Fault{Drop: true, Times: 2}))
	add("hung twice", everywhere("ok"), faults(awstest.Fault{Hang: true, Times: 2}))
	add("dropped", everywhere("reset"), faults(awstest.Fault{Drop: true}))
	add("hung", everywhere("silent"), faults(awstest.Fault{Hang: true}))
	add("dropped ranges", reading("Truncated"), after(awstest.Fault{Drop: true}))

	for name, change := range map[string]func(*shelf){
		"swapped": func(s *shelf) { s.Put(matrixKey, noise(matrixSize + 1)[1:]) },
		"shrunk":  func(s *shelf) { s.Put(matrixKey, noise(50)) },
		"deleted": func(s *shelf) { s.Delete(matrixKey) },
	} {
		end := map[string]string{"swapped": "ObjectChanged", "shrunk": "ObjectChanged", "deleted": "NotFound"}[name]
		during := func(s *shelf, f awstest.Fault) {
			f.Operation, f.Key, f.Times = "GetObject", matrixKey, 1
			f.Edit = func(b []byte) []byte { change(s); return b }
			s.cloud.Fault(f)
		}
		add(name+" while the body is on its way", map[class]string{byAll: "ok", byRange: end}, func(s *shelf) { during(s, awstest.Fault{}) })
		add(name+" before the body breaks", reading(end), func(s *shelf) { during(s, awstest.Fault{ResetAfter: new(int64(1000))}) })
		add(name+", versions kept", reading("ok"), func(s *shelf) {
			s.SetVersioning()
			s.Put(matrixKey, noise(matrixSize))
			during(s, awstest.Fault{ResetAfter: new(int64(1000))})
		})
	}

	stored("no checksum", everywhere("ok"), func(o *awstest.Object) { o.ChecksumAlgorithm = "NONE" })
	stored("composite checksum", everywhere("ok"), func(o *awstest.Object) { o.PartSize, o.ChecksumAlgorithm = 1000, "CRC32" })
	stored("wrong checksum", map[class]string{byAll: "ChecksumMismatch", byRange: "ok", byFile: "ChecksumMismatch|ok", byHead: "ok", byList: "ok"}, func(o *awstest.Object) {
		o.Headers = map[string]string{"X-Amz-Checksum-Crc64nvme": "AAAAAAAAAAA="}
	})
	for _, algorithm := range algorithms {
		stored("checksum "+algorithm, everywhere("ok"), func(o *awstest.Object) { o.ChecksumAlgorithm = algorithm })
		stored("wrong "+algorithm, map[class]string{byAll: "ChecksumMismatch", byRange: "ok", byFile: "ChecksumMismatch|ok", byHead: "ok", byList: "ok"}, func(o *awstest.Object) {
			o.ChecksumAlgorithm = algorithm
			o.Headers = map[string]string{"X-Amz-Checksum-" + algorithm: "AAAAAAAAAAA="}
		})
	}
	stored("one wrong checksum of two", map[class]string{byAll: "ChecksumMismatch", byRange: "ok", byFile: "ChecksumMismatch|ok", byHead: "ok", byList: "ok"}, func(o *awstest.Object) {
		o.Headers = map[string]string{"X-Amz-Checksum-Md5": "AAAAAAAAAAAAAAAAAAAAAA=="}
	})
	stored("stored as gzip", everywhere("ok"), func(o *awstest.Object) { o.ContentEncoding = "gzip" })

	zipped := awstest.Fault{Edit: compressed, Header: map[string]string{"Content-Encoding": "gzip"}}
	add("gzip in transit", map[class]string{byAll: "ChecksumMismatch", byRange: "RangeMismatch"}, faults(zipped))
	zipped.NoLength = true
	add("gzip in transit, in chunks", reading("RangeMismatch"), faults(zipped))
	zipped.Header = nil
	add("gzip in transit, in chunks, unlabelled", map[class]string{byAll: "RangeMismatch"}, faults(zipped))
	return all
}

// compressed is what a proxy makes of a body.
func compressed(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(b) // into memory
	_ = w.Close()
	return z.Bytes()
}

// partTroubles are those of objects with a composite checksum, whose parts the reader may
// ask for: whatever becomes of that request, the bytes are the object's.
func partTroubles() []trouble {
	var all []trouble
	for _, algorithm := range []string{"CRC32", "SHA256"} {
		add := func(name string, want map[class]string, strike func(*shelf)) {
			all = append(all, trouble{algorithm + " of parts, " + name, mayEverything, uploadedIn(700, algorithm), strike, want})
		}
		add("intact", everywhere("ok"), faults())
		for _, at := range []int{0, 699, 700, 2999} {
			wrong := map[class]string{byAll: "ChecksumMismatch"}
			add(fmt.Sprintf("byte %d flipped", at), wrong, faults(awstest.Fault{Operation: "GetObject", Edit: flipped(at)}))
		}
		for name, f := range map[string]awstest.Fault{
			"reset": {ResetAfter: new(int64(100))}, "stalled": {StallAfter: new(int64(100))}, "short": {EndAfter: new(int64(100))},
			"short in chunks": {EndAfter: new(int64(200)), NoLength: true}, "no length": {NoLength: true},
			"dropped": {Drop: true}, "hung": {Hang: true}, "broken": {Status: 500, Code: "InternalError"}, "throttled": {Status: 503, Code: "SlowDown"},
			"denied": {Status: 403, Code: "AccessDenied"}, "expired": {Status: 400, Code: "ExpiredToken"}, "moved": {Status: 301, Code: "PermanentRedirect"},
			"missing": {Status: 404, Code: "NoSuchKey"}, "unknown": {Status: 501, Code: "NotImplemented"},
			"garbled": {Edit: spoil}, "empty": {Edit: func([]byte) []byte { return nil }},
		} {
			f.Operation = "GetObjectAttributes"
			add("which are "+name, reading("ok"), faults(f))
			f.Times = 1
			add("which are "+name+" once", reading("ok"), faults(f))
		}
		add("swapped", map[class]string{byAll: "ok", byRange: "ok|ObjectChanged"}, func(s *shelf) {
			s.cloud.Fault(awstest.Fault{Operation: "GetObjectAttributes", Edit: func(b []byte) []byte {
				s.Put(matrixKey, noise(matrixSize + 1)[1:])
				return b
			}})
		})
	}
	return all
}

// linkTroubles are those of the one request that a link may take.
func linkTroubles() []trouble {
	var all []trouble
	for name, c := range map[string]struct {
		fault awstest.Fault
		end   string
	}{
		"refused":        {awstest.Fault{Status: 403}, "ok"},
		"overloaded":     {awstest.Fault{Status: 503, Times: 2}, "ok"},
		"broken":         {awstest.Fault{Status: 500}, "ok"},
		"dropped twice":  {awstest.Fault{Drop: true, Times: 2}, "ok"},
		"dropped":        {awstest.Fault{Drop: true}, "reset"},
		"hung":           {awstest.Fault{Hang: true}, "silent"},
		"hung twice":     {awstest.Fault{Hang: true, Times: 2}, "ok"},
		"moved nowhere":  {awstest.Fault{Status: 301}, "ok"},
		"without length": {awstest.Fault{NoLength: true}, "ok"},
	} {
		c.fault.Operation = "HeadBucket"
		all = append(all, trouble{name: "region " + name, strike: faults(c.fault), want: map[class]string{byLink: c.end}})
	}
	return append(all, trouble{name: "region elsewhere", strike: func(s *shelf) { s.SetRegion("eu-west-1") }, want: map[class]string{byLink: "ok"}})
}

// afterHead is how an operation ends that asks by HEAD first, which has no codes.
func afterHead(end string) string {
	switch {
	case end == "Truncated":
		return end + "|reset"
	case end == "NoSuchBucket":
		return end + "|NotFound"
	case end == "Archived":
		return end + "|AccessDenied"
	case strings.HasPrefix(end, "code "):
		return end + "|AccessDenied|code InternalServerError|code ServiceUnavailable|code TooManyRequests|code BadRequest"
	}
	return end
}

// TestFaultMatrix holds every operation to one of two ends, whatever happens:
// exactly the bytes of one version, or an error that says what is wrong.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	data := noise(matrixSize)
	combinations := 0
	for _, trouble := range slices.Concat(troubles(), partTroubles(), linkTroubles()) {
		trouble.policy = cmp.Or(trouble.policy, mayVersion)
		if trouble.stored == nil {
			trouble.stored = func(*awstest.Object) {}
		}
		for _, op := range operations {
			want, ok := trouble.want[op.class]
			switch {
			case op.class == byFile && !ok:
				if want, ok = trouble.want[byRange]; ok {
					want = afterHead(want)
				}
			case op.name == "FS Open+ReadDir 1":
				want = afterHead(want)
			}
			if !ok {
				continue
			}
			combinations++
			t.Run(trouble.name+"/"+op.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := matrixShelf(data, trouble.stored)
					cfg := s.config(trouble.policy)
					trouble.strike(s)
					got := result(t, op, cfg, data)
					if !slices.Contains(strings.Split(want, "|"), got) {
						t.Errorf("ended with %s, want %s; asked for %q", got, want, s.requests())
					}
				})
			})
		}
	}
	if combinations < 2500 {
		t.Errorf("%d combinations, want at least 2,500", combinations)
	}
	t.Logf("%d combinations", combinations)
}
