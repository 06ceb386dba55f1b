package declare_test

import (
	"os"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/declare"
)

// TestDocs: the example of docs/declarative.md is good, the schema agrees, and the page knows every unit.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/declarative.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```json\n")
	example, rest, ok := strings.Cut(example, "```\n")
	if !ok {
		t.Fatal("the page has no example")
	}
	res, err := declare.Parse([]byte(example))
	if err != nil || len(res.Basins) != 2 || len(res.Basins[0].Streams) != 3 {
		t.Errorf("got %+v, %v", res, err)
	}
	if err := judge(compile(t), []byte(example)); err != nil {
		t.Error(err)
	}
	_, table, _ := strings.Cut(rest, "| unit | spellings |")
	table, _, _ = strings.Cut(table, "\n\n")
	found := 0
	for line := range strings.Lines(table) {
		for i, code := range strings.Split(line, "`") {
			if i%2 == 0 {
				continue
			}
			for unit := range strings.FieldsSeq(code) {
				found++
				if _, err := declare.ParseDuration("1" + unit); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if found != 40 {
		t.Errorf("the page names %d spellings", found)
	}
}
