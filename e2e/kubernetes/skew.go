package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// SkewVariable contains the seconds by which the clock of a skewed program is ahead
// (negative: behind).
const SkewVariable = "CROSSROLE_E2E_CLOCK_SKEW"

const (
	now       = "\tsec, nsec, mono := runtimeNow()\n"
	skewedNow = now + "\tsec += clockSkew\n"
	skew      = `package time

import "syscall"

var clockSkew = func() int64 {
	text, _ := syscall.Getenv("` + SkewVariable + `")
	n, err := atoi(text)
	if err != nil {
		return 0
	}
	return int64(n)
}()
`
)

// SkewedProgram builds a program with a wrong clock: its time.Now adds the value of
// SkewVariable to the wall clock, and to nothing else. The program's source is
// unchanged. The kernel cannot give a process its own wall clock.
func SkewedProgram(ctx context.Context, module, dir, pkg string) (string, error) {
	root, err := output(ctx, module, "env", "GOROOT")
	if err != nil {
		return "", err
	}
	original := filepath.Join(root, "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("kubernetes: %w", err)
	}
	head, tail, found := bytes.Cut(source, []byte("func Now() Time {\n"+now))
	if !found {
		return "", fmt.Errorf("kubernetes: time.Now in %s is not as it was; see skew.go", original)
	}
	files := map[string]string{
		filepath.Join(dir, "time.go"): string(head) + "func Now() Time {\n" + skewedNow + string(tail),
		filepath.Join(dir, "skew.go"): skew,
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("kubernetes: %w", err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		original: filepath.Join(dir, "time.go"),
		filepath.Join(filepath.Dir(original), "skew.go"): filepath.Join(dir, "skew.go"),
	}})
	if err != nil {
		return "", fmt.Errorf("kubernetes: %w", err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", fmt.Errorf("kubernetes: %w", err)
	}
	out := filepath.Join(dir, "skewed-"+filepath.Base(pkg))
	_, err = output(ctx, module, "build", "-overlay", file, "-o", out, pkg)
	return out, err
}
