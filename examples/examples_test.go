// Package examples holds small programs. Its test runs each and compares what it prints with the comment at its top.
package examples

import (
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestExamples(t *testing.T) {
	programs, err := filepath.Glob("*/main.go")
	if err != nil || len(programs) != 5 {
		t.Fatal(programs, err)
	}
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range programs {
		t.Run(filepath.Dir(path), func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			_, want, ok := strings.Cut(file.Doc.Text(), "It prints:\n\n")
			if !ok {
				t.Fatal("its comment does not say what it prints")
			}
			out, err := exec.CommandContext(t.Context(), filepath.Join(bin, filepath.Dir(path))).Output()
			if err != nil {
				t.Fatal(err)
			}
			var wantLines []string
			for line := range strings.Lines(want) {
				wantLines = append(wantLines, strings.TrimPrefix(strings.TrimPrefix(line, "    "), "\t"))
			}
			if got, want := strings.TrimSpace(string(out)), strings.TrimSpace(strings.Join(wantLines, "")); got != want {
				t.Errorf("it prints\n%s\nwant\n%s", got, want)
			}
		})
	}
}
