//go:build darwin || freebsd || linux

package natsd

import "golang.org/x/sys/unix"

// FreeBytes is how much this user may still write to the file system of dir; ok reports whether it is known.
func FreeBytes(dir string) (free int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true //nolint:unconvert // the types differ between platforms
}
