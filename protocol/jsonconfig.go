package protocol

import "strconv"

// The closed sets of strings in configurations (control plane 2.3, 2.5).
var (
	readTimestampingMode = enum(TimestampClientPrefer, TimestampClientRequire, TimestampArrival)
	readCipher           = enum(CipherAEGIS256, CipherAES256GCM)
)

func readStorageClass(r *jsonReader) (StorageClass, error) {
	s, err := r.string()
	if err != nil {
		return "", err
	}
	class, err := ParseStorageClass(s)
	if err != nil {
		return "", r.bad("%q: %v", Clip(s), err)
	}
	return class, nil
}

// value adapts a [jsonReadable] to the readers of optional and into.
func value[T any, P interface {
	*T
	jsonReadable
}](r *jsonReader) (T, error) {
	var v T
	err := P(&v).readJSON(r)
	return v, err
}

// readJSON reads one of {"age": seconds} and {"infinite": {}} (control plane 2.4). An age of 0 is judged invalid.
func (p *RetentionPolicy) readJSON(r *jsonReader) error {
	*p = RetentionPolicy{}
	members := 0
	err := r.object(func(name []byte) error {
		members++
		switch string(name) {
		case "age":
			age, err := r.uint()
			if err == nil && age == 0 {
				r.judge("must be at least 1 second")
			}
			p.AgeSecs = age
			return err
		case "infinite":
			return r.object(func([]byte) error { return r.skip() })
		}
		if err := r.skip(); err != nil {
			return err
		}
		return r.bad("unknown retention policy, want age or infinite")
	})
	if err == nil && members != 1 {
		err = r.bad("want exactly one of age and infinite, got %d members", members)
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
func (c *StreamConfig) readJSON(r *jsonReader) error {
	*c = StreamConfig{}
	if r.empty() || r.null() {
		return nil
	}
	return r.object(func(name []byte) error { return c.readMember(r, name) })
}

func (c *StreamConfig) readMember(r *jsonReader, name []byte) error {
	switch string(name) {
	case "storage_class":
		return intoOptional(r, &c.StorageClass, readStorageClass)
	case "retention_policy":
		return intoOptional(r, &c.RetentionPolicy, value[RetentionPolicy])
	case "timestamping":
		if r.null() {
			return nil
		}
		return r.object(func(name []byte) error {
			switch string(name) {
			case "mode":
				return intoOptional(r, &c.TimestampingMode, readTimestampingMode)
			case "uncapped":
				return intoOptional(r, &c.Uncapped, (*jsonReader).bool)
			}
			return r.skip()
		})
	case "delete_on_empty":
		return intoOptional(r, &c.DeleteOnEmptyMinAge, readDeleteOnEmpty)
	case "expiry":
		return intoOptional(r, &c.Expiry, value[Expiry])
	}
	return r.skip()
}

// readDeleteOnEmpty reads {"min_age_secs": u64}; {} is an explicit 0.
func readDeleteOnEmpty(r *jsonReader) (age uint64, err error) {
	err = r.object(func(name []byte) error {
		if string(name) == "min_age_secs" {
			return into(r, &age, (*jsonReader).uint)
		}
		return r.skip()
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

// UnmarshalJSON is the strict inverse of MarshalJSON. What is missing or null gets the system default.
func (c *ResolvedStreamConfig) UnmarshalJSON(b []byte) error { return readWhole(b, c) }

func (c *ResolvedStreamConfig) readJSON(r *jsonReader) error {
	var layer StreamConfig
	closed := false
	if r.empty() || r.null() {
		*c = layer.Resolve(StreamConfig{})
		return nil
	}
	err := r.object(func(name []byte) error {
		if string(name) == "closed" {
			return intoUnlessNull(r, &closed, (*jsonReader).bool)
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
func (c *BasinConfig) readJSON(r *jsonReader) error {
	*c = BasinConfig{}
	return r.object(func(name []byte) error {
		switch string(name) {
		case "default_stream_config":
			return c.DefaultStreamConfig.readJSON(r)
		case "stream_cipher":
			return intoUnlessNull(r, &c.StreamCipher, readCipher)
		case "create_stream_on_append":
			return intoUnlessNull(r, &c.CreateStreamOnAppend, (*jsonReader).bool)
		case "create_stream_on_read":
			return intoUnlessNull(r, &c.CreateStreamOnRead, (*jsonReader).bool)
		}
		return r.skip()
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
