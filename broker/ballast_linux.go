package broker

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// untouch gives the pages of b back to the system. They are zero when they are used again.
func untouch(b []byte) {
	page := os.Getpagesize()
	if skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1); skip+page <= len(b) {
		b = b[skip:]
		_ = unix.Madvise(b[:len(b)&^(page-1)], unix.MADV_DONTNEED) // at the worst it costs its size
	}
}
