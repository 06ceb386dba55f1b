package httpapi

import "sync"

// maxPooled is the largest buffer that is kept: a body or a frame of the largest size with some room.
const maxPooled = 4 << 20

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// getBuffer returns a buffer of any length and capacity; slice it to [:0].
func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

// putBuffer gives a buffer back. Nobody may use its memory any more.
func putBuffer(b *[]byte) {
	if cap(*b) <= maxPooled {
		buffers.Put(b)
	}
}
