package protocol_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// decoders are the bodies that may hold a retention policy, by the place of control plane A.3/56 and 57. Each takes a
// stream config or reconfiguration in JSON and tells how it was received.
var decoders = map[string]func(config string) error{
	"stream create": func(c string) error {
		return decodes[protocol.CreateStreamRequest](`{"stream":"s","config":` + c + `}`)
	},
	"stream ensure": func(c string) error { return decodes[protocol.StreamConfig](c) },
	"stream PATCH":  func(c string) error { return decodes[protocol.StreamReconfiguration](c) },
	"basin create": func(c string) error {
		return decodes[protocol.CreateBasinRequest](`{"basin":"demo-basin","config":{"default_stream_config":` + c + `}}`)
	},
	"basin ensure": func(c string) error {
		return decodes[protocol.EnsureBasinRequest](`{"config":{"default_stream_config":` + c + `}}`)
	},
	"basin PATCH": func(c string) error {
		return decodes[protocol.BasinReconfiguration](`{"default_stream_config":` + c + `}`)
	},
}

func decodes[T any](text string) error { _, err := protocol.DecodeJSON[T]([]byte(text)); return err }

func TestConfigRefusalsA3(t *testing.T) {
	retention := func(s string) string { return `{"retention_policy":` + s + `}` }
	for _, c := range []struct {
		name, config string
		code         protocol.Code // "" accepts
		want         string
	}{
		{"cp A.3/54 age 1", retention(`{"age":1}`), "", ""},
		{"cp A.3/54 age 86400", retention(`{"age":86400}`), "", ""},
		{"cp A.3/54 age 604800", retention(`{"age":604800}`), "", ""},
		{"2.4 the largest age", retention(`{"age":18446744073709551615}`), "", ""},
		{"cp A.3/55 infinite", retention(`{"infinite":{}}`), "", ""},
		{"2.4 infinite with unknown members", retention(`{"infinite":{"x":1}}`), "", ""},
		{"cp A.3/56,57 age 0", retention(`{"age":0}`), protocol.CodeInvalid, "retention_policy.age: must be at least 1 second"},
		{"2.9 the shape is judged first", `{"retention_policy":{"age":0},"storage_class":1}`, protocol.CodeBadJSON, "storage_class"},
		{"cp A.3/58 age -1", retention(`{"age":-1}`), protocol.CodeBadJSON, "retention_policy.age: want an integer from 0 to 18446744073709551615, got -1"},
		{"2.4 age 1.5", retention(`{"age":1.5}`), protocol.CodeBadJSON, "age: want an integer"},
		{"2.4 age as text", retention(`{"age":"60"}`), protocol.CodeBadJSON, "age: want an integer, got a string"},
		{"2.4 age over 2^64-1", retention(`{"age":18446744073709551616}`), protocol.CodeBadJSON, "age: want an integer"},
		{"2.4 age null", retention(`{"age":null}`), protocol.CodeBadJSON, "age"},
		{"cp A.3/59 empty", retention(`{}`), protocol.CodeBadJSON, "retention_policy: want exactly one of age and infinite, got 0"},
		{"cp A.3/59 two keys", retention(`{"age":1,"infinite":{}}`), protocol.CodeBadJSON, "got 2"},
		{"cp A.3/59 unknown key", retention(`{"forever":{}}`), protocol.CodeBadJSON, "unknown retention policy"},
		{"cp A.3/59 bare string", retention(`"infinite"`), protocol.CodeBadJSON, "retention_policy: want an object, got a string"},
		{"2.4 infinite null", retention(`{"infinite":null}`), protocol.CodeBadJSON, "infinite: want an object"},
		{"cp A.3/60 standard", `{"storage_class":"standard"}`, "", ""},
		{"cp A.3/60 express", `{"storage_class":"express"}`, "", ""},
		{"cp A.3/61 upper case", `{"storage_class":"STANDARD"}`, protocol.CodeBadJSON, `storage_class: "STANDARD": invalid storage class: must be a lowercase letter`},
		{"cp A.3/61 empty", `{"storage_class":""}`, protocol.CodeBadJSON, "is empty"},
		{"cp A.3/62 client-prefer", `{"timestamping":{"mode":"client-prefer"}}`, "", ""},
		{"cp A.3/62 client-require", `{"timestamping":{"mode":"client-require"}}`, "", ""},
		{"cp A.3/62 arrival", `{"timestamping":{"mode":"arrival"}}`, "", ""},
		{"cp A.3/62 another mode", `{"timestamping":{"mode":"server"}}`, protocol.CodeBadJSON, "timestamping.mode: unknown value"},
		{"cp A.3/63 uncapped", `{"timestamping":{"uncapped":true}}`, "", ""},
		{"cp A.3/63 uncapped as text", `{"timestamping":{"uncapped":"true"}}`, protocol.CodeBadJSON, "timestamping.uncapped: want true or false, got a string"},
		{"2.3 timestamping is no object", `{"timestamping":true}`, protocol.CodeBadJSON, "timestamping: want an object, got true or false"},
		{"cp A.3/64 min age", `{"delete_on_empty":{"min_age_secs":3600}}`, "", ""},
		{"cp A.3/64 min age negative", `{"delete_on_empty":{"min_age_secs":-1}}`, protocol.CodeBadJSON, "delete_on_empty.min_age_secs: want an integer"},
		{"2.3 nulls", `{"storage_class":null,"retention_policy":null,"timestamping":null,"delete_on_empty":null}`, "", ""},
		{"2.3 inner nulls", `{"timestamping":{"mode":null,"uncapped":null}}`, "", ""},
		{"cp A.3/72 unknown members", `{"a":{"b":[]},"timestamping":{"c":1},"delete_on_empty":{"d":2}}`, "", ""},
		{"2.9 duplicate", `{"storage_class":"express","storage_class":"express"}`, protocol.CodeBadJSON, "duplicate"},
		{"2.9 another case is unknown", `{"Storage_Class":1}`, "", ""},
	} {
		for where, decode := range decoders {
			t.Run(c.name+"/"+where, func(t *testing.T) {
				err := decode(c.config)
				if c.code != "" {
					wantCode(t, err, c.code, c.want)
				} else if err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestStreamConfigA3(t *testing.T) {
	decode := func(s string) protocol.StreamConfig {
		t.Helper()
		c, err := protocol.DecodeJSON[protocol.StreamConfig]([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("cp A.3/65 delete_on_empty {} is an explicit 0", func(t *testing.T) {
		if c := decode(`{"delete_on_empty":{}}`); c.DeleteOnEmptyMinAge == nil || *c.DeleteOnEmptyMinAge != 0 {
			t.Fatalf("got %+v", c)
		}
	})
	t.Run("cp A.3/66 min_age_secs null in create", func(t *testing.T) {
		err := decodes[protocol.StreamConfig](`{"delete_on_empty":{"min_age_secs":null}}`)
		wantCode(t, err, protocol.CodeBadJSON, "delete_on_empty.min_age_secs: want an integer, got null")
	})
	t.Run("cp A.3/67 nothing set", func(t *testing.T) {
		for _, s := range []string{`{}`, `null`, ``, `{"timestamping":{}}`, `{"timestamping":null}`, `{"config":{"storage_class":"express"}}`} {
			if c := decode(s); !c.Equal(protocol.StreamConfig{}) {
				t.Errorf("%s: got %+v", s, c)
			}
		}
	})
	t.Run("cp A.3/68 an unset layer is null", func(t *testing.T) {
		sameJSON(t, protocol.BasinConfig{}, `{"default_stream_config":null,"stream_cipher":null,"create_stream_on_append":false,"create_stream_on_read":false}`)
	})
	t.Run("cp A.3/69,70 a layer with any one member is kept", func(t *testing.T) {
		for member, want := range map[string]string{
			`{"delete_on_empty":{"min_age_secs":0}}`: `{"storage_class":null,"retention_policy":null,"timestamping":null,"delete_on_empty":{"min_age_secs":0}}`,
			`{"storage_class":"express"}`:            `{"storage_class":"express","retention_policy":null,"timestamping":null,"delete_on_empty":null}`,
			`{"retention_policy":{"age":604800}}`:    `{"storage_class":null,"retention_policy":{"age":604800},"timestamping":null,"delete_on_empty":null}`,
			`{"retention_policy":{"infinite":{}}}`:   `{"storage_class":null,"retention_policy":{"infinite":{}},"timestamping":null,"delete_on_empty":null}`,
			`{"timestamping":{"uncapped":false}}`:    `{"storage_class":null,"retention_policy":null,"timestamping":{"mode":null,"uncapped":false},"delete_on_empty":null}`,
			`{"timestamping":{"mode":"arrival"}}`:    `{"storage_class":null,"retention_policy":null,"timestamping":{"mode":"arrival","uncapped":null},"delete_on_empty":null}`,
		} {
			sameJSON(t, protocol.BasinConfig{DefaultStreamConfig: decode(member)},
				`{"default_stream_config":`+want+`,"stream_cipher":null,"create_stream_on_append":false,"create_stream_on_read":false}`)
		}
	})
	t.Run("2.7 a resolved config is concrete", func(t *testing.T) {
		sameJSON(t, protocol.DefaultStreamConfig, `{"storage_class":"express","retention_policy":{"age":604800},`+
			`"timestamping":{"mode":"client-prefer","uncapped":false},"delete_on_empty":{"min_age_secs":0}}`)
	})
	t.Run("2.7 a full basin config", func(t *testing.T) {
		sameJSON(t, protocol.BasinConfig{
			DefaultStreamConfig: protocol.StreamConfig{StorageClass: ptr(protocol.StorageStandard), Uncapped: ptr(false)},
			StreamCipher:        protocol.CipherAEGIS256, CreateStreamOnAppend: true,
		}, `{"default_stream_config":{"storage_class":"standard","retention_policy":null,"timestamping":{"mode":null,"uncapped":false},"delete_on_empty":null},`+
			`"stream_cipher":"aegis-256","create_stream_on_append":true,"create_stream_on_read":false}`)
	})
	t.Run("cp A.3/71 random configs survive", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 2000 {
			c := randomConfig(rng)
			if got := throughJSON(t, c); !got.Equal(c) {
				t.Fatalf("got %+v, want %+v", got, c)
			}
			if r := c.Resolve(protocol.StreamConfig{}); throughJSON(t, r) != r {
				t.Fatalf("resolved: got %+v, want %+v", throughJSON(t, r), r)
			}
			b := protocol.BasinConfig{
				DefaultStreamConfig: c, StreamCipher: pick(rng, protocol.CipherNone, protocol.CipherAEGIS256, protocol.CipherAES256GCM),
				CreateStreamOnAppend: rng.IntN(2) == 0, CreateStreamOnRead: rng.IntN(2) == 0,
			}
			if got := throughJSON(t, b); !got.Equal(b) {
				t.Fatalf("got %+v, want %+v", got, b)
			}
		}
	})
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func randomConfig(rng *rand.Rand) (c protocol.StreamConfig) {
	if rng.IntN(2) == 0 {
		c.StorageClass = ptr(pick(rng, protocol.StorageStandard, protocol.StorageExpress))
	}
	if rng.IntN(2) == 0 {
		c.RetentionPolicy = &protocol.RetentionPolicy{AgeSecs: pick(rng, 0, 1, 60, math.MaxUint64, rng.Uint64())}
	}
	if rng.IntN(2) == 0 {
		c.TimestampingMode = ptr(pick(rng, protocol.TimestampClientPrefer, protocol.TimestampClientRequire, protocol.TimestampArrival))
	}
	if rng.IntN(2) == 0 {
		c.Uncapped = ptr(rng.IntN(2) == 0)
	}
	if rng.IntN(2) == 0 {
		c.DeleteOnEmptyMinAge = ptr(pick(rng, 0, rng.Uint64()))
	}
	return c
}

// throughJSON marshals v with encoding/json, as doors do, and decodes it strictly.
func throughJSON[T any](t *testing.T, v T) T {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var loose T
	if err := json.Unmarshal(text, &loose); err != nil {
		t.Fatalf("encoding/json on %s: %v", text, err)
	}
	got, err := protocol.DecodeJSON[T](text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return got
}

func sameJSON(t *testing.T, v any, want string) {
	t.Helper()
	if got, err := json.Marshal(v); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestBasinConfigA3(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		code   protocol.Code
		want   string
	}{
		"2.5 cipher aegis-256":           {`{"stream_cipher":"aegis-256"}`, "", ""},
		"2.5 cipher aes-256-gcm":         {`{"stream_cipher":"aes-256-gcm"}`, "", ""},
		"2.5 cipher null":                {`{"stream_cipher":null}`, "", ""},
		"2.5 cipher empty":               {`{"stream_cipher":""}`, protocol.CodeBadJSON, "stream_cipher: unknown value"},
		"2.5 cipher of upper case":       {`{"stream_cipher":"AEGIS-256"}`, protocol.CodeBadJSON, "stream_cipher: unknown value"},
		"cp A.3/80 flag null is absent":  {`{"create_stream_on_append":null,"create_stream_on_read":null}`, "", ""},
		"2.5 flag as a number":           {`{"create_stream_on_read":1}`, protocol.CodeBadJSON, "create_stream_on_read: want true or false, got a number"},
		"2.5 default layer null":         {`{"default_stream_config":null}`, "", ""},
		"2.5 default layer is no object": {`{"default_stream_config":[]}`, protocol.CodeBadJSON, "default_stream_config: want an object, got an array"},
		"2.9 no text":                    {``, protocol.CodeBadJSON, "invalid JSON"},
		"2.9 null":                       {`null`, protocol.CodeBadJSON, "want an object"},
	} {
		t.Run(name, func(t *testing.T) {
			err := decodes[protocol.BasinConfig](c.config)
			if c.code != "" {
				wantCode(t, err, c.code, c.want)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}
