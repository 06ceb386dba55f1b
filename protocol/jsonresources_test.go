package protocol_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func TestInfos(t *testing.T) {
	east := time.FixedZone("", 2*3600)
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Run("3.1 basin", func(t *testing.T) {
		b := protocol.BasinInfo{Name: "demo-basin", CreatedAt: at("2026-01-02T03:04:05.120Z").In(east)}
		sameJSON(t, b, `{"name":"demo-basin","location":null,"created_at":"2026-01-02T03:04:05.12Z","deleted_at":null,"state":"active"}`)
		b.DeletedAt = at("2026-01-02T03:04:06Z")
		sameJSON(t, b, `{"name":"demo-basin","location":null,"created_at":"2026-01-02T03:04:05.12Z","deleted_at":"2026-01-02T03:04:06Z","state":"deleting"}`)
		if got := throughJSON(t, b); got.Name != b.Name || !got.CreatedAt.Equal(b.CreatedAt) || !got.DeletedAt.Equal(b.DeletedAt) || got.CreatedAt.Location() != time.UTC {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("4.1 stream", func(t *testing.T) {
		s := protocol.StreamInfo{Name: "a/\"b\"", CreatedAt: at("2026-01-02T03:04:05.123456789Z")}
		sameJSON(t, s, `{"name":"a/\"b\"","created_at":"2026-01-02T03:04:05.123456789Z","deleted_at":null,"cipher":null}`)
		s.Cipher = protocol.CipherAES256GCM
		s.DeletedAt = at("2026-01-02T03:04:05.1Z")
		sameJSON(t, s, `{"name":"a/\"b\"","created_at":"2026-01-02T03:04:05.123456789Z","deleted_at":"2026-01-02T03:04:05.1Z","cipher":"aes-256-gcm"}`)
		if got := throughJSON(t, s); got != s {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("1.4 pages", func(t *testing.T) {
		sameJSON(t, protocol.BasinPage{}, `{"basins":[],"has_more":false}`)
		sameJSON(t, protocol.StreamPage{}, `{"streams":[],"has_more":false}`)
		p := protocol.StreamPage{Streams: []protocol.StreamInfo{{Name: "a", CreatedAt: at("2026-01-02T03:04:05Z")}, {Name: "b", CreatedAt: at("2026-01-02T03:04:05Z")}}, HasMore: true}
		if got := throughJSON(t, p); !reflect.DeepEqual(got, p) {
			t.Fatalf("got %+v", got)
		}
		b := protocol.BasinPage{Basins: []protocol.BasinInfo{{Name: "demo-basin", CreatedAt: at("2026-01-02T03:04:05Z")}}, HasMore: true}
		if got := throughJSON(t, b); !reflect.DeepEqual(got, b) {
			t.Fatalf("got %+v", got)
		}
	})
	for name, text := range map[string]string{
		"no name":                      `{"created_at":"2026-01-02T03:04:05Z"}`,
		"no created_at":                `{"name":"demo-basin"}`,
		"a time of 1999":               `{"name":"demo-basin","created_at":"1999"}`,
		"a year of five digits in UTC": `{"name":"demo-basin","created_at":"9999-12-31T23:59:59-01:00"}`,
		"the zero time":                `{"name":"demo-basin","created_at":"0001-01-01T00:00:00Z"}`,
		"a number":                     `{"name":"demo-basin","created_at":5}`,
		"a bad name":                   `{"name":"","created_at":"2026-01-02T03:04:05Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, decodes[protocol.BasinInfo](text), protocol.CodeBadJSON)
			wantCode(t, decodes[protocol.StreamInfo](text), protocol.CodeBadJSON)
			wantCode(t, decodes[protocol.StreamPage](`{"has_more":false,"streams":[`+text+`]}`), protocol.CodeBadJSON)
		})
	}
	wantCode(t, decodes[protocol.StreamPage](`{"streams":[]}`), protocol.CodeBadJSON, "has_more are required")
	wantCode(t, decodes[protocol.BasinPage](`{"has_more":true}`), protocol.CodeBadJSON, "basins and has_more are required")
}

func TestCreateRequests(t *testing.T) {
	basin := func(rest string) string { return `{"basin":"demo-basin"` + rest + `}` }
	for _, c := range []struct {
		name, body string
		code       protocol.Code
		want       string
	}{
		{"cp A.5/103 name only", basin(``), "", ""},
		{"cp A.5/105 nulls", basin(`,"config":null,"location":null`), "", ""},
		{"cp A.5/106 full config", basin(`,"config":{"stream_cipher":"aegis-256","create_stream_on_append":true,"default_stream_config":{"storage_class":"standard"}}`), "", ""},
		{"cp A.1/8 short name", `{"basin":"short"}`, protocol.CodeBadJSON, "basin: invalid basin name: has 5 bytes, at least 8"},
		{"cp A.1/35 invalid name", `{"basin":"UPPERCASE"}`, protocol.CodeBadJSON, "basin: invalid basin name: must begin with"},
		{"3.2 no name", `{}`, protocol.CodeBadJSON, "basin: is required"},
		{"3.2 name null", `{"basin":null}`, protocol.CodeBadJSON, "basin: want a string, got null"},
		{"cp A.3/73 empty body", ``, protocol.CodeBadJSON, "invalid JSON"},
		{"D-14 scope is ignored", basin(`,"scope":"aws:us-east-1"`), "", ""},
		{"cp A.1/29 empty location", basin(`,"location":""`), protocol.CodeBadJSON, "location: has 0 bytes, 1 to 64"},
		{"cp A.1/29 location of 65 bytes", basin(`,"location":"` + strings.Repeat("a", 65) + `"`), protocol.CodeBadJSON, "location: has 65 bytes, 1 to 64"},
		{"cp A.1/29 location with an underscore", basin(`,"location":"aws:us_east-1"`), protocol.CodeBadJSON, "location: may hold only"},
		{"cp A.1/29 location with a slash", basin(`,"location":"aws/us-east-1"`), protocol.CodeBadJSON, "location"},
		{"cp A.1/29 location with a space", basin(`,"location":"aws:us east-1"`), protocol.CodeBadJSON, "location"},
		{"cp A.1/29 location with an accent", basin(`,"location":"aws:é"`), protocol.CodeBadJSON, "location"},
		{"cp A.5/125 a location", basin(`,"location":"cloud:US-West-2.edge"`), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := decodes[protocol.CreateBasinRequest](c.body)
			if c.code != "" {
				wantCode(t, err, c.code, c.want)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("3.4 ensure may have no body", func(t *testing.T) {
		for _, body := range []string{``, `null`, `{}`, `{"config":null}`, `{"config":{}}`, `{"config":{"default_stream_config":{}}}`} {
			got, err := protocol.DecodeJSON[protocol.EnsureBasinRequest]([]byte(body))
			if err != nil || !got.Config.Equal(protocol.BasinConfig{}) {
				t.Errorf("%q: got %+v, %v", body, got, err)
			}
		}
		for _, body := range []string{` `, `x`, `nul`, `null null`, `[]`} {
			wantCode(t, decodes[protocol.EnsureBasinRequest](body), protocol.CodeBadJSON)
			wantCode(t, decodes[protocol.StreamConfig](body), protocol.CodeBadJSON)
		}
	})
	t.Run("requests survive", func(t *testing.T) {
		config := protocol.BasinConfig{CreateStreamOnRead: true, DefaultStreamConfig: protocol.StreamConfig{Uncapped: ptr(true)}}
		b := protocol.CreateBasinRequest{Basin: "demo-basin", Config: config}
		if got := throughJSON(t, b); !reflect.DeepEqual(got, b) {
			t.Errorf("got %+v", got)
		}
		if got := throughJSON(t, protocol.EnsureBasinRequest{Config: config}); !got.Config.Equal(config) {
			t.Errorf("got %+v", got)
		}
		s := protocol.CreateStreamRequest{Stream: "a/漢", Config: config.DefaultStreamConfig}
		if got := throughJSON(t, s); !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v", got)
		}
	})
	for body, want := range map[string]string{
		`{}`: "stream: is required", `{"stream":""}`: "stream: invalid stream name: is empty", `{"stream":".."}`: "may not be",
		`{"stream":"a\u0000"}`: "NUL", `{"stream":"` + strings.Repeat("a", 513) + `"}`: "has 513 bytes, at most 512",
	} {
		wantCode(t, decodes[protocol.CreateStreamRequest](body), protocol.CodeBadJSON, want)
	}
}

func TestDecodeJSONOfOtherTypes(t *testing.T) {
	type id struct {
		ID string `json:"id"`
		N  uint64 `json:"n"`
	}
	got, err := protocol.DecodeJSON[id]([]byte(`{"id":"x","n":18446744073709551615,"more":1}`))
	if err != nil || got != (id{"x", 1<<64 - 1}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, text := range []string{`{"id":"x","id":"y"}`, `{"id":1}`, `{"n":1.5}`, `{"n":-1}`, `{} {}`, ``} {
		wantCode(t, decodes[id](text), protocol.CodeBadJSON, "invalid JSON")
	}
	if got, _ := protocol.DecodeJSON[id]([]byte(`{"ID":"x"}`)); got.ID != "" {
		t.Error("another case is another name")
	}
}

// TestWhatARequestLeavesOut: control plane A.5/117 and 119. A replay is recognized by the request as it is decoded, so the
// spellings of one request must come out alike.
func TestWhatARequestLeavesOut(t *testing.T) {
	absent := `{"basin":"demo-basin"}`
	for _, same := range []string{
		`{"basin":"demo-basin","config":null}`,
		`{"basin":"demo-basin","config":{}}`,
		`{"basin":"demo-basin","config":{"create_stream_on_read":false,"create_stream_on_append":false}}`,
		`{"basin":"demo-basin","config":{"default_stream_config":{"timestamping":{}},"stream_cipher":null},"location":null}`,
	} {
		a, errA := protocol.DecodeJSON[protocol.CreateBasinRequest]([]byte(absent))
		b, errB := protocol.DecodeJSON[protocol.CreateBasinRequest]([]byte(same))
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %+v, %v, want as %+v, %v", same, b, errB, a, errA)
		}
	}
}

// TestNoRetentionOfZero: control plane A.9/195, A.10/214 and A.11/228: create, ensure and reconfigure of a stream.
func TestNoRetentionOfZero(t *testing.T) {
	const zero = `{"retention_policy":{"age":0}}`
	wantCode(t, decodes[protocol.CreateStreamRequest](`{"stream":"s","config":`+zero+`}`), protocol.CodeInvalid, "at least 1 second")
	wantCode(t, decodes[protocol.StreamConfig](zero), protocol.CodeInvalid, "at least 1 second")
	wantCode(t, decodes[protocol.StreamReconfiguration](zero), protocol.CodeInvalid, "at least 1 second")
}
