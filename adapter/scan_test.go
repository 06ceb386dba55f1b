package adapter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
)

// storedCatalog returns the messages that JetStream has of the catalog, as they lie in a file.
func (h *harness) storedCatalog() (all []StoredMessage) {
	h.t.Helper()
	s, err := h.js.Stream(h.t.Context(), layout.Catalog("s2"))
	if err != nil {
		h.t.Fatal(err)
	}
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(h.t.Context(), seq)
		if err != nil {
			continue // it was removed
		}
		headers := "NATS/1.0\r\n"
		for key, values := range m.Header {
			headers += key + ": " + values[0] + "\r\n"
		}
		all = append(all, StoredMessage{Revision: seq, Subject: []byte(m.Subject), Headers: []byte(headers + "\r\n"), Body: m.Data})
	}
	return all
}

// TestCatalogFromFiles: the catalog is read from its files if they have exactly what JetStream has, and through JetStream otherwise.
func TestCatalogFromFiles(t *testing.T) {
	var blocks [][]StoredMessage
	var damage error
	reads := 0
	h := newHarness(t, func(o *Options) {
		o.Blocks = func(string) (list []StoredBlock, err error) {
			for _, messages := range blocks {
				list = append(list, func(yield func(StoredMessage, error) bool) {
					reads++ // the blocks are read one after the other: there is one
					for _, m := range messages {
						if !yield(m, nil) {
							return
						}
					}
					if damage != nil {
						yield(StoredMessage{}, damage)
					}
				})
			}
			return list, nil
		}
	})
	b := h.basin("test-basin", protocol.BasinConfig{})
	for i := range 20 {
		h.stream(b, fmt.Sprintf("s%02d", i), protocol.StreamConfig{})
	}
	changed := protocol.StreamRef{Basin: b, Stream: "s03"}
	first := h.storedCatalog()
	uncapped := true
	if _, _, err := h.EnsureStream(t.Context(), changed, protocol.StreamConfig{Uncapped: &uncapped}); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteStream(t.Context(), protocol.StreamRef{Basin: b, Stream: "s07"}); err != nil {
		t.Fatal(err)
	}
	gone := func() bool {
		e, _, _ := h.catalog.View.Stream(protocol.StreamRef{Basin: b, Stream: "s07"})
		return e == nil
	}
	eventually(t, "the stream is removed", gone)
	now := h.storedCatalog()
	// A file keeps the values that JetStream has dropped.
	whole := slices.CompactFunc(slices.SortedFunc(slices.Values(append(slices.Clone(first), now...)),
		func(a, b StoredMessage) int { return int(a.Revision) - int(b.Revision) }), func(a, b StoredMessage) bool { return a.Revision == b.Revision })
	if len(whole) <= len(now) {
		t.Fatal("nothing was replaced")
	}
	var free uint64 // the revision of a message that JetStream has dropped
	for i, m := range now {
		if m.Revision != whole[i].Revision {
			free = whole[i].Revision
			break
		}
	}
	other := StoredMessage{Revision: free, Subject: []byte(strings.Replace(string(now[1].Subject), "s0", "t0", 1)), Body: now[1].Body}
	for _, tt := range []struct {
		name   string
		stored []StoredMessage
		damage error
		used   bool
	}{
		{"as JetStream has them", now, nil, true},
		{"with dropped values", whole, nil, true},
		{"with a removed message", append([]StoredMessage{other, {Revision: free, Removal: true}}, now...), nil, true},
		{"with a message too many", append([]StoredMessage{other}, now...), nil, false},
		{"with a message too few", now[1:], nil, false},
		{"without the last one", slices.Concat(now[:len(now)-1], []StoredMessage{other}), nil, false},
		{"damaged", now, errors.New("damaged"), false},
		{"empty", nil, nil, false},
	} {
		blocks, damage, reads = [][]StoredMessage{tt.stored}, tt.damage, 0
		h.reopen()
		if used := reads == 2; used != tt.used {
			t.Errorf("%s: the file was read %d times", tt.name, reads)
		}
		page, err := h.ListStreams(t.Context(), b, protocol.ListRequest{})
		if err != nil || len(page.Streams) != 19 || !gone() {
			t.Errorf("%s: %d streams, want 19: %v", tt.name, len(page.Streams), err)
		}
		if config, err := h.GetStreamConfig(t.Context(), changed); err != nil || !config.Uncapped {
			t.Errorf("%s: the change of a stream is lost: %v", tt.name, err)
		}
	}
}

// TestCatalogShrinksWhileItIsRead: the note of a removal may go, because its time is over, after the catalog's messages were counted.
func TestCatalogShrinksWhileItIsRead(t *testing.T) {
	counted := func() {}
	h := newHarness(t, func(o *Options) {
		o.Blocks = func(string) ([]StoredBlock, error) {
			counted()
			return nil, errors.ErrUnsupported
		}
	})
	b := h.basin("test-basin", protocol.BasinConfig{})
	h.stream(b, "kept", protocol.StreamConfig{})
	gone := h.stream(b, "gone", protocol.StreamConfig{})
	if err := h.DeleteStream(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is removed", func() bool {
		e, _, _ := h.catalog.View.Stream(gone)
		return e == nil
	})
	all := h.storedCatalog()
	note := all[len(all)-1]
	nc, err := nats.Connect("", nats.InProcessServer(h.srv)) // the harness has none while it opens the adapter again
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	removed := false
	counted = func() {
		s, err := js.Stream(t.Context(), layout.Catalog("s2"))
		if err == nil {
			err = s.Purge(t.Context(), jetstream.WithPurgeSubject(string(note.Subject)))
		}
		if err != nil {
			t.Error(err)
		}
		removed = true
	}
	h.reopen()
	counted = func() {}
	if page, err := h.ListStreams(t.Context(), b, protocol.ListRequest{}); err != nil || len(page.Streams) != 1 || !removed {
		t.Fatalf("%v, %v", page, err)
	}
}
