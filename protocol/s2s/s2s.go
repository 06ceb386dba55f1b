// Package s2s frames the messages of S2's sessions over HTTP (data plane 8.9) and compresses them, as it compresses the
// bodies of unary requests. It does no I/O. Its errors are [protocol.Error] with code bad_frame.
package s2s

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weirstream/weir/protocol"
)

// The framing of s2s sessions (data plane 8.9), the same in both directions:
//
//	length   3 bytes, big-endian: the flag and the payload, not itself
//	flag     1 byte: bit 7 terminal; bits 6-5 compression; bit 4 reconnect advised; bits 3-0 reserved
//	payload  length - 1 bytes
//
// The payload of a regular frame is a protobuf message, compressed as the flag says. That of a terminal frame is a
// status of 2 bytes, big-endian, and then JSON, never compressed.
const (
	// HeadBytes is the size of a frame before its payload.
	HeadBytes = 4
	// MaxLength is the largest value of a frame's length, inclusive.
	MaxLength = 2 << 20
	// MaxPayload is the largest payload of a frame, and the largest message after decompression.
	MaxPayload = MaxLength - 1
)

const (
	s2sTerminal  = 1 << 7
	s2sReconnect = 1 << 4
	s2sShift     = 5
)

// Head is the part of a frame before its payload.
type Head struct {
	// Terminal marks the last frame, which states why the session ended.
	Terminal bool
	// Reconnect advises a client to move to another connection soon. Senders other than servers leave it out.
	Reconnect bool
	// Compression is that of the payload; a terminal frame has none.
	Compression Compression
	// Payload is the number of bytes that follow.
	Payload int
}

// DecodeHead reads the first [HeadBytes] bytes of a frame. Reserved bits are ignored, and so is the compression
// of a terminal frame. The error has code bad_frame.
func DecodeHead(b []byte) (h Head, err error) {
	if len(b) < HeadBytes {
		return h, protocol.Errorf(protocol.CodeBadFrame, "the input ends inside a frame")
	}
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	switch {
	case length == 0:
		return h, protocol.Errorf(protocol.CodeBadFrame, "a frame has length 0, at least 1 is needed")
	case length > MaxLength:
		return h, protocol.Errorf(protocol.CodeBadFrame, "a frame has length %d, at most %d is allowed", length, MaxLength)
	}
	flag := b[3]
	h = Head{Terminal: flag&s2sTerminal != 0, Reconnect: flag&s2sReconnect != 0, Payload: length - 1}
	if !h.Terminal {
		h.Compression = Compression(flag >> s2sShift & 3)
		if h.Compression > Gzip {
			return Head{}, protocol.Errorf(protocol.CodeBadFrame, "a frame has an unknown compression")
		}
	}
	return h, nil
}

// Append appends the head to dst; Payload must be at most [MaxPayload].
func (h Head) Append(dst []byte) []byte {
	length := h.Payload + 1
	var flag byte
	if h.Terminal {
		flag = s2sTerminal
	} else {
		flag = byte(h.Compression) << s2sShift
		if h.Reconnect {
			flag |= s2sReconnect
		}
	}
	return append(dst, byte(length>>16), byte(length>>8), byte(length), flag)
}

// Message returns the message of a regular frame with this head, at most [MaxPayload] bytes. Without compression
// it is the payload itself. The error has code bad_frame.
func (h Head) Message(payload []byte) ([]byte, error) {
	msg, err := h.Compression.Decode(payload, MaxPayload)
	switch {
	case errors.Is(err, ErrDecompressedTooLarge):
		return nil, protocol.Errorf(protocol.CodeBadFrame, "a frame's message has more than %d bytes", MaxPayload)
	case errors.Is(err, ErrWindowTooLarge):
		return nil, protocol.Errorf(protocol.CodeBadFrame, "a frame's message: %v", err)
	case err != nil:
		return nil, protocol.Wrap(protocol.CodeBadFrame, err, "a frame does not decompress as "+h.Compression.String())
	}
	return msg, nil
}

// DecodeTerminal reads the payload of a terminal frame. The result shares its memory. The error has code bad_frame.
func DecodeTerminal(payload []byte) (status int, body []byte, err error) {
	if len(payload) < 2 || !utf8.Valid(payload[2:]) {
		return 0, nil, protocol.Errorf(protocol.CodeBadFrame, "a terminal frame needs a status and text in UTF-8")
	}
	return int(binary.BigEndian.Uint16(payload)), payload[2:], nil
}

// AppendTerminal appends the terminal frame that reports the error.
func AppendTerminal(dst []byte, e *protocol.Error) []byte {
	body := e.Body()
	if len(body) > MaxPayload-2 { // a message that repeats a client's input
		body = protocol.Errorf(e.Code, "the message is too long to be sent").Body()
	}
	dst = Head{Terminal: true, Payload: 2 + len(body)}.Append(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(e.Status()))
	return append(dst, body...)
}

// ErrTooLarge says that a message does not fit in a frame.
var ErrTooLarge = fmt.Errorf("an s2s message may have at most %d bytes", MaxPayload)

// AppendFrame appends a regular frame with the message to dst. Of h, Compression and Reconnect count. Messages are
// compressed from [CompressionThreshold] bytes on, unless the compressed form does not fit. The error is [ErrTooLarge].
func AppendFrame(dst, msg []byte, h Head) ([]byte, error) {
	if len(msg) > MaxPayload {
		return dst, ErrTooLarge
	}
	c := h.Compression
	h = Head{Reconnect: h.Reconnect, Payload: len(msg)}
	if len(msg) < CompressionThreshold || c == NoCompression {
		return append(h.Append(dst), msg...), nil
	}
	start := len(dst)
	dst = c.Append(append(dst, make([]byte, HeadBytes)...), msg)
	size := len(dst) - start - HeadBytes
	if size > MaxPayload {
		return append(h.Append(dst[:start]), msg...), nil
	}
	h.Payload, h.Compression = size, c
	h.Append(dst[:start])
	return dst, nil
}

// Frame is a whole frame.
type Frame struct {
	Head
	Body []byte // the payload as it stands in the frame
}

// DecodeFrame reads the frame at the start of b. n is its length, or 0 if b ends inside it, in which case more bytes
// are needed. The frame shares b's memory. The error has code bad_frame.
func DecodeFrame(b []byte) (f Frame, n int, err error) {
	if len(b) < HeadBytes {
		return f, 0, nil
	}
	if f.Head, err = DecodeHead(b); err != nil {
		return Frame{}, 0, err
	}
	n = HeadBytes + f.Payload
	if len(b) < n {
		return Frame{}, 0, nil
	}
	f.Body = b[HeadBytes:n:n]
	return f, n, nil
}

// Negotiate chooses the compression of a server's frames by the values of Accept-Encoding (data plane 8.9): zstd if
// it is listed, else gzip if it is, else none. Order and weights do not count.
func Negotiate(acceptEncoding []string) Compression {
	found := NoCompression
	for _, v := range acceptEncoding {
		for item := range strings.SplitSeq(v, ",") {
			item, _, _ = strings.Cut(item, ";")
			switch item = strings.TrimSpace(item); {
			case strings.EqualFold(item, "zstd"):
				return Zstd
			case strings.EqualFold(item, "gzip"):
				found = Gzip
			}
		}
	}
	return found
}
