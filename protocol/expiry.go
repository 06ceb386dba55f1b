package protocol

import (
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/strictjson"
)

// Expiry is when a stream is deleted with all that it holds; the zero value: never. Both limits may be set: the first that is
// reached counts. It is about a stream, as retention is about records and delete-on-empty about a stream that holds none.
type Expiry struct {
	// IdleSecs is how many seconds a stream may go without an append and without a read; 0: for ever. While a read session is
	// open the stream is being read.
	IdleSecs uint64
	// At is when the stream ends, used or not, in milliseconds since the epoch of the server's clock; 0: never.
	At uint64
}

// Never reports whether the stream does not expire.
func (x Expiry) Never() bool { return x == Expiry{} }

// AtTime is At as a time; zero if it is not set.
func (x Expiry) AtTime() time.Time {
	if x.At == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(x.At)).UTC()
}

// ExpiryAt is the limit at a time, rounded up to milliseconds.
func ExpiryAt(t time.Time) Expiry {
	return Expiry{At: uint64(max(1, t.Add(time.Millisecond-1).UnixMilli()))}
}

// Check refuses limits that a stream cannot be given at now. Codes: invalid.
func (x Expiry) Check(now time.Time) error {
	if x.At != 0 && x.At <= uint64(max(0, now.UnixMilli())) {
		return Errorf(CodeInvalid, "expiry.at: is %s, which is not in the future", x.AtTime().Format(timeFormat))
	}
	return nil
}

// CheckDefault refuses settings that a basin's default cannot have. Codes: invalid.
func (c *StreamConfig) CheckDefault() error {
	if c.ContentType != nil {
		if err := CheckContentType(*c.ContentType); err != nil {
			return Errorf(CodeInvalid, "default_stream_config.content_type: %v", err)
		}
	}
	if c.Expiry != nil && c.Expiry.At != 0 {
		return Errorf(CodeInvalid, "default_stream_config.expiry.at: a time is for a single stream; a basin's default may have idle_secs")
	}
	return nil
}

// readJSON reads {"idle_secs": seconds, "at": RFC 3339}, either of which may be missing; {} is an explicit never. An idle_secs
// of 0 is invalid, because it would delete the stream at once.
func (x *Expiry) readJSON(r *strictjson.Reader) error {
	*x = Expiry{}
	return r.Object(func(name []byte) error {
		switch string(name) {
		case "idle_secs":
			secs, err := r.Uint()
			if err == nil && secs == 0 {
				r.Breaks("must be at least 1 second")
			}
			x.IdleSecs = secs
			return err
		case "at":
			at, err := readTime(r)
			if err == nil {
				x.At = ExpiryAt(at).At
			}
			return err
		}
		return r.Skip()
	})
}

func (x Expiry) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	start := len(dst)
	if x.IdleSecs != 0 {
		dst = strconv.AppendUint(appendMember(dst, start, "idle_secs"), x.IdleSecs, 10)
	}
	if x.At != 0 {
		dst = append(appendMember(dst, start, "at"), '"')
		dst = append(x.AtTime().AppendFormat(dst, timeFormat), '"')
	}
	return append(dst, '}')
}

// MarshalJSON gives the limits that are set.
func (x Expiry) MarshalJSON() ([]byte, error) { return x.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. Codes: bad_json; invalid for an idle_secs of 0.
func (x *Expiry) UnmarshalJSON(b []byte) error { return readWhole(b, x) }
