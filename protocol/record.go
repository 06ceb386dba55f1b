package protocol

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Header is one header of a record: arbitrary bytes. The name is empty only in a command record.
type Header struct {
	Name  []byte // empty only in a command record
	Value []byte // may be empty
}

// Record is one record to append. Headers keep their order and may repeat. A nil Timestamp lets the server choose
// by the stream's timestamping config; otherwise it is in milliseconds.
type Record struct {
	Timestamp *uint64  // milliseconds since the epoch; nil: the server's choice
	Headers   []Header // at most [MaxRecordHeaders]
	Body      []byte   // may be empty; that of a command is its argument
}

// SequencedRecord is a record as it stands in a stream.
type SequencedRecord struct {
	SeqNum    uint64   // one more than that of the record before
	Timestamp uint64   // milliseconds since the epoch; never below that of the record before
	Headers   []Header // as appended
	Body      []byte   // as appended
}

// MeteredSize is the size that limits count: 8 + 2 per header + names and values + body (data plane 2.4).
func (r *Record) MeteredSize() uint64 { return meteredSize(r.Headers, r.Body) }

// MeteredSize is the size that limits count; see [Record.MeteredSize].
func (r *SequencedRecord) MeteredSize() uint64 { return meteredSize(r.Headers, r.Body) }

func meteredSize(headers []Header, body []byte) uint64 {
	n := 8 + 2*uint64(len(headers)) + uint64(len(body))
	for i := range headers {
		n += uint64(len(headers[i].Name)) + uint64(len(headers[i].Value))
	}
	return n
}

// CommandKind is the effect of a record beside carrying data.
type CommandKind uint8

const (
	// NoCommand marks an ordinary (envelope) record.
	NoCommand CommandKind = iota
	// FenceCommand replaces the stream's fencing token with the record's body.
	FenceCommand
	// TrimCommand asks that records below the body, a big-endian uint64 seq_num, be deleted.
	TrimCommand
	// CloseCommand closes the stream: no record follows it, ever.
	CloseCommand
)

const (
	fenceName = "fence"
	trimName  = "trim"
	closeName = "close"
)

// TerminalTrimPoint is the trim point of the internal command that ends a deleted stream (data plane 3.5).
const TerminalTrimPoint = ^uint64(0)

// FenceRecord makes the command record that sets the fencing token; at most 36 bytes.
func FenceRecord(token string) Record {
	return Record{Headers: []Header{{Value: []byte(fenceName)}}, Body: []byte(token)}
}

// TrimRecord makes the command record that requests deletion of all records with a seq_num below point.
func TrimRecord(point uint64) Record {
	return Record{Headers: []Header{{Value: []byte(trimName)}}, Body: binary.BigEndian.AppendUint64(nil, point)}
}

// CloseRecord makes the command record that closes the stream; the last of its batch.
func CloseRecord() Record {
	return Record{Headers: []Header{{Value: []byte(closeName)}}}
}

// IsCommand reports whether the record has exactly one header and that header's name is empty, which is how clients
// distinguish commands from data (data plane 2.1).
func (r *SequencedRecord) IsCommand() bool { return len(r.Headers) == 1 && len(r.Headers[0].Name) == 0 }

// Command returns the command of an already validated record.
func (r *Record) Command() CommandKind { return commandKind(r.Headers) }

// Command returns the record's command; [NoCommand] for data.
func (r *SequencedRecord) Command() CommandKind { return commandKind(r.Headers) }

func commandKind(headers []Header) CommandKind {
	if len(headers) != 1 || len(headers[0].Name) != 0 {
		return NoCommand
	}
	switch string(headers[0].Value) {
	case fenceName:
		return FenceCommand
	case trimName:
		return TrimCommand
	case closeName:
		return CloseCommand
	}
	return NoCommand
}

// TrimPoint is the requested point of a valid trim command.
func (r *Record) TrimPoint() uint64 { return binary.BigEndian.Uint64(r.Body) }

// check applies the stateless rules of data plane 2.2, 2.3 and 2.6 to the record at index i of a batch.
func (r *Record) check(i int) *Error {
	if len(r.Headers) > MaxRecordHeaders {
		return Errorf(CodeInvalid, "records[%d]: %d headers, at most %d are allowed", i, len(r.Headers), MaxRecordHeaders)
	}
	if len(r.Headers) == 1 && len(r.Headers[0].Name) == 0 {
		if err := r.checkCommand(i); err != nil {
			return err
		}
	} else {
		for j := range r.Headers {
			if len(r.Headers[j].Name) == 0 {
				return Errorf(CodeInvalid, "records[%d].headers[%d]: empty header name", i, j)
			}
		}
	}
	if n := r.MeteredSize(); n > MaxBatchBytes {
		return Errorf(CodeInvalid, "records[%d]: %d metered bytes, at most %d are allowed", i, n, MaxBatchBytes)
	}
	return nil
}

func (r *Record) checkCommand(i int) *Error {
	//exhaustive:enforce
	switch r.Command() {
	case FenceCommand:
		if err := CheckFencingToken(fmt.Sprintf("records[%d]: fence command body", i), string(r.Body)); err != nil {
			return err
		}
	case TrimCommand:
		if len(r.Body) != 8 {
			return Errorf(CodeInvalid, "records[%d]: trim command body has %d bytes, exactly 8 are needed", i, len(r.Body))
		}
	case CloseCommand:
		if len(r.Body) != 0 {
			return Errorf(CodeInvalid, "records[%d]: close command body has %d bytes, it must be empty", i, len(r.Body))
		}
	case NoCommand: // the name of a command, and not one of them
		fallthrough
	default:
		return Errorf(CodeInvalid, "records[%d]: unknown command %q", i, truncate(r.Headers[0].Value, 32))
	}
	return nil
}

// CheckFencingToken checks a token: UTF-8 of at most 36 bytes. The error names field and has code invalid.
func CheckFencingToken(field, token string) *Error {
	if len(token) > MaxFencingTokenBytes {
		return Errorf(CodeInvalid, "%s has %d bytes, at most %d are allowed", field, len(token), MaxFencingTokenBytes)
	}
	if !utf8.ValidString(token) {
		return Errorf(CodeInvalid, "%s is not valid UTF-8", field)
	}
	return nil
}

func truncate(b []byte, n int) []byte {
	if len(b) > n {
		return b[:n]
	}
	return b
}
