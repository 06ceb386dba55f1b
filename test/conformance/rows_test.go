package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Rows in the appendices: data plane 1 to 375, and control plane 1 to 272 as far as issue 2 goes.
const (
	dataPlaneRows    = 375
	controlPlaneRows = 272
)

// tables are the tables of rows, and the first and last row of each.
var tables = []struct {
	name        string
	control     bool
	rows        []Row
	first, last int
}{
	{"data plane", false, DataPlane, 1, dataPlaneRows},
	{"control plane", true, ControlPlane, 1, controlPlaneRows},
	{"background tasks", true, ControlPlaneTasks, 273, 316},
	{"locations", true, ControlPlaneLocations, 404, 413},
	{"access tokens", true, ControlPlaneTokens, 317, 378},
	{"usage metrics", true, ControlPlaneUsage, 379, 403},
	{"control plane over HTTP", true, ControlPlaneHTTP, 414, 489},
}

func TestTablesListEveryRowOnce(t *testing.T) {
	for _, table := range tables {
		next := table.first
		for _, row := range table.rows {
			if row.First != next || row.Last < row.First {
				t.Errorf("%s: rows %d to %d of %s do not follow on %d", table.name, row.First, row.Last, row.Section, next-1)
			}
			next = row.Last + 1
		}
		if next != table.last+1 {
			t.Errorf("%s: the table ends with row %d, the appendix with %d", table.name, next-1, table.last)
		}
	}
}

func TestEveryRowIsCheckedWhereItsTableSays(t *testing.T) {
	named, web := map[ref]bool{}, map[ref]bool{}
	note := func(into map[ref]bool, title, row string) {
		rows, err := refs(row)
		if err != nil {
			t.Errorf("case %q: %v", title, err)
		}
		for _, r := range rows {
			into[r] = true
		}
	}
	for _, c := range Cases() {
		note(named, c.Title(), c.Row)
	}
	for _, c := range TokenCases() {
		note(named, c.Title(), c.Row)
	}
	for _, c := range WebCases() {
		note(web, c.Title(), c.Row)
	}
	for _, table := range tables {
		for _, row := range table.rows {
			for n := row.First; n <= row.Last; n++ {
				r := ref{table.control, row.Section, n}
				if here := row.Place == Here; here != named[r] {
					t.Errorf("row %+v: its table says %q, and a case names it: %v", r, row.Place, named[r])
				}
				// What is checked elsewhere may show in HTTP as well.
				if row.Place == ByHTTP && !web[r] {
					t.Errorf("row %+v: its table says %q, and no such case names it", r, row.Place)
				}
				delete(named, r)
				delete(web, r)
			}
		}
	}
	for _, left := range []map[ref]bool{named, web} {
		for r := range left {
			if r.number != 0 {
				t.Errorf("a case names row %+v, which no table lists", r)
			}
		}
	}
}

func TestRowsNamePackagesThatExist(t *testing.T) {
	for _, row := range slices.Concat(DataPlane, ControlPlane, ControlPlaneHTTP) {
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
	for _, c := range TokenCases() {
		if seen["tokens "+c.Title()] {
			t.Errorf("two cases of access tokens are called %q", c.Title())
		}
		seen["tokens "+c.Title()] = true
	}
	for _, c := range WebCases() {
		if seen["HTTP "+c.Title()] {
			t.Errorf("two cases of HTTP are called %q", c.Title())
		}
		seen["HTTP "+c.Title()] = true
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
