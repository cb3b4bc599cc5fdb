package s3reader_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// A listing holds one page, whatever the number of keys.
func TestListOf200000Keys(t *testing.T) {
	// Not parallel: the heap must be that of this test alone.
	const pages, perPage = 200, 1000
	cfg := server(func(r *http.Request) *http.Response {
		// An absent token is the first page.
		n, _ := strconv.Atoi(r.URL.Query().Get("continuation-token"))
		var b strings.Builder
		fmt.Fprintf(&b, "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%v</IsTruncated><NextContinuationToken>%d</NextContinuationToken>", n < pages-1, n+1)
		for i := range perPage {
			fmt.Fprintf(&b, "<Contents><Key>some+directory/%06d</Key><Size>1</Size></Contents>", n*perPage+i)
		}
		b.WriteString("</ListBucketResult>")
		return answer(200, b.String())
	}).config()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	n, before := 0, uint64(0)
	for info, err := range newReader(t, cfg, "pics").List(t.Context(), "some directory/") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Key != fmt.Sprintf("some directory/%06d", n) {
			t.Fatalf("key %d is %q", n, info.Key)
		}
		switch n++; n {
		case 2 * perPage:
			before = heap()
		case pages * perPage:
			// 200,000 Infos are more than 30 MB.
			if now := heap(); now > before+8<<20 {
				t.Errorf("%d bytes more are held at the end", now-before)
			}
		}
	}
	if n != pages*perPage {
		t.Errorf("%d keys", n)
	}
}
