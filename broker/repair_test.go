package broker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/broker"
)

func TestRepair(t *testing.T) {
	dir := t.TempDir()
	b := start(t, onDisk(dir))
	ensureBasin(t, b.Service())
	appendTo(t, b.Service(), "x")
	if _, err := broker.Repair(dir, "s2", broker.RepairMend); err == nil || !strings.Contains(err.Error(), "runs on the store directory") {
		t.Fatal("it looks at a store under a running broker:", err)
	}
	closeBroker(t, b)
	if r, err := broker.Repair(dir, "s2", broker.RepairLook); err != nil || len(r.Safe)+len(r.Lost) != 0 {
		t.Fatal(r, err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "jetstream", "WEIR", "streams", "S2_LOG_*"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	half := filepath.Join(filepath.Dir(logs[0]), "S2_LOG_express_63")
	if err := os.Mkdir(half, 0o750); err != nil {
		t.Fatal(err)
	}
	if r, err := broker.Repair(dir, "s2", broker.RepairLook); err != nil || len(r.Safe) != 1 || !strings.Contains(r.Safe[0], "S2_LOG_express_63") {
		t.Fatal(r, err)
	}
	if _, err := os.Stat(half); err != nil {
		t.Fatal("a dry run has changed something:", err)
	}
	if r, err := broker.Repair(dir, "s2", broker.RepairMend); err != nil || len(r.Safe) != 1 {
		t.Fatal(r, err)
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Fatal("it is still there:", err)
	}
	if err := os.Truncate(filepath.Join(logs[0], "msgs", "1.blk"), 40); err != nil {
		t.Fatal(err)
	}
	if r, err := broker.Repair(dir, "s2", broker.RepairMend); err != nil || len(r.Lost) != 1 || !strings.Contains(r.Lost[0], "1.blk is damaged") {
		t.Fatal(r, err)
	}
	if _, err := broker.Repair(t.TempDir(), "s2", broker.RepairLook); err == nil {
		t.Fatal("an empty directory passes for a store")
	}
}
