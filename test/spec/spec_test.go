package spec_test

import (
	"reflect"
	"testing"

	"github.com/weirstream/weir/test/spec"
)

func TestCitations(t *testing.T) {
	for text, want := range map[string][]string{
		"// as data plane 4.5 says":                        {"data plane 4.5"},
		"// Source: control\n\t// plane 5.2, 5.3 and D-7.": {"control plane 5.2", "control plane 5.3", "D-7"},
		`Row: "A.2/31,32"`:                                 {"A.2/31", "A.2/32"},
		`Row: "cp A.20/368"`:                               {"control plane A.20/368"},
		"control plane A.24/443 to 445, 451 and 459.":      {"control plane A.24/443", "control plane A.24/444", "control plane A.24/445", "control plane A.24/451", "control plane A.24/459"},
		"data plane sections 3 to 5, 7 bytes":              {"data plane 3", "data plane 5"},
		"(data plane 7.2, 64 bytes)":                       {"data plane 7.2"},
		"data plane A.16 and 8.10":                         {"data plane A.16", "data plane 8.10"},
		"A.2/49 of the data plane's appendix":              {"A.2/49"},
		"the control plane answers 404":                    nil,
	} {
		var got []string
		for _, c := range spec.Citations(text) {
			got = append(got, c.String())
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q cites %q, want %q", text, got, want)
		}
	}
}

func TestCitationsKnowTheirLine(t *testing.T) {
	got := spec.Citations("one\n  // data plane 4.5,\n// 4.7\n")
	if len(got) != 2 || got[0].Line != 2 || got[1].Line != 3 {
		t.Errorf("got %+v", got)
	}
}

// TestRowsWithoutAPlane: they are the data plane's where both planes have the number.
func TestRowsWithoutAPlane(t *testing.T) {
	pages, err := spec.Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for citation, want := range map[string]spec.Plane{"A.2/49": spec.Data, "cp A.2/49": spec.Control, "A.20/368": spec.Control} {
		if row, ok := pages.Find(spec.Citations(citation)[0]); !ok || row.Plane != want {
			t.Errorf("%s is %s %s/%d, want one of the %s", citation, row.Plane, row.Section, row.Number, want)
		}
	}
}

func TestPages(t *testing.T) {
	pages, err := spec.Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		citation spec.Citation
		want     bool
	}{
		{spec.Citation{Plane: spec.Data, Section: "4.5"}, true},
		{spec.Citation{Plane: spec.Data, Section: "4.99"}, false},
		{spec.Citation{Plane: spec.Data, Section: "A.2", Row: 49}, true},
		{spec.Citation{Plane: spec.Data, Section: "A.3", Row: 49}, false},
		{spec.Citation{Section: "A.20", Row: 368}, true},
		{spec.Citation{Plane: spec.Data, Section: "A.20", Row: 368}, false},
		{spec.Citation{Decision: "D-12"}, true},
		{spec.Citation{Decision: "D-99"}, false},
	} {
		if got := pages.Has(c.citation); got != c.want {
			t.Errorf("%s exists: %v, want %v", c.citation, got, c.want)
		}
	}
}
