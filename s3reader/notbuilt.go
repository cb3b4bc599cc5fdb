package s3reader

import (
	"fmt"
	"io/fs"
)

// errNotBuilt is returned by the methods whose bodies are still to come.
func errNotBuilt(name string) error {
	return fmt.Errorf("s3reader: %s is not built yet", name)
}

type notBuiltFS struct{}

func (notBuiltFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errNotBuilt("FS")}
}
