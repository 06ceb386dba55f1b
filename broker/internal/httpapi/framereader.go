package httpapi

import (
	"bufio"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// frameReader reads the frames of an append session. Between frames it waits as long as it takes; a frame that has begun
// must make progress.
type frameReader struct {
	in       *bufio.Reader
	deadline *readDeadline
	progress time.Duration
	// charge charges memory of the input that is being received, see [inputs.charge]; the caller of next gives it back.
	charge func(bytes int, patience time.Duration) error
}

// readerSize is small, because every session has such a buffer, idle ones too; a larger frame is read past it.
const readerSize = 4 << 10

// frameTimes is how many times the time without progress a whole frame may take.
const frameTimes = 4

// inputOverhead is the cost of an input beside its memory: its records and its ack.
const inputOverhead = 1 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }}

func newFrameReader(body io.Reader, deadline *readDeadline, progress time.Duration, charge func(bytes int, patience time.Duration) error) *frameReader {
	in := readers.Get().(*bufio.Reader) //nolint:forcetypeassert // the pool holds nothing else
	in.Reset(body)
	return &frameReader{in: in, deadline: deadline, progress: progress, charge: charge}
}

func (f *frameReader) free() {
	f.in.Reset(nil)
	readers.Put(f.in)
}

// next returns the message of the next frame, the buffer that its memory is part of and the charge for that, or io.EOF
// at a clean end. The charge for a frame that failed is not given back before the session ends. Codes: bad_frame,
// client_hangup, request_timeout, rate_limited.
func (f *frameReader) next() (msg []byte, buf *[]byte, charged int, err error) {
	head, err := f.head()
	if err != nil {
		return nil, nil, 0, err
	}
	if head.Terminal {
		return nil, nil, 0, protocol.Errorf(protocol.CodeBadFrame, "a terminal frame is for servers to send")
	}
	// Of a large frame only the memory that is there is charged: a head alone cannot claim 2 MiB.
	buf = getBuffer(head.Payload)
	charged = cap(*buf) + inputOverhead
	if err = f.charge(charged, roomWait); err == nil {
		err = f.payload(buf, head.Payload, &charged)
	}
	if err == nil {
		msg, err = head.Message(*buf)
	}
	if more := cap(msg) - head.Payload; err == nil && head.Compression != s2s.NoCompression && more > 0 {
		charged += more
		err = f.charge(more, noPatience)
	}
	if err != nil {
		putBuffer(buf)
		return nil, nil, 0, err
	}
	return msg, buf, charged, nil
}

func (f *frameReader) head() (h s2s.Head, err error) {
	if _, err := f.in.Peek(1); err != nil {
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return h, io.EOF
		}
		return h, f.failed(err)
	}
	if f.in.Buffered() < s2s.HeadBytes {
		f.deadline.set(time.Now().Add(f.progress))
		defer f.deadline.clear()
	}
	b, err := f.in.Peek(s2s.HeadBytes)
	if err != nil {
		return h, f.failed(err)
	}
	if h, err = s2s.DecodeHead(b); err != nil {
		return h, err
	}
	_, err = f.in.Discard(s2s.HeadBytes)
	return h, err
}

// payload reads n bytes into buf, in time. Room that is not there yet comes, and is charged, with the bytes that arrive.
func (f *frameReader) payload(buf *[]byte, n int, charged *int) error {
	b := (*buf)[:0]
	defer func() { *buf = b }()
	waits := f.in.Buffered() < n
	if waits {
		defer f.deadline.clear()
	}
	var end time.Time
	for len(b) < n {
		if len(b) == cap(b) {
			size := min(max(4*cap(b), largeBuffer), n)
			*charged += size - cap(b)
			if err := f.charge(size-cap(b), noPatience); err != nil {
				return err
			}
			bigger := make([]byte, len(b), size)
			copy(bigger, b)
			b = bigger
		}
		if waits {
			now := time.Now()
			if end.IsZero() {
				end = now.Add(frameTimes * f.progress)
			}
			f.deadline.set(minTime(now.Add(f.progress), end))
		}
		k, err := f.in.Read(b[len(b):min(n, cap(b))])
		b = b[:len(b)+k]
		if err != nil && len(b) < n {
			return f.failed(err)
		}
	}
	return nil
}

// failed returns the coded error for an error of the body inside a frame.
func (f *frameReader) failed(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return protocol.Errorf(protocol.CodeBadFrame, "the input ends inside a frame")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return protocol.Errorf(protocol.CodeRequestTimeout, "a frame that was begun made no progress for %v, or did not arrive within %v", f.progress, frameTimes*f.progress)
	}
	return protocol.Wrap(protocol.CodeClientHangup, err, "the input broke off")
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
