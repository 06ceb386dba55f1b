package broker

import "golang.org/x/sys/unix"

// untouch gives the pages of b back to the system. They are zero when they are used again. The runtime lets an allocation of this size begin with
// a page; if it did not, the system would refuse, and b would cost its size at the worst.
func untouch(b []byte) {
	_ = unix.Madvise(b, unix.MADV_DONTNEED)
}
