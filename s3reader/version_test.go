package s3reader_test

import (
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// change is what happens to an object while it is read.
var changes = map[string]func(*shelf){
	"overwritten":              func(s *shelf) { s.Put("k", noise(101)) },
	"overwritten, same length": func(s *shelf) { s.Put("k", append(noise(99), 'x')) },
	"shrunk":                   func(s *shelf) { s.Put("k", noise(3)) },
	"emptied":                  func(s *shelf) { s.Put("k", nil) },
	"deleted":                  func(s *shelf) { s.Delete("k") },
}

// afterChange opens k, reads a part, changes k, and reads on, by Read after a
// broken body and by ReadAt.
func afterChange(t *testing.T, s *shelf, policy string, change func(*shelf)) (whole []byte, readErr error, at []byte, readAtErr error) {
	t.Helper()
	s.Put("k", noise(100))
	r := s.reader(t, policy)
	s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(60)), Times: 1})
	o := open(t, r, "k")
	whole = make([]byte, 50)
	if _, err := io.ReadFull(o, whole); err != nil {
		t.Fatal(err)
	}
	change(s)
	rest, readErr := io.ReadAll(o)
	at = make([]byte, 30)
	n, readAtErr := o.ReadAt(at, 70)
	return append(whole, rest...), readErr, at[:n], readAtErr
}

// Without versions in the bucket the first bytes are all there is.
func TestChangedObjectIsNeverMixed(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err, at, atErr := afterChange(t, newShelf(), mayList, change)
				same(t, got, noise(100)[:60])
				same(t, at, nil)
				for _, err := range []error{err, atErr} {
					if name == "deleted" && errors.Is(err, fs.ErrNotExist) {
						continue
					}
					if !errors.Is(err, s3reader.ObjectChanged) {
						t.Errorf("got %v", err)
					}
				}
			})
		})
	}
}

// Where the bucket keeps the version, and the role may read it, reading goes on.
func TestChangedObjectOfAVersionedBucket(t *testing.T) {
	const mayVersionOnly = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"*"}]}`
	for name, change := range changes {
		for _, policy := range []string{mayVersion, mayVersionOnly} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newShelf()
					s.SetVersioning()
					got, err, at, atErr := afterChange(t, s, policy, change)
					if err != nil || atErr != nil {
						t.Fatal(err, atErr)
					}
					same(t, got, noise(100))
					same(t, at, noise(100)[70:])
					for _, c := range s.cloud.Calls()[1:] {
						if c.Params["IfMatch"] == "" {
							t.Errorf("no If-Match: %v", c)
						}
					}
					if n := len(s.requests()); n != 4 {
						t.Errorf("%d requests: %q", n, s.requests())
					}
				})
			})
		}
	}
}

func TestUnchangedObjectNeedsNoVersionPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.SetVersioning()
		got, err, _, atErr := afterChange(t, s, mayRead, func(*shelf) {})
		if err != nil || atErr != nil {
			t.Fatal(err, atErr)
		}
		same(t, got, noise(100))
	})
}

func TestChangedObjectWithoutVersionPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.SetVersioning()
		got, err, _, atErr := afterChange(t, s, mayList, changes["overwritten"])
		same(t, got, noise(100)[:60])
		if !errors.Is(err, s3reader.ObjectChanged) || !errors.Is(atErr, s3reader.ObjectChanged) {
			t.Errorf("got %v, %v", err, atErr)
		}
	})
}

// A proxy that ignores Range, or answers with another one, is found out.
func TestWrongRangesAreRefused(t *testing.T) {
	for _, f := range []awstest.Fault{{IgnoreRange: true}, {WrongRange: true}} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			s.Put("k", noise(100))
			r := s.reader(t, mayRead)
			s.cloud.Fault(awstest.Fault{Operation: "GetObject", ResetAfter: new(int64(60)), Times: 1})
			s.cloud.Fault(f)
			o := open(t, r, "k")
			got, err := io.ReadAll(o)
			same(t, got, noise(100)[:60])
			_, atErr := o.ReadAt(make([]byte, 10), 20)
			if !errors.Is(err, s3reader.RangeMismatch) || !errors.Is(atErr, s3reader.RangeMismatch) {
				t.Errorf("got %v, %v", err, atErr)
			}
		})
	}
}
