package plan

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// hostile are values that a shell would act on if they were not quoted.
var hostile = []string{
	"$(touch ran)", "`touch ran`", "; touch ran;", "& touch ran &", "| touch ran", "> ran", "a\ntouch ran\n", "${IFS}", "$HOME",
	"'", `'"'`, `it's`, `"`, `\`, `a\`, " ", "", "a b", "*", "?", "~", "~root", "-rf", "--help", "=ls", "!1", "#", "a#b", "{a,b}", "[a]", "a\tb", "(x)", "é", "\x01",
}

// What is printed for a shell arrives in a program as it was, and nothing else
// runs.
func TestShellQuote(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	words := make([]string, len(hostile))
	for i, h := range hostile {
		words[i] = shellQuote(h)
	}
	cmd := exec.CommandContext(t.Context(), sh, "-c", `printf '<%s>' `+strings.Join(words, " "))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if want := "<" + strings.Join(hostile, "><") + ">"; err != nil || string(out) != want {
		t.Errorf("%v: got %q, want %q", err, out, want)
	}
	if made, _ := os.ReadDir(dir); len(made) > 0 {
		t.Errorf("something ran: %v", made)
	}
}
