// Package chunk encodes the messages in which records are stored (docs/chunk-format.md), and the frames in which such
// messages travel and lie in backups (docs/backup-format.md).
package chunk

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// Header is the NATS header of a stored chunk. It stands beside no header of a client: those are data inside
// the payload (jetstream-notes, rule 3).
const Header = "Weir-Chunk"

// Version is the version of the format that is written. A reader refuses a later one with a [VersionError]: its facts about a
// stream's state must not be passed over.
const Version = 1

// VersionError says that a chunk was written by a later version of weir.
type VersionError struct {
	Header string // the chunk's, whole
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("chunk header %q: it was written by a later version of weir; this one reads format %d", e.Header, Version)
}

// Chunk is one stored message: consecutive records of one stream and the stream's state after them, so that the
// newest chunk of a stream is its checkpoint (docs/chunk-format.md, docs/adr/0001-chunk-per-batch.md). A chunk without records
// is a state chunk: it carries state only.
//
// Stored form: the payload is Records.Wire(); the header [Header] holds, separated by spaces, the format version
// and key=value pairs:
//
//	1 first=<seq_num> n=<records> ts=<first>-<last> size=<metered bytes> total=<metered bytes> exp=<ms> trim=<seq_num> kept=<seq_num> prev=<ms> fence=<base64url> closed=<1|2> prod=<base64url> wseq=<base64url> idle=<ms>-<s>-<s> enc=<cipher> epoch=<n> id=<append id> crc=<hex>
//
// total, exp, trim, kept, prev, fence, closed, prod, wseq, idle, enc and epoch are left out when they are zero or empty; prev is how much sooner than exp, or never. crc is the CRC-32C of the header up to " crc="
// followed by the payload.
type Chunk struct {
	// ID is unique among all chunks of a log: it shows whose write won when a publish had no answer.
	ID string
	// Records are the chunk's records; none in a state chunk.
	Records protocol.Records
	// Next is the seq_num that follows the chunk, and Last the timestamp of the last record ever appended: together
	// the stream's tail after the chunk.
	Next uint64
	Last uint64 // milliseconds since the epoch
	// Total is the metered bytes of all records ever appended to the stream, those of this chunk included: the difference of
	// two chunks' totals is the size of the records appended between them.
	Total uint64
	// Expiry is when the records are no longer shown, in milliseconds since the epoch of the server's clock; 0: never.
	Expiry uint64
	// Trim is the trim point: records with a lower seq_num are not shown.
	Trim uint64
	// Kept is the seq_num from which on records are kept until they are trimmed: no record with a higher one ever expires. So a
	// record that is not below it or the trim point must be there.
	Kept uint64
	// PrevExpiry is the Expiry of the record before FirstSeqNum; 0: there is none, or [Chunk.Kept] or an infinite retention says
	// that it is kept; [NeverExpires]: it never expires, although records of this chunk do. So if that record has neither
	// expired nor been trimmed, its chunk must be there.
	PrevExpiry uint64
	// Fence is the fencing token; "" when the stream is not fenced.
	Fence string
	// Closed says whether the stream is closed, and how.
	Closed Closing
	// Producers is the stream's memory of its producers.
	Producers *Producers
	// WriterSeq is the highest writer_seq of an append; "" when none had one.
	WriterSeq string
	// LastAppend says when and under which settings the stream was last appended to, for delete-on-empty. It is set in
	// the chunks of streams that have it enabled, and in every state chunk; the zero value otherwise.
	LastAppend LastAppend
	// Cipher is the cipher of the records, commands excepted. Sizes are those of the records as they were before.
	Cipher protocol.Cipher
	// Epoch is that of the owner that wrote the chunk, where several brokers share a store; 0: there is one.
	Epoch uint64
}

// NeverExpires is a [Chunk.PrevExpiry].
const NeverExpires = ^uint64(0)

// Closing says whether a stream is closed, and how. Nothing follows the chunk of a closed stream but state and the end of a
// deleted stream.
type Closing uint8

// The states of a stream.
const (
	NotClosed       Closing = 0
	Closed          Closing = 1 // by the flag of an append
	ClosedByCommand Closing = 2 // by a command record, which is the last record
)

// LastAppend is the latest append of a stream: the deadlines of delete-on-empty follow from it (control plane 4.9).
type LastAppend struct {
	// At is when it arrived, in milliseconds since the epoch of the server's clock; 0: not known.
	At uint64
	// AgeSecs is the retention age then in force, in seconds; 0: infinite.
	AgeSecs uint64
	// MinAgeSecs is the min_age_secs of delete-on-empty then in force; 0: disabled.
	MinAgeSecs uint64
}

// Tail is the stream's tail after the chunk.
func (c *Chunk) Tail() protocol.Position { return protocol.Position{SeqNum: c.Next, Timestamp: c.Last} }

// FirstSeqNum is the seq_num of the first record, or Next in a state chunk.
func (c *Chunk) FirstSeqNum() uint64 { return c.Next - uint64(c.Records.Len()) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeHeader returns the value of [Header].
func (c *Chunk) EncodeHeader() string {
	b := make([]byte, 0, 160)
	b = append(b, "1 first="...)
	b = strconv.AppendUint(b, c.FirstSeqNum(), 10)
	b = append(b, " n="...)
	b = strconv.AppendInt(b, int64(c.Records.Len()), 10)
	b = append(b, " ts="...)
	first := c.Last
	if c.Records.Len() > 0 {
		first = c.Records.First().Timestamp
	}
	b = strconv.AppendUint(b, first, 10)
	b = append(b, '-')
	b = strconv.AppendUint(b, c.Last, 10)
	b = append(b, " size="...)
	b = strconv.AppendUint(b, c.Records.MeteredSize(), 10)
	if c.Total != 0 {
		b = append(b, " total="...)
		b = strconv.AppendUint(b, c.Total, 10)
	}
	if c.Expiry != 0 {
		b = append(b, " exp="...)
		b = strconv.AppendUint(b, c.Expiry, 10)
	}
	if c.Trim != 0 {
		b = append(b, " trim="...)
		b = strconv.AppendUint(b, c.Trim, 10)
	}
	if c.Kept != 0 {
		b = append(b, " kept="...)
		b = strconv.AppendUint(b, c.Kept, 10)
	}
	switch {
	case c.PrevExpiry == NeverExpires:
		b = append(b, " prev=never"...)
	case c.PrevExpiry != 0: // a difference, because it is short
		b = append(b, " prev="...)
		b = strconv.AppendInt(b, int64(c.Expiry-c.PrevExpiry), 10)
	}
	if c.Fence != "" {
		b = append(b, " fence="...)
		b = base64.RawURLEncoding.AppendEncode(b, []byte(c.Fence))
	}
	if c.Closed != NotClosed {
		b = append(b, " closed="...)
		b = strconv.AppendUint(b, uint64(c.Closed), 10)
	}
	if text := c.Producers.Text(); text != "" {
		b = append(append(b, " prod="...), text...)
	}
	if c.WriterSeq != "" {
		b = append(b, " wseq="...)
		b = base64.RawURLEncoding.AppendEncode(b, []byte(c.WriterSeq))
	}
	if c.LastAppend.At != 0 {
		b = append(b, " idle="...)
		b = strconv.AppendUint(b, c.LastAppend.At, 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, c.LastAppend.AgeSecs, 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, c.LastAppend.MinAgeSecs, 10)
	}
	if c.Cipher != protocol.CipherNone {
		b = append(b, " enc="...)
		b = append(b, c.Cipher...)
	}
	if c.Epoch != 0 {
		b = append(b, " epoch="...)
		b = strconv.AppendUint(b, c.Epoch, 10)
	}
	b = append(b, " id="...)
	b = append(b, c.ID...)
	sum := crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, c.Records.Wire())
	b = append(b, " crc="...)
	b = strconv.AppendUint(b, uint64(sum), 16)
	return string(b)
}

// Decode reads a stored chunk and verifies its checksum. The result shares payload's memory. An error means
// that the stored bytes are damaged or not a chunk.
func Decode(header string, payload []byte) (Chunk, error) {
	c, count, firstTS, metered, err := decodeChunkHeader(header)
	if err != nil {
		return Chunk{}, err
	}
	cut := strings.LastIndex(header, " crc=")
	if cut < 0 {
		return Chunk{}, fmt.Errorf("chunk header %q: no checksum", header)
	}
	want, err := strconv.ParseUint(header[cut+5:], 16, 32)
	if err != nil {
		return Chunk{}, fmt.Errorf("chunk header %q: bad checksum", header)
	}
	if got := crc32.Update(crc32.Checksum([]byte(header[:cut]), castagnoli), castagnoli, payload); got != uint32(want) {
		return Chunk{}, fmt.Errorf("chunk %q: checksum is %x, not as stored", header, got)
	}
	if count > c.Next || (count == 0) != (len(payload) == 0) {
		return Chunk{}, fmt.Errorf("chunk %q: %d payload bytes do not fit its record count", header, len(payload))
	}
	if count > 0 {
		first := protocol.Position{SeqNum: c.Next - count, Timestamp: firstTS}
		last := protocol.Position{SeqNum: c.Next - 1, Timestamp: c.Last}
		c.Records = protocol.MakeRecords(payload, int(count), metered, first, last)
	}
	return c, nil
}

func decodeChunkHeader(header string) (c Chunk, count, firstTS, metered uint64, err error) {
	version, rest, ok := strings.Cut(header, " ")
	switch n, err := strconv.ParseUint(version, 10, 32); {
	case !ok || err != nil || n == 0:
		return c, 0, 0, 0, fmt.Errorf("chunk header %q: it does not begin with the version of a format", header)
	case n != Version:
		return c, 0, 0, 0, &VersionError{header}
	}
	var first uint64
	for rest != "" && err == nil {
		var field string
		field, rest, _ = strings.Cut(rest, " ")
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "first":
			first, err = strconv.ParseUint(value, 10, 64)
		case "n":
			count, err = strconv.ParseUint(value, 10, 31)
		case "ts":
			a, b, _ := strings.Cut(value, "-")
			if firstTS, err = strconv.ParseUint(a, 10, 64); err == nil {
				c.Last, err = strconv.ParseUint(b, 10, 64)
			}
		case "size":
			metered, err = strconv.ParseUint(value, 10, 64)
		case "total":
			c.Total, err = strconv.ParseUint(value, 10, 64)
		case "exp":
			c.Expiry, err = strconv.ParseUint(value, 10, 64)
		case "trim":
			c.Trim, err = strconv.ParseUint(value, 10, 64)
		case "kept":
			c.Kept, err = strconv.ParseUint(value, 10, 64)
		case "prev":
			c.PrevExpiry, err = parsePrevExpiry(value, c.Expiry)
		case "fence":
			var token []byte
			token, err = base64.RawURLEncoding.DecodeString(value)
			c.Fence = string(token)
		case "closed":
			switch value {
			case "1":
				c.Closed = Closed
			case "2":
				c.Closed = ClosedByCommand
			default:
				return c, 0, 0, 0, &VersionError{header}
			}
		case "prod":
			c.Producers, err = ParseProducers(value)
		case "wseq":
			var seq []byte
			seq, err = base64.RawURLEncoding.DecodeString(value)
			c.WriterSeq = string(seq)
		case "idle":
			c.LastAppend, err = parseLastAppend(value)
		case "enc":
			c.Cipher = protocol.Cipher(value)
		case "epoch":
			c.Epoch, err = strconv.ParseUint(value, 10, 64)
		case "id":
			c.ID = value
		case "crc":
		default:
			return c, 0, 0, 0, &VersionError{header}
		}
	}
	if err != nil {
		return c, 0, 0, 0, fmt.Errorf("chunk header %q: %w", header, err)
	}
	c.Next = first + count
	if c.Next < first {
		return c, 0, 0, 0, fmt.Errorf("chunk header %q: seq_num overflow", header)
	}
	return c, count, firstTS, metered, nil
}

// parsePrevExpiry reads how much sooner than the chunk, whose expiry stands before it in the header, the record before it
// expires.
func parsePrevExpiry(s string, expiry uint64) (uint64, error) {
	if s == "never" {
		return NeverExpires, nil
	}
	d, err := strconv.ParseInt(s, 10, 64)
	return expiry - uint64(d), err
}

// parseLastAppend reads the three numbers of idle.
func parseLastAppend(s string) (l LastAppend, err error) {
	at, rest, _ := strings.Cut(s, "-")
	age, minAge, _ := strings.Cut(rest, "-")
	if l.At, err = strconv.ParseUint(at, 10, 64); err != nil {
		return l, err
	}
	if l.AgeSecs, err = strconv.ParseUint(age, 10, 64); err != nil {
		return l, err
	}
	l.MinAgeSecs, err = strconv.ParseUint(minAge, 10, 64)
	return l, err
}
