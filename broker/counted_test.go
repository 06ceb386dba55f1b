package broker

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/broker/internal/metering"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// instant is a storage whose one stream takes everything at once: what is left is the cost of counting.
type instant struct {
	storage
	attached any
	open     instantStream
}

type instantStream struct {
	sessions.Stream
	at *instant
}

func (s *instant) OpenRecords(context.Context, protocol.StreamRef, use, protocol.RecordOptions) (sessions.Stream, error) {
	return &s.open, nil
}

func (s *instantStream) Appender() sessions.Appender { return s }
func (s *instantStream) Attached() any               { return s.at.attached }
func (s *instantStream) Attach(v any) any            { s.at.attached = v; return v }

func (s *instantStream) Class() protocol.StorageClass { return protocol.StorageExpress }

func (s *instantStream) Submit(_ context.Context, _ protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	done(protocol.AppendAck{}, nil)
	return nil
}

// What counting adds to an append of a session, in process:
//
//	go test -run '^$' -bench CountedAppend -benchmem ./broker
func BenchmarkCountedAppend(b *testing.B) {
	ref := protocol.StreamRef{Basin: "test-basin", Stream: "s"}
	in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 100)}}}
	done := func(protocol.AppendAck, error) {}
	for _, what := range []string{"none", "usage", "all"} {
		b.Run(fmt.Sprintf("counted=%s", what), func(b *testing.B) {
			s := &instant{}
			s.open.at = s
			meter := metering.New(slog.New(slog.DiscardHandler))
			var lane sessions.Appender
			st, err := counted{s, meter, newAppendMetrics(prometheus.NewRegistry())}.OpenRecords(b.Context(), ref, forAppendSession, protocol.RecordOptions{})
			if err != nil {
				b.Fatal(err)
			}
			lane = st.Appender()
			var own metering.Lane
			scope := meter.Of(ref.Basin)
			if what != "all" {
				lane = &s.open
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := lane.Submit(b.Context(), in, done); err != nil {
					b.Fatal(err)
				}
				if what == "usage" {
					scope.Appended(&own, protocol.StorageExpress, 108, time.Now())
				}
			}
		})
	}
}
