package faults

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/broker"
	"github.com/weirstream/weir/protocol"
)

// TestFaultStoreDirectory: a directory that cannot hold a store is refused with words that say what to do, and one that
// is merely missing is made.
func TestFaultStoreDirectory(t *testing.T) {
	for _, tc := range []struct {
		name string
		dir  func(t *testing.T) string
		want []string // nil: it must work
	}{
		{"the parents are missing", func(t *testing.T) string { return filepath.Join(t.TempDir(), "a", "b", "c") }, nil},
		{"it is a file", aFile, []string{"store directory", "choose another store_dir"}},
		{"its parent is a file", func(t *testing.T) string { return filepath.Join(aFile(t), "store") }, []string{"store directory", "choose another store_dir"}},
		{"the file system is read-only", readOnly, []string{"read-only", "write permission"}},
		{"the lock is a directory", func(t *testing.T) string {
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "weir.lock"), 0o700))
			return dir
		}, []string{"weir.lock"}},
		{"JetStream's part is a file", func(t *testing.T) string {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "jetstream"), []byte("x"), 0o600))
			return dir
		}, []string{"JetStream", "store directory"}},
		{"another broker runs on it", func(t *testing.T) string {
			dir := t.TempDir()
			start(t, onDisk(dir))
			return dir
		}, []string{"another weir", "runs on the store directory"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := tc.dir(t)
			b, err := broker.Start(t.Context(), onDisk(dir))
			if err == nil {
				_ = b.Close(t.Context())
			}
			if (err == nil) != (tc.want == nil) {
				t.Fatalf("started with %v", err)
			}
			for _, w := range append(tc.want, filepath.Base(dir)) {
				if err != nil && !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q:\n%v", w, err)
				}
			}
		})
	}
}

func aFile(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	return file
}

// readOnly is a directory that nobody may write, root included.
func readOnly(t *testing.T) string {
	dir, ok := tmpfs(t, "1m")
	if !ok {
		dir = t.TempDir()
		must(t, os.Chmod(dir, 0o500)) // who may not mount is not root, and is kept out by this
		return filepath.Join(dir, "read-only write permission")
	}
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	return dir
}

// TestFaultTwoProcesses: the lock works between processes, and goes with its process however that ends.
func TestFaultTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, "--store-dir", dir, "--nats-listen", "127.0.0.1:0", "--lame-duck", "0s")
	bin, err := weirBinary()
	must(t, err)
	out, err := weirCommand(t.Context(), bin, "serve", "--store-dir", dir, "--http-listen", "none", "--nats-listen", "127.0.0.1:0").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "another weir") {
		t.Errorf("the second broker ended with %v:\n%s", err, out)
	}
	if _, err := broker.Start(t.Context(), onDisk(dir)); err == nil || !strings.Contains(err.Error(), "another weir") {
		t.Errorf("a third broker, embedded: %v", err)
	}
	must(t, p.cmd.Process.Kill())
	<-p.done
	b := start(t, onDisk(dir))
	b.stop()

	if os.Geteuid() != 0 {
		return // a directory of somebody else was tested above
	}
	theirs := t.TempDir()
	must(t, os.Chmod(theirs, 0o700))
	other := weirCommand(t.Context(), bin, "serve", "--store-dir", theirs, "--http-listen", "none", "--nats-listen", "127.0.0.1:0")
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	other.Dir = scratch
	out, err = other.CombinedOutput()
	if !errors.As(err, &exit) || !strings.Contains(string(out), "permission") || strings.Contains(string(out), "goroutine ") {
		t.Errorf("a broker in another user's directory ended with %v:\n%s", err, out)
	}
}

// TestFaultGarbageInStore overwrites files of the store between two runs. A broker may refuse such a store with words that
// name the place; if it starts, what it serves is right or an error of code storage, other streams are unharmed, and it
// never panics.
func TestFaultGarbageInStore(t *testing.T) {
	for _, tc := range []struct {
		name string
		glob string // below jetstream/WEIR/streams; the first match is overwritten
		with func(old []byte) []byte
	}{
		{"a log's block is noise", "S2_LOG_express_0/msgs/*.blk", func(old []byte) []byte { return noise(len(old)) }},
		{"a log's block is short noise", "S2_LOG_express_0/msgs/*.blk", func([]byte) []byte { return noise(100) }},
		{"a log's block is zero bytes", "S2_LOG_express_0/msgs/*.blk", func(old []byte) []byte { return make([]byte, len(old)) }},
		{"a log's index is noise", "S2_LOG_express_0/msgs/index.db", func(old []byte) []byte { return noise(len(old)) }},
		{"a log's description is noise", "S2_LOG_express_0/meta.inf", func(old []byte) []byte { return noise(len(old)) }},
		{"a log's description is empty", "S2_LOG_express_0/meta.inf", func([]byte) []byte { return nil }},
		{"a log's description has another checksum", "S2_LOG_express_0/meta.sum", func(old []byte) []byte { return noise(len(old)) }},
		{"the catalog's description is noise", "KV_S2_CATALOG/meta.inf", func(old []byte) []byte { return noise(len(old)) }},
		{"the catalog's block is noise", "KV_S2_CATALOG/msgs/*.blk", func(old []byte) []byte { return noise(len(old)) }},
		{"the catalog's index is noise", "KV_S2_CATALOG/msgs/index.db", func(old []byte) []byte { return noise(len(old)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := onDisk(t.TempDir())
			cfg.Logs = 1
			b := start(t, cfg)
			bad := newLedger(t, b.Service(), "bad-basin", "s")
			class := protocol.StorageStandard // so that it lives in another log
			good := newLedger(t, b.Service(), "good-basin", "s", protocol.StreamConfig{StorageClass: &class})
			for range 20 {
				bad.mustAppend(t, b.Service(), 5, 500)
				good.mustAppend(t, b.Service(), 5, 500)
			}
			b.stop()
			files, err := filepath.Glob(filepath.Join(cfg.StoreDir, "jetstream", "WEIR", "streams", tc.glob))
			must(t, err)
			if len(files) == 0 {
				t.Fatalf("no file matches %s", tc.glob)
			}
			old, err := os.ReadFile(files[0])
			must(t, err)
			must(t, os.WriteFile(files[0], tc.with(old), fs.ModePerm))

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			again, err := broker.Start(ctx, cfg)
			if err != nil {
				if name, _, _ := strings.Cut(tc.glob, "/"); !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "backup") {
					t.Errorf("the refusal names neither %s nor what to do:\n%v", name, err)
				}
				return
			}
			defer again.Close(context.WithoutCancel(ctx))
			svc := again.Service()
			if strings.Contains(tc.glob, "LOG") {
				good.verify(t, svc)
				good.mustAppend(t, svc, 1, 10)
				good.verify(t, svc)
			}
			verifyOrStorage(t, svc, bad)
		})
	}
}

// verifyOrStorage accepts a stream that says it is damaged, or that gives right records: all, or, because the NATS server
// cuts off what it cannot read, those before some place.
func verifyOrStorage(t *testing.T, svc protocol.Service, l *ledger) {
	t.Helper()
	tail, err := svc.CheckTail(t.Context(), l.ref)
	if err != nil {
		if protocol.CodeOf(err) != protocol.CodeStorage {
			t.Errorf("the tail of a damaged stream: %v", err)
		}
		return
	}
	if _, err := svc.Read(t.Context(), l.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}); protocol.CodeOf(err) == protocol.CodeStorage {
		return
	}
	for i, r := range readTo(t, svc, l.ref, 0, tail.SeqNum) {
		number, index, _ := parseBody(t, &r)
		if e := l.entries[number]; r.SeqNum != uint64(i) || r.SeqNum != e.ack.Start.SeqNum+uint64(index) {
			t.Fatalf("record %d of a damaged stream is %.40q, of the append %v", i, r.Body, e.ack)
		}
	}
}
