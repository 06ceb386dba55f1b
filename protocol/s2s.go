package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
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
	// S2SHeadBytes is the size of a frame before its payload.
	S2SHeadBytes = 4
	// MaxS2SLength is the largest value of a frame's length, inclusive.
	MaxS2SLength = 2 << 20
	// MaxS2SPayload is the largest payload of a frame, and the largest message after decompression.
	MaxS2SPayload = MaxS2SLength - 1
)

const (
	s2sTerminal  = 1 << 7
	s2sReconnect = 1 << 4
	s2sShift     = 5
)

// S2SHead is what stands before a frame's payload.
type S2SHead struct {
	// Terminal marks the last frame, which tells why the session ended.
	Terminal bool
	// Reconnect advises a client to move to another connection soon. Senders other than servers leave it out.
	Reconnect bool
	// Compression is that of the payload; a terminal frame has none.
	Compression Compression
	// Payload is the number of bytes that follow.
	Payload int
}

// DecodeS2SHead reads the first [S2SHeadBytes] bytes of a frame. Reserved bits are ignored, and so is the compression
// of a terminal frame. The error has code bad_frame.
func DecodeS2SHead(b []byte) (h S2SHead, err error) {
	if len(b) < S2SHeadBytes {
		return h, Errorf(CodeBadFrame, "the input ends inside a frame")
	}
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	switch {
	case length == 0:
		return h, Errorf(CodeBadFrame, "a frame has length 0, at least 1 is needed")
	case length > MaxS2SLength:
		return h, Errorf(CodeBadFrame, "a frame has length %d, at most %d is allowed", length, MaxS2SLength)
	}
	flag := b[3]
	h = S2SHead{Terminal: flag&s2sTerminal != 0, Reconnect: flag&s2sReconnect != 0, Payload: length - 1}
	if !h.Terminal {
		h.Compression = Compression(flag >> s2sShift & 3)
		if h.Compression > Gzip {
			return S2SHead{}, Errorf(CodeBadFrame, "a frame has an unknown compression")
		}
	}
	return h, nil
}

// Append appends the head to dst; Payload must be at most [MaxS2SPayload].
func (h S2SHead) Append(dst []byte) []byte {
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

// Message returns the message of a regular frame with this head, at most [MaxS2SPayload] bytes. Without compression
// it is the payload itself. The error has code bad_frame.
func (h S2SHead) Message(payload []byte) ([]byte, error) {
	msg, err := h.Compression.Decode(payload, MaxS2SPayload)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, Errorf(CodeBadFrame, "a frame's message has more than %d bytes", MaxS2SPayload)
	case err != nil:
		return nil, Wrap(CodeBadFrame, err, "a frame does not decompress as "+h.Compression.String())
	}
	return msg, nil
}

// DecodeS2STerminal reads the payload of a terminal frame. The result shares its memory. The error has code bad_frame.
func DecodeS2STerminal(payload []byte) (status int, body []byte, err error) {
	if len(payload) < 2 || !utf8.Valid(payload[2:]) {
		return 0, nil, Errorf(CodeBadFrame, "a terminal frame needs a status and text in UTF-8")
	}
	return int(binary.BigEndian.Uint16(payload)), payload[2:], nil
}

// AppendS2STerminal appends the terminal frame that tells of the error.
func AppendS2STerminal(dst []byte, e *Error) []byte {
	body := e.Body()
	if len(body) > MaxS2SPayload-2 { // a message that repeats what a client sent
		body = Errorf(e.Code, "the message is too long to be sent").Body()
	}
	dst = S2SHead{Terminal: true, Payload: 2 + len(body)}.Append(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(e.Status()))
	return append(dst, body...)
}

// ErrS2STooLarge is what a message gives that does not fit in a frame.
var ErrS2STooLarge = fmt.Errorf("an s2s message may have at most %d bytes", MaxS2SPayload)

// AppendS2SFrame appends a regular frame with the message to dst. It compresses as c says from [CompressionThreshold]
// bytes on, unless what comes out does not fit. The error is [ErrS2STooLarge].
func AppendS2SFrame(dst, msg []byte, c Compression, reconnect bool) ([]byte, error) {
	if len(msg) > MaxS2SPayload {
		return dst, ErrS2STooLarge
	}
	h := S2SHead{Reconnect: reconnect, Payload: len(msg)}
	if len(msg) < CompressionThreshold || c == NoCompression {
		return append(h.Append(dst), msg...), nil
	}
	start := len(dst)
	dst = c.Append(append(dst, make([]byte, S2SHeadBytes)...), msg)
	size := len(dst) - start - S2SHeadBytes
	if size > MaxS2SPayload {
		return append(h.Append(dst[:start]), msg...), nil
	}
	h.Payload, h.Compression = size, c
	h.Append(dst[:start])
	return dst, nil
}

// S2SFrame is a whole frame.
type S2SFrame struct {
	S2SHead
	Body []byte // the payload as it stands in the frame
}

// DecodeS2SFrame reads the frame at the start of b. n is its length, or 0 if b ends inside it, in which case more bytes
// are needed. The frame shares b's memory. The error has code bad_frame.
func DecodeS2SFrame(b []byte) (f S2SFrame, n int, err error) {
	if len(b) < S2SHeadBytes {
		return f, 0, nil
	}
	if f.S2SHead, err = DecodeS2SHead(b); err != nil {
		return S2SFrame{}, 0, err
	}
	n = S2SHeadBytes + f.Payload
	if len(b) < n {
		return S2SFrame{}, 0, nil
	}
	f.Body = b[S2SHeadBytes:n:n]
	return f, n, nil
}

// NegotiateS2S chooses the compression of a server's frames by the values of Accept-Encoding (data plane 8.9): zstd if
// it is listed, else gzip if it is, else none. Order and weights do not count.
func NegotiateS2S(acceptEncoding []string) Compression {
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
