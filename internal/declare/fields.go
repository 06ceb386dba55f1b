package declare

import (
	"time"

	"github.com/weirstream/weir/protocol"
)

// Field is one setting of a resource. Value is a string, a bool, or nil where nothing is set; durations are written for
// people.
type Field struct {
	Path  string
	Value any
}

// Change is a field whose values differ.
type Change struct {
	Path  string `json:"path"`
	Left  any    `json:"left"`
	Right any    `json:"right"`
}

// StreamFields are the settings of a layer, called as in a spec.
func StreamFields(c protocol.StreamConfig) []Field {
	return []Field{
		{"storage_class", text(c.StorageClass)},
		{"retention_policy", optionalText(c.RetentionPolicy, retentionText)},
		{"timestamping.mode", text(c.TimestampingMode)},
		{"timestamping.uncapped", boolean(c.Uncapped)},
		{"delete_on_empty.min_age", optionalText(c.DeleteOnEmptyMinAge, FormatSeconds)},
		{"content_type", text(c.ContentType)},
		{"expiry.idle", optionalText(c.Expiry, func(x protocol.Expiry) string {
			if x.IdleSecs == 0 {
				return "never"
			}
			return FormatSeconds(x.IdleSecs)
		})},
		{"expiry.at", optionalText(c.Expiry, func(x protocol.Expiry) string {
			if x.At == 0 {
				return "never"
			}
			return x.AtTime().Format(time.RFC3339Nano)
		})},
	}
}

// BasinFields are the settings of a basin, called as in a spec.
func BasinFields(c protocol.BasinConfig) []Field {
	cipher := any(string(c.StreamCipher))
	if c.StreamCipher == protocol.CipherNone {
		cipher = nil
	}
	fields := []Field{
		{"create_stream_on_append", c.CreateStreamOnAppend},
		{"create_stream_on_read", c.CreateStreamOnRead},
		{"stream_cipher", cipher},
	}
	for _, f := range StreamFields(c.DefaultStreamConfig) {
		fields = append(fields, Field{"default_stream_config." + f.Path, f.Value})
	}
	return fields
}

// Compare returns the fields that differ, in their order. Both sides must have the same paths in the same order.
func Compare(left, right []Field) []Change {
	changes := []Change{}
	for i, l := range left {
		if r := right[i]; l.Value != r.Value {
			changes = append(changes, Change{l.Path, l.Value, r.Value})
		}
	}
	return changes
}

func text[T ~string](v *T) any { return optionalText(v, func(v T) string { return string(v) }) }

func optionalText[T any](v *T, write func(T) string) any {
	if v == nil {
		return nil
	}
	return write(*v)
}

func boolean(v *bool) any {
	if v == nil {
		return nil
	}
	return *v
}

func retentionText(p protocol.RetentionPolicy) string {
	if p.Infinite() {
		return "infinite"
	}
	return FormatSeconds(p.AgeSecs)
}
