package protocol

import (
	"strconv"

	"github.com/weirstream/weir/internal/strictjson"
)

// readPatch reads one member of a reconfiguration that is there: null unsets, a value sets.
func readPatch[T any](r *strictjson.Reader, p *Patch[T], read func(*strictjson.Reader) (T, error)) error {
	v, err := strictjson.Optional(r, read)
	if err == nil {
		*p = Patch[T]{Present: true, Value: v}
	}
	return err
}

// readJSON reads the body of a PATCH (control plane 2.8): an absent member keeps, null unsets, a value sets.
func (c *StreamReconfiguration) readJSON(r *strictjson.Reader) error {
	*c = StreamReconfiguration{}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "storage_class":
			return readPatch(r, &c.StorageClass, readStorageClass)
		case "retention_policy":
			return readPatch(r, &c.RetentionPolicy, value[RetentionPolicy])
		case "timestamping":
			return c.readTimestamping(r)
		case "delete_on_empty":
			return c.readDeleteOnEmpty(r)
		case "expiry":
			return readPatch(r, &c.Expiry, value[Expiry])
		case "content_type":
			return readPatch(r, &c.ContentType, (*strictjson.Reader).Text)
		}
		return r.Skip()
	})
}

func (c *StreamReconfiguration) readTimestamping(r *strictjson.Reader) error {
	if r.Null() {
		c.TimestampingMode, c.Uncapped = Unset[TimestampingMode](), Unset[bool]()
		return nil
	}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "mode":
			return readPatch(r, &c.TimestampingMode, readTimestampingMode)
		case "uncapped":
			return readPatch(r, &c.Uncapped, (*strictjson.Reader).Bool)
		}
		return r.Skip()
	})
}

func (c *StreamReconfiguration) readDeleteOnEmpty(r *strictjson.Reader) error {
	if r.Null() {
		c.DeleteOnEmptyMinAge = Unset[uint64]()
		return nil
	}
	return r.Object(func(name []byte) error {
		if string(name) == "min_age_secs" {
			return readPatch(r, &c.DeleteOnEmptyMinAge, (*strictjson.Reader).Uint)
		}
		return r.Skip()
	})
}

// appendMember begins a member of the object that was opened at start.
func appendMember(dst []byte, start int, name string) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	return append(append(append(dst, '"'), name...), `":`...)
}

// appendPatch writes a member if it is present, with null for unset.
func appendPatch[T any](dst []byte, start int, name string, p Patch[T], write func([]byte, T) []byte) []byte {
	switch {
	case !p.Present:
		return dst
	case p.Value == nil:
		return append(appendMember(dst, start, name), "null"...)
	}
	return write(appendMember(dst, start, name), *p.Value)
}

func (c StreamReconfiguration) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	start := len(dst)
	dst = appendPatch(dst, start, "storage_class", c.StorageClass, appendJSONText)
	dst = appendPatch(dst, start, "retention_policy", c.RetentionPolicy,
		func(dst []byte, p RetentionPolicy) []byte { return p.appendJSON(dst) })
	if c.TimestampingMode.Present || c.Uncapped.Present {
		dst = append(appendMember(dst, start, "timestamping"), '{')
		inner := len(dst)
		dst = appendPatch(dst, inner, "mode", c.TimestampingMode, appendJSONText)
		dst = append(appendPatch(dst, inner, "uncapped", c.Uncapped, strconv.AppendBool), '}')
	}
	if c.DeleteOnEmptyMinAge.Present {
		dst = append(appendMember(dst, start, "delete_on_empty"), '{')
		dst = append(appendPatch(dst, len(dst), "min_age_secs", c.DeleteOnEmptyMinAge, appendDecimal), '}')
	}
	dst = appendPatch(dst, start, "content_type", c.ContentType, appendJSONText)
	dst = appendPatch(dst, start, "expiry", c.Expiry, func(dst []byte, x Expiry) []byte { return x.appendJSON(dst) })
	return append(dst, '}')
}

func appendDecimal(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }

// MarshalJSON gives the members that are present.
func (c StreamReconfiguration) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json; invalid for a retention age of 0.
func (c *StreamReconfiguration) UnmarshalJSON(b []byte) error { return readWhole(b, c) }

// readJSON reads the body of a PATCH (control plane 2.8). For the two flags null keeps (D-7).
func (c *BasinReconfiguration) readJSON(r *strictjson.Reader) error {
	*c = BasinReconfiguration{}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "default_stream_config":
			return readPatch(r, &c.DefaultStreamConfig, value[StreamReconfiguration])
		case "stream_cipher":
			return readPatch(r, &c.StreamCipher, readCipher)
		case "create_stream_on_append":
			return strictjson.IntoOptional(r, &c.CreateStreamOnAppend, (*strictjson.Reader).Bool)
		case "create_stream_on_read":
			return strictjson.IntoOptional(r, &c.CreateStreamOnRead, (*strictjson.Reader).Bool)
		}
		return r.Skip()
	})
}

// MarshalJSON gives the members that are present.
func (c BasinReconfiguration) MarshalJSON() ([]byte, error) {
	dst := []byte{'{'}
	dst = appendPatch(dst, 1, "default_stream_config", c.DefaultStreamConfig,
		func(dst []byte, d StreamReconfiguration) []byte { return d.appendJSON(dst) })
	dst = appendPatch(dst, 1, "stream_cipher", c.StreamCipher,
		func(dst []byte, c Cipher) []byte { return c.appendJSON(dst) })
	if c.CreateStreamOnAppend != nil {
		dst = strconv.AppendBool(appendMember(dst, 1, "create_stream_on_append"), *c.CreateStreamOnAppend)
	}
	if c.CreateStreamOnRead != nil {
		dst = strconv.AppendBool(appendMember(dst, 1, "create_stream_on_read"), *c.CreateStreamOnRead)
	}
	return append(dst, '}'), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json; invalid for a retention age of 0.
func (c *BasinReconfiguration) UnmarshalJSON(b []byte) error { return readWhole(b, c) }
