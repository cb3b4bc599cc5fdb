package crossrole_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	mostFiles    = 4  // over which the methods of one type may be spread
	longUnmapped = 80 // lines that a file may have without a comment that says what it is for
)

// spread lists the types whose methods may be spread over more than mostFiles files,
// and why.
var spread = map[string]string{
	"credentials.session": "one file for each mechanism that acts on a session: its states, refresh, exchange, token, recovery, check, KeepFresh",
	"s3reader.Reader":     "one file for each public operation; client makes the requests",
}

// inside lists the tests of unexported code outside internal/, and why they are there.
var inside = map[string]string{
	"awstest/chunked_internal_test.go": "AWS's test vectors for chunk signatures have a fixed key and time, which no request to a cloud can have",
}

// TestHouse enforces the layout that CONTRIBUTING.md describes: the methods of a type
// are in few files, unexported code is tested from outside or moves to an internal
// package, a long file says what it is for, and regular expressions are compiled on
// first use.
func TestHouse(t *testing.T) {
	methods := map[string]map[string]bool{} // for each type, the files with its methods
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name := entry.Name(); name != "." && strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		case filepath.Ext(path) != ".go":
			return nil
		case strings.HasSuffix(path, "_internal_test.go") && !strings.Contains(filepath.ToSlash(path), "/internal/"):
			if inside[filepath.ToSlash(path)] != "" {
				return nil
			}
			t.Errorf("%s: tests of unexported code belong to a package below internal/", path)
			return nil
		case strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if lines := fset.File(file.Pos()).LineCount(); lines > longUnmapped && !introduced(file) {
			t.Errorf("%s: %d lines, and no comment at its head or on its first declaration says what the file is for", path, lines)
		}
		for _, d := range file.Decls {
			if at := compiles(d); at != nil && !strings.HasPrefix(filepath.ToSlash(path), "e2e/") && !strings.HasPrefix(filepath.ToSlash(path), "tools/") {
				t.Errorf("%s: the program compiles a regular expression when it starts; use internal/lazyregexp", fset.Position(at.Pos()))
			}
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
				id := filepath.ToSlash(filepath.Dir(path)) + "." + receiver(f.Recv.List[0].Type)
				if methods[id] == nil {
					methods[id] = map[string]bool{}
				}
				methods[id][filepath.Base(path)] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range slices.Sorted(maps.Keys(methods)) {
		files := slices.Sorted(maps.Keys(methods[id]))
		switch reason := spread[id]; {
		case len(files) > mostFiles && reason == "":
			t.Errorf("%s has methods in %d files; at most %d are allowed: %s", id, len(files), mostFiles, strings.Join(files, ", "))
		case len(files) <= mostFiles && reason != "":
			t.Errorf("%s has methods in only %d files: remove it from the exceptions", id, len(files))
		}
	}
	for id := range spread {
		if methods[id] == nil {
			t.Errorf("%s is in the list of exceptions but has no methods", id)
		}
	}
}

// introduced reports whether the file begins with a comment: before or after its
// package clause, or on its first declaration that is not an import.
func introduced(file *ast.File) bool {
	var first ast.Decl
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); !ok || g.Tok != token.IMPORT {
			first = d
			break
		}
	}
	for _, c := range file.Comments {
		directive := strings.HasPrefix(c.List[0].Text, "//go:") && len(c.List) == 1
		if !directive && (first == nil || c.Pos() < first.Pos()) {
			return true
		}
	}
	return false
}

// compiles returns the call in a variable's declaration that compiles a regular
// expression when the program starts; nil if there is none.
func compiles(d ast.Decl) (call ast.Node) {
	if _, ok := d.(*ast.FuncDecl); ok {
		return nil
	}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			f, _ := n.Fun.(*ast.SelectorExpr)
			if f != nil && strings.HasPrefix(f.Sel.Name, "MustCompile") {
				call = n
			}
		}
		return call == nil
	})
	return call
}

func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return fmt.Sprintf("%T", expr)
}
