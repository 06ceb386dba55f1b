package adapter

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

func by(id string, epoch, seq uint64, recs ...protocol.Record) protocol.AppendInput {
	return protocol.AppendInput{Records: recs, Producer: &protocol.Producer{ID: id, Epoch: epoch, Seq: seq}}
}

// What a stream remembers of its producers stands in its newest chunk: it survives restarts, trims and retention.
func TestProducersAreDurable(t *testing.T) {
	bubble(t, "restart, trim, retention", func(t *testing.T, h *harness) {
		ref := h.stream(h.basin("demo-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 60}})
		var acks []protocol.AppendAck
		for i := range uint64(5) {
			ack, err := h.append(ref, by("p", 1, i, body("a"), body("b")))
			if err != nil {
				t.Fatal(err)
			}
			acks = append(acks, ack)
		}
		check := func(what string) {
			t.Helper()
			next := h.tail(ref).SeqNum
			for i, first := range acks {
				ack, err := h.append(ref, by("p", 1, uint64(i), body("again")))
				if err != nil || !ack.Repeated || ack.Start != first.Start || ack.End != first.End {
					t.Fatalf("%s: append %d again: %+v, %v; first %+v", what, i, ack, err, first)
				}
			}
			if _, err := h.append(ref, by("p", 0, 5, body("late"))); protocol.CodeOf(err) != protocol.CodeProducerFenced {
				t.Fatalf("%s: a stale epoch gives %v", what, err)
			}
			if _, err := h.append(ref, by("p", 1, 6, body("late"))); protocol.CodeOf(err) != protocol.CodeProducerGap {
				t.Fatalf("%s: a gap gives %v", what, err)
			}
			if got := h.tail(ref).SeqNum; got != next {
				t.Fatalf("%s: the tail moved from %d to %d", what, next, got)
			}
		}
		check("at once")
		h.reopen()
		check("after a restart")
		h.mustAppend(ref, body("somebody else's"))
		h.mustAppend(ref, protocol.TrimRecord(100))
		h.reopen()
		check("after a trim")
		time.Sleep(2 * time.Hour)
		check("after everything has expired")
		h.reopen()
		check("after that and a restart")
	})
}

// A repeat is not answered before what it repeats is durable.
func TestRepeatIsNotToldEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, inMemory, func(o *Options) { o.Durability = protocol.DurabilityGroup })
		ref := newStream(h)
		h.mustAppend(ref, body("x"))
		s := h.handle(ref)
		defer s.Close()
		gate := make(chan error)
		swapSync(h.Adapter, (&gatedSync{gate}).sync)
		outs := []<-chan outcome{submit(t, s.Appender(), by("p", 0, 0, body("a"))), submit(t, s.Appender(), by("p", 0, 0, body("a"))),
			submit(t, s.Appender(), by("p", 0, 2, body("c"))), submit(t, s.Appender(), by("p", 0, 1, body("b")))}
		synctest.Wait()
		for i, out := range outs {
			select {
			case o := <-out:
				t.Fatalf("append %d was answered early: %+v", i, o)
			default:
			}
		}
		close(gate)
		first, again, gap, second := <-outs[0], <-outs[1], <-outs[2], <-outs[3]
		if first.err != nil || again.err != nil || again.ack.Start != first.ack.Start || !again.ack.Repeated || first.ack.Repeated {
			t.Errorf("%+v, again %+v", first, again)
		}
		if protocol.CodeOf(gap.err) != protocol.CodeProducerGap || second.err != nil || second.ack.Start.SeqNum != 2 {
			t.Errorf("gap %+v, second %+v", gap, second)
		}
	})
}

// Plain appends pay nothing for producers; see the benchmark of the append path.
func BenchmarkAppendBesideProducers(b *testing.B) {
	for name, producers := range map[string]uint64{"none": 0, "one": 1, "32 with 16 appends": 32} {
		b.Run(name, func(b *testing.B) {
			h := newHarness(b, inMemory)
			ref := h.stream(h.basin("demo-basin", protocol.BasinConfig{}), "s", protocol.StreamConfig{})
			for i := range producers {
				for seq := range uint64(protocol.ProducerWindow) {
					if _, err := h.append(ref, by(string(rune('a'+i)), 0, seq, body("x"))); err != nil {
						b.Fatal(err)
					}
				}
			}
			in := protocol.AppendInput{Records: []protocol.Record{body("x")}}
			s := h.handle(ref)
			defer s.Close()
			appender := s.Appender()
			b.ReportAllocs()
			for b.Loop() {
				if o := <-submit(b, appender, in); o.err != nil {
					b.Fatal(o.err)
				}
			}
		})
	}
}
