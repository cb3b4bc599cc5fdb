package s3reader_test

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// Case B47: an archived object's error says where it lies and whether it is on its
// way back.
func TestArchivedSaysWhetherItIsRestored(t *testing.T) {
	for _, c := range []struct{ name, class, tier, restore, want string }{
		{"none", "GLACIER", "", "", "it is in GLACIER, restore state none: restore it first"},
		{"ongoing", "DEEP_ARCHIVE", "", `ongoing-request="true"`, "it is in DEEP_ARCHIVE, restore state ongoing: wait for the restore to finish"},
		{"expired", "GLACIER", "", `ongoing-request="false", expiry-date="Fri, 31 Dec 1999 00:00:00 GMT"`, "it is in GLACIER, restore state expired since 1999-12-31T00:00:00Z: restore it again"},
		{"tier", "INTELLIGENT_TIERING", "DEEP_ARCHIVE_ACCESS", "", "it is in INTELLIGENT_TIERING DEEP_ARCHIVE_ACCESS, restore state none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // in the year 2000
				s := newShelf()
				s.Put("k", []byte("v"), archived(c.class, c.tier, c.restore))
				r := s.reader(t, mayList)
				info, err := r.Stat(t.Context(), "k")
				if err != nil || info.StorageClass != c.class {
					t.Errorf("Stat: %+v, %v", info, err)
				}
				if keys, err := listed(t, r, ""); err != nil || len(keys) != 1 {
					t.Errorf("List: %q, %v", keys, err)
				}
				before := len(s.requests())
				_, err = r.Get(t.Context(), "k")
				if !errors.Is(err, s3reader.Archived) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
				if got := s.requests()[before:]; !slices.Equal(got, []string{"GetObject", "HeadObject"}) {
					t.Errorf("asked for %q: no retry, and no restore", got)
				}
			})
		})
	}
}

// archived are the settings of an object in an archive.
func archived(class, tier, restore string) func(*awstest.Object) {
	return func(o *awstest.Object) {
		o.StorageClass, o.Headers = class, map[string]string{}
		if tier != "" {
			o.Headers["X-Amz-Archive-Status"] = tier
		}
		if restore != "" {
			o.Headers["X-Amz-Restore"] = restore
		}
	}
}

// The storage class of a restored object still says GLACIER; it is read all the
// same, until the copy expires.
func TestRestoredIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		data := noise(1000)
		end := time.Now().Add(24 * time.Hour).UTC()
		s.Put("k", data, archived("GLACIER", "", `ongoing-request="false", expiry-date="`+end.Format("Mon, 02 Jan 2006 15:04:05 GMT")+`"`))
		r := s.reader(t, mayList)
		for info, err := range r.List(t.Context(), "") {
			if err != nil || info.StorageClass != "GLACIER" {
				t.Fatalf("got %+v, %v", info, err)
			}
			got, err := r.Get(t.Context(), info.Key)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, data)
		}
		f, err := r.FS(t.Context()).Open("k")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, data)

		time.Sleep(25 * time.Hour)
		if _, err := r.Get(t.Context(), "k"); !errors.Is(err, s3reader.Archived) || !strings.Contains(err.Error(), "restore state expired") {
			t.Errorf("a day later: %v", err)
		}
	})
}

// Without a HEAD, the refusal's own words remain.
func TestArchivedWithoutHead(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("v"), archived("INTELLIGENT_TIERING", "ARCHIVE_ACCESS", ""))
	r := s.reader(t, mayRead)
	s.cloud.Fault(awstest.Fault{Operation: "HeadObject", Status: 403, Code: "AccessDenied"})
	_, err := r.Open(t.Context(), "k")
	if !errors.Is(err, s3reader.Archived) || !strings.Contains(err.Error(), "it is in INTELLIGENT_TIERING ARCHIVE_ACCESS: restore it first") {
		t.Errorf("got %v", err)
	}
}
