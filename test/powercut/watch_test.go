//go:build linux

package powercut

import (
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// events tells of the names in a directory that are made, removed and replaced, as soon as the kernel does.
func (m *machine) events(dir string, mask uint32) (names <-chan string, stop func()) {
	m.t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	m.must(err)
	_, err = unix.InotifyAddWatch(fd, dir, mask)
	m.must(err)
	f := os.NewFile(uintptr(fd), "inotify")
	out, done := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			for at := 0; at+unix.SizeofInotifyEvent <= n; {
				e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
				at += unix.SizeofInotifyEvent
				out <- strings.TrimRight(string(buf[at:at+int(e.Len)]), "\x00")
				at += int(e.Len)
			}
		}
	}()
	return out, func() { f.Close(); <-done }
}

// freeze stops the broker where it is, for a cut at a moment that lasts no longer.
func (m *machine) freeze() {
	m.t.Helper()
	m.must(m.broker.cmd.Process.Signal(unix.SIGSTOP))
}

// next waits for a name that ends so.
func next(names <-chan string, end string) bool {
	late := time.After(15 * time.Second)
	for {
		select {
		case name := <-names:
			if strings.HasSuffix(name, end) {
				return true
			}
		case <-late:
			return false
		}
	}
}

// commitNames makes the file system put on disk which names there are, by the sync of a file that nobody else uses. What is
// in files need not follow.
func (m *machine) commitNames() {
	m.t.Helper()
	f, err := os.OpenFile(filepath.Join(m.mnt(), "bystander"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	m.must(err)
	defer f.Close()
	_, err = f.WriteString(".")
	m.must(err)
	m.must(f.Sync())
}

// replaced waits until a file that matches the pattern is another one than it was.
func replaced(pattern string) error {
	was := map[string]uint64{}
	return until(20*time.Second, func() bool {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			var st unix.Stat_t
			if unix.Stat(p, &st) != nil {
				continue
			}
			if ino, ok := was[p]; ok && ino != st.Ino {
				return true
			}
			was[p] = st.Ino
		}
		return false
	})
}
