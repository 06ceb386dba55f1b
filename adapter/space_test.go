package adapter

import (
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/protocol"
)

// onDisk is the size of all files of JetStream.
func (h *harness) onDisk() (total int64) {
	h.t.Helper()
	err := filepath.WalkDir(filepath.Join(h.dir, "jetstream"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // a file that goes while it is looked at
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return total
}

// shrinks waits until the files of JetStream have at most so many bytes.
func (h *harness) shrinks(what string, to int64) {
	h.t.Helper()
	from, began := h.onDisk(), time.Now()
	eventually(h.t, what, func() bool { return h.onDisk() <= to })
	h.t.Logf("%s: from %d to %d KiB in %v", what, from>>10, h.onDisk()>>10, time.Since(began).Round(time.Millisecond))
}

// TestSpaceIsGivenBack fills streams that share one log, with compaction every 100 ms instead of every two minutes. The
// bounds are those of docs/operations.md: at most twice what lives, and one block of 8 MiB for each log.
func TestSpaceIsGivenBack(t *testing.T) {
	const (
		mib   = 1 << 20
		block = 8 * mib
		slack = mib // catalog, index, tombstones
	)
	h := newHarness(t)
	if err := h.Adapter.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.srv.Shutdown()
	h.srv.WaitForShutdown()
	h.srv = startServerSyncing(t, h.dir, 100*time.Millisecond)
	h.open()
	b := h.basin("test-basin", protocol.BasinConfig{})
	trimmed, deleted, lives := h.stream(b, "trimmed", protocol.StreamConfig{}), h.stream(b, "deleted", protocol.StreamConfig{}), h.stream(b, "lives", protocol.StreamConfig{})
	expires := h.stream(b, "expires", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 3}})
	noise := make([]byte, 256<<10)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(noise) // never fails
	fill := func(ref protocol.StreamRef) { h.mustAppend(ref, protocol.Record{Body: noise}) }
	for range 80 { // 20 MiB each, mixed in every block
		for _, ref := range []protocol.StreamRef{trimmed, deleted, lives, expires} {
			fill(ref)
		}
	}
	if n := h.onDisk(); n < 80*mib {
		t.Fatalf("only %d bytes are on disk", n)
	}
	const live = 20 * mib
	if err := h.DeleteStream(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	h.mustAppend(trimmed, protocol.TrimRecord(^uint64(0)))
	h.shrinks("trimmed, deleted and expired among live neighbours", 2*live+block+slack)
	if got := h.read(lives, 0); len(got) != 80 {
		t.Fatalf("the neighbour has %d records", len(got))
	}
	h.mustAppend(lives, protocol.TrimRecord(80))
	h.shrinks("everything trimmed", block+slack)
	if err := h.DeleteBasin(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	h.shrinks("basin deleted", slack)
}

func startServerSyncing(t testing.TB, dir string, every time.Duration) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, JetStream: true, StoreDir: dir,
		MaxPayload: 8 << 20, JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 20 << 30, SyncInterval: every})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("server is not ready")
	}
	return srv
}
