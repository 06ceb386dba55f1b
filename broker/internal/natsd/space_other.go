//go:build !darwin && !freebsd && !linux

package natsd

// FreeBytes is how much this user may still write to the file system of dir; ok reports whether it is known. Here it is
// not, and JetStream estimates by itself.
func FreeBytes(string) (free int64, ok bool) { return 0, false }
