package s3reader_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
)

var (
	matrixSeeds = flag.Int("matrix.seeds", 120, "how many seeds TestRandomFaults runs")
	matrixSeed  = flag.Uint64("matrix.seed", 0, "the one seed to run, for a replay")
)

// TestRandomFaults plays sequences of faults, drawn by a seed, for every
// operation. The two ends that there may be are those of TestFaultMatrix.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	first, count := uint64(1), *matrixSeeds
	if *matrixSeed != 0 {
		first, count = *matrixSeed, 1
	}
	ends := map[string]int{}
	for seed := first; seed < first+uint64(count); seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { ends[randomFaults(t, seed)]++ })
		})
		if !ok {
			t.Logf("replay: go test ./s3reader -run '^TestRandomFaults$' -matrix.seed=%d", seed)
		}
	}
	t.Logf("seeds %d to %d ended with %v", first, first+uint64(count)-1, ends)
	// Faults that always or never matter would show nothing.
	if count >= 100 && (ends["ok"] < count/5 || count-ends["ok"] < count/5) {
		t.Errorf("of %d seeds %d ended well", count, ends["ok"])
	}
}

// randomFaults plays one seed in a bubble of synctest and returns how it ended.
func randomFaults(t *testing.T, seed uint64) string {
	rng := rand.New(rand.NewPCG(seed, 0))
	op := operations[rng.IntN(len(operations))]
	sizes := []int{matrixSize, matrixSize + 1, 20_000}
	if op.class == byRange {
		sizes = append(sizes, 3<<20) // more than is read at once
	}
	data := noise(sizes[rng.IntN(len(sizes))])
	other := noise(len(data) + 1)[1:]
	stored := []func(*awstest.Object){
		func(*awstest.Object) {},
		func(o *awstest.Object) { o.PartSize, o.ChecksumAlgorithm = 1000, "CRC32C" },
		func(o *awstest.Object) { o.ChecksumAlgorithm = "NONE" },
		func(o *awstest.Object) { o.ChecksumAlgorithm = "SHA1" },
		uploadedIn(777, "SHA256"),
	}[rng.IntN(5)]
	s := matrixShelf(data, stored)
	cfg := s.config(mayEverything)
	if rng.IntN(4) == 0 {
		s.SetVersioning()
	}
	var drawn []string
	for range 1 + rng.IntN(4) {
		name, f := randomFault(rng, s, op, len(data), other)
		f.Times, f.Skip = 1+rng.IntN(5), rng.IntN(3)
		if rng.IntN(4) == 0 && f.ResetAfter == nil && f.StallAfter == nil && f.EndAfter == nil {
			f.Times = 0 // for ever; a byte at a time would arrive, if only after days
		}
		drawn = append(drawn, fmt.Sprintf("%s after %d, %d times", name, f.Skip, f.Times))
		s.cloud.Fault(f)
	}
	end := result(t, op, cfg, data, other)
	if t.Failed() {
		requests := s.requests()
		t.Logf("%s of %d bytes; faults: %q; %d requests, the last of them %q", op.name, len(data), drawn, len(requests), requests[max(0, len(requests)-20):])
	}
	return end
}

// randomFault draws what a network, a proxy or S3 may do. Bytes that are wrong and
// carry the right labels are not among them: only a checksum could tell.
func randomFault(rng *rand.Rand, s *shelf, op operation, size int, other []byte) (string, awstest.Fault) {
	n := new(int64(rng.IntN(size)))
	if rng.IntN(3) == 0 {
		n = new(int64(rng.IntN(20)))
	}
	codes := []awstest.Fault{
		{Status: 500, Code: "InternalError"}, {Status: 503, Code: "SlowDown"}, {Status: 403, Code: "AccessDenied"},
		{Status: 400, Code: "ExpiredToken"}, {Status: 301, Code: "PermanentRedirect"}, {Status: 404, Code: "NoSuchKey"},
		{Status: 412, Code: "PreconditionFailed"}, {Status: 416, Code: "InvalidRange"}, {Status: 502, Body: "<html>Bad Gateway</html>"},
	}
	during := func(change func()) func([]byte) []byte {
		return func(b []byte) []byte { change(); return b }
	}
	all := []struct {
		name  string
		fault awstest.Fault
	}{
		{"reset", awstest.Fault{ResetAfter: n}},
		{"stall", awstest.Fault{StallAfter: n}},
		{"short", awstest.Fault{EndAfter: n}},
		{"short in chunks", awstest.Fault{EndAfter: n, NoLength: true}},
		{"no length", awstest.Fault{NoLength: true}},
		{"drop", awstest.Fault{Drop: true}},
		{"hang", awstest.Fault{Hang: true}},
		{"slow", awstest.Fault{Delay: time.Duration(rng.IntN(60)) * time.Second}},
		{"refusal", codes[rng.IntN(len(codes))]},
		{"another range", awstest.Fault{WrongRange: true}},
		{"everything", awstest.Fault{IgnoreRange: true}},
		{"no Content-Range", awstest.Fault{Header: map[string]string{"Content-Range": ""}}},
		{"another ETag", awstest.Fault{Header: map[string]string{"Etag": `"other"`}}},
		{"swapped", awstest.Fault{Operation: "GetObject", Edit: during(func() { s.Put(matrixKey, other) }), ResetAfter: n}},
		{"deleted", awstest.Fault{Operation: "GetObject", Edit: during(func() { s.Delete(matrixKey) }), ResetAfter: n}},
	}
	if op.class == byLink { // which is of the region alone: who follows it is not ours
		f := all[4+rng.IntN(5)]
		f.fault.Operation = "HeadBucket"
		return f.name, f.fault
	}
	f := all[rng.IntN(len(all))]
	return f.name, f.fault
}

// The matrix would notice bytes of two versions, and bytes that are short.
func TestTruthTellsVersionsApart(t *testing.T) {
	one, two := noise(matrixSize), noise(matrixSize + 1)[1:]
	for _, op := range operations {
		if op.class == byHead || op.class == byList {
			continue
		}
		mixed := append(one[:1500:1500], two[1500:]...)
		for _, data := range [][]byte{mixed, one[:len(one)-1], nil} {
			if got := op.truth(data); bytes.Equal(got, op.truth(one)) || bytes.Equal(got, op.truth(two)) {
				t.Errorf("%s: %d bytes pass", op.name, len(data))
			}
		}
	}
}
