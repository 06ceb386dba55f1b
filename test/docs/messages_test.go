package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTroubleshootingQuotes: each message in the table of docs/operations.md is in the sources. What differs from case to
// case stands there as "..." or as a capital letter.
func TestTroubleshootingQuotes(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n| message | meaning | action |\n")
	if !found {
		t.Fatal("docs/operations.md has no table of messages")
	}
	table, _, _ := strings.Cut(section, "\n\n")
	sources := goSources(t)
	varies := regexp.MustCompile(`\.\.\.|\b[A-Z]\b`)
	quotes := 0
	for row := range strings.SplitSeq(table, "\n") {
		message := strings.Split(row, "|")[1]
		for _, quote := range codeWords.FindAllString(message, -1) {
			quotes++
			for _, part := range varies.Split(strings.Trim(quote, "`"), -1) {
				if part = strings.Trim(part, " :"); !strings.Contains(sources, part) {
					t.Errorf("%s: no message says %q", quote, part)
				}
			}
		}
	}
	if quotes < 10 {
		t.Errorf("the table has %d messages", quotes)
	}
}

// goSources is the text of all sources of Go that are not tests.
func goSources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for name := range readTree(t).files {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := fs.ReadFile(os.DirFS(root), name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}
