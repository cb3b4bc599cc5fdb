package s3reader

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// PanicError is the cause of an error of Kind [Panicked]: a panic in code that
// this package called for you, such as Options.Progress, DirOptions.Include, an
// io.WriterAt, Options.S3 or the HTTP client, or in this package itself. The
// operation ends; the process and other operations do not.
//
//	if p, ok := errors.AsType[*s3reader.PanicError](err); ok { log.Printf("%s", p.Stack) }
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // of the goroutine that panicked, as debug.Stack formats it

	at string // the function that panicked, with file and line
}

// Error returns the value and the place in the source, without the stack.
func (e *PanicError) Error() string {
	text := fmt.Sprintf("panic: %v", e.Value)
	if e.at != "" {
		text += ", in " + e.at
	}
	return text
}

// recovered turns a panic into an error of Kind Panicked. It must be deferred
// itself: recover works in no function that a deferred one calls.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = panicError(v)
	}
}

// panicError is called by a deferred function that has recovered v.
func panicError(v any) error {
	return &Error{Kind: Panicked, Err: &PanicError{Value: v, Stack: debug.Stack(), at: panicPlace()}}
}

// recovered is the deferred guard of a public method.
func (r *Reader) recovered(op, key string, err *error) {
	if v := recover(); v != nil {
		*err = r.fail(op, key, panicError(v))
	}
}

// safely calls f. A panic in it is returned as an error.
func safely(f func() error) (err error) {
	defer recovered(&err)
	return f()
}

// panicPlace returns the innermost function outside the runtime that was running
// when the panic began. It is called while the panic is being recovered.
func panicPlace() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			file := f.File[strings.LastIndexByte(f.File, '/')+1:]
			return fmt.Sprintf("%s (%s:%d)", f.Function, file, f.Line)
		}
		panicking = panicking || inRuntime
		if !more {
			return ""
		}
	}
}

// errExited is the error of a goroutine that user code has ended with
// runtime.Goexit, as testing.T.FailNow does.
var errExited = errors.New("a function of the caller ended its goroutine (runtime.Goexit, or FailNow of a test)")
