package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

func idle(secs uint64) StreamOption {
	return func(c *protocol.StreamConfig) { c.Expiry = &protocol.Expiry{IdleSecs: secs} }
}

func ends(x protocol.Expiry) StreamOption {
	return func(c *protocol.StreamConfig) { c.Expiry = &x }
}

// in is an expiry so long from now.
func in(d time.Duration) protocol.Expiry { return protocol.ExpiryAt(time.Now().Add(d)) }

// expiryCases: the expiry of streams, which S2 does not have (docs/expiry.md).
var expiryCases = []Case{
	{Row: beyondS2, Name: "a stream that is not used is deleted, a used one is kept", Timed: true, Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		unused, read, written, followed := b.Stream("unused", idle(600)), b.Stream("read", idle(600)), b.Stream("written", idle(600)), b.Stream("followed", idle(600))
		for _, s := range []*Stream{unused, read, written, followed} {
			s.Append(text("a"))
		}
		r := followed.Follow(from(0))
		r.Collect(1)
		for range 3 {
			for began := time.Now(); time.Since(began) < 300*time.Second; {
				r.Heartbeat() // a session whose client is silent is ended by some doors
			}
			read.Read(from(0)).Seqs(0, 1)
			written.Append(text("b"))
			unused.e.Service.CheckTail(e.ctx, unused.StreamRef) // a look at the tail is no use
		}
		unused.deleted()
		read.Read(from(0)).Seqs(0, 1)
		equal(t, "tail", written.Tail().SeqNum, 4)
		equal(t, "tail", followed.Tail().SeqNum, 1)
		r.Close()
		time.Sleep(700*time.Second + pass)
		read.deleted()
		written.deleted()
		followed.deleted()
	}},
	{Row: beyondS2, Name: "a stream ends at its time, whoever uses it", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(ends(in(1000 * time.Second)))
		s.Append(text("a"))
		r := s.Follow(from(1))
		time.Sleep(990 * time.Second)
		s.Append(text("b"))
		time.Sleep(10*time.Second + pass)
		s.deleted()
		r.Breaks(append(deletionPending, protocol.CodeUnavailable)...)
		_, _, err := e.Service.CreateStream(e.ctx, s.StreamRef.Basin, protocol.CreateStreamRequest{Stream: s.StreamRef.Stream})
		e.must(err, "create the stream again")
		equal(t, "tail", s.Tail(), protocol.Position{})
		equal(t, "expiry", s.Config().Expiry, protocol.Expiry{})
	}},
	{Row: beyondS2, Name: "nobody revives a stream whose time has come", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(idle(5))
		s.Append(text("a"))
		time.Sleep(5100 * time.Millisecond)
		_, err := s.tryRead(from(0))
		e.fails(err, append(deletionPending, protocol.CodeStreamNotFound)...)
		_, err = s.tryAppend(text("b"))
		e.fails(err, append(deletionPending, protocol.CodeStreamNotFound)...)
		time.Sleep(pass)
		s.deleted()
	}},
	{Row: beyondS2, Name: "reconfigured: set, changed, taken away", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		equal(t, "expiry", s.Config().Expiry, protocol.Expiry{})
		time.Sleep(time.Hour)
		x := protocol.Expiry{IdleSecs: 600}
		equal(t, "expiry", s.Reconfigure(protocol.StreamReconfiguration{Expiry: protocol.Set(x)}).Expiry, x)
		time.Sleep(500 * time.Second)
		equal(t, "expiry", s.Reconfigure(protocol.StreamReconfiguration{DeleteOnEmptyMinAge: protocol.Set(uint64(0))}).Expiry, x)
		equal(t, "expiry", s.Reconfigure(protocol.StreamReconfiguration{Expiry: protocol.Unset[protocol.Expiry]()}).Expiry, protocol.Expiry{})
		time.Sleep(time.Hour)
		x = protocol.Expiry{IdleSecs: 1e6, At: in(600 * time.Second).At}
		equal(t, "expiry", s.Reconfigure(protocol.StreamReconfiguration{Expiry: protocol.Set(x)}).Expiry, x)
		time.Sleep(500 * time.Second)
		equal(t, "expiry", s.Config().Expiry, x)
		time.Sleep(100*time.Second + pass)
		s.deleted()
	}},
	{Row: beyondS2, Name: "a basin's default, and a stream that does not want it", Timed: true, Run: func(t *testing.T, e *Env) {
		b := e.Basin(defaulting(idle(600)))
		gone, kept := b.Stream("gone"), b.Stream("kept", ends(protocol.Expiry{}))
		equal(t, "expiry", gone.Config().Expiry, protocol.Expiry{IdleSecs: 600})
		equal(t, "expiry", kept.Config().Expiry, protocol.Expiry{})
		time.Sleep(600*time.Second + pass)
		gone.deleted()
		equal(t, "tail", kept.Tail().SeqNum, 0)
	}},
	{Row: beyondS2, Name: "a refused expiry names the field", Run: func(t *testing.T, e *Env) {
		refused := func(err error, says string) {
			t.Helper()
			if e.fails(err, protocol.CodeInvalid); !strings.Contains(err.Error(), says) {
				t.Errorf("%v does not say %q", err, says)
			}
		}
		b := e.Basin()
		_, _, err := b.Missing("s").create("", ends(in(-time.Hour)))
		refused(err, "expiry.at")
		s := b.Stream("s")
		_, err = e.Service.ReconfigureStream(e.ctx, s.StreamRef, protocol.StreamReconfiguration{Expiry: protocol.Set(in(-time.Second))})
		refused(err, "expiry.at")
		_, err = e.Service.ReconfigureBasin(e.ctx, b.Name, protocol.BasinReconfiguration{
			DefaultStreamConfig: protocol.Set(protocol.StreamReconfiguration{Expiry: protocol.Set(in(time.Hour))})})
		refused(err, "default_stream_config.expiry.at")
		_, _, err = e.Service.CreateBasin(e.ctx, protocol.CreateBasinRequest{Basin: e.freeBasinName(), Config: basinConfig(defaulting(ends(in(time.Hour))))})
		refused(err, "default_stream_config.expiry.at")
		equal(t, "expiry", s.Config().Expiry, protocol.Expiry{})
	}},
}
