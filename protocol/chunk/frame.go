package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/weirstream/weir/protocol"
)

// Frame is the form in which chunks travel and lie in files of a backup (docs/backup-format.md):
//
//	4  length of the body, little-endian
//	4  CRC-32C of the body, little-endian
//	   body: 1 kind, 1 length of the stream's id, the id, 2 length of the header, the header, the payload
type Frame struct {
	Kind FrameKind // decides which of the other fields are used
	protocol.StoredChunk
	// Count is, in an end, how many chunks came before it; it stands as 8 bytes in the place of the payload.
	Count uint64
}

// FrameKind is the kind of a frame's content.
type FrameKind uint8

// The kinds of frames.
const (
	// FrameChunk is a chunk.
	FrameChunk FrameKind = 1
	// FrameRestart says that the chunks of a stream that came before do not count: they come again.
	FrameRestart FrameKind = 2
	// FrameEnd is the last frame of a file.
	FrameEnd FrameKind = 3
)

const (
	backupFrameHead = 8
	// MaxFrame bounds the body of a frame: JetStream's largest message, and some room.
	MaxFrame = 65 << 20
)

var (
	errFrame    = errors.New("malformed frame")
	errChecksum = errors.New("the checksum of a frame does not hold")
)

// AppendFrame appends the encoding of f to b.
func AppendFrame(b []byte, f *Frame) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, byte(f.Kind), byte(len(f.Stream)))
	b = append(b, f.Stream...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(f.Header)))
	b = append(b, f.Header...)
	if f.Kind == FrameEnd {
		b = binary.LittleEndian.AppendUint64(b, f.Count)
	} else {
		b = append(b, f.Payload...)
	}
	body := b[start+backupFrameHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(body, castagnoli))
	return b
}

// FrameSize is the length of the encoding of a chunk.
func FrameSize(c *protocol.StoredChunk) int {
	return backupFrameHead + 4 + len(c.Stream) + len(c.Header) + len(c.Payload)
}

// ReadFrame reads one frame. io.EOF means that there is none; any other error, that the bytes are damaged or end
// within one. The frame has memory of its own.
func ReadFrame(r io.Reader) (f Frame, err error) {
	var head [backupFrameHead]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		if n == 0 {
			return f, err // io.EOF, or why nothing can be read
		}
		return f, truncated(err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > MaxFrame {
		return f, fmt.Errorf("%w: of %d bytes", errFrame, size)
	}
	body, err := readBody(r, int(size))
	if err != nil {
		return f, err
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return f, errChecksum
	}
	return parseBackupBody(body)
}

// readBody reads size bytes, without believing the size before the bytes are there.
func readBody(r io.Reader, size int) ([]byte, error) {
	const step = 4 << 20
	body := make([]byte, 0, min(size, step))
	for len(body) < size {
		n := min(size-len(body), step)
		at := len(body)
		body = append(body, make([]byte, n)...)
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			return nil, truncated(err)
		}
	}
	return body, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseBackupBody(b []byte) (f Frame, err error) {
	if len(b) < 2 {
		return f, errFrame
	}
	f.Kind = FrameKind(b[0])
	n := 2 + int(b[1])
	if len(b) < n+2 {
		return f, errFrame
	}
	f.Stream = string(b[2:n])
	header := n + 2 + int(binary.LittleEndian.Uint16(b[n:]))
	if len(b) < header {
		return f, errFrame
	}
	f.Header = string(b[n+2 : header])
	rest := b[header:]
	//exhaustive:enforce
	switch f.Kind {
	case FrameChunk:
		f.Payload = rest
		return f, nil
	case FrameRestart:
		if len(rest) == 0 && f.Header == "" && f.Stream != "" {
			return f, nil
		}
	case FrameEnd:
		if len(rest) == 8 && f.Header == "" && f.Stream == "" {
			f.Count = binary.LittleEndian.Uint64(rest)
			return f, nil
		}
	}
	return f, fmt.Errorf("%w of kind %d", errFrame, f.Kind)
}
