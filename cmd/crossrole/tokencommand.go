package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
	"unicode"
)

// splitCommand splits a command line into words, without a shell. White space separates
// them, except between two single or two double quotes, which are left out. No other
// character is special.
func splitCommand(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune // that is open; 0: none
	inWord := false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && unicode.IsSpace(c):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote (%c) is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, fmt.Errorf("it names no program; want a program and its arguments, such as 'kubectl create token reader --audience sts.amazonaws.com'")
	}
	return words, nil
}

const (
	maxTokenOutput = 32 << 10 // more than a token may have, so that a longer one is noticed
	maxTokenErrors = 2 << 10
)

// tokenCommand returns a function for WebIdentity.Token that runs a program and returns
// what it prints. If the program fails, the error has the beginning of its standard error.
// Its arguments may be secret and are not shown.
func tokenCommand(words []string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		stdout, stderr := &head{limit: maxTokenOutput}, &head{limit: maxTokenErrors}
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		cmd.WaitDelay = time.Second // its children may keep the pipes open
		if err := cmd.Run(); err != nil {
			if text := strings.TrimSpace(string(stderr.kept)); text != "" {
				return nil, fmt.Errorf("%s: %w: %s", words[0], err, text)
			}
			return nil, fmt.Errorf("%s: %w", words[0], err)
		}
		return stdout.kept, nil
	}
}

// head is a writer that keeps at most limit bytes, the first ones.
type head struct {
	kept  []byte
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.limit-len(h.kept))]...)
	return len(p), nil
}
