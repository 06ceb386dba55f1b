package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// document is the part of an OpenAPI document that the router's table can be held against.
type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct {
			Ref  string `json:"$ref"`
			Name string `json:"name"`
			In   string `json:"in"`
		} `json:"parameters"`
		Responses map[string]json.RawMessage `json:"responses"`
	} `json:"paths"`
	Components map[string]map[string]struct {
		In string `json:"in"`
	} `json:"components"`
}

// TestOpenAPI: the document has every route of the table with its method, statuses, headers and query parameters, and no
// other; every reference in it leads somewhere.
func TestOpenAPI(t *testing.T) {
	var doc document
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	operations := 0
	for _, methods := range doc.Paths {
		operations += len(methods)
	}
	if operations != len(routes) {
		t.Errorf("the document has %d operations, the table %d", operations, len(routes))
	}
	for _, r := range routes {
		op, ok := doc.Paths[r.pattern][strings.ToLower(r.method)]
		if !ok || op.OperationID != r.name {
			t.Errorf("%s: %s %s is missing, or called %q", r.name, r.method, r.pattern, op.OperationID)
			continue
		}
		var statuses []string
		all := slices.Concat(r.success, r.failures)
		if !r.probe {
			all = append(all, anyFailure...)
		}
		for _, s := range all {
			if http.StatusText(s) == "" && s != 499 {
				t.Errorf("%s: status %d", r.name, s)
			}
			statuses = append(statuses, strconv.Itoa(s))
		}
		slices.Sort(statuses)
		if got := slices.Sorted(maps.Keys(op.Responses)); !slices.Equal(got, slices.Compact(statuses)) {
			t.Errorf("%s: the document has statuses %v, the table %v", r.name, got, statuses)
		}
		var inPath, headers, query []string
		for _, p := range op.Parameters {
			if p.Ref != "" {
				p.Name = p.Ref[strings.LastIndex(p.Ref, "/")+1:]
				p.In = doc.Components["parameters"][p.Name].In
			}
			switch p.In {
			case "path":
				inPath = append(inPath, "{"+p.Name+"}")
			case "header":
				headers = append(headers, p.Name)
			case "query":
				query = append(query, p.Name)
			default:
				t.Errorf("%s: parameter %s is in %q", r.name, p.Name, p.In)
			}
		}
		if want := slices.DeleteFunc(slices.Clone(r.segments), func(s string) bool { return s[0] != '{' }); !slices.Equal(inPath, want) {
			t.Errorf("%s: the document has path parameters %v, the table %v", r.name, inPath, want)
		}
		if !slices.Equal(headers, r.headers) {
			t.Errorf("%s: the document has headers %v, the table %v", r.name, headers, r.headers)
		}
		if !slices.Equal(query, r.query) {
			t.Errorf("%s: the document has query parameters %v, the table %v", r.name, query, r.query)
		}
	}
	for rest := string(openAPI); ; {
		_, after, found := strings.Cut(rest, `"$ref": "#/components/`)
		if !found {
			break
		}
		ref, after, _ := strings.Cut(after, `"`)
		rest = after
		kind, name, _ := strings.Cut(ref, "/")
		if _, ok := doc.Components[kind][name]; !ok {
			t.Errorf("%s leads nowhere", ref)
		}
	}
}

// TestTable: the table fits the limits that the router has.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	for _, r := range routes {
		if names[r.name] {
			t.Errorf("two routes are called %s", r.name)
		}
		names[r.name] = true
		if len(r.success)+len(r.failures) == 0 || r.serve == nil {
			t.Errorf("%s says nothing", r.name)
		}
		if len(r.query) > len(query{}.values) || strings.Count(r.pattern, "{") > maxParams {
			t.Errorf("%s has too many parameters", r.name)
		}
	}
}
