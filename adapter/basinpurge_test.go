package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// many creates streams in a basin, each with so many appends, and returns them.
func (h *harness) many(basin protocol.BasinName, streams, appends int) []protocol.StreamRef {
	h.t.Helper()
	refs := make([]protocol.StreamRef, streams)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < streams; i += 16 {
				refs[i] = h.stream(basin, fmt.Sprintf("s-%05d", i), protocol.StreamConfig{})
				for range appends {
					h.mustAppend(refs[i], body("x"))
				}
			}
		})
	}
	wg.Wait()
	return refs
}

// chunksOf counts the chunks of a basin in all shared logs.
func (h *harness) chunksOf(basin protocol.BasinName) (n uint64) {
	h.t.Helper()
	for number := range h.opts.Logs {
		id, _ := layout.LogOf(basin, number)
		c, err := js.Count(h.t.Context(), h.manage, id.Stream("s2"), id.Basin("s2", basin))
		if err != nil && !js.StreamMissing(err) {
			h.t.Fatal(err)
		}
		n += c
	}
	return n
}

// A deleted basin leaves nothing behind, and the others as they are: one that is purged at once, one that is purged bucket by
// bucket and one whose chunks are scattered.
func TestDeletedBasinLeavesTheLogsToTheOthers(t *testing.T) {
	for _, tc := range []struct {
		name             string
		streams, appends int
	}{{"at once", 20, 2}, {"by buckets", 2500, 1}, {"by windows", 60, 60}} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHarness(t, func(o *Options) { o.Logs = 2; o.Durability = protocol.DurabilityInterval })
			victim, other := h.basin("victim-basin", protocol.BasinConfig{}), h.basin("other-basin", protocol.BasinConfig{})
			kept := h.many(other, 10, 3)
			h.many(victim, tc.streams, tc.appends)
			for _, ref := range kept {
				h.mustAppend(ref, body("after"))
			}
			if n := h.chunksOf(victim); n < uint64(tc.streams) {
				t.Fatalf("the basin has %d chunks", n)
			}
			h.basinRemoved(victim)
			if n := h.chunksOf(victim); n != 0 {
				t.Fatalf("%d chunks are left", n)
			}
			for _, ref := range kept {
				if got := h.read(ref, 0); len(got) != 4 {
					t.Fatalf("%v has %d records", ref, len(got))
				}
			}
			again := h.stream(h.basin("victim-basin", protocol.BasinConfig{}), "s-00001", protocol.StreamConfig{})
			h.mustAppend(again, body("new"))
			h.reopen()
			if got := h.read(again, 0); len(got) != 1 {
				t.Fatalf("its successor has %d records", len(got))
			}
		})
	}
}

// A deletion goes on after a crash wherever it was interrupted, and an open stream of the basin takes no append meanwhile.
func TestBasinDeletionGoesOnAfterACrash(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Logs = 2 })
	victim := h.basin("victim-basin", protocol.BasinConfig{})
	kept := h.stream(h.basin("other-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(kept, body("x"))
	refs := h.many(victim, 40, 2)
	h.stopJanitor()
	s := h.handle(refs[0])
	defer s.Close()
	if err := h.DeleteBasin(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	// Half of the chunks went, and some of the names.
	l := s.st.log
	if err := l.purge(t.Context(), l.id.Basin("s2", victim), 0); err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs[:5] {
		if err := h.catalog.Bucket().Purge(t.Context(), catalog.StreamKey(ref)); err != nil {
			t.Fatal(err)
		}
	}
	h.crash()
	h.open()
	eventually(t, "the basin is removed", func() bool {
		_, err := h.GetBasinConfig(t.Context(), victim)
		return protocol.CodeOf(err) == protocol.CodeBasinNotFound
	})
	if n := h.chunksOf(victim); n != 0 {
		t.Fatalf("%d chunks are left", n)
	}
	if got := h.read(kept, 0); len(got) != 1 {
		t.Fatalf("the other basin has %d records", len(got))
	}
}

// Appends to streams that are open when their basin is deleted are refused, or are removed with it.
func TestAppendsDuringABasinDeletion(t *testing.T) {
	h := newHarness(t)
	victim := h.basin("victim-basin", protocol.BasinConfig{})
	refs := h.many(victim, 20, 1)
	stop := make(chan struct{})
	var wg, appending sync.WaitGroup
	appending.Add(len(refs))
	for _, ref := range refs {
		wg.Go(func() {
			s := h.handle(ref)
			defer s.Close()
			first := sync.OnceFunc(appending.Done)
			defer first()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := <-submit(t, s.Appender(), bodies("x", 1)); got.err != nil {
					return
				}
				first()
			}
		})
	}
	appending.Wait()
	h.basinRemoved(victim)
	if n := h.chunksOf(victim); n != 0 {
		t.Errorf("%d chunks are left", n)
	}
	close(stop)
	wg.Wait()
	if n := h.chunksOf(victim); n != 0 {
		t.Fatalf("%d chunks came afterwards", n)
	}
}

func TestStoreOfAnotherLayoutIsRefused(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	s, err := h.js.Stream(t.Context(), layout.Catalog("s2"))
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	delete(config.Metadata, "weir.layout")
	if _, err := h.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	h.restart(func(string) {})
	_, err = Open(t.Context(), h.opts)
	if err == nil || !strings.Contains(err.Error(), "weir backup") || !strings.Contains(err.Error(), "layout 1") {
		t.Fatalf("it was opened: %v", err)
	}
	h.Adapter = nil
}

// A start reads what lies in the window of duplicates, which weir does not use: it is the shortest.
func TestWindowOfDuplicatesIsShort(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	for list := h.js.ListStreams(t.Context()); ; {
		info, ok := <-list.Info()
		if !ok {
			break
		}
		if strings.Contains(info.Config.Name, "USAGE") {
			continue
		}
		if info.Config.Duplicates != leastDuplicates {
			t.Errorf("%s has a window of %v", info.Config.Name, info.Config.Duplicates)
		}
	}
}

// Chunks of a basin that does not exist, which a power cut can leave, are not taken for those of a restore.
func TestRestoreIsNotMisledByOrphans(t *testing.T) {
	h := newHarness(t)
	old := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(old, body("x"))
	e := h.entry(old)
	l, err := h.logOf(t.Context(), old.Basin, e.Log())
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := h.js.Stream(t.Context(), l.name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := chunk.GetLastMsgForSubject(t.Context(), l.subjectOf(e))
	if err != nil {
		t.Fatal(err)
	}
	page, err := h.ExportCatalog(t.Context(), protocol.ExportCatalogRequest{Basin: old.Basin})
	if err != nil || len(page.Entries) != 1 {
		t.Fatal(page, err)
	}
	account, err := h.ExportCatalog(t.Context(), protocol.ExportCatalogRequest{})
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := h.ExportChunks(t.Context(), protocol.ExportChunksRequest{Basin: old.Basin, Log: e.Log()})
	if err != nil || len(chunks.Chunks) != 1 {
		t.Fatal(chunks, err)
	}
	h.basinRemoved(old.Basin)
	orphan := nats.NewMsg(strings.Replace(m.Subject, e.ID.String(), layout.NewStreamID(e.ID.Bucket()).String(), 1))
	orphan.Data, orphan.Header = m.Data, m.Header
	delete(orphan.Header, nats.ExpectedLastSeqHdr)
	if _, err := h.js.PublishMsg(t.Context(), orphan); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	var entry protocol.CatalogEntry
	for _, c := range account.Entries {
		if c.Key == catalog.BasinKey(old.Basin) {
			entry = c
		}
	}
	if err := h.BeginRestore(t.Context(), protocol.BeginRestoreRequest{Restore: "r", Entry: entry}); err != nil {
		t.Fatal(err)
	}
	logs, err := h.ImportStreams(t.Context(), protocol.ImportStreamsRequest{Basin: old.Basin, Restore: "r", Entries: page.Entries})
	if err != nil {
		t.Fatal(err)
	}
	in := protocol.ImportChunksRequest{Basin: old.Basin, Restore: "r", Log: logs[0], Chunks: chunks.Chunks}
	for range 2 { // the answer may be lost
		if err := h.ImportChunks(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.EndRestore(t.Context(), protocol.EndRestoreRequest{Basin: old.Basin, Restore: "r", Streams: 1, Chunks: map[int]uint64{logs[0]: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := h.read(old, 0); len(got) != 1 || string(got[0].Body) != "x" {
		t.Fatalf("%d records", len(got))
	}
}

// A node that was stopped while it removed a deleted basin may go on when others have removed it and a new basin has its name. It leaves the new one alone.
func TestRemovalOfABasinThatGoesOnLate(t *testing.T) {
	teamBubble(t, "a new basin", 2, 1, func(t *testing.T, m *team) {
		h := m.hs[0]
		m.keep(1)
		ref := m.stream("s", aged(0))
		h.mustAppend(ref, body("old"))
		old, _, _ := h.catalog.View.Basin(ref.Basin)
		ids := []layout.StreamID{h.entry(ref).ID}
		if err := h.DeleteBasin(t.Context(), ref.Basin); err != nil {
			t.Fatal(err)
		}
		m.wantNothingOf(ref.Basin, 1, 0, 1)
		ref = m.stream("s", aged(0))
		h.mustAppend(ref, body("new 0"))
		late := func(want int) {
			t.Helper()
			if err := h.janitor.purgeShared(t.Context(), &old, map[int][]layout.StreamID{0: ids}); err != nil {
				t.Error(err)
			}
			still := func(ctx context.Context) (bool, error) { return h.janitor.stillDeleting(ctx, &old) }
			if err := h.openedLog(ref.Basin, 0).removeBasin(t.Context(), ref.Basin, ids, still); !errors.Is(err, errOtherBasin) {
				t.Error(err)
			}
			if n := h.stored(ref); n != want {
				t.Errorf("%d records of the new basin are left, want %d", n, want)
			}
		}
		late(1)
		h.mustAppend(ref, body("new 1"))
		// The new one is deleted as well.
		for _, h := range m.hs {
			h.stopJanitor()
		}
		if err := h.DeleteBasin(t.Context(), ref.Basin); err != nil {
			t.Fatal(err)
		}
		late(2)
		if err := h.janitor.notePurged(t.Context(), &old, []int{0}); err != nil {
			t.Fatal(err)
		}
		if now, _, _ := h.catalog.View.Basin(ref.Basin); len(now.Purged) > 0 {
			t.Errorf("the logs %v of the new basin are taken for purged", now.Purged)
		}
	})
}

// A broker whose view is behind restores no basin over one that another broker has made.
func TestRestoreOverABasinThatIsNotKnownYet(t *testing.T) {
	a, b := two(t)
	known := shared(t, b)
	b.mustAppend(known, body("x")) // b owns the log
	b.reaper.mu.Lock()             // what comes to b waits at the next stream with deadlines
	defer b.reaper.mu.Unlock()
	minAge := uint64(3600)
	if _, _, err := a.CreateStream(t.Context(), known.Basin, protocol.CreateStreamRequest{Stream: "blocks", Config: protocol.StreamConfig{DeleteOnEmptyMinAge: &minAge}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: "new-basin", DedicatedLogs: 1}); err != nil {
		t.Fatal(err)
	}
	ref := a.stream("new-basin", "s", protocol.StreamConfig{})
	a.mustAppend(ref, body("x"))
	rec, _, _ := a.catalog.View.Basin(ref.Basin)
	if _, _, ok := b.catalog.View.Basin(ref.Basin); ok {
		t.Fatal("the basin is known")
	}
	value, err := json.Marshal(&rec)
	if err != nil {
		t.Fatal(err)
	}
	entry := protocol.CatalogEntry{Key: catalog.BasinKey(ref.Basin), Value: value}
	if err := b.BeginRestore(t.Context(), protocol.BeginRestoreRequest{Restore: "r", Entry: entry}); protocol.CodeOf(err) != protocol.CodeResourceAlreadyExists {
		t.Error(err)
	}
	if n := len(a.read(ref, 0)); n != 1 {
		t.Errorf("%d records are left", n)
	}
}

// deposedKeeper loses the account to another node when it has deleted a log of a basin's own.
type deposedKeeper struct {
	*testNode
	to int
}

func (k *deposedKeeper) Forget(context.Context, string) error {
	k.c.move(accountClaim, k.to)
	return errors.New("the claims cannot be reached")
}

// A new basin can have the name of one whose removal another node has finished, and logs of its own.
func TestRemovalOfABasinThatAnotherKeeperFinishes(t *testing.T) {
	teamBubble(t, "logs of its own", 2, 1, func(t *testing.T, m *team) {
		h := m.hs[0]
		m.keep(0)
		h.owners = &deposedKeeper{m.claims.nodes[0], 1}
		for range 2 {
			b := protocol.BasinName("big-tenant")
			if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: b, DedicatedLogs: 1}); err != nil {
				t.Fatal(err)
			}
			h.mustAppend(h.stream(b, "s", protocol.StreamConfig{}), body("x"))
			if err := h.DeleteBasin(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			m.wantNothingOf(b, 0, 0, 1)
		}
	})
}

// A log whose basin another node has removed while this one closes is left to Close.
func TestLogOfARemovedBasinWhileTheAdapterCloses(t *testing.T) {
	h := newHarness(t)
	b := protocol.BasinName("big-tenant")
	if _, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: b, DedicatedLogs: 1}); err != nil {
		t.Fatal(err)
	}
	ref := h.stream(b, "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("x"))
	l := h.openedLog(b, h.logNumber(ref))
	closed := func(is bool) {
		h.logs.mu.Lock()
		defer h.logs.mu.Unlock()
		h.logs.closed = is
	}
	closed(true)
	catalogListener{h.Adapter}.BasinForgotten(b)
	if h.openedLog(b, h.logNumber(ref)) != l || l.closed() {
		t.Error("the log would never be closed")
	}
	closed(false)
	catalogListener{h.Adapter}.BasinForgotten(b)
	eventually(t, "the log is closed", l.closed)
	if h.openedLog(b, h.logNumber(ref)) != nil {
		t.Error("the log is there")
	}
}
