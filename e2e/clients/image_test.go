package clients_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The program in the image of examples/deploy, built by the command in the Dockerfile,
// needs no interpreter and no libraries.
func TestClientsImage(t *testing.T) {
	text, err := os.ReadFile("../../examples/deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	run := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0) go (build .*) -o /crossrole (\S+)$`).FindStringSubmatch(string(text))
	if run == nil {
		t.Fatal("the Dockerfile builds in another way now; build as it does here too")
	}
	program := filepath.Join(t.TempDir(), "crossrole")
	build := exec.CommandContext(t.Context(), "go", append(strings.Fields(run[2]), "-o", program, run[3])...)
	build.Dir, build.Env = "../..", append(os.Environ(), "GOWORK=off", run[1])
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %v", p.Type)
		}
	}
	if out, err := exec.CommandContext(t.Context(), program, "help", "serve").CombinedOutput(); err != nil || !strings.Contains(string(out), "--token-dir") {
		t.Errorf("help: %v\n%s", err, out)
	}
}
