package httpapi

import (
	"fmt"

	"github.com/weirstream/weir/broker/internal/door"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// s2sRead follows a stream in s2s frames (data plane 8.9).
func (c *call) s2sRead(ref protocol.StreamRef, req protocol.ReadRequest, opts []protocol.RecordOption) error {
	src, err := c.openRead(c.context(), ref, req, opts)
	if err != nil {
		return err
	}
	if err := c.openSession(contentS2S); err != nil {
		return src.Close()
	}
	f := &frames{call: c, compression: s2s.Negotiate(c.r.Header["Accept-Encoding"])}
	if err := c.readLoop(src, "s2s_read", f.batch); err != nil {
		f.terminal(err)
	}
	return nil
}

// frames writes the frames of one response. It is for one goroutine.
type frames struct {
	call        *call
	compression s2s.Compression
	head        [s2s.HeadBytes]byte
}

// copyLimit is the size up to which a batch is copied into one write rather than written in pieces.
const copyLimit = 16 << 10

// batch writes and flushes a batch or a heartbeat. The records leave as they are stored, unless they are compressed or
// do not fit in a frame.
func (f *frames) batch(b protocol.ReadBatch) error {
	for {
		part, rest, err := sessionFrame.Fit(b)
		if err != nil {
			return err
		}
		if err := f.whole(part); err != nil {
			return err
		}
		if rest.Len() == 0 {
			return nil
		}
		b.Records = rest
	}
}

// whole writes a batch that fits in a frame.
func (f *frames) whole(b protocol.ReadBatch) error {
	buf := getBuffer(0)
	defer putBuffer(buf)
	*buf = protocol.AppendReadBatch((*buf)[:0], &protocol.ReadBatch{Tail: b.Tail})
	wire, tail := b.Records.Wire(), *buf
	size := len(wire) + len(tail)
	if size <= copyLimit || f.compression != s2s.NoCompression {
		msg := wire
		if len(tail) > 0 {
			tailSize := len(tail)
			*buf = append(append(tail, wire...), tail[:tailSize]...)
			msg = (*buf)[tailSize:]
		}
		return f.message(msg)
	}
	head := s2s.Head{Payload: size, Reconnect: f.reconnect()}.Append(f.head[:0])
	if err := f.call.write(head, wire, tail); err != nil {
		return err
	}
	return f.flush()
}

// message writes and flushes a frame with the message, in one write.
func (f *frames) message(msg []byte) error {
	buf := getBuffer(len(msg))
	defer putBuffer(buf)
	out, err := s2s.AppendFrame((*buf)[:0], msg, s2s.Head{Compression: f.compression, Reconnect: f.reconnect()})
	if err != nil {
		return err
	}
	*buf = out
	if err := f.call.write(out); err != nil {
		return err
	}
	return f.flush()
}

// terminal writes and flushes the frame with the reason for the session's end.
func (f *frames) terminal(err error) {
	e := f.call.clientError(err)
	f.call.failed = e.Code
	if f.call.write(s2s.AppendTerminal(nil, e)) == nil {
		_ = f.flush()
	}
}

func (f *frames) flush() error {
	if err := f.call.flush(); err != nil {
		return clientGone(err)
	}
	return nil
}

// reconnect reports whether the client does well to go elsewhere: this server is stopping.
func (f *frames) reconnect() bool { return f.call.h.drained.Err() != nil }

// frameRoom is how many bytes of records fit in a frame, beside the tail.
const frameRoom = s2s.MaxPayload - 32

// sessionFrame is a frame of a read session. Only very many tiny headers make a batch that does not fit.
var sessionFrame = door.Container{
	Room:  frameRoom,
	Size:  func(b *protocol.ReadBatch) int { return len(b.Records.Wire()) },
	Limit: func() string { return fmt.Sprintf("an s2s frame may have %d", frameRoom) },
}
