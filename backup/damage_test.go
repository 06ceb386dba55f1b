package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/backup"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// small is a backup of two basins with little in them.
func small(t *testing.T, o backup.SaveOptions) string {
	t.Helper()
	r := inMemory(t)
	for _, name := range []string{"first-basin", "second-basin"} {
		ref := r.stream(r.basin(name, protocol.BasinConfig{}), "s", protocol.StreamConfig{})
		for _, body := range []string{"one", "two", "three"} {
			r.append(ref, record(body+name))
		}
	}
	dir, _ := save(t, r, o)
	return dir
}

// TestEveryFlippedByteIsFound, whichever it is, with the name of its file.
func TestEveryFlippedByteIsFound(t *testing.T) {
	for _, o := range []backup.SaveOptions{{}, {Compress: true}} {
		dir := small(t, o)
		for _, name := range files(t, dir) {
			path := filepath.Join(dir, name)
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := range good {
				bad := bytes.Clone(good)
				bad[i] ^= 1 << (i % 8)
				write(t, path, bad)
				if _, err := backup.Verify(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), name) {
					t.Fatalf("byte %d of %s was changed: %v", i, name, err)
				}
			}
			write(t, path, good)
		}
		if _, err := backup.Verify(t.Context(), dir, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedBackups: each kind of damage is told with the name of the file, and nothing is restored.
func TestDamagedBackups(t *testing.T) {
	logs := func(dir string) []string {
		names, err := filepath.Glob(filepath.Join(dir, "logs", "*"))
		if err != nil || len(names) != 2 {
			t.Fatal(names, err)
		}
		return names
	}
	for name, hurt := range map[string]func(t *testing.T, dir string) (file string){
		"a file is missing": func(t *testing.T, dir string) string {
			must(t, os.Remove(logs(dir)[0]))
			return logs0(logs, dir, t)
		},
		"a file is cut": func(t *testing.T, dir string) string {
			f := logs(dir)[1]
			info, err := os.Stat(f)
			must(t, err)
			must(t, os.Truncate(f, info.Size()-1))
			return f
		},
		"a file is cut between frames": func(t *testing.T, dir string) string {
			f := logs(dir)[1]
			raw, err := os.ReadFile(f)
			must(t, err)
			frame, err := chunk.ReadFrame(bytes.NewReader(raw))
			must(t, err)
			write(t, f, raw[:len(chunk.AppendFrame(nil, &frame))])
			return f
		},
		"a file is empty": func(t *testing.T, dir string) string {
			write(t, logs(dir)[0], nil)
			return logs(dir)[0]
		},
		"a file goes on": func(t *testing.T, dir string) string {
			f := logs(dir)[0]
			raw, err := os.ReadFile(f)
			must(t, err)
			write(t, f, append(raw, 'x'))
			return f
		},
		"files are swapped": func(t *testing.T, dir string) string {
			l := logs(dir)
			must(t, os.Rename(l[0], dir+"/tmp"))
			must(t, os.Rename(l[1], l[0]))
			must(t, os.Rename(dir+"/tmp", l[1]))
			return l[0]
		},
		"the catalog is missing": func(t *testing.T, dir string) string {
			must(t, os.Remove(filepath.Join(dir, "catalog.jsonl")))
			return "catalog.jsonl"
		},
		"the catalog is cut": func(t *testing.T, dir string) string {
			must(t, os.Truncate(filepath.Join(dir, "catalog.jsonl"), 100))
			return "catalog.jsonl"
		},
		"a file of another backup": func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "logs", "third-basin.0.chunks"), []byte("x"))
			return "third-basin.0.chunks"
		},
		"the manifest is missing": func(t *testing.T, dir string) string {
			must(t, os.Remove(filepath.Join(dir, "manifest.json")))
			return "manifest.json is missing"
		},
		"the manifest was edited": func(t *testing.T, dir string) string {
			f := filepath.Join(dir, "manifest.json")
			raw, err := os.ReadFile(f)
			must(t, err)
			write(t, f, bytes.Replace(raw, []byte(`"basins": 2`), []byte(`"basins": 1`), 1))
			return f
		},
		"nothing is there": func(t *testing.T, dir string) string {
			must(t, os.RemoveAll(dir))
			must(t, os.Mkdir(dir, 0o700))
			return "no backup"
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := small(t, backup.SaveOptions{})
			want := hurt(t, dir)
			dst := inMemory(t)
			_, err := backup.Restore(t.Context(), dst.Client, dir, backup.RestoreOptions{})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("restore gave %v, want %q in it", err, want)
			}
			if page, err := dst.ListBasins(t.Context(), protocol.ListRequest{}); err != nil || len(page.Basins) > 0 {
				t.Errorf("there are basins now: %v, %v", page, err)
			}
			if _, err := backup.Restore(t.Context(), dst.Client, dir, backup.RestoreOptions{NoVerify: true}); err == nil {
				t.Error("without verifying first, the damage is not noticed at all")
			}
		})
	}
}

// logs0 is the name of the first log of the first basin, whether it is there or not.
func logs0(_ func(string) []string, dir string, _ *testing.T) string {
	return filepath.Join(dir, "logs", "first-basin.")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDirectoryRules: a backup never writes over files, unless it is told to replace a backup.
func TestDirectoryRules(t *testing.T) {
	r := inMemory(t)
	r.append(r.stream(r.basin("some-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{}), record("x"))
	try := func(dir string, force bool) error {
		_, err := backup.Save(t.Context(), r.Client, dir, backup.SaveOptions{Force: force})
		return err
	}
	unmounted := filepath.Join(t.TempDir(), "a")
	if err := try(filepath.Join(unmounted, "b"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory in one that is not there gave %v", err)
	}
	must(t, os.Mkdir(unmounted, 0o700))
	dir := filepath.Join(unmounted, "b")
	must(t, try(dir, false))
	if err := try(dir, false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a second backup gave %v", err)
	}
	must(t, try(dir, true))
	write(t, filepath.Join(dir, "notes.txt"), []byte("mine"))
	if err := try(dir, true); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("a directory with another file gave %v", err)
	}
	if _, err := backup.Verify(t.Context(), dir, nil); err == nil {
		t.Error("a strange file was overlooked")
	}
	must(t, os.Remove(filepath.Join(dir, "notes.txt")))
	if _, err := backup.Verify(t.Context(), dir, nil); err != nil {
		t.Errorf("the refused backup did harm: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "catalog.jsonl"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the backup: %v", info.Mode())
	}
}

// TestInterruptedBackup: what an interrupted backup leaves is no backup, and can be replaced.
func TestInterruptedBackup(t *testing.T) {
	r := inMemory(t)
	ref := r.stream(r.basin("some-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	for range 20 {
		r.append(ref, record("some bytes"))
	}
	for calls := range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		dir := filepath.Join(t.TempDir(), "b")
		src := broken(r.Client, &faulty{after: calls, fault: func() error { cancel(); return ctx.Err() }})
		if _, err := backup.Save(ctx, src, dir, backup.SaveOptions{PageBytes: 300}); err == nil {
			t.Fatalf("interrupted after %d calls, and there is a backup", calls)
		}
		if _, err := backup.Verify(t.Context(), dir, nil); err == nil {
			t.Fatalf("interrupted after %d calls, and it verifies", calls)
		}
		if _, err := backup.Save(t.Context(), r.Client, dir, backup.SaveOptions{Force: true}); err != nil {
			t.Fatalf("interrupted after %d calls: %v", calls, err)
		}
		if _, err := backup.Verify(t.Context(), dir, nil); err != nil {
			t.Fatal(err)
		}
	}
}
