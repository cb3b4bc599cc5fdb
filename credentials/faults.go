package credentials

import (
	"fmt"
	"strings"
)

// faults collects everything that is wrong with a chain's settings, so that one
// error names it all.
type faults []error

// add notes one fault: where the value came from, the value, the rule and fix.
func (f *faults) add(where, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// addNilOption notes a nil among the functions that set options.
func (f *faults) addNilOption(i int) {
	f.add(fmt.Sprintf("optFns[%d]", i), "nil; leave out what sets no option")
}

// err is a ConfigInvalid that lists the faults, or nil.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Kind: ConfigInvalid, Err: f}
}

// maxLines is how many faults have a line each. More of them are one paragraph.
const maxLines = 4

func (f faults) Error() string {
	if len(f) == 1 {
		return f[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d settings are wrong", len(f))
	for i, e := range f {
		switch {
		case len(f) <= maxLines:
			b.WriteString("\n  - ")
		case i == 0:
			b.WriteString(": (1) ")
		default:
			fmt.Fprintf(&b, "; (%d) ", i+1)
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

func (f faults) Unwrap() []error { return f }

// configError is a ConfigInvalid with a single fault.
func configError(format string, args ...any) *Error {
	return &Error{Kind: ConfigInvalid, Err: fmt.Errorf(format, args...)}
}
