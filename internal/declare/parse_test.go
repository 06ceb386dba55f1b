package declare_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/declare"
	"github.com/weirstream/weir/protocol"
)

func ptr[T any](v T) *T { return &v }

// files returns the contents of the files of a folder in testdata, by name without extension.
func files(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = data
	}
	return all
}

// TestGoodFiles: control plane A.24/443 to 449, 451 and 459.
func TestGoodFiles(t *testing.T) {
	text, none := "text/plain; charset=utf-8", ""
	want := map[string][]declare.Basin{
		"empty": nil,
		"nulls": {
			{Name: "my-basin-01"},
			{Name: "my-basin-02", Streams: []declare.Stream{{Name: "s"}}},
			{Name: "my-basin-03"},
			{Name: "my-basin-04"},
		},
		"expiry": {{
			Name:   "my-basin",
			Config: protocol.BasinConfig{DefaultStreamConfig: protocol.StreamConfig{Expiry: &protocol.Expiry{IdleSecs: 604800}}},
			Streams: []declare.Stream{
				{Name: "a", Config: protocol.StreamConfig{Expiry: &protocol.Expiry{IdleSecs: 3600, At: 4073544000000}}},
				{Name: "b", Config: protocol.StreamConfig{Expiry: &protocol.Expiry{}}},
				{Name: "c"},
			},
		}},
		"content_type": {{
			Name:   "my-basin",
			Config: protocol.BasinConfig{DefaultStreamConfig: protocol.StreamConfig{ContentType: &text}},
			Streams: []declare.Stream{
				{Name: "a", Config: protocol.StreamConfig{ContentType: &none}},
				{Name: "b"},
			},
		}},
		"full": {
			{
				Name: "my-basin-01",
				Config: protocol.BasinConfig{
					CreateStreamOnAppend: true,
					StreamCipher:         protocol.CipherAEGIS256,
					DefaultStreamConfig: protocol.StreamConfig{
						StorageClass:        ptr(protocol.StorageExpress),
						RetentionPolicy:     &protocol.RetentionPolicy{AgeSecs: 604800},
						TimestampingMode:    ptr(protocol.TimestampClientPrefer),
						Uncapped:            ptr(false),
						DeleteOnEmptyMinAge: ptr(uint64(3600)),
					},
				},
				Streams: []declare.Stream{
					{Name: "events", Config: protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{}}},
					{Name: "user/42/漢", Config: protocol.StreamConfig{
						StorageClass: ptr(protocol.StorageStandard), TimestampingMode: ptr(protocol.TimestampClientRequire)}},
				},
			},
			{Name: "other-basin", Streams: []declare.Stream{{Name: "events"}}},
		},
	}
	for name, data := range files(t, "good") {
		t.Run(name, func(t *testing.T) {
			got, err := declare.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if basins, ok := want[name]; !ok || !reflect.DeepEqual(got.Basins, basins) {
				t.Errorf("got %+v, want %+v", got.Basins, basins)
			}
		})
	}
}

// TestDurationsOfConfigs: control plane A.24/445, 446 and 448.
func TestDurationsOfConfigs(t *testing.T) {
	for text, want := range map[string]protocol.RetentionPolicy{
		"infinite": {}, "INFINITE": {}, "Infinite": {}, "7days": {AgeSecs: 604800}, "1s": {AgeSecs: 1}, "1500ms": {AgeSecs: 1},
		"18446744073709551615s": {AgeSecs: 1<<64 - 1},
	} {
		res, err := declare.Parse([]byte(`{"basins":[{"name":"my-basin","config":{"default_stream_config":{"retention_policy":"` + text + `"}}}]}`))
		if err != nil || *res.Basins[0].Config.DefaultStreamConfig.RetentionPolicy != want {
			t.Errorf("%s: got %+v, %v", text, res, err)
		}
	}
	for text, want := range map[string]uint64{"1day": 86400, "0s": 0, "0": 0, "1h 30m": 5400} {
		res, err := declare.Parse([]byte(`{"basins":[{"name":"my-basin","streams":[{"name":"s","config":{"delete_on_empty":{"min_age":"` + text + `"}}}]}]}`))
		if err != nil || *res.Basins[0].Streams[0].Config.DeleteOnEmptyMinAge != want {
			t.Errorf("%s: got %+v, %v", text, res, err)
		}
	}
}

const age = "retention_policy: age must be greater than 0 seconds, and at least 1 second"

// badFiles are the problems of each file in testdata/bad: control plane 9.6, A.24/447, 450, 452 to 458 and D-23.
var badFiles = map[string][]string{
	"not_json":       {"invalid JSON: the text ends too early"},
	"empty":          {"invalid JSON: the text ends too early"},
	"trailing":       {"invalid JSON: data after the value"},
	"array":          {"the file: want an object, got an array"},
	"null":           {"the file: want an object, got null"},
	"repeated_field": {"invalid JSON at byte 13: duplicate object member name (at /basins)"},
	"basins_null":    {"basins: want an array, got null"},
	"basins_object":  {"basins: want an array, got an object"},
	"streams_null":   {"basins[0].streams: want an array, got null"},

	"basin_no_name":     {"basins[0]: basin name is missing"},
	"basin_null":        {"basins[0]: want an object, got null"},
	"basin_name_null":   {"basins[0].name: want a string, got null"},
	"basin_name":        {"basins[0].name: invalid basin name: must begin with a lowercase letter or a digit"},
	"basin_short":       {"basins[0].name: invalid basin name: has 5 bytes, at least 8 are needed"},
	"stream_no_name":    {"basins[0].streams[0]: stream name is missing"},
	"stream_empty_name": {"basins[0].streams[0].name: invalid stream name: is empty"},
	"stream_dots":       {`basins[0].streams[0].name: invalid stream name: may not be "." or ".."`},

	"unknown_in_basin":           {"basins[0].location: there is no such field"},
	"unknown_in_stream":          {"basins[0].streams[0].cipher: there is no such field"},
	"unknown_in_basin_config":    {"basins[0].config.retention_policy: there is no such field"},
	"unknown_in_stream_config":   {"basins[0].streams[0].config.timestamping_mode: there is no such field"},
	"unknown_in_timestamping":    {"basins[0].config.default_stream_config.timestamping.capped: there is no such field"},
	"unknown_in_delete_on_empty": {"basins[0].config.default_stream_config.delete_on_empty.min_age_secs: there is no such field"},

	"storage_class":    {`basins[0].config.default_stream_config.storage_class: invalid storage class: must be a lowercase letter followed by lowercase letters, digits and hyphens`},
	"cipher":           {`basins[0].config.stream_cipher: unknown value "none", want one of ["aegis-256" "aes-256-gcm"]`},
	"mode":             {`basins[0].streams[0].config.timestamping.mode: unknown value "server", want one of ["client-prefer" "client-require" "arrival"]`},
	"flag_text":        {"basins[0].config.create_stream_on_read: want true or false, got a string"},
	"retention_number": {"basins[0].streams[0].config.retention_policy: want a string, got a number"},
	"retention_object": {"basins[0].streams[0].config.retention_policy: want a string, got an object"},
	"retention_word": {`basins[0].streams[0].config.retention_policy: "not-a-duration" is not a duration like 7days, 1week or 2h 30m: ` +
		`it has no whole number where one is needed; or infinite`},
	"retention_no_unit": {`basins[0].streams[0].config.retention_policy: "5" is not a duration like 7days, 1week or 2h 30m: ` +
		`it has the number 5 without a unit; or infinite`},
	"zero_in_basin":          {`basin "my-basin" default_stream_config: ` + age},
	"zero_in_stream":         {`stream "events" in basin "my-basin": ` + age},
	"under_a_second":         {`stream "events" in basin "my-basin": ` + age},
	"min_age_under_a_second": {"basins[0].streams[0].config.delete_on_empty.min_age: must be 0s, which disables it, or at least 1 second"},
	"content_type": {
		`basins[0].streams[0].config.content_type: "a\nb" may hold only visible ASCII and spaces`,
		`basins[0].streams[1].config.content_type: has 257 bytes, at most 256 are allowed`,
		"basins[0].streams[2].fork: there is no such field",
	},
	"expiry_of_nothing": {
		"basins[0].streams[0].config.expiry.idle: must be at least 1 second",
		`basins[0].streams[1].config.expiry.at: "soon" is not an RFC 3339 time`,
		"basins[0].streams[2].config.expiry.idle_secs: there is no such field",
	},
	"duplicate_basin":  {`duplicate basin name "my-basin"`},
	"duplicate_stream": {`duplicate stream name "s" in basin "my-basin"`},
	"many": {
		"basins[0].config.create_stream_on_apend: there is no such field",
		`basins[0].streams[0].config.retention_policy: "soon" is not a duration like 7days, 1week or 2h 30m: it has no whole number where one is needed; or infinite`,
		"basins[0].streams[2]: want an object, got a number",
		`basin "my-basin" default_stream_config: ` + age,
		`duplicate stream name "s" in basin "my-basin"`,
		`stream "s" in basin "my-basin": ` + age,
		"basins[1].streams[0].name: invalid stream name: is empty",
		`duplicate basin name "my-basin"`,
		"basins[2].name: invalid basin name: has 3 bytes, at least 8 are needed",
	},
}

func TestBadFiles(t *testing.T) {
	all := files(t, "bad")
	for name := range badFiles {
		if all[name] == nil {
			t.Errorf("there is no file %s", name)
		}
	}
	for name, data := range all {
		t.Run(name, func(t *testing.T) {
			_, err := declare.Parse(data)
			got, ok := err.(*declare.Error)
			if !ok || !slices.Equal(got.Problems, badFiles[name]) {
				t.Errorf("got\n%v\nwant\n%s", err, strings.Join(badFiles[name], "\n"))
			}
		})
	}
}

// FuzzParse: what is accepted has valid and different names and no retention under a second; what is not says why.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"good", "bad"} {
		paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := declare.Parse(data)
		if err != nil {
			if e := err.(*declare.Error); len(e.Problems) == 0 || slices.Contains(e.Problems, "") {
				t.Fatalf("%q", e.Problems)
			}
			return
		}
		basins := map[protocol.BasinName]bool{}
		for _, b := range res.Basins {
			if _, err := protocol.ParseBasinName(string(b.Name)); err != nil || basins[b.Name] {
				t.Fatalf("basin %q: %v", b.Name, err)
			}
			basins[b.Name] = true
			streams := map[protocol.StreamName]bool{}
			for _, s := range b.Streams {
				if _, err := protocol.ParseStreamName(string(s.Name)); err != nil || streams[s.Name] {
					t.Fatalf("stream %q: %v", s.Name, err)
				}
				streams[s.Name] = true
			}
		}
	})
}
