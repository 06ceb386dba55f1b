package natsd

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModeOfAStoreDirectory(t *testing.T) {
	const node = "cluster blue"
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		mode    string
		refused string // part of the error
	}{
		{"new, alone", nil, modeSingle, ""},
		{"new, a node", nil, node, ""},
		{"alone again", func(t *testing.T, dir string) { claim(t, dir, modeSingle) }, modeSingle, ""},
		{"the node again", func(t *testing.T, dir string) { claim(t, dir, node) }, node, ""},
		{"alone, then a node", func(t *testing.T, dir string) { claim(t, dir, modeSingle) }, node, `mode "single"`},
		{"a node, then alone", func(t *testing.T, dir string) { claim(t, dir, node) }, modeSingle, `mode "cluster blue"`},
		{"a node of another cluster", func(t *testing.T, dir string) { claim(t, dir, "cluster red") }, node, `mode "cluster red"`},
		{"written before there were modes", func(t *testing.T, dir string) { mkdir(t, dir, "jetstream") }, modeSingle, ""},
		{"written before there were modes, then a node", func(t *testing.T, dir string) { mkdir(t, dir, "jetstream") }, node, `mode "single"`},
		{"a note that a crash left empty", func(t *testing.T, dir string) { write(t, filepath.Join(dir, modeFile), "") }, modeSingle, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if tc.prepare != nil {
				tc.prepare(t, dir)
			}
			err := claimMode(dir, tc.mode)
			if tc.refused == "" {
				if err != nil {
					t.Fatal(err)
				}
				if text, err := os.ReadFile(filepath.Join(dir, modeFile)); err != nil || string(text) != tc.mode+"\n" {
					t.Fatalf("the note says %q, %v", text, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.refused) || !strings.Contains(err.Error(), "weir backup") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// A node under another name is told how to get its name back, and that of another cluster how to move its records.
func TestANodeUnderAnotherName(t *testing.T) {
	dir := t.TempDir()
	claim(t, dir, "cluster blue, node one")
	for mode, want := range map[string]string{"cluster blue, node two": "set nats.server_name to one", "cluster red, node one": "weir backup", "cluster blue": "weir backup"} {
		if err := claimMode(dir, mode); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func claim(t *testing.T, dir, mode string) {
	t.Helper()
	if err := claimMode(dir, mode); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, name), 0o750); err != nil {
		t.Fatal(err)
	}
}

// A start notes the mode, and a start on a directory of a cluster is refused before the NATS server touches it.
func TestStartOnTheStoreOfANodeIsRefused(t *testing.T) {
	c := quiet(t.TempDir())
	claim(t, c.StoreDir, "cluster blue")
	_, err := startEmbedded(t.Context(), c, slog.New(slog.DiscardHandler), func(error) {})
	if err == nil || !strings.Contains(err.Error(), `mode "cluster blue"`) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(c.StoreDir, "jetstream")); err == nil {
		t.Error("the NATS server has opened the directory")
	}
	c = quiet(t.TempDir())
	stop(t, open(t, c))
	claim(t, c.StoreDir, modeSingle)
	if err := claimMode(c.StoreDir, "cluster blue"); err == nil {
		t.Error("the start has left no note")
	}
}

// A node gets missing records from the others. So its start looks through no files, and an orderly stop leaves no note.
func TestInspectKnowsNodes(t *testing.T) {
	for mode, stopped := range map[string]bool{modeSingle: false, modeCluster + "blue" + nodeOf + "n1": true} {
		dir := t.TempDir()
		mkdir(t, dir, "jetstream")
		write(t, filepath.Join(dir, modeFile), mode)
		s, err := Inspect(dir, "s2", false)
		if err != nil || s.Mode != mode || s.Stopped != stopped {
			t.Errorf("%s: %+v, %v", mode, s, err)
		}
	}
}
