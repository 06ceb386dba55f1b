//go:build linux

package powercut

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/conf"
)

// A spec is a kind of machine.
type spec struct {
	name       string
	fs         string
	options    string // of mount
	disk       bool   // the disk loses its cache; otherwise the file system is shut down
	durability conf.Durability
}

var specs = []spec{
	{"ext4", "ext4", "", false, conf.DurabilityGroup},
	{"ext4-commit1", "ext4", "commit=1", false, conf.DurabilityGroup},
	{"ext4-writeback", "ext4", "data=writeback,noauto_da_alloc", false, conf.DurabilityGroup},
	{"ext4-noauto", "ext4", "noauto_da_alloc", false, conf.DurabilityGroup},
	{"ext4-journal", "ext4", "data=journal", false, conf.DurabilityGroup},
	{"ext4-nodelalloc", "ext4", "nodelalloc", false, conf.DurabilityGroup},
	{"ext4-disk", "ext4", "", true, conf.DurabilityGroup},
	{"ext4-writeback-disk", "ext4", "data=writeback,noauto_da_alloc", true, conf.DurabilityGroup},
	{"xfs", "xfs", "", false, conf.DurabilityGroup},
	{"xfs-disk", "xfs", "", true, conf.DurabilityGroup},
	{"btrfs-disk", "btrfs", "", true, conf.DurabilityGroup},
	{"ext4-always", "ext4", "", false, conf.DurabilityAlways},
	{"xfs-always", "xfs", "", false, conf.DurabilityAlways},
	{"ext4-disk-always", "ext4", "", true, conf.DurabilityAlways},
	{"ext4-interval", "ext4", "", false, conf.DurabilityInterval},
	{"xfs-interval", "xfs", "", false, conf.DurabilityInterval},
	{"btrfs-disk-interval", "btrfs", "", true, conf.DurabilityInterval},
}

func specNamed(t *testing.T, name string) spec {
	t.Helper()
	for _, s := range specs {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no machine %s", name)
	return spec{}
}

// missing says why a machine of this kind cannot be built here; "" if it can.
func (s spec) missing() string {
	if os.Geteuid() != 0 {
		return "it needs root, to mount"
	}
	need := []string{"losetup", "mount", "mkfs." + s.fs}
	for _, tool := range need {
		if _, err := exec.LookPath(tool); err != nil {
			return "it needs " + tool
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "there are no loop devices"
	}
	if s.disk {
		if _, err := os.Stat("/dev/fuse"); err != nil {
			return "there is no FUSE"
		}
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(known), s.fs+"\n") {
		return "the kernel does not know " + s.fs
	}
	return ""
}

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}

// A machine is a disk with a file system, and the brokers that run on it one after the other.
type machine struct {
	t    *testing.T
	spec spec
	dir  string
	fd   int // of the mounted file system; -1
	loop string
	disk *child

	syncInterval time.Duration
	compression  string
	broker       *child
	addr         string
	logPath      string
	note         string // of the last cut
}

// newMachine builds one. It is taken apart at the end of the test.
func newMachine(t *testing.T, s spec) *machine {
	t.Helper()
	if why := s.missing(); why != "" {
		t.Skipf("no machine %s here: %s", s.name, why)
	}
	m := &machine{t: t, spec: s, dir: t.TempDir(), fd: -1, syncInterval: time.Second}
	m.logPath = filepath.Join(m.dir, "broker.log")
	t.Cleanup(m.close)
	m.must(os.Mkdir(m.mnt(), 0o755))
	if s.disk {
		m.must(os.Mkdir(filepath.Join(m.dir, "fuse"), 0o755))
		m.disk = m.spawn(diskEnv + "=" + filepath.Join(m.dir, "fuse"))
		if _, err := m.disk.line(); err != nil {
			t.Fatal("the disk did not start:", err)
		}
	} else {
		f, err := os.Create(m.image())
		m.must(err)
		m.must(f.Truncate(diskSize))
		m.must(f.Close())
	}
	m.attach()
	args := map[string][]string{"ext4": {"-q", "-F", "-E", "nodiscard"}, "xfs": {"-q", "-f", "-K"}, "btrfs": {"-q", "-f", "-K"}}[s.fs]
	_, err := run("mkfs."+s.fs, append(args, m.loop)...)
	m.must(err)
	m.mount()
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", m.spec.name, err)
	}
}

func (m *machine) mnt() string   { return filepath.Join(m.dir, "mnt") }
func (m *machine) store() string { return filepath.Join(m.mnt(), "store") }
func (m *machine) streams() string {
	return filepath.Join(m.store(), "jetstream", "WEIR", "streams")
}

func (m *machine) image() string {
	if m.spec.disk {
		return filepath.Join(m.dir, "fuse", diskName)
	}
	return filepath.Join(m.dir, "image")
}

func (m *machine) attach() {
	m.t.Helper()
	out, err := run("losetup", "-f", "--show", m.image())
	m.must(err)
	m.loop = out
}

func (m *machine) mount() {
	m.t.Helper()
	args := []string{"-t", m.spec.fs}
	if m.spec.options != "" {
		args = append(args, "-o", m.spec.options)
	}
	_, err := run("mount", append(args, m.loop, m.mnt())...)
	m.must(err)
	m.fd, err = unix.Open(m.mnt(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	m.must(err)
}

// retry tries for a minute: a file system is busy until the killed broker is gone for good.
func retry(f func() error) (err error) {
	for range 3000 {
		if err = f(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func (m *machine) unmount() error {
	if m.fd < 0 {
		return nil
	}
	unix.Close(m.fd)
	m.fd = -1
	return retry(func() error { return unix.Unmount(m.mnt(), 0) })
}

// detach gives the loop device back. One that is in use goes when it is not any more, which must not be after the next attach.
func (m *machine) detach() error {
	if m.loop == "" {
		return nil
	}
	loop := m.loop
	m.loop = ""
	if _, err := run("losetup", "-d", loop); err != nil {
		return err
	}
	backing := filepath.Join("/sys/block", filepath.Base(loop), "loop", "backing_file")
	return retry(func() error {
		if b, err := os.ReadFile(backing); err == nil && strings.HasPrefix(string(b), m.dir) {
			return errors.New(loop + " is still attached")
		}
		return nil
	})
}

// cut ends the power. The file system is of no use until powerOn.
func (m *machine) cut(survives string, seed uint64) {
	m.t.Helper()
	if m.disk != nil {
		note, err := m.disk.ask(fmt.Sprintf("cut %s %d", survives, seed))
		m.must(err)
		m.note = note
		return
	}
	// EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are the same, and 2 means: without a flush of the journal.
	m.must(unix.IoctlSetPointerInt(m.fd, 0x8004587d, 2))
	m.note = "shut down"
}

// powerOn kills the broker, and brings disk and file system back.
func (m *machine) powerOn() {
	m.t.Helper()
	m.kill()
	m.must(m.unmount())
	m.must(m.detach())
	if m.disk != nil {
		_, err := m.disk.ask("on")
		m.must(err)
	}
	m.attach()
	m.mount()
}

func (m *machine) close() {
	m.kill()
	if err := errors.Join(m.unmount(), m.detach()); err != nil {
		m.t.Error(err)
	}
	if m.disk != nil {
		m.disk.in.Close()
		<-m.disk.gone
	}
}

// A child is another process of the test binary.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	gone chan struct{}
}

func (m *machine) spawn(env string) *child {
	m.t.Helper()
	self, err := os.Executable()
	m.must(err)
	log, err := os.OpenFile(m.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	m.must(err)
	defer log.Close()
	c := &child{cmd: exec.Command(self), gone: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), env)
	c.cmd.Stderr = log
	c.in, err = c.cmd.StdinPipe()
	m.must(err)
	r, w, err := os.Pipe()
	m.must(err)
	c.cmd.Stdout, c.out = w, bufio.NewReader(r)
	m.must(c.cmd.Start())
	w.Close()
	go func() {
		_ = c.cmd.Wait() // how it ended shows in what it said
		close(c.gone)
	}()
	return c
}

func (c *child) line() (string, error) {
	s, err := c.out.ReadString('\n')
	return strings.TrimSpace(s), err
}

func (c *child) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		return "", err
	}
	return c.line()
}
