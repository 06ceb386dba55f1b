package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/cmd/weir/internal/cli"
)

func TestRepair(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(store, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(store, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked []string
	found := cli.Repaired{}
	do := func(answer string, terminal bool, args ...string) *run {
		r := &run{}
		e := env(newFake(), r, answer)
		e.Terminal = func(any) bool { return terminal }
		e.Repair = func(dir, prefix string, mend bool) (cli.Repaired, error) {
			what := "look"
			if mend {
				what = "mend"
			}
			asked = append(asked, what+" "+dir+" "+prefix)
			return found, nil
		}
		r.code = cli.Main(context.Background(), e, append([]string{"repair", "--store-dir", store}, args...))
		return r
	}
	expect := func(r *run, code int, out, last string) {
		t.Helper()
		if r.code != code || !strings.Contains(r.stdout.String()+r.stderr.String(), out) || last != "" && (len(asked) == 0 || asked[len(asked)-1] != last) {
			t.Errorf("exit %d, %q, %q; asked %v", r.code, r.stdout.String(), r.stderr.String(), asked)
		}
		asked = nil
	}
	expect(do("", false), 0, "nothing is wrong", "look "+store+" s2")
	found.Safe = []string{"S2_LOG_express_0: half made: its directory is removed"}
	expect(do("", false), 1, "can be mended without losing a record", "look "+store+" s2")
	expect(do("", false, "--mend"), 2, "there is no terminal to ask on", "")
	expect(do("n\n", true, "--mend"), 1, "nothing was changed", "")
	expect(do("y\n", true, "--mend"), 0, "mended: S2_LOG_express_0", "mend "+store+" s2")
	expect(do("", false, "--mend", "--yes"), 0, "mended: S2_LOG_express_0", "mend "+store+" s2")
	copied := filepath.Join(t.TempDir(), "copy")
	expect(do("", false, "--mend", "--copy-to", copied), 0, "mended", "mend "+copied+" s2")
	if b, err := os.ReadFile(filepath.Join(copied, "file")); err != nil || string(b) != "x" {
		t.Error("it was not copied:", err)
	}
	expect(do("", false, "--mend", "--copy-to", copied), 1, "exists already", "")
	expect(do("", false, "--copy-to", copied), 2, "--mend", "")
	found.Lost = []string{"1.blk is damaged"}
	expect(do("", false, "--json"), 1, `"lost":["1.blk is damaged"]`, "")
}
