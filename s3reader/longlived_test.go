package s3reader_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
)

// An object that was opened hours ago is read with fresh credentials (case B13),
// and a session that S3 takes for expired costs no read (case B21).
func TestHandleOutlivesSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, bucket, cfg := gallery(t)
		data := noise(1 << 16)
		bucket.Put("film", data)
		object, err := newReader(t, cfg, "pics").Open(t.Context(), "film")
		if err != nil {
			t.Fatal(err)
		}
		defer object.Close()
		part := make([]byte, 1000)
		for hour := range 5 {
			time.Sleep(time.Hour)
			off := int64(hour * 10000)
			if _, err := object.ReadAt(part, off); err != nil {
				t.Fatalf("after %d hours: %v", hour+1, err)
			}
			same(t, part, data[off:off+1000])
		}
		for _, c := range cloud.Calls() {
			if c.Code != "" {
				t.Errorf("refused: %v", c)
			}
		}
		cloud.Fault(awstest.Fault{Operation: "GetObject", Times: 1, Status: 400, Code: "ExpiredToken"})
		if _, err := object.ReadAt(part, 0); err != nil {
			t.Errorf("after ExpiredToken: %v", err)
		}
		same(t, part, data[:1000])
	})
}
