package conformance

import (
	"errors"
	"io"

	"github.com/weirstream/weir/protocol"
)

// Writer is an append session of the case.
type Writer struct {
	e       *Env
	session protocol.AppendSession
	tail    uint64 // of the last ack; tails never go back
}

// Writer opens an append session, which must succeed.
func (s *Stream) Writer() *Writer {
	s.e.t.Helper()
	session, err := s.e.Service.OpenAppendSession(s.e.ctx, s.StreamRef, s.e.opts...)
	s.e.must(err, "open append session")
	s.e.t.Cleanup(func() { _ = session.Close() })
	return &Writer{e: s.e, session: session}
}

// Submit hands a batch over.
func (w *Writer) Submit(recs []protocol.Record, conds ...Condition) *Writer {
	w.e.t.Helper()
	w.e.must(w.session.Submit(w.e.ctx, input(recs, conds...)), "submit")
	return w
}

// TrySubmit hands a batch over to a session that may be over already.
func (w *Writer) TrySubmit(recs []protocol.Record, conds ...Condition) {
	_ = w.session.Submit(w.e.ctx, input(recs, conds...))
}

// Done says that no input follows.
func (w *Writer) Done() *Writer {
	w.e.t.Helper()
	w.e.must(w.session.CloseSend(), "close send")
	return w
}

// Acked checks that the next ack covers [start, end).
func (w *Writer) Acked(start, end uint64) protocol.AppendAck {
	w.e.t.Helper()
	ack, err := w.session.Recv(w.e.ctx)
	w.e.must(err, "receive")
	equal(w.e.t, "start of the ack", ack.Start.SeqNum, start)
	w.e.soundAck(ack, int(end-start))
	if ack.Tail.SeqNum < w.tail {
		w.e.t.Fatalf("the tail went back from %d to %d", w.tail, ack.Tail.SeqNum)
	}
	w.tail = ack.Tail.SeqNum
	return ack
}

// Fails checks that the session is over with a failure, and stays so.
func (w *Writer) Fails(codes ...protocol.Code) *protocol.Error {
	w.e.t.Helper()
	_, err := w.session.Recv(w.e.ctx)
	failure := w.e.fails(err, codes...)
	_, again := w.session.Recv(w.e.ctx)
	equal(w.e.t, "failure when asked again", w.e.fails(again, codes...).Code, failure.Code)
	return failure
}

// Ends checks that the session is over cleanly.
func (w *Writer) Ends() {
	w.e.t.Helper()
	if ack, err := w.session.Recv(w.e.ctx); !errors.Is(err, io.EOF) {
		w.e.t.Fatalf("got %+v and %v, want the end", ack, err)
	}
}
