package conformance

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/test/spec"
)

// tables are the tables of rows, and the first and last row of each.
var tables = []struct {
	name        string
	control     bool
	rows        []Row
	first, last int
}{
	{"data plane", false, DataPlane, 1, 375},
	{"control plane", true, ControlPlane, 1, 272},
	{"background tasks", true, ControlPlaneTasks, 273, 316},
	{"locations", true, ControlPlaneLocations, 404, 413},
	{"access tokens", true, ControlPlaneTokens, 317, 378},
	{"usage metrics", true, ControlPlaneUsage, 379, 403},
	{"control plane over HTTP and the command", true, ControlPlaneHTTP, 414, 499},
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

// TestUnitTestsNameTheirRows: what a table leaves to a package is named there, in a test or in its data, as A.2/43, A.2/43
// and 44, or A.2/43 to 48.
func TestUnitTestsNameTheirRows(t *testing.T) {
	pages, packages := pages(t), map[string]map[ref]bool{}
	for _, table := range tables {
		for _, row := range table.rows {
			if row.Place != ByUnitTest && row.Place != ByClient || row.Where == "" || strings.HasPrefix(row.Where, "SDK") {
				continue
			}
			if packages[row.Where] == nil {
				packages[row.Where] = rowsNamedIn(t, pages, filepath.Join("..", "..", row.Where))
			}
			for n := row.First; n <= row.Last; n++ {
				if !packages[row.Where][ref{control: table.control, section: row.Section, number: n}] {
					t.Errorf("%s: no test of %s names row %s/%d", table.name, row.Where, row.Section, n)
				}
			}
		}
	}
}

// rowsNamedIn reads the tests below a folder, and their data.
func rowsNamedIn(t *testing.T, pages *spec.Pages, dir string) map[ref]bool {
	t.Helper()
	named := map[ref]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".transcript") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, c := range spec.Citations(string(text)) {
			if row, ok := pages.Find(c); ok {
				named[ref{control: row.Plane == spec.Control, section: row.Section, number: row.Number}] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// TestTablesListTheRowsOfTheSpecification: each row of docs/spec is in a table, in its section, and no other row is.
func TestTablesListTheRowsOfTheSpecification(t *testing.T) {
	listed := map[spec.Plane]map[ref]bool{spec.Data: {}, spec.Control: {}}
	for _, table := range tables {
		plane := spec.Data
		if table.control {
			plane = spec.Control
		}
		for _, row := range table.rows {
			for n := row.First; n <= row.Last; n++ {
				listed[plane][ref{section: row.Section, number: n}] = true
			}
		}
	}
	for _, row := range pages(t).Rows {
		r := ref{section: row.Section, number: row.Number}
		if !listed[row.Plane][r] {
			t.Errorf("%s: no table lists row %s/%d", row.Plane, row.Section, row.Number)
		}
		delete(listed[row.Plane], r)
	}
	for plane, rows := range listed {
		for r := range rows {
			t.Errorf("a table lists row %s/%d, which %s does not have", r.section, r.number, plane)
		}
	}
}

// TestCitationsExist: the sections, rows and decisions that code, tests and documents cite are in docs/spec.
func TestCitationsExist(t *testing.T) {
	pages, root, cited := pages(t), filepath.Join("..", ".."), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch {
			case d.Name() == ".git", d.Name() == "node_modules", path == filepath.Join(root, "test", "spec"):
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".ts", ".md", ".transcript":
		default:
			return nil
		}
		text, err := os.ReadFile(path)
		for _, c := range spec.Citations(string(text)) {
			if cited++; !pages.Has(c) {
				t.Errorf("%s:%d cites %s, which docs/spec does not have", strings.TrimPrefix(filepath.ToSlash(path), "../../"), c.Line, c)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if cited < 1000 {
		t.Errorf("found only %d citations", cited)
	}
}

func pages(t *testing.T) *spec.Pages {
	t.Helper()
	pages, err := spec.Load(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return pages
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
