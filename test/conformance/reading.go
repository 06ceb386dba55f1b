package conformance

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/weirstream/weir/protocol"
)

// Term is a term of a read request.
type Term func(*protocol.ReadRequest)

func from(seq uint64) Term {
	return func(r *protocol.ReadRequest) { r.Start = protocol.FromSeqNum(seq) }
}
func since(ts uint64) Term {
	return func(r *protocol.ReadRequest) { r.Start = protocol.FromTimestamp(ts) }
}
func last(n uint64) Term {
	return func(r *protocol.ReadRequest) { r.Start = protocol.FromTail(n) }
}
func clamped(r *protocol.ReadRequest) { r.Clamp = true }

func count(n uint64) Term       { return func(r *protocol.ReadRequest) { r.Count = &n } }
func bytes(n uint64) Term       { return func(r *protocol.ReadRequest) { r.Bytes = &n } }
func until(ts uint64) Term      { return func(r *protocol.ReadRequest) { r.Until = &ts } }
func wait(d time.Duration) Term { return func(r *protocol.ReadRequest) { r.Wait = &d } }

func request(terms ...Term) (r protocol.ReadRequest) {
	for _, term := range terms {
		term(&r)
	}
	return r
}

// tryRead reads and returns the outcome.
func (s *Stream) tryRead(terms ...Term) (protocol.ReadBatch, error) {
	return s.e.Service.Read(s.e.ctx, s.StreamRef, request(terms...), s.e.opts...)
}

// Read reads, which must succeed, and checks the promises of every batch.
func (s *Stream) Read(terms ...Term) Got {
	s.e.t.Helper()
	batch, err := s.tryRead(terms...)
	s.e.must(err, "read")
	return s.e.got(batch)
}

// All reads the whole stream through a session that ends at the tail.
func (s *Stream) All() Got {
	s.e.t.Helper()
	return s.Follow(from(0), wait(0)).Rest()
}

// Got is the data that a read delivered.
type Got struct {
	e       *Env
	Records []protocol.SequencedRecord
	Metered uint64
	Tail    *protocol.Position
}

// got checks the promises of data plane 4.6 for every batch.
func (e *Env) got(batch protocol.ReadBatch) Got {
	e.t.Helper()
	g := Got{e: e, Records: batch.Records.Slice(), Metered: batch.Records.MeteredSize(), Tail: batch.Tail}
	equal(e.t, "decoded records", len(g.Records), batch.Records.Len())
	if len(g.Records) > protocol.MaxBatchRecords || g.Metered > protocol.MaxBatchBytes {
		e.t.Fatalf("a batch of %d records and %d metered bytes", len(g.Records), g.Metered)
	}
	var metered uint64
	for i := range g.Records {
		metered += g.Records[i].MeteredSize()
	}
	equal(e.t, "metered size", g.Metered, metered)
	g.inOrder()
	return g
}

func (g Got) inOrder() {
	g.e.t.Helper()
	for i := 1; i < len(g.Records); i++ {
		a, b := &g.Records[i-1], &g.Records[i]
		if b.SeqNum <= a.SeqNum || b.Timestamp < a.Timestamp {
			g.e.t.Fatalf("{%d, %d} is followed by {%d, %d}", a.SeqNum, a.Timestamp, b.SeqNum, b.Timestamp)
		}
	}
}

// Seqs checks that the seq_nums are exactly [start, end).
func (g Got) Seqs(start, end uint64) Got {
	g.e.t.Helper()
	if uint64(len(g.Records)) != end-start {
		g.e.t.Fatalf("got %d records, want seq_nums [%d, %d)", len(g.Records), start, end)
	}
	for i := range g.Records {
		equal(g.e.t, "seq_num", g.Records[i].SeqNum, start+uint64(i))
	}
	return g
}

// Bodies checks the bodies.
func (g Got) Bodies(want ...string) Got {
	g.e.t.Helper()
	got := make([]string, len(g.Records))
	for i := range g.Records {
		got[i] = string(g.Records[i].Body)
	}
	equal(g.e.t, "bodies", strings.Join(got, "|"), strings.Join(want, "|"))
	return g
}

// Times checks the timestamps.
func (g Got) Times(want ...uint64) Got {
	g.e.t.Helper()
	equal(g.e.t, "records", len(g.Records), len(want))
	for i := range want {
		equal(g.e.t, "timestamp", g.Records[i].Timestamp, want[i])
	}
	return g
}

// Empty checks that there is no record and no tail.
func (g Got) Empty() {
	g.e.t.Helper()
	equal(g.e.t, "records", len(g.Records), 0)
	g.NoTail()
}

// NoTail checks that no tail came along.
func (g Got) NoTail() Got {
	g.e.t.Helper()
	if g.Tail != nil {
		g.e.t.Fatalf("got tail %v, want none", *g.Tail)
	}
	return g
}

// HasTail checks the tail that came along.
func (g Got) HasTail(want protocol.Position) Got {
	g.e.t.Helper()
	if g.Tail == nil {
		g.e.t.Fatalf("got no tail, want %v", want)
	}
	equal(g.e.t, "tail", *g.Tail, want)
	return g
}

// Reader is a read session of the case.
type Reader struct {
	e       *Env
	session protocol.ReadSession
	seen    uint64 // seq_num after the last record delivered; later records must not be before it
}

// Follow opens a read session, which must succeed.
func (s *Stream) Follow(terms ...Term) *Reader {
	s.e.t.Helper()
	session, err := s.tryFollow(terms...)
	s.e.must(err, "open read session")
	s.e.t.Cleanup(func() { _ = session.Close() })
	return &Reader{e: s.e, session: session}
}

func (s *Stream) tryFollow(terms ...Term) (protocol.ReadSession, error) {
	return s.e.Service.OpenReadSession(s.e.ctx, s.StreamRef, request(terms...), s.e.opts...)
}

// next returns the next batch or heartbeat.
func (r *Reader) next() (Got, error) {
	r.e.t.Helper()
	batch, err := r.session.Next(r.e.ctx)
	if err != nil {
		return Got{}, err
	}
	g := r.e.got(batch)
	if len(g.Records) > 0 {
		if first := g.Records[0].SeqNum; first < r.seen {
			r.e.t.Fatalf("the session went back from %d to %d", r.seen, first)
		}
		r.seen = g.Records[len(g.Records)-1].SeqNum + 1
	} else if g.Tail == nil {
		r.e.t.Fatal("the session delivered neither a record nor a tail")
	}
	return g, nil
}

// Heartbeat demands that a heartbeat come next.
func (r *Reader) Heartbeat() Got {
	r.e.t.Helper()
	g, err := r.next()
	r.e.must(err, "next")
	equal(r.e.t, "records in place of a heartbeat", len(g.Records), 0)
	return g
}

// Now demands that records come next.
func (r *Reader) Now() Got {
	r.e.t.Helper()
	g, err := r.next()
	r.e.must(err, "next")
	if len(g.Records) == 0 {
		r.e.t.Fatal("got a heartbeat, want records")
	}
	return g
}

// Batch returns the next records; heartbeats may come before.
func (r *Reader) Batch() Got {
	r.e.t.Helper()
	for {
		g, err := r.next()
		r.e.must(err, "next")
		if len(g.Records) > 0 {
			return g
		}
	}
}

// Collect returns the next n records, in however many batches they come.
func (r *Reader) Collect(n int) Got {
	r.e.t.Helper()
	all := Got{e: r.e}
	for len(all.Records) < n {
		all.add(r.Batch())
	}
	equal(r.e.t, "records", len(all.Records), n)
	all.inOrder()
	return all
}

func (g *Got) add(next Got) {
	g.Records = append(g.Records, next.Records...)
	g.Metered += next.Metered
	g.Tail = next.Tail
}

// End demands that the session end cleanly without another record; heartbeats may come before.
func (r *Reader) End() {
	r.e.t.Helper()
	equal(r.e.t, "records before the end", len(r.Rest().Records), 0)
}

// EndNow demands that the session be at its clean end, without another heartbeat.
func (r *Reader) EndNow() {
	r.e.t.Helper()
	g, err := r.next()
	if !errors.Is(err, io.EOF) {
		r.e.t.Fatalf("got %d records and %v, want the end", len(g.Records), err)
	}
}

// Rest returns everything up to the clean end.
func (r *Reader) Rest() Got {
	r.e.t.Helper()
	all := Got{e: r.e}
	for {
		g, err := r.next()
		if errors.Is(err, io.EOF) {
			all.inOrder()
			return all
		}
		r.e.must(err, "next")
		if len(g.Records) > 0 {
			all.add(g)
		}
	}
}

// Breaks returns everything up to the failure that ends the session, and the failure.
func (r *Reader) Breaks(codes ...protocol.Code) (Got, *protocol.Error) {
	r.e.t.Helper()
	all := Got{e: r.e}
	for {
		g, err := r.next()
		if err != nil {
			return all, r.e.fails(err, codes...)
		}
		if len(g.Records) > 0 {
			all.add(g)
		}
	}
}

// Close ends the session.
func (r *Reader) Close() {
	r.e.t.Helper()
	r.e.must(r.session.Close(), "close")
}
