package metering

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// instant is a stream that takes everything at once: what is left is the cost of counting.
type instant struct{ sessions.Stream }

func (s instant) Appender() sessions.Appender { return s }

func (instant) Submit(_ context.Context, _ protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	done(protocol.AppendAck{}, nil)
	return nil
}

func express() protocol.StorageClass { return protocol.StorageExpress }

// TestConnectionsOfAppends: within a minute all unary appends to a stream are one operation, and each session is one
// (control plane 6.5); a stream without unary appends is forgotten.
func TestConnectionsOfAppends(t *testing.T) { synctest.Test(t, testConnectionsOfAppends) } // so that no minute ends

func testConnectionsOfAppends(t *testing.T) {
	meter := New(slog.New(slog.DiscardHandler), Prices{})
	a := NewAppends(prometheus.NewRegistry(), meter)
	in := protocol.AppendInput{Records: []protocol.Record{{Body: []byte("x")}}}
	submit := func(stream protocol.StreamName, connection Connection, times int) {
		t.Helper()
		st := a.Stream(instant{}, protocol.StreamRef{Basin: "test-basin", Stream: stream}, connection, express)
		appender := st.Appender()
		for range times {
			if err := appender.Submit(t.Context(), in, func(protocol.AppendAck, error) {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	scope := meter.Of("test-basin")
	ops := func() (n uint64) {
		for i := range scope.slots {
			n += scope.slots[i].values[appendOpsExpress].Load()
		}
		return n
	}
	minute := minuteOf(time.Now())
	submit("a", SharedConnection, 3)
	submit("a", SharedConnection, 2) // opened again: the same connection
	submit("b", SharedConnection, 1)
	submit("a", OwnConnection, 4)
	submit("a", OwnConnection, 1)
	if n := ops(); n != 4 {
		t.Errorf("%d operations, want one of each stream and one of each session: 4", n)
	}
	if !scope.unary.first("a", minute+1) || scope.unary.first("a", minute+1) || !scope.unary.first("a", minute) {
		t.Error("a stream counts once in a minute, and in a minute that is over each time")
	}
	scope.unary.forget(minute + 1)
	if scope.unary.first("a", minute+1) {
		t.Error("a stream of this minute was forgotten")
	}
	scope.unary.forget(minute + 2)
	if scope.unary.seen != nil {
		t.Error("the streams of a minute that is over are kept")
	}
}

// What counting adds to an append, in process:
//
//	go test -run '^$' -bench CountedAppend -benchmem ./broker/internal/metering
func BenchmarkCountedAppend(b *testing.B) {
	ref := protocol.StreamRef{Basin: "test-basin", Stream: "s"}
	in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 100)}}}
	done := func(protocol.AppendAck, error) {}
	a := NewAppends(prometheus.NewRegistry(), New(slog.New(slog.DiscardHandler), Prices{}))
	for name, st := range map[string]sessions.Stream{
		"none":    instant{},
		"unary":   a.Stream(instant{}, ref, SharedConnection, express),
		"session": a.Stream(instant{}, ref, OwnConnection, express),
	} {
		b.Run(fmt.Sprintf("counted=%s", name), func(b *testing.B) {
			appender := st.Appender()
			b.ReportAllocs()
			for b.Loop() {
				if err := appender.Submit(b.Context(), in, done); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
