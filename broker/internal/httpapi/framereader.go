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
}

const readerSize = 64 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }}

func newFrameReader(body io.Reader, deadline *readDeadline, progress time.Duration) *frameReader {
	in := readers.Get().(*bufio.Reader) //nolint:forcetypeassert // the pool holds nothing else
	in.Reset(body)
	return &frameReader{in: in, deadline: deadline, progress: progress}
}

func (f *frameReader) free() {
	f.in.Reset(nil)
	readers.Put(f.in)
}

// next returns the message of the next frame and the buffer that its memory is part of, or io.EOF at a clean end. Codes:
// bad_frame, client_hangup, request_timeout.
func (f *frameReader) next() (msg []byte, buf *[]byte, err error) {
	head, err := f.head()
	if err != nil {
		return nil, nil, err
	}
	if head.Terminal {
		return nil, nil, protocol.Errorf(protocol.CodeBadFrame, "a terminal frame is for servers to send")
	}
	buf = getBuffer(head.Payload)
	if err := f.payload(buf, head.Payload); err != nil {
		putBuffer(buf)
		return nil, nil, err
	}
	if msg, err = head.Message(*buf); err != nil {
		putBuffer(buf)
		return nil, nil, err
	}
	return msg, buf, nil
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

// payload reads n bytes into buf. Room that is not there yet comes with the bytes that arrive: a head alone cannot claim
// 2 MiB.
func (f *frameReader) payload(buf *[]byte, n int) error {
	b := (*buf)[:0]
	defer func() { *buf = b }()
	waits := f.in.Buffered() < n
	if waits {
		defer f.deadline.clear()
	}
	for len(b) < n {
		if len(b) == cap(b) {
			bigger := make([]byte, len(b), min(max(2*cap(b), readerSize), n))
			copy(bigger, b)
			b = bigger
		}
		if waits {
			f.deadline.set(time.Now().Add(f.progress))
		}
		k, err := f.in.Read(b[len(b):min(n, cap(b))])
		b = b[:len(b)+k]
		if err != nil && len(b) < n {
			return f.failed(err)
		}
	}
	return nil
}

// failed is what an error of the body inside a frame means.
func (f *frameReader) failed(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return protocol.Errorf(protocol.CodeBadFrame, "the input ends inside a frame")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return protocol.Errorf(protocol.CodeRequestTimeout, "a frame that was begun made no progress for %v", f.progress)
	}
	return protocol.Wrap(protocol.CodeClientHangup, err, "the input broke off")
}
