package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra/doc"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
)

// TestManPages: docs/man holds what the commands say of themselves. The packages install it. Run it with -update after a
// change of a verb or a flag.
func TestManPages(t *testing.T) {
	const dir = "../../../../docs/man"
	made := t.TempDir()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		made = dir
	}
	root := cli.Root(env(newFake(), &run{}, ""))
	root.DisableAutoGenTag = true
	// cobra reads the texts as Markdown.
	plain := strings.NewReplacer("_", `\_`, "*", `\*`, "<", `\<`)
	for _, c := range append(root.Commands(), root) {
		c.Long = plain.Replace(c.Long)
	}
	// The date says nothing that the version does not.
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := doc.GenManTree(root, &doc.GenManHeader{Title: "WEIR", Section: "1", Date: &date, Source: "weir", Manual: "weir"}, made); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(made + "/*.1")
	if err != nil || len(pages) < 30 {
		t.Fatal(len(pages), err)
	}
	for _, path := range pages {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := os.ReadFile(filepath.Join(dir, filepath.Base(path))); err != nil || string(got) != string(want) {
			t.Errorf("docs/man/%s is not what the command says now (%v): go test ./cmd/weir/internal/cli -run ManPages -update", filepath.Base(path), err)
		}
	}
	kept, err := filepath.Glob(dir + "/*.1")
	if err != nil || len(kept) != len(pages) {
		t.Errorf("docs/man has %d pages, the command %d (%v)", len(kept), len(pages), err)
	}
}
