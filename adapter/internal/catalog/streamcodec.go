package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// The value of a stream's key in the catalog: streamVersion, then fields of the protobuf wire format. There may be millions of
// them, and a start reads all. The name is not in it, since the key has it.
//
//	1  bytes   id, 16 bytes
//	2  varint  number of the log
//	3  varint  created, in milliseconds since the epoch
//	4  bytes   configuration and cipher, a message: 1 storage class, 2 timestamping mode, 6 cipher (texts), 3 age in seconds,
//	           4 uncapped, 5 min_age_secs of delete-on-empty, 7 idle_secs of the expiry, 8 its time in milliseconds since the
//	           epoch (varints), 9 content type (text)
//	5  varint  deleted, in milliseconds since the epoch
//	6  bytes   idempotency key of its creation
//	7  bytes   a deadline of delete-on-empty, a message: 1 time, 2 min_age_secs (varints); repeated
//	8  varint  time up to which deadlines were dealt with
//	9  varint  when the stream was last used, see StreamRecord.Used
//	10 bytes   the shared part of a fork, see fork.go
//
// An unset field is left out. A reader refuses another version, and a field that it does not know: its meaning may matter.
const streamVersion = 1

// Value is the value of the stream's key.
func (r *StreamRecord) Value() []byte { return appendStream(nil, r) }

// appendStream encodes a stream's record.
func appendStream(b []byte, r *StreamRecord) []byte {
	varint := func(b []byte, field protowire.Number, v uint64) []byte {
		if v == 0 {
			return b
		}
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
	}
	text := func(b []byte, field protowire.Number, v string) []byte {
		if v == "" {
			return b
		}
		return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
	}
	message := func(b []byte, field protowire.Number, m []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
	}
	b = append(b, streamVersion)
	b = message(b, 1, r.ID[:])
	b = varint(b, 2, uint64(r.Log))
	b = varint(b, 3, Millis(r.CreatedAt))
	var buf [96]byte
	c := text(buf[:0], 1, string(r.Config.StorageClass))
	c = text(c, 2, string(r.Config.TimestampingMode))
	c = varint(c, 3, r.Config.RetentionPolicy.AgeSecs)
	if r.Config.Uncapped {
		c = varint(c, 4, 1)
	}
	c = varint(c, 5, r.Config.DeleteOnEmptyMinAge)
	c = text(c, 6, string(r.Cipher))
	c = varint(c, 7, r.Config.Expiry.IdleSecs)
	c = varint(c, 8, r.Config.Expiry.At)
	c = text(c, 9, r.Config.ContentType)
	b = message(b, 4, c)
	if !r.DeletedAt.IsZero() {
		b = varint(b, 5, max(1, Millis(r.DeletedAt)))
	}
	b = text(b, 6, r.Key)
	if r.Idle != nil {
		for _, d := range r.Idle.Deadlines {
			b = message(b, 7, varint(varint(buf[:0], 1, d.At), 2, d.MinAge))
		}
		b = varint(b, 8, r.Idle.Done)
	}
	b = varint(b, 9, r.Used)
	if r.Fork != nil {
		b = message(b, 10, appendFork(nil, r.Fork))
	}
	return b
}

// Decoder decodes streams' records. It remembers configurations, of which there are few.
type Decoder struct {
	configs map[string]cipheredConfig
}

// cipheredConfig is the common part of streams that were created alike.
type cipheredConfig struct {
	config protocol.ResolvedStreamConfig
	cipher protocol.Cipher
}

var (
	errCatalogVersion = errors.New("it was written by a later version of weir")
	errCatalogValue   = errors.New("its value cannot be understood")
)

// decode reads the value of a stream's key.
func (d *Decoder) decode(ref protocol.StreamRef, value []byte) (*StreamRecord, error) {
	if len(value) == 0 || value[0] != streamVersion {
		return nil, errCatalogVersion
	}
	r := &StreamRecord{Name: ref.Stream}
	known := true
	err := eachField(value[1:], func(field protowire.Number, n uint64, bytes []byte) (ok bool) {
		switch field {
		case 1:
			if ok = len(bytes) == len(r.ID); ok {
				r.ID = layout.StreamID(bytes)
			}
			return ok
		case 2:
			r.Log = int(n)
		case 3:
			r.CreatedAt = time.UnixMilli(int64(n)).UTC()
		case 4:
			c, ok := d.config(bytes)
			r.Config, r.Cipher = c.config, c.cipher
			return ok
		case 5:
			r.DeletedAt = time.UnixMilli(int64(n)).UTC()
		case 6:
			r.Key = string(bytes)
		case 7, 8:
			return r.decodeIdle(field, n, bytes)
		case 9:
			r.Used = n
		case 10:
			r.Fork, ok = decodeFork(bytes)
			return ok
		default:
			known = false
			return false
		}
		return true
	})
	switch {
	case !known:
		return nil, errCatalogVersion
	case err != nil || r.ID == (layout.StreamID{}):
		return nil, errCatalogValue
	}
	return r, nil
}

func (r *StreamRecord) decodeIdle(field protowire.Number, n uint64, bytes []byte) (ok bool) {
	if r.Idle == nil {
		r.Idle = &IdleRecord{}
	}
	if field == 8 {
		r.Idle.Done = n
		return true
	}
	var d Deadline
	err := eachField(bytes, func(field protowire.Number, n uint64, _ []byte) bool {
		switch field {
		case 1:
			d.At = n
		case 2:
			d.MinAge = n
		}
		return field <= 2
	})
	r.Idle.Deadlines = append(r.Idle.Deadlines, d)
	return err == nil
}

func (d *Decoder) config(encoded []byte) (c cipheredConfig, ok bool) {
	if c, ok = d.configs[string(encoded)]; ok {
		return c, true
	}
	err := eachField(encoded, func(field protowire.Number, n uint64, bytes []byte) bool {
		switch field {
		case 1:
			c.config.StorageClass = protocol.StorageClass(bytes)
		case 2:
			c.config.TimestampingMode = protocol.TimestampingMode(bytes)
		case 3:
			c.config.RetentionPolicy.AgeSecs = n
		case 4:
			c.config.Uncapped = n != 0
		case 5:
			c.config.DeleteOnEmptyMinAge = n
		case 6:
			c.cipher = protocol.Cipher(bytes)
		case 7:
			c.config.Expiry.IdleSecs = n
		case 8:
			c.config.Expiry.At = n
		case 9:
			c.config.ContentType = string(bytes)
		}
		return field <= 9
	})
	if err != nil {
		return c, false
	}
	if d.configs == nil || len(d.configs) > 1024 {
		d.configs = map[string]cipheredConfig{}
	}
	d.configs[string(encoded)] = c
	return c, true
}

// eachField yields the fields of a message: a varint's value, or bytes. It fails when the message is malformed or yield
// returns false.
func eachField(b []byte, yield func(field protowire.Number, n uint64, bytes []byte) bool) error {
	for len(b) > 0 {
		field, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errCatalogValue
		}
		b = b[size:]
		var n uint64
		var bytes []byte
		switch kind {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(b)
		default:
			return errCatalogValue
		}
		if size < 0 || !yield(field, n, bytes) {
			return errCatalogValue
		}
		b = b[size:]
	}
	return nil
}

// JSON returns the value of a key of the catalog in JSON, for people and for tools that read a store.
func JSON(key string, value []byte) ([]byte, error) {
	if !strings.HasPrefix(key, "s.") {
		return value, nil
	}
	ref, ok := RefOfKey(key)
	if !ok {
		return nil, fmt.Errorf("catalog entry %s: %w", key, errCatalogValue)
	}
	r, err := new(Decoder).decode(ref, value)
	if err != nil {
		return nil, fmt.Errorf("catalog entry %s: %w", key, err)
	}
	return json.Marshal(r)
}
