package adapter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/durable"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// restart closes the adapter and the server, lets change work on the closed store, and starts the server again.
func (h *harness) restart(change func(dir string)) {
	h.t.Helper()
	if err := h.Adapter.Close(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.Adapter = nil
	h.srv.Shutdown()
	h.srv.WaitForShutdown()
	change(h.dir)
	h.srv = startServer(h.t, h.dir)
}

// newestBlock is the file that JetStream writes a stream's messages to.
func newestBlock(t *testing.T, dir, stream string) string {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", stream, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no block of %s: %v", stream, err)
	}
	return blocks[len(blocks)-1]
}

// rot changes a byte at a part of a block, and takes the index away that only a clean stop writes.
func rot(t *testing.T, file string, part float64) {
	t.Helper()
	if err := os.Remove(filepath.Join(filepath.Dir(file), "index.db")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[int(float64(len(data))*part)] ^= 0x55
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openFails(t *testing.T, h *harness) durable.Losses {
	t.Helper()
	a, err := Open(t.Context(), h.opts)
	if err == nil {
		h.Adapter = a
		t.Fatal("the loss went unnoticed")
	}
	lost, ok := err.(durable.Losses) // it is not wrapped
	if !ok {
		t.Fatalf("the start failed with %v", err)
	}
	return lost
}

func TestStartNoticesLostRecords(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	for i := range 100 {
		h.mustAppend(ref, body("record %d", i))
	}
	name := h.logName(ref.Basin, 0)
	h.restart(func(dir string) { rot(t, newestBlock(t, dir, name), 0.5) })
	lost := openFails(t, h)
	if len(lost) != 1 || lost[0].Log != name || lost[0].Mark != 100 || lost[0].Last >= 100 {
		t.Fatalf("lost %+v", lost)
	}
	for _, say := range []string{name, "100", "accept_loss " + lost.Code(), "backup"} {
		if !strings.Contains(lost.Error(), say) {
			t.Errorf("the error does not say %q: %v", say, lost)
		}
	}
	h.opts.AcceptLoss = "0123456789ab" // some other loss
	openFails(t, h)
	h.opts.AcceptLoss = lost.Code()
	h.open()
	tail := h.tail(ref)
	if tail.SeqNum != uint64(lost[0].Last) {
		t.Fatalf("the stream goes on at %d, its log at %d", tail.SeqNum, lost[0].Last)
	}
	h.mustAppend(ref, body("new"))
	h.opts.AcceptLoss = ""
	h.reopen()
	if got := h.read(ref, 0); uint64(len(got)) != tail.SeqNum+1 {
		t.Fatalf("%d records", len(got))
	}
}

func TestStartNoticesALostCatalogEntry(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	for _, name := range []string{"a", "b", "c"} {
		h.stream(b, name, protocol.StreamConfig{})
	}
	name := layout.Catalog(h.Adapter.opts.Prefix)
	h.restart(func(dir string) { rot(t, newestBlock(t, dir, name), 0.95) })
	if lost := openFails(t, h); len(lost) != 1 || lost[0].Log != name {
		t.Fatalf("lost %+v", lost)
	}
}

// markedCatalog returns the name of the catalog's JetStream stream, which must be marked at its end.
func (h *harness) markedCatalog() string {
	h.t.Helper()
	name := layout.Catalog(h.Adapter.opts.Prefix)
	s, err := h.js.Stream(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	if last, mark := s.CachedInfo().State.LastSeq, h.watermarks.All()[name]; uint64(mark) != last {
		h.t.Fatalf("the catalog is marked at %d, its last entry is %d", mark, last)
	}
	return name
}

func TestRestoredEntriesAreMarked(t *testing.T) {
	h := newHarness(t)
	h.basin("test-basin", protocol.BasinConfig{})
	err := h.ImportEntry(t.Context(), protocol.CatalogEntry{Key: catalog.DefaultLocationKey, Value: []byte(`{"default":"local"}`)})
	if err != nil {
		t.Fatal(err)
	}
	h.markedCatalog()
}

// A token that was revoked must not come back with the damage.
func TestStartNoticesALostRemoval(t *testing.T) {
	h := newHarness(t)
	h.basin("test-basin", protocol.BasinConfig{})
	token := testToken("one", "secret")
	if err := h.PutToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveToken(t.Context(), token.Info.ID); err != nil {
		t.Fatal(err)
	}
	name := h.markedCatalog()
	h.restart(func(dir string) { rot(t, newestBlock(t, dir, name), 0.9) })
	openFails(t, h)
}

func TestStartNoticesALogThatIsMissing(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	name := h.logName(ref.Basin, 0)
	h.restart(func(dir string) {
		if err := os.RemoveAll(filepath.Dir(filepath.Dir(newestBlock(t, dir, name)))); err != nil {
			t.Fatal(err)
		}
	})
	if lost := openFails(t, h); len(lost) != 1 || lost[0].Last != 0 {
		t.Fatalf("lost %+v", lost)
	}
}

func TestNoLossIsSeenWhereThereIsNone(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	for i := range 50 {
		h.mustAppend(ref, body("%d", i))
	}
	h.mustAppend(ref, protocol.TrimRecord(^uint64(0)))
	gone := h.stream(h.basin("gone-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(gone, body("x"), body("y"))
	h.restart(func(string) {})
	h.open()
	if err := h.DeleteBasin(t.Context(), gone.Basin); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the basin is gone", func() bool {
		_, err := h.GetBasinConfig(t.Context(), gone.Basin)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
	// A successor begins at 1 again.
	again := h.stream(h.basin("gone-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(again, body("x"))
	h.restart(func(string) {})
	h.open()
	if _, ok := h.watermarks.All()[h.logName(again.Basin, 0)]; !ok {
		t.Fatal("the successor has no mark")
	}
	// Where JetStream syncs there is nothing to remember.
	h.opts.Durability = protocol.DurabilityAlways
	h.reopen()
	if _, err := os.Stat(filepath.Join(h.dir, durable.FileName)); !os.IsNotExist(err) {
		t.Fatalf("the watermarks are still there: %v", err)
	}
	h.opts.Durability = protocol.DurabilityGroup
	h.reopen()
}

// crash goes on with a copy of the store as it is at this moment, which is what a killed process leaves.
func (h *harness) crash() {
	h.t.Helper()
	dir := h.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(h.dir)); err != nil {
		h.t.Fatal(err)
	}
	h.restart(func(string) {})
	h.srv.Shutdown()
	h.srv.WaitForShutdown()
	h.dir, h.opts.StoreDir = dir, dir
	h.srv = startServer(h.t, dir)
}

func (h *harness) deleteAll(refs ...protocol.StreamRef) {
	h.t.Helper()
	for _, ref := range refs {
		if err := h.DeleteStream(h.t.Context(), ref); err != nil {
			h.t.Fatal(err)
		}
		eventually(h.t, "the stream is gone", func() bool {
			_, err := h.GetStreamConfig(h.t.Context(), ref)
			return protocol.CodeOf(err) == protocol.CodeStreamNotFound
		})
	}
}

// loseLog restarts the server without a log of the basin's.
func (h *harness) loseLog(basin protocol.BasinName) {
	h.t.Helper()
	name := h.logName(basin, 0)
	h.restart(func(dir string) {
		if err := os.RemoveAll(filepath.Join(dir, "jetstream", "$G", "streams", name)); err != nil {
			h.t.Fatal(err)
		}
	})
}

// The records of deleted streams are no loss, and neither is a log that held nothing else.
func TestNoLossIsSeenWithoutStreams(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	h.deleteAll(ref)
	h.loseLog(ref.Basin)
	h.open()
	h.mustAppend(h.stream(ref.Basin, "t", protocol.StreamConfig{}), body("y"))
	h.reopen()
}

func TestAcceptedLossOfALogIsOver(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	h.loseLog(ref.Basin)
	h.opts.AcceptLoss = openFails(t, h).Code()
	h.open()
	h.opts.AcceptLoss = ""
	h.restart(func(string) {})
	h.open()
	h.mustAppend(h.stream(ref.Basin, "t", protocol.StreamConfig{}), body("y"))
	h.reopen()
}

func TestNoLossIsSeenAfterAllStreamsAreGone(t *testing.T) {
	h := newHarness(t)
	b := h.basin("test-basin", protocol.BasinConfig{})
	for range 3 {
		ref := h.stream(b, "s", protocol.StreamConfig{})
		for i := range 50 {
			h.mustAppend(ref, body("%d", i))
		}
		h.deleteAll(ref)
		h.crash()
		h.open()
	}
}

func TestLossInADeletedBasinIsNone(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	for i := range 50 {
		h.mustAppend(ref, body("%d", i))
	}
	h.stopJanitor()
	if err := h.DeleteBasin(t.Context(), ref.Basin); err != nil {
		t.Fatal(err)
	}
	name := h.logName(ref.Basin, 0)
	h.restart(func(dir string) { rot(t, newestBlock(t, dir, name), 0.5) })
	h.open()
	eventually(t, "the basin is gone", func() bool {
		_, err := h.GetBasinConfig(t.Context(), ref.Basin)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
}

// go test -run '^$' -bench AppendWatermarks ./adapter -count 10 | benchstat -col /watermarks -
func BenchmarkAppendWatermarks(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("watermarks=%v", on), func(b *testing.B) {
			h := newHarness(b)
			if !on {
				config := h.commit.Config()
				config.Watermarks = nil
				swapCommitter(h.Adapter, config)
			}
			s := h.handle(h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{}))
			defer s.Close()
			in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 200)}}}
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				appender, done := s.Appender(), make(chan error, 1)
				for pb.Next() {
					if err := appender.Submit(b.Context(), in, func(_ protocol.AppendAck, err error) { done <- err }); err != nil {
						b.Error(err)
						return
					}
					if err := <-done; err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
