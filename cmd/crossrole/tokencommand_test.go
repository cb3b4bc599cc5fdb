package main

import (
	"slices"
	"testing"
)

// TestSplitCommand splits command lines of --token-command as its help says.
func TestSplitCommand(t *testing.T) {
	for line, want := range map[string][]string{
		"token":                       {"token"},
		"  kubectl\tcreate token\n":   {"kubectl", "create", "token"},
		`vault read 'a b' "c 'd' e"`:  {"vault", "read", "a b", "c 'd' e"},
		`--header="X: 1"'2'`:          {"--header=X: 12"},
		`token ''`:                    {"token", ""},
		`C:\bin\token.exe $HOME * \"`: nil, // the quote is not escaped
		`C:\bin\token.exe $HOME * |`:  {`C:\bin\token.exe`, "$HOME", "*", "|"},
		"":                            nil,
		" \t":                         nil,
		"''":                          nil,
		"token 'x":                    nil,
	} {
		got, err := splitCommand(line)
		if (err != nil) != (want == nil) || err == nil && !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", line, got, err, want)
		}
	}
}
