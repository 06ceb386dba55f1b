package conformance

import (
	"os"
	"path/filepath"
	"testing"
)

// Rows in the appendices: data plane 1 to 375, and control plane 1 to 272 as far as issue 2 goes.
const (
	dataPlaneRows    = 375
	controlPlaneRows = 272
)

func TestTablesListEveryRowOnce(t *testing.T) {
	for name, table := range map[string][]Row{"data plane": DataPlane, "control plane": ControlPlane} {
		want := map[string]int{"data plane": dataPlaneRows, "control plane": controlPlaneRows}[name]
		next := 1
		for _, row := range table {
			if row.First != next || row.Last < row.First {
				t.Errorf("%s: rows %d to %d of %s do not follow on %d", name, row.First, row.Last, row.Section, next-1)
			}
			next = row.Last + 1
		}
		if next != want+1 {
			t.Errorf("%s: the table ends with row %d, the appendix with %d", name, next-1, want)
		}
	}
}

func TestEveryRowIsCheckedWhereItsTableSays(t *testing.T) {
	named := map[ref]bool{}
	for _, c := range Cases() {
		rows, err := refs(c.Row)
		if err != nil {
			t.Errorf("case %q: %v", c.Title(), err)
		}
		for _, r := range rows {
			named[r] = true
		}
	}
	for _, table := range []struct {
		control bool
		rows    []Row
	}{{false, DataPlane}, {true, ControlPlane}} {
		for _, row := range table.rows {
			for n := row.First; n <= row.Last; n++ {
				r := ref{table.control, row.Section, n}
				if here := row.Place == Here; here != named[r] {
					t.Errorf("row %+v: its table says %q, and a case names it: %v", r, row.Place, named[r])
				}
				delete(named, r)
			}
		}
	}
	for r := range named {
		if r.number != 0 {
			t.Errorf("a case names row %+v, which no table lists", r)
		}
	}
}

func TestRowsNamePackagesThatExist(t *testing.T) {
	for _, row := range append(DataPlane, ControlPlane...) {
		if row.Place != ByUnitTest {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", row.Where)); err != nil {
			t.Errorf("rows %s/%d-%d: %v", row.Section, row.First, row.Last, err)
		}
	}
}

func TestTitlesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Title()] {
			t.Errorf("two cases are called %q", c.Title())
		}
		seen[c.Title()] = true
	}
}

func TestReferenceCasesAreThereUnderTheirNames(t *testing.T) {
	missing := map[string]bool{
		"resolve_timestamp_bounded_to_stream":                             true,
		"read_completes_when_all_records_deleted":                         true,
		"read_wait_is_not_extended_by_heartbeats":                         true,
		"read_wait_is_reset_by_delivered_follow_batch":                    true,
		"read_wait_is_not_reset_after_follow_lag_without_catchup_records": true,
		"unbounded_follow_survives_streamer_dormancy":                     true,
	}
	for _, c := range Cases() {
		delete(missing, c.Title())
	}
	for name := range missing {
		t.Errorf("there is no case %s", name)
	}
}
