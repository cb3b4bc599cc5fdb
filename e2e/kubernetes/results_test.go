package kubernetes_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// results collects the results of the runs, for the tables in README.md.
var results table

type table struct {
	mu     sync.Mutex
	drills []string
	soaks  []string
}

func (r *table) drill(name, saw string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drills = append(r.drills, fmt.Sprintf("| %s | %s |", name, saw))
}

func (r *table) soak(row string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.soaks = append(r.soaks, row)
}

const (
	tableBegin = "<!-- written by make e2e-kubernetes: begin -->\n"
	tableEnd   = "<!-- end -->\n"
)

// write replaces the tables in a Markdown file. If a run was incomplete or failed, it
// does not change the file.
func (r *table) write(file string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.drills) != drillCount || len(r.soaks) != 2 {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, begins := strings.Cut(string(text), tableBegin)
	_, tail, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q to write the tables between", file, strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	tables := "| drill | what running programs see |\n|---|---|\n" + strings.Join(r.drills, "\n") +
		"\n\n| soak | for | gateway killed | sessions | new tokens | exact reads | errors while it was down | last error after its restart | other errors |\n|---|---|---|---|---|---|---|---|---|\n" +
		strings.Join(r.soaks, "\n") + "\n"
	return os.WriteFile(file, []byte(head+tableBegin+tables+tableEnd+tail), 0o644)
}
