package httpclient

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir/protocol"
)

// MediaS2S is the media type of s2s sessions.
const MediaS2S = "s2s/proto"

// Limits of a frame (data plane 8.9).
const (
	MaxFrameBytes   = 2 << 20           // value of the length field, inclusive: flag and payload
	MaxPayloadBytes = MaxFrameBytes - 1 // of a payload, before and after compression
	CompressAt      = 1024              // payloads of at least this size are compressed, if that was agreed
)

// Compression says how a frame's payload is compressed, as bits 5 and 6 of its flag do.
type Compression byte

// The compressions.
const (
	Plain Compression = iota
	Zstd
	Gzip
)

// Flag bits of a frame.
const (
	FlagTerminal  = 0x80
	FlagReconnect = 0x10
)

// Frame is one frame of a session:
//
//	3 bytes  length of flag and payload, big endian
//	1 byte   flag: bit 7 terminal, bits 5 and 6 compression, bit 4 reconnect advised
//	n bytes  payload: a message, or for a terminal frame 2 bytes of status and the error's body
type Frame struct {
	Flag    byte
	Payload []byte // as it is on the wire
}

// EncodeFrame spells a frame.
func EncodeFrame(flag byte, payload []byte) []byte {
	dst := make([]byte, 4, 4+len(payload))
	binary.BigEndian.PutUint32(dst, uint32(len(payload)+1)<<8|uint32(flag))
	return append(dst, payload...)
}

// EncodeMessage spells the frame of a message, compressed regardless of its size.
func EncodeMessage(message []byte, how Compression) ([]byte, error) {
	payload, err := compress(message, how)
	if err != nil {
		return nil, err
	}
	return EncodeFrame(byte(how)<<5, payload), nil
}

func compress(message []byte, how Compression) ([]byte, error) {
	switch how {
	case Plain:
		return message, nil
	case Zstd:
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer func() { _ = enc.Close() }()
		return enc.EncodeAll(message, nil), nil
	case Gzip:
		var buf bytes.Buffer
		enc := gzip.NewWriter(&buf)
		_, err := enc.Write(message)
		if err = errors.Join(err, enc.Close()); err != nil {
			return nil, err
		}
		return buf.Bytes(), nil
	}
	return nil, errors.New("unknown compression")
}

// ReadFrame reads a frame. The error is io.EOF only between frames.
func ReadFrame(r io.Reader) (Frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return Frame{}, err
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return Frame{}, inside(err)
	}
	length := binary.BigEndian.Uint32(head[:]) >> 8
	if length == 0 || length > MaxFrameBytes {
		return Frame{}, wrong("a frame has length %d", length)
	}
	f := Frame{Flag: head[3], Payload: make([]byte, length-1)}
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return Frame{}, inside(err)
	}
	return f, nil
}

// inside is an error within a frame, where an end is not clean.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Terminal reports whether the frame ends the session.
func (f Frame) Terminal() bool { return f.Flag&FlagTerminal != 0 }

// Compression is that of the payload.
func (f Frame) Compression() Compression { return Compression(f.Flag >> 5 & 3) }

// Failure is the error that a terminal frame carries.
func (f Frame) Failure() error {
	if len(f.Payload) < 2 {
		return wrong("a terminal frame has %d bytes", len(f.Payload))
	}
	if f.Flag&^FlagReconnect != FlagTerminal {
		return wrong("a terminal frame has flag %#x", f.Flag)
	}
	status := int(binary.BigEndian.Uint16(f.Payload))
	if status < 400 {
		return wrong("a terminal frame has status %d", status)
	}
	return protocol.ParseError(status, f.Payload[2:])
}

// Message is the payload of a regular frame, decompressed.
func (f Frame) Message() ([]byte, error) {
	var r io.Reader
	switch f.Compression() {
	case Plain:
		return f.Payload, nil
	case Zstd:
		dec, err := zstd.NewReader(bytes.NewReader(f.Payload), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer dec.Close()
		r = dec
	case Gzip:
		dec, err := gzip.NewReader(bytes.NewReader(f.Payload))
		if err != nil {
			return nil, err
		}
		r = dec
	default:
		return nil, wrong("a frame has flag %#x", f.Flag)
	}
	message, err := io.ReadAll(io.LimitReader(r, MaxPayloadBytes+1))
	if err == nil && len(message) > MaxPayloadBytes {
		err = wrong("a message has more than %d bytes", MaxPayloadBytes)
	}
	return message, err
}
