package s3reader

import "fmt"

// errNotBuilt is what declared methods return whose bodies are still to come.
func errNotBuilt(name string) error {
	return fmt.Errorf("s3reader: %s is not built yet", name)
}
