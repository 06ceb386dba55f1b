package adapter

import (
	"slices"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/storedir"
)

// fallBehind keeps changes of the catalog from a broker until the test ends: they wait at a basin that another broker deletes.
func (h *harness) fallBehind(other *harness) {
	h.t.Helper()
	h.janitor.mu.Lock()
	h.t.Cleanup(h.janitor.mu.Unlock)
	if err := other.DeleteBasin(h.t.Context(), other.basin("test-basin-blocks", protocol.BasinConfig{})); err != nil {
		h.t.Fatal(err)
	}
}

// A broker that is behind with the catalog tells no tail of a stream that another one has deleted, and stores nothing in it, whatever is left of the stream, and
// also when the log has become its own.
func TestDeletedStreamAtABrokerThatIsBehind(t *testing.T) {
	for name, c := range map[string]struct{ used, removed, owns bool }{
		"both have used it":                      {used: true},
		"both have used it, and it is removed":   {used: true, removed: true},
		"one has used it":                        {},
		"one has used it, and it is removed":     {removed: true},
		"both, it is removed, and the log moves": {used: true, removed: true, owns: true},
		"one, it is removed, and the log moves":  {removed: true, owns: true},
		"both have used it, and the log moves":   {used: true, owns: true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startExternal(t, server.RANDOM_PORT, storedir.New(t))
			a, b := openShared(t, srv.ClientURL(), nil), openShared(t, srv.ClientURL(), nil)
			claims := claimsFor(a, b)
			s := shared(t, b)
			b.mustAppend(s, body("x")) // b owns the log
			eventually(t, "a knows the stream", func() bool { e, _, _ := a.catalog.View.Stream(s); return e != nil })
			if c.used {
				a.tail(s)
			}
			a.fallBehind(b)
			if !c.removed {
				b.pauseJanitor()
			}
			if err := b.DeleteStream(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if c.removed {
				eventually(t, "the stream is removed", func() bool { e, _, _ := b.catalog.View.Stream(s); return e == nil })
			}
			if e, _, _ := a.catalog.View.Stream(s); e == nil || e.Deleting() {
				t.Fatal("a is not behind")
			}
			if c.owns {
				claims.move(b.logName(s.Basin, 0), 0)
			}
			gone := []protocol.Code{protocol.CodeUnavailable, protocol.CodeStreamNotFound, protocol.CodeStreamDeletionPending}
			for range 3 {
				if tail, err := a.tryTail(s); !slices.Contains(gone, protocol.CodeOf(err)) {
					t.Errorf("the tail is %v, %v", tail, err)
				}
				if ack, err := a.append(s, protocol.AppendInput{Records: []protocol.Record{body("late")}}); !slices.Contains(gone, protocol.CodeOf(err)) {
					t.Errorf("an append: %+v, %v", ack, err)
				}
			}
			if c.owns { // no run is stored while the server stops
				eventually(t, "the log has moved", func() bool { l := a.openedLog(s.Basin, 0); return l != nil && l.mine() })
			}
		})
	}
}

func (h *harness) tryTail(ref protocol.StreamRef) (tail protocol.StreamTail, err error) {
	s, err := h.OpenStream(h.t.Context(), ref, ForTail, protocol.StreamConfig{})
	if err != nil {
		return tail, err
	}
	defer s.Close()
	return s.Tail(h.t.Context())
}
