package protocol

import (
	"strconv"

	"github.com/weirstream/weir/internal/strictjson"
)

// The closed sets of strings in configurations (control plane 2.3, 2.5).
var (
	readTimestampingMode = strictjson.Enum(TimestampClientPrefer, TimestampClientRequire, TimestampArrival)
	readCipher           = strictjson.Enum(CipherAEGIS256, CipherAES256GCM)
)

func readStorageClass(r *strictjson.Reader) (StorageClass, error) {
	s, err := r.Text()
	if err != nil {
		return "", err
	}
	class, err := ParseStorageClass(s)
	if err != nil {
		return "", r.Bad("%q: %v", Clip(s), err)
	}
	return class, nil
}

// value adapts a [jsonReadable] to the readers of optional and into.
func value[T any, P interface {
	*T
	jsonReadable
}](r *strictjson.Reader) (T, error) {
	var v T
	err := P(&v).readJSON(r)
	return v, err
}

// readJSON reads one of {"age": seconds} and {"infinite": {}} (control plane 2.4). An age of 0 is invalid.
func (p *RetentionPolicy) readJSON(r *strictjson.Reader) error {
	*p = RetentionPolicy{}
	members := 0
	err := r.Object(func(name []byte) error {
		members++
		switch string(name) {
		case "age":
			age, err := r.Uint()
			if err == nil && age == 0 {
				r.Breaks("must be at least 1 second")
			}
			p.AgeSecs = age
			return err
		case "infinite":
			return r.Object(func([]byte) error { return r.Skip() })
		}
		if err := r.Skip(); err != nil {
			return err
		}
		return r.Bad("unknown retention policy, want age or infinite")
	})
	if err == nil && members != 1 {
		err = r.Bad("want exactly one of age and infinite, got %d members", members)
	}
	return err
}

func (p RetentionPolicy) appendJSON(dst []byte) []byte {
	if p.Infinite() {
		return append(dst, `{"infinite":{}}`...)
	}
	return append(strconv.AppendUint(append(dst, `{"age":`...), p.AgeSecs, 10), '}')
}

// MarshalJSON gives {"age": seconds} or {"infinite": {}}.
func (p RetentionPolicy) MarshalJSON() ([]byte, error) { return p.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json; invalid for an age of 0.
func (p *RetentionPolicy) UnmarshalJSON(b []byte) error { return readWhole(b, p) }

// readJSON reads control plane 2.3; null, and the empty text where a body may be left out, set nothing.
func (c *StreamConfig) readJSON(r *strictjson.Reader) error {
	*c = StreamConfig{}
	if r.Empty() || r.Null() {
		return nil
	}
	return r.Object(func(name []byte) error { return c.readMember(r, name) })
}

func (c *StreamConfig) readMember(r *strictjson.Reader, name []byte) error {
	switch string(name) {
	case "storage_class":
		return strictjson.IntoOptional(r, &c.StorageClass, readStorageClass)
	case "retention_policy":
		return strictjson.IntoOptional(r, &c.RetentionPolicy, value[RetentionPolicy])
	case "timestamping":
		if r.Null() {
			return nil
		}
		return r.Object(func(name []byte) error {
			switch string(name) {
			case "mode":
				return strictjson.IntoOptional(r, &c.TimestampingMode, readTimestampingMode)
			case "uncapped":
				return strictjson.IntoOptional(r, &c.Uncapped, (*strictjson.Reader).Bool)
			}
			return r.Skip()
		})
	case "delete_on_empty":
		return strictjson.IntoOptional(r, &c.DeleteOnEmptyMinAge, readDeleteOnEmpty)
	case "expiry":
		return strictjson.IntoOptional(r, &c.Expiry, value[Expiry])
	case "content_type":
		return strictjson.IntoOptional(r, &c.ContentType, (*strictjson.Reader).Text)
	}
	return r.Skip()
}

// readDeleteOnEmpty reads {"min_age_secs": u64}; {} is an explicit 0.
func readDeleteOnEmpty(r *strictjson.Reader) (age uint64, err error) {
	err = r.Object(func(name []byte) error {
		if string(name) == "min_age_secs" {
			return strictjson.Into(r, &age, (*strictjson.Reader).Uint)
		}
		return r.Skip()
	})
	return age, err
}

// appendJSON writes every member, null when unset; timestamping is null when both of its members are unset. The expiry, which
// S2 does not have, is left out when it is unset.
func (c StreamConfig) appendJSON(dst []byte) []byte {
	dst = appendOptionalText(append(dst, `{"storage_class":`...), c.StorageClass)
	dst = append(dst, `,"retention_policy":`...)
	if c.RetentionPolicy != nil {
		dst = c.RetentionPolicy.appendJSON(dst)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"timestamping":`...)
	if c.TimestampingMode != nil || c.Uncapped != nil {
		dst = appendOptionalText(append(dst, `{"mode":`...), c.TimestampingMode)
		dst = append(dst, `,"uncapped":`...)
		if c.Uncapped != nil {
			dst = strconv.AppendBool(dst, *c.Uncapped)
		} else {
			dst = append(dst, "null"...)
		}
		dst = append(dst, '}')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"delete_on_empty":`...)
	if c.DeleteOnEmptyMinAge != nil {
		dst = append(strconv.AppendUint(append(dst, `{"min_age_secs":`...), *c.DeleteOnEmptyMinAge, 10), '}')
	} else {
		dst = append(dst, "null"...)
	}
	if c.ContentType != nil {
		dst = appendJSONText(append(dst, `,"content_type":`...), *c.ContentType)
	}
	if c.Expiry != nil {
		dst = c.Expiry.appendJSON(append(dst, `,"expiry":`...))
	}
	return append(dst, '}')
}

func appendOptionalText[T ~string](dst []byte, s *T) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	return appendJSONText(dst, *s)
}

// MarshalJSON gives every member, null when unset; the expiry only when it is set.
func (c StreamConfig) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON; null and absent members are the same, {"delete_on_empty": {}} is
// an explicit 0. Codes: bad_json; invalid for a retention age of 0.
func (c *StreamConfig) UnmarshalJSON(b []byte) error { return readWhole(b, c) }

// MarshalJSON gives every member with its concrete value (control plane 2.7), the expiry if there is one, and "closed": true if
// the stream is closed.
func (c ResolvedStreamConfig) MarshalJSON() ([]byte, error) {
	layer := c.Layer()
	if c.Expiry.Never() {
		layer.Expiry = nil
	}
	dst := layer.appendJSON(nil)
	if c.Closed {
		dst = append(dst[:len(dst)-1], `,"closed":true}`...)
	}
	return dst, nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. A member that is missing or null gets the system default.
func (c *ResolvedStreamConfig) UnmarshalJSON(b []byte) error { return readWhole(b, c) }

func (c *ResolvedStreamConfig) readJSON(r *strictjson.Reader) error {
	var layer StreamConfig
	closed := false
	if r.Empty() || r.Null() {
		*c = layer.Resolve(StreamConfig{})
		return nil
	}
	err := r.Object(func(name []byte) error {
		if string(name) == "closed" {
			return strictjson.IntoUnlessNull(r, &closed, (*strictjson.Reader).Bool)
		}
		return layer.readMember(r, name)
	})
	if err != nil {
		return err
	}
	*c = layer.Resolve(StreamConfig{})
	c.Closed = closed
	return nil
}

// readJSON reads control plane 2.5. null leaves a member at its default, the two flags included (D-7).
func (c *BasinConfig) readJSON(r *strictjson.Reader) error {
	*c = BasinConfig{}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "default_stream_config":
			return c.DefaultStreamConfig.readJSON(r)
		case "stream_cipher":
			return strictjson.IntoUnlessNull(r, &c.StreamCipher, readCipher)
		case "create_stream_on_append":
			return strictjson.IntoUnlessNull(r, &c.CreateStreamOnAppend, (*strictjson.Reader).Bool)
		case "create_stream_on_read":
			return strictjson.IntoUnlessNull(r, &c.CreateStreamOnRead, (*strictjson.Reader).Bool)
		}
		return r.Skip()
	})
}

func (c BasinConfig) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"default_stream_config":`...)
	if c.DefaultStreamConfig.Equal(StreamConfig{}) {
		dst = append(dst, "null"...)
	} else {
		dst = c.DefaultStreamConfig.appendJSON(dst)
	}
	dst = c.StreamCipher.appendJSON(append(dst, `,"stream_cipher":`...))
	dst = strconv.AppendBool(append(dst, `,"create_stream_on_append":`...), c.CreateStreamOnAppend)
	dst = strconv.AppendBool(append(dst, `,"create_stream_on_read":`...), c.CreateStreamOnRead)
	return append(dst, '}')
}

func (c Cipher) appendJSON(dst []byte) []byte {
	if c == CipherNone {
		return append(dst, "null"...)
	}
	return appendJSONText(dst, c)
}

// MarshalJSON gives all four members; a default layer that sets nothing and no cipher are null (control plane 2.7).
func (c BasinConfig) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json; invalid for a retention age of 0.
func (c *BasinConfig) UnmarshalJSON(b []byte) error { return readWhole(b, c) }
