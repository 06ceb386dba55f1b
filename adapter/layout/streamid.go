package layout

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// StreamID distinguishes an incarnation of a stream from all others, of all basins and times: a stream that is deleted and created
// again has another. The first 4 bytes are the bucket, big-endian; the rest is random.
type StreamID [16]byte

// BucketStreams is how many streams of a basin are created into one bucket.
const BucketStreams = 512

// NewStreamID makes an id of a bucket.
func NewStreamID(bucket uint32) StreamID {
	id := StreamID(uuid.New())
	binary.BigEndian.PutUint32(id[:4], bucket)
	return id
}

var encoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// ParseStreamID is the inverse of [StreamID.String].
func ParseStreamID(s string) (id StreamID, err error) {
	if len(s) != encoding.EncodedLen(len(id)) || s != strings.ToLower(s) {
		return id, fmt.Errorf("%.40q is not the id of a stream", s)
	}
	raw, err := encoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("%.40q is not the id of a stream", s)
	}
	id = StreamID(raw)
	if id.String() != s { // the last character has bits to spare
		return StreamID{}, fmt.Errorf("%.40q is not the id of a stream", s)
	}
	return id, nil
}

// String is the id in lower-case base32hex, without padding: 26 characters.
func (id StreamID) String() string { return strings.ToLower(encoding.EncodeToString(id[:])) }

// Bucket is the part of a basin that the stream belongs to. Streams that are created one after the other share one, so that
// their chunks tend to lie together in the log and can be purged together (docs/adr/0015).
func (id StreamID) Bucket() uint32 { return binary.BigEndian.Uint32(id[:4]) }

// Hash spreads streams over logs.
func (id StreamID) Hash() uint32 { return binary.BigEndian.Uint32(id[4:8]) }

// MarshalText makes the id a string in JSON.
func (id StreamID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (id *StreamID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseStreamID(string(b))
	return err
}
