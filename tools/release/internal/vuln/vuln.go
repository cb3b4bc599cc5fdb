// Package vuln runs govulncheck and keeps apart what its failure can mean: a
// vulnerability, or that there was nothing to compare with.
package vuln

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// Database is the Go vulnerability database.
const Database = "https://vuln.go.dev"

var (
	// ErrUnreachable means that nothing was checked, because the database does not
	// respond.
	ErrUnreachable = errors.New("the vulnerability database cannot be reached")
	// ErrFound means that a vulnerability was found.
	ErrFound = errors.New("vulnerabilities were found")
)

// found is the exit status of govulncheck if a function with a known vulnerability is
// called.
const found = 3

// Check runs the program govulncheck on all packages of the module in the directory
// dir, with the database at the given URL, and returns what it printed. The error
// matches ErrUnreachable if the database does not respond, ErrFound if a vulnerability
// was found, and neither if govulncheck failed.
func Check(ctx context.Context, govulncheck, dir, database string) (string, error) {
	if err := probe(ctx, database); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	cmd := exec.CommandContext(ctx, govulncheck, "-db", database, "./...")
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(text), nil
	case errors.As(err, &exit) && exit.ExitCode() == found:
		return string(text), ErrFound
	}
	return string(text), fmt.Errorf("govulncheck: %w", err)
}

// probe requests the file that govulncheck reads first, and waits 30 seconds at most.
func probe(ctx context.Context, database string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(database, "/")+"/index/db.json.gz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responds with %s", request.URL, response.Status)
	}
	return nil
}
