package httpapi

import "sync"

// Buffers come in three sizes, each in a pool of its own: an ack must not carry off the megabyte that the next input
// needs, and an input of a few bytes must not hold kilobytes while it waits for its answer. A buffer goes back to the pool that its capacity belongs to, since it may have grown.
const (
	tinyBuffer  = 512
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
	// maxPooled is the largest buffer that is kept: a body or a frame of the largest size with some room.
	maxPooled = 4 << 20
)

var (
	tinyBuffers  = sync.Pool{New: func() any { b := make([]byte, 0, tinyBuffer); return &b }}
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, 0, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, largeBuffer); return &b }}
)

// getBuffer returns an empty buffer for about size bytes. Its capacity may be less: it grows with the bytes that are written
// to it.
func getBuffer(size int) *[]byte {
	pool := &smallBuffers
	switch {
	case size >= largeBuffer/2:
		pool = &largeBuffers
	case size > 0 && size <= tinyBuffer:
		pool = &tinyBuffers
	}
	b := pool.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	*b = (*b)[:0]
	return b
}

// getRoom returns an empty buffer with a capacity of at least size bytes.
func getRoom(size int) *[]byte {
	b := getBuffer(size)
	if cap(*b) < size {
		*b = make([]byte, 0, size) // which goes to the pool in the place of the smaller one
	}
	return b
}

// putBuffer gives a buffer back. Its memory may not be used any more.
func putBuffer(b *[]byte) {
	switch c := cap(*b); {
	case c > maxPooled:
	case c >= largeBuffer:
		largeBuffers.Put(b)
	case c < smallBuffer:
		tinyBuffers.Put(b)
	default:
		smallBuffers.Put(b)
	}
}
