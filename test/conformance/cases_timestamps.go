package conformance

import (
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

var (
	clientPrefer  = mode(protocol.TimestampClientPrefer)
	clientRequire = mode(protocol.TimestampClientRequire)
	arrival       = mode(protocol.TimestampArrival)
)

// stampedNow checks that all timestamps are the clock's, which stands still while a timed case works.
func (g Got) stampedNow() {
	g.e.t.Helper()
	for i := range g.Records {
		if ts := g.Records[i].Timestamp; ts < now()-uint64(slack.Milliseconds()) || ts > now() {
			g.e.t.Fatalf("record %d has timestamp %d, want the clock's, %d", i, ts, now())
		}
	}
}

// timestampCases: data plane A.4. The fake clock starts in the year 2000, so small timestamps are in the past.
var timestampCases = []Case{
	{Row: "A.4/73", Name: "client-prefer keeps past timestamps", Run: func(t *testing.T, e *Env) {
		s := e.Stream(clientPrefer)
		s.Append(stamped(900, 950))
		s.Read(from(0)).Times(900, 950)
	}},
	{Row: "A.4/74", Name: "client-prefer without timestamps takes the clock's", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(clientPrefer)
		s.Append(text("a", "b"))
		s.Read(from(0)).Seqs(0, 2).stampedNow()
		time.Sleep(time.Hour)
		s.Append(text("c"))
		s.Read(from(2)).Seqs(2, 3).stampedNow()
	}},
	{Row: "A.4/75", Name: "client-prefer shows a past timestamp in the ack", Run: func(t *testing.T, e *Env) {
		ack := e.Stream().Append(stamped(12345))
		equal(t, "start", ack.Start.Timestamp, 12345)
	}},
	{Row: "A.4/76", Name: "client-require without a timestamp", Run: func(t *testing.T, e *Env) {
		e.Stream(clientRequire).Refuses(protocol.CodeInvalid, text("a"))
	}},
	{Row: "A.4/77", Name: "client-require keeps timestamps", Run: func(t *testing.T, e *Env) {
		s := e.Stream(clientRequire)
		s.Append(stamped(123))
		s.Append(stamped(900, 950))
		s.Read(from(0)).Times(123, 900, 950)
	}},
	{Row: "A.4/78", Name: "client-require with one timestamp missing", Run: func(t *testing.T, e *Env) {
		s := e.Stream(clientRequire)
		s.Refuses(protocol.CodeInvalid, append(stamped(900), text("a")...))
		s.Append(stamped(100)) // the refused 900 left no trace
		s.Read(from(0)).Times(100)
	}},
	{Row: "A.4/79", Name: "client-require holds for commands", Run: func(t *testing.T, e *Env) {
		s := e.Stream(clientRequire)
		s.Refuses(protocol.CodeInvalid, fence("T"))
		s.Refuses(protocol.CodeInvalid, trim(0))
		command := protocol.FenceRecord("T")
		command.Timestamp = new(uint64(5))
		s.Append(these(command), holding(""))
		s.Read(from(0)).Times(5)
	}},
	{Row: "A.4/80", Name: "arrival replaces timestamps", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(arrival)
		s.Append(stamped(900, 950))
		s.Append(stamped(now()+1_000_000, 5))
		s.Read(from(0)).Seqs(0, 4).stampedNow()
	}},
	{Row: "A.4/81", Name: "timestamps never fall within a batch", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(stamped(1000, 900, 1100))
		s.Read(from(0)).Times(1000, 1000, 1100)
	}},
	{Row: "A.4/82", Name: "timestamps never fall from batch to batch", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(stamped(1000))
		s.Append(stamped(500, 600))
		s.Read(from(0)).Times(1000, 1000, 1000)
	}},
	{Row: "A.4/83", Name: "an older second append starts no earlier than the first ended", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		first := s.Append(text("a"))
		second := s.Append(stamped(first.End.Timestamp - 10_000))
		if second.Start.Timestamp < first.End.Timestamp {
			t.Fatalf("%v is before %v", second.Start, first.End)
		}
	}},
	{Row: "A.4/84", Name: "a capped future timestamp is lowered to the clock's", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(uncapped(false))
		s.Append(stamped(now()+10_000, now()+3_600_000))
		s.Read(from(0)).Seqs(0, 2).stampedNow()
	}},
	{Row: "A.4/85", Name: "an uncapped future timestamp is kept", Run: func(t *testing.T, e *Env) {
		s := e.Stream(uncapped(true))
		soon, later := now()+10_000, now()+3_600_000
		s.Append(stamped(soon, later, ^uint64(0)))
		s.Read(from(0)).Times(soon, later, ^uint64(0))
	}},
	{Row: "A.4/86", Name: "capping does not undo an earlier future timestamp", Run: func(t *testing.T, e *Env) {
		s := e.Stream(uncapped(true))
		future := now() + 3_600_000
		s.Append(stamped(future))
		s.Reconfigure(protocol.StreamReconfiguration{Uncapped: protocol.Set(false)})
		s.Append(text("a"))
		s.Append(stamped(future + 10))
		s.Read(from(0)).Times(future, future, future)
	}},
	{Row: "A.4/87", Name: "a batch without timestamps has one", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(numbered(0, 1000))
		got := s.Read(from(0)).Seqs(0, 1000).Records
		equal(t, "last timestamp", got[999].Timestamp, got[0].Timestamp)
	}},
	{Row: "A.4/88", Name: "reconfiguration to client-require takes effect at once", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		s.Reconfigure(protocol.StreamReconfiguration{TimestampingMode: protocol.Set(protocol.TimestampClientRequire)})
		s.Refuses(protocol.CodeInvalid, text("b"))
	}},
	{Row: "A.4/89", Name: "ensuring with client-require takes effect at once", Run: func(t *testing.T, e *Env) {
		s := e.Stream()
		s.Append(text("a"))
		equal(t, "result", s.Ensure(clientRequire), protocol.ProvisionUpdated)
		s.Refuses(protocol.CodeInvalid, text("b"))
	}},
	{Row: "3.3", Name: "the running maximum outlives any idle time", Timed: true, Run: func(t *testing.T, e *Env) {
		s := e.Stream(uncapped(true))
		future := now() + 90*24*3_600_000
		s.Append(stamped(future))
		time.Sleep(time.Hour)
		s.Append(text("a"))
		s.Read(from(0)).Times(future, future)
	}},
}
