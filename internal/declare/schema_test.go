package declare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/weirstream/weir/internal/declare"
)

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("spec.json", bytes.NewReader(declare.Schema())); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("spec.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge validates a text against a schema.
func judge(s *jsonschema.Schema, data []byte) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	return s.Validate(v)
}

// beyondSchema are the bad files that a schema cannot refuse.
var beyondSchema = []string{"not_json", "empty", "trailing", "repeated_field", "duplicate_basin", "duplicate_stream",
	"zero_in_basin", "zero_in_stream", "under_a_second", "min_age_under_a_second"}

// TestSchema: control plane A.24/463; the schema takes the good files and refuses the bad ones.
func TestSchema(t *testing.T) {
	var doc struct {
		Schema     string                     `json:"$schema"`
		Type       string                     `json:"type"`
		Properties map[string]json.RawMessage `json:"properties"`
		Defs       map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(declare.Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != "https://json-schema.org/draft/2020-12/schema" || doc.Type != "object" || doc.Properties["basins"] == nil || len(doc.Defs) == 0 {
		t.Errorf("got %+v", doc)
	}
	s := compile(t)
	for name, data := range files(t, "good") {
		if err := judge(s, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range files(t, "bad") {
		if err := judge(s, data); err == nil && !slices.Contains(beyondSchema, name) {
			t.Errorf("the schema takes %s", name)
		}
	}
}

// TestSchemaKnowsTheFields that Parse knows, and no others: of each object in the schema every property is a field, and
// properties that it does not name are refused.
func TestSchemaKnowsTheFields(t *testing.T) {
	var doc struct {
		Defs map[string]struct {
			Type       string                     `json:"type"`
			Additional *bool                      `json:"additionalProperties"`
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(declare.Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	places := map[string]string{ // where an object of the definition stands, with %s for its members
		"Basin":         `{"basins":[{%s}]}`,
		"BasinConfig":   `{"basins":[{"name":"my-basin","config":{%s}}]}`,
		"Stream":        `{"basins":[{"name":"my-basin","streams":[{%s}]}]}`,
		"StreamConfig":  `{"basins":[{"name":"my-basin","config":{"default_stream_config":{%s}}}]}`,
		"Timestamping":  `{"basins":[{"name":"my-basin","config":{"default_stream_config":{"timestamping":{%s}}}}]}`,
		"DeleteOnEmpty": `{"basins":[{"name":"my-basin","config":{"default_stream_config":{"delete_on_empty":{%s}}}}]}`,
	}
	for name, def := range doc.Defs {
		if def.Type != "object" {
			continue
		}
		if def.Additional == nil || *def.Additional {
			t.Errorf("%s may have other members", name)
		}
		for _, property := range slices.Sorted(maps.Keys(def.Properties)) {
			_, err := declare.Parse(fmt.Appendf(nil, places[name], fmt.Sprintf(`%q:0`, property)))
			if err == nil || strings.Contains(err.Error(), property+": there is no such field") {
				t.Errorf("%s.%s: %v", name, property, err)
			}
		}
	}
}

// FuzzSchemaDurations: what Parse takes as a duration the schema takes, and the other way round.
func FuzzSchemaDurations(f *testing.F) {
	for _, s := range []string{"7days", "2h 30m", "0", " 0 ", "00", "5", "1h5", "-1h", "1.5h", "1 M", "infinite", "INFINITE", "1µs", "sh", "1secs2s"} {
		f.Add(s)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("spec.json", bytes.NewReader(declare.Schema())); err != nil {
		f.Fatal(err)
	}
	duration := c.MustCompile("spec.json#/$defs/Duration")
	f.Fuzz(func(t *testing.T, s string) {
		_, err := declare.ParseDuration(s)
		if err != nil && strings.Contains(err.Error(), "is too long") {
			return
		}
		if judged := duration.Validate(s); (err == nil) != (judged == nil) && isASCII(s) {
			t.Errorf("%q: Parse says %v, the schema %v", s, err, judged)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 127 || r == '\v' || r == '\f' })
}
