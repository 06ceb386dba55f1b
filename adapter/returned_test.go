package adapter

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// copyChunk stores the first chunk of a stream again, on the subject of another stream.
func (h *harness) copyChunk(of protocol.StreamRef, basin protocol.BasinName, id layout.StreamID) {
	h.t.Helper()
	s := h.handle(of)
	defer s.Close()
	l := s.st.log
	m, err := js.LeaderGet(h.t.Context(), h.manage, l.name, js.Wanted{NextFor: s.st.subject, Seq: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.js.Publish(h.t.Context(), l.subject(basin, id), m.Data); err != nil {
		h.t.Fatal(err)
	}
}

// Chunks without a stream are removed by a start after a crash: those of a basin that exists and those of one that does not.
func TestReturnedChunksAreRemoved(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Logs = 1 })
	basin := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(basin, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("kept"))
	h.copyChunk(ref, basin, layout.NewStreamID(0))
	h.copyChunk(ref, basin, layout.NewStreamID(3))
	h.copyChunk(ref, "gone-basin", layout.NewStreamID(0))
	h.basin("later-basin", protocol.BasinConfig{}) // a newer entry of the catalog

	h.reopen() // after an orderly stop nothing is looked for
	if n, gone := h.chunksOf(basin), h.chunksOf("gone-basin"); n != 3 || gone != 1 {
		t.Fatalf("%d and %d chunks, want 3 and 1", n, gone)
	}
	for _, atOnce := range []uint64{1, subjectsAtOnce} {
		var found []string
		if err := h.eachSubject(t.Context(), layout.Log{Class: protocol.StorageExpress}, 4, atOnce, func(s string) { found = append(found, s) }); err != nil || len(found) != 4 {
			t.Errorf("found %q, %v", found, err)
		}
	}
	h.opts.Recovered = true
	h.reopen()
	if n, gone := h.chunksOf(basin), h.chunksOf("gone-basin"); n != 1 || gone != 0 {
		t.Fatalf("%d and %d chunks, want 1 and 0", n, gone)
	}
	if recs := h.read(ref, 0); len(recs) != 1 || string(recs[0].Body) != "kept" {
		t.Fatalf("read %v", recs)
	}
}

// Nothing proves that a stream was deleted if its chunks are newer than the catalog, if entries of the catalog cannot be read, if the
// loss of records was accepted, or if other servers write.
func TestChunksWithoutProofOfDeletionAreKept(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Logs = 1 })
	basin := h.basin("test-basin", protocol.BasinConfig{})
	ref := h.stream(basin, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("kept"))
	h.copyChunk(ref, basin, layout.NewStreamID(0))
	want := func(n uint64, why string, change func(o *Options)) {
		t.Helper()
		before := h.opts
		h.opts.Recovered = true
		change(&h.opts)
		h.reopen()
		h.opts = before
		if got := h.chunksOf(basin); got != n {
			t.Errorf("%s: %d chunks, want %d", why, got, n)
		}
	}
	want(2, "newer than the catalog", func(*Options) {})
	h.basin("later-basin", protocol.BasinConfig{})
	want(2, "shared", func(o *Options) { o.Shared, o.Durability, o.StoreDir = true, protocol.DurabilityInterval, "" })
	want(2, "an accepted loss", func(o *Options) { o.AcceptLoss = "x" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only a hang fails
	defer cancel()
	if _, err := h.catalog.Bucket().Put(ctx, "s.test-basin.broken", []byte("?")); err != nil {
		t.Fatal(err)
	}
	want(2, "an entry that cannot be read", func(*Options) {})
	if err := h.catalog.Bucket().Purge(ctx, "s.test-basin.broken"); err != nil {
		t.Fatal(err)
	}
	want(1, "none of these", func(*Options) {})
}

// crashed is an adapter on a copy of the store as a kill would leave it.
func (h *harness) crashed() *harness {
	h.t.Helper()
	after := &harness{t: h.t, dir: h.t.TempDir(), opts: h.opts}
	if err := os.CopyFS(after.dir, os.DirFS(h.dir)); err != nil {
		h.t.Fatal(err)
	}
	after.srv = startServer(h.t, after.dir)
	after.opts.StoreDir, after.opts.Recovered = after.dir, true
	after.opts.Connect = func(name string) (*nats.Conn, error) {
		return nats.Connect("", nats.InProcessServer(after.srv), nats.Name(name))
	}
	after.open()
	h.t.Cleanup(func() {
		after.Adapter.Close(context.Background())
		after.srv.Shutdown()
		after.srv.WaitForShutdown()
	})
	return after
}

// lapse removes the delete marker of a key as its expiry does.
func (h *harness) lapse(key string) {
	h.t.Helper()
	if err := js.Purge(h.t.Context(), h.manage, layout.Catalog("s2"), layout.CatalogSubjects("s2")+key, 0); err != nil {
		h.t.Fatal(err)
	}
}

// A basin is deleted with its streams and made again. When the delete markers have expired, JetStream brings the entries of the
// streams back after a crash; the new basin does not have them.
func TestStreamsOfAnEarlierBasinStayGone(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Logs = 1 })
	const name = "test-basin"
	h.basin(name, protocol.BasinConfig{})
	old := h.stream(name, "old", protocol.StreamConfig{})
	both := h.stream(name, "both", protocol.StreamConfig{})
	h.mustAppend(old, body("old"))
	h.mustAppend(both, body("old"))
	if err := h.DeleteBasin(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the basin is gone", func() bool {
		_, err := h.GetBasinConfig(t.Context(), name)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
	for _, ref := range []protocol.StreamRef{old, both} {
		h.lapse(catalog.StreamKey(ref))
	}
	h.basin(name, protocol.BasinConfig{})
	h.stream(name, "both", protocol.StreamConfig{})
	h.mustAppend(both, body("new"))

	after := h.crashed()
	state, err := js.StreamState(t.Context(), after.manage, layout.Catalog("s2"))
	if err != nil {
		t.Fatal(err)
	}
	if state.Messages != 3 {
		t.Logf("JetStream has brought nothing back: the catalog has %d entries, not 3", state.Messages)
	}
	page, err := after.ListStreams(t.Context(), name, protocol.ListRequest{})
	if err != nil || len(page.Streams) != 1 || page.Streams[0].Name != "both" {
		t.Errorf("expected the stream of the new basin alone, found %+v, %v", page.Streams, err)
	}
	if recs := after.read(both, 0); len(recs) != 1 || string(recs[0].Body) != "new" {
		t.Errorf("expected the new record, found %v", recs)
	}
	if _, err := after.GetStreamConfig(t.Context(), old); protocol.CodeOf(err) != protocol.CodeStreamNotFound {
		t.Errorf("expected %s, found %v", protocol.CodeStreamNotFound, err)
	}
	// The name is free.
	after.stream(name, "old", protocol.StreamConfig{})
	if tail := after.tail(old); tail.SeqNum != 0 {
		t.Errorf("expected an empty stream, found the tail %v", tail)
	}
}

// The note that a token was removed stays for as long as the token would be valid.
func TestARevocationIsRememberedAsLongAsTheToken(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct {
		name    string
		expires time.Time
		least   time.Duration // 0: for ever
	}{
		{"endless", time.Time{}, 0},
		{"long", time.Now().Add(1000 * time.Hour), 1000 * time.Hour},
		{"over", time.Now().Add(-time.Minute), time.Hour},
	} {
		token := testToken(c.name, c.name)
		token.Info.ExpiresAt = c.expires
		if err := h.PutToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := h.RemoveToken(t.Context(), token.Info.ID); err != nil {
			t.Fatal(err)
		}
		m, err := js.LeaderGet(t.Context(), h.manage, layout.Catalog("s2"), js.Wanted{LastFor: layout.CatalogSubjects("s2") + "t." + c.name})
		if err != nil || m.Header.Get("KV-Operation") != "PURGE" {
			t.Fatalf("%s: %+v, %v", c.name, m, err)
		}
		ttl, _ := time.ParseDuration(m.Header.Get(jetstream.MsgTTLHeader))
		if c.least == 0 && ttl != 0 || ttl < c.least || ttl > c.least+2*time.Hour {
			t.Errorf("%s: remembered for %v, want %v", c.name, ttl, c.least)
		}
	}
	if _, ok := h.crashed().Token("endless"); ok {
		t.Error("a removed token is valid after a crash")
	}
	if err := h.PutToken(t.Context(), testToken("endless", "another")); err != nil {
		t.Errorf("the id cannot be used again: %v", err)
	}
}
