package protocol_test

import (
	"reflect"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// TestReconfigurationA4 holds the rows of control plane A.4 that need no server.
func TestReconfigurationA4(t *testing.T) {
	prefer, require := protocol.TimestampClientPrefer, protocol.TimestampClientRequire
	full := protocol.StreamConfig{
		StorageClass: ptr(protocol.StorageStandard), RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 60},
		TimestampingMode: &require, Uncapped: ptr(true), DeleteOnEmptyMinAge: ptr(uint64(5)),
	}
	with := func(change func(*protocol.StreamConfig)) protocol.StreamConfig {
		c := full
		change(&c)
		return c
	}
	for _, c := range []struct {
		name, patch string
		want        protocol.StreamConfig
	}{
		{"cp A.4/86 {}", `{}`, full},
		{"cp A.4/87 one field", `{"storage_class":"express"}`, with(func(c *protocol.StreamConfig) { c.StorageClass = ptr(protocol.StorageExpress) })},
		{"cp A.4/88 null", `{"storage_class":null}`, with(func(c *protocol.StreamConfig) { c.StorageClass = nil })},
		{"cp A.4/88 retention null", `{"retention_policy":null}`, with(func(c *protocol.StreamConfig) { c.RetentionPolicy = nil })},
		{"cp A.4/91 timestamping null", `{"timestamping":null}`, with(func(c *protocol.StreamConfig) { c.TimestampingMode, c.Uncapped = nil, nil })},
		{"cp A.4/92 mode null", `{"timestamping":{"mode":null}}`, with(func(c *protocol.StreamConfig) { c.TimestampingMode = nil })},
		{"cp A.4/93 uncapped", `{"timestamping":{"uncapped":false}}`, with(func(c *protocol.StreamConfig) { c.Uncapped = ptr(false) })},
		{"2.8 timestamping {} keeps", `{"timestamping":{}}`, full},
		{"2.8 delete_on_empty null", `{"delete_on_empty":null}`, with(func(c *protocol.StreamConfig) { c.DeleteOnEmptyMinAge = nil })},
		{"2.8 delete_on_empty {} keeps", `{"delete_on_empty":{}}`, full},
		{"2.8 min_age_secs null", `{"delete_on_empty":{"min_age_secs":null}}`, with(func(c *protocol.StreamConfig) { c.DeleteOnEmptyMinAge = nil })},
		{"cp A.4/98 min_age_secs 0", `{"delete_on_empty":{"min_age_secs":0}}`, with(func(c *protocol.StreamConfig) { c.DeleteOnEmptyMinAge = ptr(uint64(0)) })},
		{"cp A.4/99 infinite", `{"retention_policy":{"infinite":{}}}`, with(func(c *protocol.StreamConfig) { c.RetentionPolicy = &protocol.RetentionPolicy{} })},
		{"cp A.4/101 four at once", `{"storage_class":"express","retention_policy":{"age":7},"timestamping":{"mode":"client-prefer","uncapped":false}}`,
			protocol.StreamConfig{StorageClass: ptr(protocol.StorageExpress), RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 7},
				TimestampingMode: &prefer, Uncapped: ptr(false), DeleteOnEmptyMinAge: ptr(uint64(5))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := protocol.DecodeJSON[protocol.StreamReconfiguration]([]byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Apply(full); !got.Equal(c.want) {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
			if again := throughJSON(t, r); !reflect.DeepEqual(again, r) {
				t.Fatalf("after the wire: %+v, want %+v", again, r)
			}
			// The same change inside a basin's reconfiguration.
			b, err := protocol.DecodeJSON[protocol.BasinReconfiguration]([]byte(`{"default_stream_config":` + c.patch + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Apply(protocol.BasinConfig{DefaultStreamConfig: full}); !got.DefaultStreamConfig.Equal(c.want) {
				t.Fatalf("in a basin: got %+v", got)
			}
			if again := throughJSON(t, b); !reflect.DeepEqual(again, b) {
				t.Fatalf("after the wire: %+v, want %+v", again, b)
			}
		})
	}
	basin := protocol.BasinConfig{DefaultStreamConfig: full, StreamCipher: protocol.CipherAEGIS256, CreateStreamOnAppend: true}
	for _, c := range []struct {
		name, patch string
		want        protocol.BasinConfig
	}{
		{"cp A.4/94 default layer null", `{"default_stream_config":null}`, protocol.BasinConfig{StreamCipher: protocol.CipherAEGIS256, CreateStreamOnAppend: true}},
		{"cp A.4/95 cipher null", `{"stream_cipher":null}`, protocol.BasinConfig{DefaultStreamConfig: full, CreateStreamOnAppend: true}},
		{"cp A.4/96 cipher, class and flags", `{"default_stream_config":{"storage_class":"express"},"stream_cipher":"aes-256-gcm","create_stream_on_append":false,"create_stream_on_read":true}`,
			protocol.BasinConfig{DefaultStreamConfig: with(func(c *protocol.StreamConfig) { c.StorageClass = ptr(protocol.StorageExpress) }),
				StreamCipher: protocol.CipherAES256GCM, CreateStreamOnRead: true}},
		{"cp A.4/97 nothing", `{}`, basin},
		{"cp A.3/80 flags null keep", `{"create_stream_on_append":null,"create_stream_on_read":null}`, basin},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := protocol.DecodeJSON[protocol.BasinReconfiguration]([]byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Apply(basin); !got.Equal(c.want) {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
			if got := throughJSON(t, r).Apply(basin); !got.Equal(c.want) {
				t.Fatalf("after the wire: %+v", got)
			}
		})
	}
	t.Run("cp A.4/102 twice with different members", func(t *testing.T) {
		var got protocol.BasinConfig
		for _, patch := range []string{`{"storage_class":"standard"}`, `{"timestamping":{"uncapped":true}}`} {
			r, err := protocol.DecodeJSON[protocol.BasinReconfiguration]([]byte(`{"default_stream_config":` + patch + `}`))
			if err != nil {
				t.Fatal(err)
			}
			got = r.Apply(got)
		}
		if !got.DefaultStreamConfig.Equal(protocol.StreamConfig{StorageClass: ptr(protocol.StorageStandard), Uncapped: ptr(true)}) {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("2.8 a body is required", func(t *testing.T) {
		for _, body := range []string{``, `null`, `[]`, `{} x`} {
			wantCode(t, decodes[protocol.StreamReconfiguration](body), protocol.CodeBadJSON)
			wantCode(t, decodes[protocol.BasinReconfiguration](body), protocol.CodeBadJSON)
		}
	})
}

func TestMergeA4(t *testing.T) {
	arrival := protocol.TimestampArrival
	t.Run("cp A.4/81 nothing set", func(t *testing.T) {
		got := protocol.StreamConfig{}.Resolve(protocol.StreamConfig{})
		want := protocol.ResolvedStreamConfig{StorageClass: protocol.StorageExpress, RetentionPolicy: protocol.RetentionPolicy{AgeSecs: 604800},
			TimestampingMode: protocol.TimestampClientPrefer}
		if got != want {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("cp A.4/82,83 stream before basin before system", func(t *testing.T) {
		stream := protocol.StreamConfig{StorageClass: ptr(protocol.StorageExpress)}
		basin := protocol.StreamConfig{StorageClass: ptr(protocol.StorageStandard), RetentionPolicy: &protocol.RetentionPolicy{}}
		if got := stream.Resolve(basin); got.StorageClass != protocol.StorageExpress || !got.RetentionPolicy.Infinite() {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("cp A.4/84 each leaf by itself", func(t *testing.T) {
		got := protocol.StreamConfig{TimestampingMode: &arrival}.Resolve(protocol.StreamConfig{Uncapped: ptr(true)})
		if got.TimestampingMode != arrival || !got.Uncapped {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("cp A.4/85 an explicit 0 overrides", func(t *testing.T) {
		got := protocol.StreamConfig{DeleteOnEmptyMinAge: ptr(uint64(0))}.Resolve(protocol.StreamConfig{DeleteOnEmptyMinAge: ptr(uint64(60))})
		if got.DeleteOnEmptyMinAge != 0 {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("cp A.4/89,90 unset on a stream resolves anew, keep stays", func(t *testing.T) {
		stored := protocol.ResolvedStreamConfig{StorageClass: protocol.StorageStandard, TimestampingMode: arrival, Uncapped: true, DeleteOnEmptyMinAge: 9}
		r, err := protocol.DecodeJSON[protocol.StreamReconfiguration]([]byte(`{"storage_class":null,"timestamping":null}`))
		if err != nil {
			t.Fatal(err)
		}
		basin := protocol.StreamConfig{Uncapped: ptr(true), DeleteOnEmptyMinAge: ptr(uint64(60))}
		want := protocol.ResolvedStreamConfig{StorageClass: protocol.StorageExpress, TimestampingMode: protocol.TimestampClientPrefer, Uncapped: true, DeleteOnEmptyMinAge: 9}
		if got := r.ApplyResolved(stored, basin); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}
