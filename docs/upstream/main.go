//go:build linux

// Command upstream shows what nats-server leaves unsafe when the power fails, with nothing but nats-server and its client. It needs
// root on Linux, a loop device and mkfs.ext4. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"
)

func main() {
	cases := []struct {
		name, options string
		show          func(*machine) error
	}{
		{"compaction", "data=writeback,noauto_da_alloc", compaction},
		{"index", "", index},
		{"creation", "noauto_da_alloc", creation},
		{"emptied", "", emptied},
		{"failed-sync", "", failedSync},
		{"limits", "", limits},
	}
	for _, c := range cases {
		if len(os.Args) > 1 && os.Args[1] != c.name {
			continue
		}
		m := &machine{options: c.options}
		err := m.build()
		if err == nil {
			err = c.show(m)
		}
		if err = errors.Join(err, m.close()); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", c.name, err)
			os.Exit(1)
		}
	}
}

// compaction: a block is compacted into a file that is not synced, and renamed over the block. The journal may commit the name
// first. It is synced a moment later, so that this takes some attempts; a server whose SyncInterval is long leaves it longer.
func compaction(m *machine) error {
	const attempts = 30
	for i := range attempts {
		there, err := compactOnce(m)
		if err != nil {
			return err
		}
		if there < 17 {
			fmt.Printf("compaction: 17 messages were on disk and not purged; %d are there (attempt %d)\n", there, i+1)
			return nil
		}
		m.stop()
		if err := errors.Join(m.unmount(), os.RemoveAll(m.dir), m.build()); err != nil {
			return err
		}
	}
	fmt.Printf("compaction: nothing was lost in %d attempts\n", attempts)
	return nil
}

func compactOnce(m *machine) (there uint64, err error) {
	o := server.Options{SyncInterval: time.Second}
	if err := m.start(o); err != nil {
		return 0, err
	}
	s, err := m.js.CreateStream(m.ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"bulk", "kept"}})
	if err != nil {
		return 0, err
	}
	for i := range 170 {
		if err := m.publish("bulk", 120_000); err != nil {
			return 0, err
		}
		if i%10 == 0 {
			if err := m.publish("kept", 100); err != nil {
				return 0, err
			}
		}
	}
	if err := unix.Syncfs(m.fd); err != nil { // every message is on disk
		return 0, err
	}
	block := filepath.Join(m.streams(), "S", "msgs", "1.blk")
	before, err := os.Stat(block)
	if err != nil {
		return 0, err
	}
	if err := s.Purge(m.ctx, jetstream.WithPurgeSubject("bulk")); err != nil {
		return 0, err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if now, err := os.Stat(block); err == nil && !os.SameFile(before, now) {
			break
		}
	}
	if err := errors.Join(m.commitNames(), m.cut(), m.start(o)); err != nil {
		return 0, err
	}
	if s, err = m.js.Stream(m.ctx, "S"); err != nil {
		return 0, err
	}
	info, err := s.Info(m.ctx, jetstream.WithSubjectFilter("kept"))
	if err != nil {
		return 0, err
	}
	return info.State.Subjects["kept"], nil
}

// index: an index of an empty stream is believed when the newest block ends in eight zero bytes, as it does when its size
// reached the disk and its last bytes did not.
func index(m *machine) error {
	if err := m.start(server.Options{}); err != nil {
		return err
	}
	if _, err := m.js.CreateStream(m.ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"kept"}}); err != nil {
		return err
	}
	m.stop()
	msgs := filepath.Join(m.streams(), "S", "msgs")
	stale, err := os.ReadFile(filepath.Join(msgs, "index.db"))
	if err != nil {
		return err
	}
	if err := m.start(server.Options{}); err != nil {
		return err
	}
	for range 5 {
		if err := m.publish("kept", 100); err != nil {
			return err
		}
	}
	m.stop()
	f, err := os.OpenFile(filepath.Join(msgs, "1.blk"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 8))
	if err = errors.Join(err, f.Close(), os.WriteFile(filepath.Join(msgs, "index.db"), stale, 0o640), m.start(server.Options{})); err != nil {
		return err
	}
	s, err := m.js.Stream(m.ctx, "S")
	if err != nil {
		return err
	}
	fmt.Printf("index: 5 messages are on disk; %d are there\n", s.CachedInfo().State.Msgs)
	return nil
}

// creation: neither meta.inf nor meta.sum is synced.
func creation(m *machine) error {
	if err := m.start(server.Options{}); err != nil {
		return err
	}
	if _, err := m.js.CreateStream(m.ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"kept"}}); err != nil {
		return err
	}
	if err := errors.Join(m.commitNames(), m.cut(), m.start(server.Options{})); err != nil {
		return err
	}
	_, err := m.js.Stream(m.ctx, "S")
	fmt.Printf("creation: the stream was made; now: %v\n", err)
	return nil
}

// emptied: the block that held everything is removed, and the one that notes the last sequence is not synced.
func emptied(m *machine) error {
	if err := m.start(server.Options{}); err != nil {
		return err
	}
	s, err := m.js.CreateStream(m.ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"kept"}})
	if err != nil {
		return err
	}
	for range 30 {
		if err := m.publish("kept", 100); err != nil {
			return err
		}
	}
	if err := unix.Syncfs(m.fd); err != nil {
		return err
	}
	if err := s.Purge(m.ctx, jetstream.WithPurgeSubject("kept")); err != nil {
		return err
	}
	if err := errors.Join(m.commitNames(), m.cut(), m.start(server.Options{})); err != nil {
		return err
	}
	if s, err = m.js.Stream(m.ctx, "S"); err != nil {
		return err
	}
	fmt.Printf("emptied: the last sequence was 30, on disk; it is %d\n", s.CachedInfo().State.LastSeq)
	return nil
}

// failedSync: with sync_interval always, a message whose sync fails is not acknowledged, and shown all the same.
func failedSync(m *machine) error {
	const attempts = 30
	for i := range attempts {
		if err := m.start(server.Options{SyncAlways: true}); err != nil {
			return err
		}
		s, err := m.js.CreateOrUpdateStream(m.ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"kept"}})
		if err != nil {
			return err
		}
		var acks []jetstream.PubAckFuture
		for range 400 {
			ack, err := m.js.PublishAsync("kept", make([]byte, 100))
			if err != nil {
				return err
			}
			acks = append(acks, ack)
		}
		time.Sleep(20 * time.Millisecond)
		if err := m.shutdown(); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
		acked := uint64(0)
		for _, a := range acks {
			select {
			case ok := <-a.Ok():
				acked = max(acked, ok.Sequence)
			default:
			}
		}
		_, err = s.GetMsg(m.ctx, acked+1)
		m.stop()
		if e := errors.Join(m.unmount(), m.mount()); e != nil {
			return e
		}
		if err == nil {
			fmt.Printf("failed-sync: message %d, which was never acknowledged because its sync failed, was shown (attempt %d)\n", acked+1, i+1)
			return nil
		}
	}
	fmt.Printf("failed-sync: nothing was shown in %d attempts\n", attempts)
	return nil
}

// limits: what goes because a subject is at its limit is not noted. When the newest message of the subject is purged, a
// recovery from the blocks finds the one before it again.
func limits(m *machine) error {
	if err := m.start(server.Options{}); err != nil {
		return err
	}
	s, err := m.js.CreateStream(m.ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"key", "other"}, MaxMsgsPerSubject: 1})
	if err != nil {
		return err
	}
	for _, subject := range []string{"other", "key", "key"} {
		if err := m.publish(subject, 100); err != nil {
			return err
		}
	}
	if err := s.Purge(m.ctx, jetstream.WithPurgeSubject("key")); err != nil {
		return err
	}
	m.stop()
	if err := errors.Join(os.Remove(filepath.Join(m.streams(), "S", "msgs", "index.db")), m.start(server.Options{})); err != nil {
		return err
	}
	if s, err = m.js.Stream(m.ctx, "S"); err != nil {
		return err
	}
	old, err := s.GetLastMsgForSubject(m.ctx, "key")
	if err != nil {
		fmt.Println("limits: nothing came back")
		return nil //nolint:nilerr // that is what it should say
	}
	fmt.Printf("limits: message 2 was replaced and message 3 purged; message %d is there\n", old.Sequence)
	return nil
}

// machine is a loop device with an ext4, and a NATS server on it.
type machine struct {
	options  string
	dir      string
	loop     string
	fd       int
	srv      *server.Server
	nc       *nats.Conn
	js       jetstream.JetStream
	ctx      context.Context //nolint:containedctx // that of the program
	mounted  bool
	attached bool
}

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (m *machine) mnt() string { return filepath.Join(m.dir, "mnt") }
func (m *machine) streams() string {
	return filepath.Join(m.mnt(), "store", "jetstream", "$G", "streams")
}

func (m *machine) build() (err error) {
	m.ctx = context.Background()
	if m.dir, err = os.MkdirTemp("", "upstream-"); err != nil {
		return err
	}
	image := filepath.Join(m.dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Truncate(image, 512<<20), os.Mkdir(m.mnt(), 0o755)); err != nil {
		return err
	}
	if _, err := run("mkfs.ext4", "-q", "-F", image); err != nil {
		return err
	}
	return m.mount()
}

func (m *machine) mount() (err error) {
	if m.loop, err = run("losetup", "-f", "--show", filepath.Join(m.dir, "image")); err != nil {
		return err
	}
	m.attached = true
	args := []string{"-t", "ext4", m.loop, m.mnt()}
	if m.options != "" {
		args = append(args, "-o", m.options)
	}
	if _, err := run("mount", args...); err != nil {
		return err
	}
	m.mounted = true
	m.fd, err = unix.Open(m.mnt(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return err
}

func (m *machine) unmount() (err error) {
	if m.mounted {
		m.mounted = false
		unix.Close(m.fd)
		_, err = run("umount", m.mnt())
	}
	if m.attached {
		m.attached = false
		_, e := run("losetup", "-d", m.loop)
		err = errors.Join(err, e)
	}
	return err
}

// start runs a server on the file system.
func (m *machine) start(o server.Options) (err error) {
	o.JetStream, o.StoreDir, o.DontListen, o.NoLog, o.NoSigs = true, filepath.Join(m.mnt(), "store"), true, true, true
	if m.srv, err = server.NewServer(&o); err != nil {
		return err
	}
	m.srv.Start()
	if !m.srv.ReadyForConnections(10 * time.Second) {
		return errors.New("the server is not ready")
	}
	if m.nc, err = nats.Connect("", nats.InProcessServer(m.srv)); err != nil {
		return err
	}
	m.js, err = jetstream.New(m.nc)
	return err
}

func (m *machine) stop() {
	if m.srv != nil {
		m.nc.Close()
		m.srv.Shutdown()
		m.srv.WaitForShutdown()
		m.srv = nil
	}
}

func (m *machine) publish(subject string, size int) error {
	_, err := m.js.Publish(m.ctx, subject, make([]byte, size))
	return err
}

// commitNames puts on disk which names there are, by the sync of another file.
func (m *machine) commitNames() error {
	f, err := os.Create(filepath.Join(m.mnt(), "bystander"))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// shutdown is EXT4_IOC_SHUTDOWN without a flush of the journal: what is not on disk is gone.
func (m *machine) shutdown() error { return unix.IoctlSetPointerInt(m.fd, 0x8004587d, 2) }

// cut ends the power and brings it back.
func (m *machine) cut() error {
	if err := m.shutdown(); err != nil {
		return err
	}
	m.stop()
	return errors.Join(m.unmount(), m.mount())
}

func (m *machine) close() error {
	m.stop()
	return errors.Join(m.unmount(), os.RemoveAll(m.dir))
}
