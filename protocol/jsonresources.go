package protocol

import (
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/strictjson"
)

// timeFormat is RFC 3339 with up to nine digits, trailing zeros dropped; for UTC it ends in Z (control plane 3.1).
const timeFormat = time.RFC3339Nano

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	return append(t.UTC().AppendFormat(append(dst, '"'), timeFormat), '"')
}

func readTime(r *strictjson.Reader) (time.Time, error) {
	s, err := r.Text()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(timeFormat, s)
	// In UTC a time near the ends may leave the four-digit years; the zero time stands for none.
	if t = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 || t.IsZero() {
		return time.Time{}, r.Bad("%q is not an RFC 3339 time of the years 1 to 9999", truncate([]byte(s), 64))
	}
	return t, nil
}

func readBasinName(r *strictjson.Reader) (BasinName, error) {
	s, err := r.Text()
	if err != nil {
		return "", err
	}
	name, err := ParseBasinName(s)
	if err != nil {
		return "", r.Bad("%v", err)
	}
	return name, nil
}

func readStreamName(r *strictjson.Reader) (StreamName, error) {
	s, err := r.Text()
	if err != nil {
		return "", err
	}
	name, err := ParseStreamName(s)
	if err != nil {
		return "", r.Bad("%v", err)
	}
	return name, nil
}

// maxDedicatedLogs bounds dedicated_logs.
const maxDedicatedLogs = 64

func readLogs(r *strictjson.Reader) (int, error) {
	n, err := r.UintMax(maxDedicatedLogs)
	return int(n), err // bounded
}

// appendLogs appends dedicated_logs, which is left out when it is 0: S2 does not know it.
func appendLogs(dst []byte, logs int) []byte {
	if logs == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, `,"dedicated_logs":`...), int64(logs), 10)
}

// readJSON reads {"name", "location", "dedicated_logs", "created_at", "deleted_at"}; state is not kept.
func (b *BasinInfo) readJSON(r *strictjson.Reader) error {
	*b = BasinInfo{}
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "name":
			return strictjson.Into(r, &b.Name, readBasinName)
		case "location":
			return strictjson.IntoUnlessNull(r, &b.Location, readLocationName)
		case "dedicated_logs":
			return strictjson.IntoUnlessNull(r, &b.DedicatedLogs, readLogs)
		case "created_at":
			return strictjson.Into(r, &b.CreatedAt, readTime)
		case "deleted_at":
			return strictjson.IntoUnlessNull(r, &b.DeletedAt, readTime)
		}
		return r.Skip()
	})
	if err == nil && (b.Name == "" || b.CreatedAt.IsZero()) {
		err = r.Bad("name and created_at are required")
	}
	return err
}

func (b BasinInfo) appendJSON(dst []byte) []byte {
	dst = appendJSONText(append(dst, `{"name":`...), b.Name)
	dst = appendLocation(append(dst, `,"location":`...), b.Location)
	dst = appendLogs(dst, b.DedicatedLogs)
	dst = appendTime(append(dst, `,"created_at":`...), b.CreatedAt)
	dst = appendTime(append(dst, `,"deleted_at":`...), b.DeletedAt)
	state := "active"
	if !b.DeletedAt.IsZero() {
		state = "deleting"
	}
	return append(appendJSONText(append(dst, `,"state":`...), state), '}')
}

// MarshalJSON gives the five members of control plane 3.1.
func (b BasinInfo) MarshalJSON() ([]byte, error) { return b.appendJSON(nil), nil }

// UnmarshalJSON reads the output of MarshalJSON. The error has code bad_json.
func (b *BasinInfo) UnmarshalJSON(data []byte) error { return readWhole(data, b) }

// readJSON reads {"name", "created_at", "deleted_at", "cipher"}.
func (s *StreamInfo) readJSON(r *strictjson.Reader) error {
	*s = StreamInfo{}
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "name":
			return strictjson.Into(r, &s.Name, readStreamName)
		case "created_at":
			return strictjson.Into(r, &s.CreatedAt, readTime)
		case "deleted_at":
			return strictjson.IntoUnlessNull(r, &s.DeletedAt, readTime)
		case "cipher":
			return strictjson.IntoUnlessNull(r, &s.Cipher, readCipher)
		}
		return r.Skip()
	})
	if err == nil && (s.Name == "" || s.CreatedAt.IsZero()) {
		err = r.Bad("name and created_at are required")
	}
	return err
}

func (s StreamInfo) appendJSON(dst []byte) []byte {
	dst = appendJSONText(append(dst, `{"name":`...), s.Name)
	dst = appendTime(append(dst, `,"created_at":`...), s.CreatedAt)
	dst = appendTime(append(dst, `,"deleted_at":`...), s.DeletedAt)
	return append(s.Cipher.appendJSON(append(dst, `,"cipher":`...)), '}')
}

// MarshalJSON gives the four members of control plane 4.1.
func (s StreamInfo) MarshalJSON() ([]byte, error) { return s.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (s *StreamInfo) UnmarshalJSON(data []byte) error { return readWhole(data, s) }

// readPage reads {"<list>": [...], "has_more": bool}; both are required.
func readPage[T any](r *strictjson.Reader, list string, items *[]T, more *bool, read func(*strictjson.Reader) (T, error)) error {
	*items, *more = nil, false
	var hasList, hasMore bool
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case list:
			hasList = true
			return r.Array(func(int) error {
				item, err := read(r)
				if err == nil {
					*items = append(*items, item)
				}
				return err
			})
		case "has_more":
			hasMore = true
			return strictjson.Into(r, more, (*strictjson.Reader).Bool)
		}
		return r.Skip()
	})
	if err == nil && !(hasList && hasMore) {
		err = r.Bad("%s and has_more are required", list)
	}
	return err
}

func appendPage[T any](list string, items []T, more bool, write func([]byte, T) []byte) []byte {
	dst := append(append([]byte(`{"`), list...), `":[`...)
	for i := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = write(dst, items[i])
	}
	return append(strconv.AppendBool(append(dst, `],"has_more":`...), more), '}')
}

func (p *BasinPage) readJSON(r *strictjson.Reader) error {
	return readPage(r, "basins", &p.Basins, &p.HasMore, value[BasinInfo])
}

// MarshalJSON gives {"basins": [...], "has_more": bool}.
func (p BasinPage) MarshalJSON() ([]byte, error) {
	return appendPage("basins", p.Basins, p.HasMore, func(dst []byte, b BasinInfo) []byte { return b.appendJSON(dst) }), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (p *BasinPage) UnmarshalJSON(data []byte) error { return readWhole(data, p) }

func (p *StreamPage) readJSON(r *strictjson.Reader) error {
	return readPage(r, "streams", &p.Streams, &p.HasMore, value[StreamInfo])
}

// MarshalJSON gives {"streams": [...], "has_more": bool}.
func (p StreamPage) MarshalJSON() ([]byte, error) {
	return appendPage("streams", p.Streams, p.HasMore, func(dst []byte, s StreamInfo) []byte { return s.appendJSON(dst) }), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (p *StreamPage) UnmarshalJSON(data []byte) error { return readWhole(data, p) }

// readJSON reads {"basin": name, "config": BasinConfig|null, "location": name|null, "dedicated_logs": n}; basin is required. The request
// token travels outside the body.
func (c *CreateBasinRequest) readJSON(r *strictjson.Reader) error {
	*c = CreateBasinRequest{}
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "basin":
			return strictjson.Into(r, &c.Basin, readBasinName)
		case "config":
			return strictjson.IntoUnlessNull(r, &c.Config, value[BasinConfig])
		case "location":
			return strictjson.IntoUnlessNull(r, &c.Location, readLocationName)
		case "dedicated_logs":
			return strictjson.IntoUnlessNull(r, &c.DedicatedLogs, readLogs)
		}
		return r.Skip()
	})
	if err == nil && c.Basin == "" {
		err = Errorf(CodeBadJSON, "basin: is required")
	}
	return err
}

// MarshalJSON gives {"basin": name, "config": {...}, "location": name|null}, and "dedicated_logs" if there are any.
func (c CreateBasinRequest) MarshalJSON() ([]byte, error) {
	dst := appendJSONText([]byte(`{"basin":`), c.Basin)
	dst = c.Config.appendJSON(append(dst, `,"config":`...))
	dst = appendLocation(append(dst, `,"location":`...), c.Location)
	return append(appendLogs(dst, c.DedicatedLogs), '}'), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json; invalid for a retention age of 0.
func (c *CreateBasinRequest) UnmarshalJSON(data []byte) error { return readWhole(data, c) }

// readJSON reads {"config": BasinConfig|null, "location": name|null, "dedicated_logs": n}; null and the empty text are the zero value.
func (e *EnsureBasinRequest) readJSON(r *strictjson.Reader) error {
	*e = EnsureBasinRequest{}
	if r.Empty() || r.Null() {
		return nil
	}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "config":
			return strictjson.IntoUnlessNull(r, &e.Config, value[BasinConfig])
		case "location":
			return strictjson.IntoUnlessNull(r, &e.Location, readLocationName)
		case "dedicated_logs":
			return strictjson.IntoUnlessNull(r, &e.DedicatedLogs, readLogs)
		}
		return r.Skip()
	})
}

// MarshalJSON gives {"config": {...}, "location": name|null}.
func (e EnsureBasinRequest) MarshalJSON() ([]byte, error) {
	dst := e.Config.appendJSON([]byte(`{"config":`))
	dst = appendLocation(append(dst, `,"location":`...), e.Location)
	return append(appendLogs(dst, e.DedicatedLogs), '}'), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON; codes as for [CreateBasinRequest.UnmarshalJSON].
func (e *EnsureBasinRequest) UnmarshalJSON(data []byte) error { return readWhole(data, e) }

// readJSON reads {"stream": name, "config": StreamConfig|null}; stream is required.
func (c *CreateStreamRequest) readJSON(r *strictjson.Reader) error {
	*c = CreateStreamRequest{}
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "stream":
			return strictjson.Into(r, &c.Stream, readStreamName)
		case "config":
			return c.Config.readJSON(r)
		case "fork":
			return strictjson.IntoOptional(r, &c.Fork, value[ForkRequest])
		}
		return r.Skip()
	})
	if err == nil && c.Stream == "" {
		err = Errorf(CodeBadJSON, "stream: is required")
	}
	return err
}

// MarshalJSON gives {"stream": name, "config": {...}}.
func (c CreateStreamRequest) MarshalJSON() ([]byte, error) {
	dst := appendJSONText([]byte(`{"stream":`), c.Stream)
	dst = c.Config.appendJSON(append(dst, `,"config":`...))
	if c.Fork != nil {
		dst = c.Fork.appendJSON(append(dst, `,"fork":`...))
	}
	return append(dst, '}'), nil
}

// readJSON reads {"source": name, "at": seq_num|null}; source is required.
func (f *ForkRequest) readJSON(r *strictjson.Reader) error {
	*f = ForkRequest{}
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "source":
			return strictjson.Into(r, &f.Source, readStreamName)
		case "at":
			return strictjson.IntoOptional(r, &f.At, (*strictjson.Reader).Uint)
		}
		return r.Skip()
	})
	if err == nil && f.Source == "" {
		err = Errorf(CodeBadJSON, "fork.source: is required")
	}
	return err
}

func (f *ForkRequest) appendJSON(dst []byte) []byte {
	dst = appendJSONText(append(dst, `{"source":`...), f.Source)
	if f.At != nil {
		dst = appendDecimal(append(dst, `,"at":`...), *f.At)
	}
	return append(dst, '}')
}

// MarshalJSON gives {"source": name, "at": seq_num}, the latter if it is set.
func (f ForkRequest) MarshalJSON() ([]byte, error) { return f.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json.
func (f *ForkRequest) UnmarshalJSON(data []byte) error { return readWhole(data, f) }

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json; invalid for a retention age of 0.
func (c *CreateStreamRequest) UnmarshalJSON(data []byte) error { return readWhole(data, c) }
