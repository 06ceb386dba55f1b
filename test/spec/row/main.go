// Command row prints rows of the specification and the tests that cite them.
//
//	go run ./test/spec/row A.2/49 'cp A.20/368'
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstream/weir/test/spec"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./test/spec/row A.2/49 ['cp A.20/368' ...], in the root of the repository")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "row:", err)
		os.Exit(1)
	}
}

func run(rows []string) error {
	pages, err := spec.Load(".")
	if err != nil {
		return fmt.Errorf("run it in the root of the repository: %w", err)
	}
	cited, err := citedByTests(pages, ".")
	if err != nil {
		return err
	}
	for _, row := range rows {
		found := spec.Citations(row)
		if len(found) == 0 {
			return fmt.Errorf("%q is no row: the form is A.2/49, or cp A.20/368 for the control plane", row)
		}
		for _, want := range found {
			r, ok := pages.Find(want)
			if !ok {
				return fmt.Errorf("there is no row %s", want)
			}
			fmt.Printf("%s %s/%d (docs/spec/%s.md)\n  given:    %s\n  expected: %s\n", r.Plane, r.Section, r.Number, r.Plane, r.Given, r.Then)
			for _, place := range cited[key(r)] {
				fmt.Println("  test:    ", place)
			}
		}
	}
	return nil
}

func key(r spec.Row) string { return fmt.Sprintf("%s %s/%d", r.Plane, r.Section, r.Number) }

// citedByTests maps rows to places in tests, "sessions/append_test.go:12".
func citedByTests(pages *spec.Pages, root string) (map[string][]string, error) {
	cited := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path == filepath.Join(root, "test", "spec") {
				return filepath.SkipDir // its tests cite rows as examples
			}
			return nil
		}
		inSuite := strings.HasPrefix(filepath.ToSlash(path), "test/conformance/") && strings.HasSuffix(path, ".go")
		if !inSuite && !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".transcript") || strings.HasSuffix(path, "conformance/rows.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, c := range spec.Citations(string(text)) {
			if c.Row == 0 {
				continue
			}
			if inSuite && c.Plane == "" {
				c.Plane = spec.Data // the suite's cases say "cp" for the control plane
			}
			if r, ok := pages.Find(c); ok {
				cited[key(r)] = append(cited[key(r)], fmt.Sprintf("%s:%d", filepath.ToSlash(path), c.Line))
			}
		}
		return nil
	})
	return cited, err
}
