// Package emulator serves the in-memory AWS of awstest to other programs, with a
// control API and a page for people.
//
// How it works: an Emulator holds the current world, which a reset or a new
// document replaces as a whole. ServeHTTP sends /_crossrole/… to the control API
// (control.go), a browser's GET of / to the page (page.go), and everything else
// to the world's cloud. No bucket can be called _crossrole, so no request to AWS
// is in the way. mu guards the world; no request holds it while it is handled.
package emulator

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/crossrole/crossrole/awstest"
)

// keptCalls is how many calls the emulator remembers.
const keptCalls = 10_000

// Emulator serves a world. Its methods are safe for concurrent use.
type Emulator struct {
	tokenDir string
	files    fs.FS
	mux      *http.ServeMux

	mu       sync.Mutex
	document []byte
	world    *awstest.World
	handler  http.Handler
	faults   map[int]heldFault
	lastID   int
}

// New loads a document and returns its emulator. The pods' volumes are written
// below tokenDir, which must be for this emulator alone; paths in the document are
// looked up in files, which may be nil.
func New(document []byte, tokenDir string, files fs.FS) (*Emulator, error) {
	e := &Emulator{tokenDir: tokenDir, files: files}
	e.mux = e.routes()
	if err := e.Load(document); err != nil {
		return nil, err
	}
	return e, nil
}

// Check reports the mistakes of a document as awstest.Load does, and keeps
// nothing.
func Check(document []byte, files fs.FS) error {
	world, err := awstest.Load(document, func(o *awstest.LoadOptions) { o.Files = files })
	if err != nil {
		return err
	}
	return world.Close()
}

// Load replaces the world by that of another document. The pods keep the paths of
// their tokens. After an error the world is the one of before.
func (e *Emulator) Load(document []byte) error {
	if err := Check(document, e.files); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.world != nil {
		for _, name := range e.world.Pods() {
			if err := os.RemoveAll(filepath.Join(e.tokenDir, name)); err != nil {
				return err
			}
		}
	}
	world, err := awstest.Load(document, func(o *awstest.LoadOptions) {
		o.TokenDir, o.Files = e.tokenDir, e.files
	})
	if err != nil {
		return err
	}
	world.Cloud().KeepCalls(keptCalls)
	e.document, e.world, e.handler, e.faults = document, world, world.Cloud().Handler(), map[int]heldFault{}
	return nil
}

// Reset builds the world of the current document again: sessions, faults, calls
// and everything that requests changed are gone.
func (e *Emulator) Reset() error {
	e.mu.Lock()
	document := e.document
	e.mu.Unlock()
	return e.Load(document)
}

// World returns the current world.
func (e *Emulator) World() *awstest.World {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.world
}

// RotateTokens gives each pod a fresh token, as kubelet does before the old one
// expires.
func (e *Emulator) RotateTokens() {
	world := e.World()
	for _, name := range world.Pods() {
		world.Pod(name).Rotate()
	}
}

// Environments returns the variables of each pod as lines for a POSIX shell, in
// the document's order. url is the emulator's address.
func (e *Emulator) Environments(url string) string {
	var b strings.Builder
	world := e.World()
	for _, name := range world.Pods() {
		fmt.Fprintf(&b, "# pod %s\n%s", name, exports(environmentOf(world.Pod(name), url)))
	}
	return b.String()
}

// environmentOf returns the variables of a pod as KEY=value, with the emulator as
// the endpoint of every service. A chain of crossrole looks only at that of STS.
func environmentOf(pod *awstest.Pod, url string) []string {
	return append(pod.Env(), "AWS_ENDPOINT_URL="+url, "AWS_ENDPOINT_URL_STS="+url)
}

// exports returns an environment as lines for a POSIX shell.
func exports(environment []string) string {
	var b strings.Builder
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return b.String()
}

// Close removes the volumes of the pods.
func (e *Emulator) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, name := range e.world.Pods() {
		errs = append(errs, os.RemoveAll(filepath.Join(e.tokenDir, name)))
	}
	return errors.Join(errs...)
}

// ServeHTTP implements http.Handler.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_crossrole/") || r.URL.Path == "/_crossrole":
		e.mux.ServeHTTP(w, r)
	case isBrowser(r):
		e.page(w, r)
	default:
		e.mu.Lock()
		handler := e.handler
		e.mu.Unlock()
		handler.ServeHTTP(w, r)
	}
}

// isBrowser reports whether a person asks for the page: ListBuckets, the other
// GET of /, is signed.
func isBrowser(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/" && r.URL.RawQuery == "" &&
		r.Header.Get("Authorization") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// heldFault is a fault that the control API added.
type heldFault struct {
	Fault  fault
	added  time.Time
	remove func()
}
