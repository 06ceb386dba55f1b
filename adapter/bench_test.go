package adapter

import (
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
)

// go test -run '^$' -bench Read ./adapter -benchmem -count 10 | benchstat -
func BenchmarkReadOneRecord(b *testing.B) {
	h := newHarness(b, func(o *Options) { o.Durability = protocol.DurabilityInterval })
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	for i := range 1000 {
		h.mustAppend(ref, body("%d", i))
	}
	s := h.handle(ref)
	defer s.Close()
	l := s.st.log
	b.Run("via=jetstream", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.a.manage.Request("$JS.API.DIRECT.GET."+l.name, js.NextRequest(s.st.subject, 500, 0, 0), time.Second); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("via=get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := l.getNext(b.Context(), s.st.subject, 500); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("via=scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := s.Scan(500, 501)
			if r, err := c.Next(b.Context()); err != nil || r.Len() != 1 {
				b.Fatal(err)
			}
			c.Close()
		}
	})
}

// go test -run '^$' -bench Append ./adapter -benchmem -count 10 | benchstat -
func BenchmarkAppend(b *testing.B) {
	h := newHarness(b, func(o *Options) { o.Durability = protocol.DurabilityInterval })
	ref := h.stream(h.basin("test-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
	in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 200)}}}
	b.Run("mode=unary", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.append(ref, in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mode=pipelined", func(b *testing.B) {
		b.ReportAllocs()
		s := h.handle(ref)
		defer s.Close()
		appender := s.Appender()
		window := make(chan struct{}, 256)
		for b.Loop() {
			window <- struct{}{}
			err := appender.Submit(b.Context(), in, func(_ protocol.AppendAck, err error) {
				if err != nil {
					b.Error(err)
				}
				<-window
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		for range cap(window) {
			window <- struct{}{}
		}
	})
}
