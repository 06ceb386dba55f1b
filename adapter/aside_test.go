package adapter

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// TestBrokenCatalogEntriesAreSetAside: a start names entries that it cannot read and serves the rest. What they describe answers with
// code storage, neither as missing nor as free, and its records stay.
func TestBrokenCatalogEntriesAreSetAside(t *testing.T) {
	var log strings.Builder
	h := newHarness(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	auto := protocol.BasinConfig{CreateStreamOnAppend: true}
	good, lost := h.basin("good-basin", auto), h.basin("lost-basin", auto)
	whole, broken, hidden := h.stream(good, "whole", protocol.StreamConfig{}), h.stream(good, "broken", protocol.StreamConfig{}), h.stream(lost, "hidden", protocol.StreamConfig{})
	for _, ref := range []protocol.StreamRef{whole, broken, hidden} {
		h.mustAppend(ref, body("a"))
	}
	for i := range 10 {
		h.stream(good, fmt.Sprint(i), protocol.StreamConfig{})
	}
	token := testToken("reader", "secret")
	if err := h.PutToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	subjectOfBroken := h.handle(broken)
	chunks := h.chunks(broken)
	subjectOfBroken.Close()
	hiddenIn := h.openedLog(lost, h.logNumber(hidden))
	backup, _, _ := h.catalog.View.Basin(lost)

	garbage := []string{catalog.StreamKey(broken), catalog.BasinKey(lost), "t.broken", "s.malformed", "x.unknown"}
	for _, key := range garbage {
		if _, err := h.catalog.Bucket().Put(t.Context(), key, []byte("\xff garbage")); err != nil {
			t.Fatal(err)
		}
	}
	h.reopen()
	for _, key := range garbage {
		if !strings.Contains(log.String(), key) {
			t.Errorf("the start does not name %s: %s", key, log.String())
		}
	}
	if got := h.Stats().Asides; got != len(garbage) {
		t.Errorf("%d entries are set aside, not %d", got, len(garbage))
	}
	if ack := h.mustAppend(whole, body("b")); ack.Start.SeqNum != 1 {
		t.Errorf("an append to what is whole: %+v", ack)
	}
	if _, ok := h.TokenByHash(token.Hash); !ok {
		t.Error("the other token does not count any more")
	}
	h.stream(good, "new", protocol.StreamConfig{})

	in := protocol.AppendInput{Records: []protocol.Record{body("x")}}
	for name, call := range map[string]func() error{
		"append":         func() error { _, err := h.append(broken, in); return err },
		"append, hidden": func() error { _, err := h.append(hidden, in); return err },
		"get":            func() error { _, err := h.GetStreamConfig(t.Context(), broken); return err },
		"delete":         func() error { return h.DeleteStream(t.Context(), broken) },
		"ensure":         func() error { _, _, err := h.EnsureStream(t.Context(), broken, protocol.StreamConfig{}); return err },
		"create": func() error {
			_, _, err := h.CreateStream(t.Context(), good, protocol.CreateStreamRequest{Stream: "broken"})
			return err
		},
		"get a basin":    func() error { _, err := h.GetBasinConfig(t.Context(), lost); return err },
		"delete a basin": func() error { return h.DeleteBasin(t.Context(), lost) },
		"create a basin": func() error {
			_, _, err := h.CreateBasin(t.Context(), protocol.CreateBasinRequest{Basin: lost})
			return err
		},
		"restore a basin": func() error {
			value, err := json.Marshal(&backup)
			if err != nil {
				return err
			}
			return h.BeginRestore(t.Context(), protocol.BeginRestoreRequest{Restore: "r", Entry: protocol.CatalogEntry{Key: catalog.BasinKey(lost), Value: value}})
		},
		"list its stream": func() error { _, err := h.ListStreams(t.Context(), lost, protocol.ListRequest{}); return err },
		"issue a token":   func() error { return h.PutToken(t.Context(), testToken("broken", "another")) },
	} {
		if err := call(); protocol.CodeOf(err) != protocol.CodeStorage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if page, err := h.ListStreams(t.Context(), good, protocol.ListRequest{}); err != nil || len(page.Streams) != 12 {
		t.Errorf("the list: %+v, %v", page, err)
	}
	h.idle()
	if n, err := js.Count(t.Context(), h.manage, hiddenIn.name, hiddenIn.id.Basin("s2", lost)); err != nil || n != 1 {
		t.Errorf("%d chunks of the basin whose entry is broken are left: %v", n, err)
	}
	if e, err := h.catalog.Bucket().Get(t.Context(), catalog.StreamKey(broken)); err != nil || !strings.Contains(string(e.Value()), "garbage") {
		t.Errorf("the broken entry is not as it was: %v", err)
	}
	state, err := h.js.Stream(t.Context(), h.logName(good, 0))
	if err != nil {
		t.Fatal(err)
	}
	if n := state.CachedInfo().State.Msgs; n < uint64(chunks) {
		t.Errorf("%d chunks are left in the log", n)
	}

	// A catalog of which most is broken is another case.
	for _, key := range []string{catalog.BasinKey(good), catalog.StreamKey(whole), "x.1", "x.2", "x.3", "x.4", "x.5", "x.6", "x.7", "x.8", "x.9"} {
		if _, err := h.catalog.Bucket().Put(t.Context(), key, []byte("garbage")); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Adapter.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Adapter = nil
	if a, err := Open(t.Context(), h.opts); err == nil {
		_ = a.Close(t.Context())
		t.Error("a start with a catalog that is broken for the most part succeeds")
	} else if !strings.Contains(err.Error(), "cannot be read") {
		t.Error(err)
	}
}

// TestHealthAsksTheStore: health reports a catalog or a log that was deleted behind the broker; a log is asked for only once JetStream
// has said that it is not there.
func TestHealthAsksTheStore(t *testing.T) {
	h := newHarness(t)
	ref := h.stream(h.basin("good-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	h.mustAppend(ref, body("a"))
	if err := h.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := h.logName(ref.Basin, 0)
	if err := h.js.DeleteStream(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	if _, err := h.append(ref, protocol.AppendInput{Records: []protocol.Record{body("b")}}); err == nil {
		t.Fatal("an append to a log that is gone succeeds")
	}
	if err := h.Health(t.Context()); err == nil || !strings.Contains(err.Error(), log) {
		t.Errorf("without the log: %v", err)
	}
	if err := h.js.DeleteStream(t.Context(), layout.Catalog(h.Adapter.opts.Prefix)); err != nil {
		t.Fatal(err)
	}
	if err := h.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "catalog") {
		t.Errorf("without the catalog: %v", err)
	}
}
