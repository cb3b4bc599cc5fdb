package s3reader

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

const (
	maxFailures = 100 // errors that are kept

	// hopeless is how many objects in a row may fail without a reason of their own.
	hopeless = 100
)

// failures are the errors of single objects.
type failures struct {
	errs []*Error
	more int // than are kept
	row  int // since the last object that was fetched
}

// add keeps an error and reports whether the others are likely to fail as well.
func (f *failures) add(err error) (stop bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Op: "download", Err: err}
	}
	if len(f.errs) < maxFailures {
		f.errs = append(f.errs, e)
	} else {
		f.more++
	}
	switch e.Kind {
	case NoSuchBucket, WrongRegion, Panicked:
		return true
	case "", Truncated:
		f.row++
	default:
		f.row = 0
	}
	return f.row >= hopeless || diskFull(err)
}

// join is all of them and last, which may be nil.
func (f *failures) join(last error) error {
	slices.SortFunc(f.errs, func(a, b *Error) int { return cmp.Compare(a.Key, b.Key) })
	var errs []error
	for _, e := range f.errs {
		errs = append(errs, e)
	}
	if f.more > 0 {
		errs = append(errs, fmt.Errorf("s3reader: download: and %d more objects", f.more))
	}
	if last != nil {
		errs = append(errs, last)
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
