package forward

import (
	"fmt"

	"github.com/weirstream/weir/protocol"
)

// version is the first byte of every frame.
const version = 1

// Frame is the requests that a node hands to the owner of a log in one message. One without requests asks for an answer.
type Frame struct {
	Link     string // unique
	Epoch    uint64 // of the owner
	Number   uint64 // from 1, without a gap in a link
	Answered uint64 // number of the last frame of answers that had come when the requests were put in
	Requests []Request
}

// Request is one of the requests that a sequencer takes.
type Request struct {
	Number uint64 // unique in the link
	Kind   uint8
	Stream protocol.StreamRef
	ID     [16]byte // of the stream
	// Revision is that of the stream's entry in the catalog that the node knows.
	Revision uint64
	// Appender tells the appenders of the link apart; 0: the request has none.
	Appender uint64
	// Wait is for how long the caller waits yet, in microseconds; 0: without a limit.
	Wait uint64
	// Cost is the metered bytes of an append.
	Cost uint64
	// Next is the seq_num that must be the next one, of a request that ends a stream.
	Next  uint64
	Input protocol.AppendInput
	// Restored is the chunk of a backup.
	Restored *Restored
}

// Restored is a chunk that is stored as it is.
type Restored struct {
	Restore             string // id of the restore
	Place               uint64 // how many chunks of the basin come before it in the log
	ID, Subject, Header string
	Payload             []byte
}

// What a request has beside its numbers.
const (
	hasMatch = 1 << iota
	hasToken
	hasProducer
	hasWriterSeq
	hasRestored
	closes
)

// Encode appends the frame to dst.
func (f *Frame) Encode(dst []byte) []byte {
	w := writer{append(dst, version)}
	w.text(f.Link)
	w.uint(f.Epoch)
	w.uint(f.Number)
	w.uint(f.Answered)
	w.uint(uint64(len(f.Requests)))
	for i := range f.Requests {
		f.Requests[i].encode(&w)
	}
	return w.b
}

func (q *Request) encode(w *writer) {
	w.b = append(w.b, q.Kind)
	w.uint(q.Number)
	w.text(string(q.Stream.Basin))
	w.text(string(q.Stream.Stream))
	w.b = append(w.b, q.ID[:]...)
	for _, n := range [...]uint64{q.Revision, q.Appender, q.Wait, q.Cost, q.Next} {
		w.uint(n)
	}
	in := &q.Input
	w.b = append(w.b, q.has())
	if in.MatchSeqNum != nil {
		w.uint(*in.MatchSeqNum)
	}
	if in.FencingToken != nil {
		w.text(*in.FencingToken)
	}
	if p := in.Producer; p != nil {
		w.text(p.ID)
		w.uint(p.Epoch)
		w.uint(p.Seq)
	}
	if in.WriterSeq != nil {
		w.text(*in.WriterSeq)
	}
	if c := q.Restored; c != nil {
		w.text(c.Restore)
		w.uint(c.Place)
		w.text(c.ID)
		w.text(c.Subject)
		w.text(c.Header)
		w.bytes(c.Payload)
	}
	w.uint(uint64(len(in.Records)))
	for i := range in.Records {
		rec := &in.Records[i]
		// The number of headers, and in the lowest bit whether there is a timestamp.
		head := uint64(len(rec.Headers)) << 1
		if rec.Timestamp != nil {
			head |= 1
		}
		w.uint(head)
		if rec.Timestamp != nil {
			w.uint(*rec.Timestamp)
		}
		for k := range rec.Headers {
			w.bytes(rec.Headers[k].Name)
			w.bytes(rec.Headers[k].Value)
		}
		w.bytes(rec.Body)
	}
}

func (q *Request) has() (has byte) {
	note := func(bit byte, set bool) {
		if set {
			has |= bit
		}
	}
	note(hasMatch, q.Input.MatchSeqNum != nil)
	note(hasToken, q.Input.FencingToken != nil)
	note(hasProducer, q.Input.Producer != nil)
	note(hasWriterSeq, q.Input.WriterSeq != nil)
	note(hasRestored, q.Restored != nil)
	note(closes, q.Input.Close)
	return has
}

// DecodeFrame reads a frame, which shares the memory of data.
func DecodeFrame(data []byte) (f Frame, err error) {
	r := reader{b: data}
	r.version()
	f.Link = r.text()
	f.Epoch, f.Number, f.Answered = r.uint(), r.uint(), r.uint()
	n := r.count(24)
	if n > 0 {
		f.Requests = make([]Request, n)
	}
	for i := range f.Requests {
		f.Requests[i].decode(&r)
	}
	return f, r.end("a frame of requests")
}

func (q *Request) decode(r *reader) {
	q.Kind = r.byte()
	q.Number = r.uint()
	q.Stream = protocol.StreamRef{Basin: protocol.BasinName(r.text()), Stream: protocol.StreamName(r.text())}
	copy(q.ID[:], r.take(len(q.ID)))
	for _, n := range [...]*uint64{&q.Revision, &q.Appender, &q.Wait, &q.Cost, &q.Next} {
		*n = r.uint()
	}
	in := &q.Input
	has := r.byte()
	if has&hasMatch != 0 {
		in.MatchSeqNum = new(r.uint())
	}
	if has&hasToken != 0 {
		in.FencingToken = new(r.text())
	}
	if has&hasProducer != 0 {
		in.Producer = &protocol.Producer{ID: r.text(), Epoch: r.uint(), Seq: r.uint()}
	}
	if has&hasWriterSeq != 0 {
		in.WriterSeq = new(r.text())
	}
	if has&hasRestored != 0 {
		q.Restored = &Restored{Restore: r.text(), Place: r.uint(), ID: r.text(), Subject: r.text(), Header: r.text(), Payload: r.bytes()}
	}
	in.Close = has&closes != 0
	if n := r.count(2); n > 0 {
		in.Records = make([]protocol.Record, n)
	}
	for i := range in.Records {
		rec := &in.Records[i]
		head := r.uint()
		if head&1 != 0 {
			rec.Timestamp = new(r.uint())
		}
		if head>>1 > uint64(len(r.b))/2 {
			r.bad = true
			return
		}
		if n := int(head >> 1); n > 0 {
			rec.Headers = make([]protocol.Header, n)
		}
		for k := range rec.Headers {
			rec.Headers[k] = protocol.Header{Name: r.bytes(), Value: r.bytes()}
		}
		rec.Body = r.bytes()
	}
}

// Answers is a frame of answers.
type Answers struct {
	Number uint64 // from 1, without a gap in a link
	// Received is the number of the last frame of requests that came in order.
	Received uint64
	// Moved says that the link is over: none of its frames after Received is, or will be, taken.
	Moved   bool
	Answers []Answer
}

// Outcome is how a request ended.
type Outcome uint8

// The outcomes.
const (
	Done Outcome = iota
	// Failed has an error of the protocol.
	Failed
	// Moved says that the request had no effect and will have none: the node does not own the log, or not any more.
	Moved
	// Poisoned says that an earlier request of the appender failed.
	Poisoned
	// InUse says that the stream is not to be ended.
	InUse
	outcomes
)

// Answer answers one request.
type Answer struct {
	Number  uint64
	Outcome Outcome
	Ack     protocol.AppendAck
	// Newest is where the newest durable chunk of the stream stands; 0: there is none.
	Newest uint64
	Err    *protocol.Error // of a failed one
}

// Encode appends the frame to dst.
func (f *Answers) Encode(dst []byte) []byte {
	w := writer{append(dst, version)}
	w.uint(f.Number)
	w.uint(f.Received)
	w.bool(f.Moved)
	w.uint(uint64(len(f.Answers)))
	for i := range f.Answers {
		a := &f.Answers[i]
		w.uint(a.Number)
		w.b = append(w.b, byte(a.Outcome))
		w.uint(a.Newest)
		switch a.Outcome {
		case Done:
			for _, p := range [...]protocol.Position{a.Ack.Start, a.Ack.End, a.Ack.Tail} {
				w.uint(p.SeqNum)
				w.uint(p.Timestamp)
			}
			w.bool(a.Ack.Repeated)
			w.uint(a.Ack.LastSeq)
		case Failed:
			w.uint(uint64(a.Err.Status()))
			w.bytes(a.Err.Body())
		}
	}
	return w.b
}

// DecodeAnswers reads a frame of answers.
func DecodeAnswers(data []byte) (f Answers, err error) {
	r := reader{b: data}
	r.version()
	f.Number, f.Received, f.Moved = r.uint(), r.uint(), r.bool()
	n := r.count(3)
	if n > 0 {
		f.Answers = make([]Answer, n)
	}
	for i := range f.Answers {
		a := &f.Answers[i]
		a.Number = r.uint()
		a.Outcome = Outcome(r.byte())
		a.Newest = r.uint()
		switch {
		case a.Outcome == Done:
			for _, p := range [...]*protocol.Position{&a.Ack.Start, &a.Ack.End, &a.Ack.Tail} {
				p.SeqNum, p.Timestamp = r.uint(), r.uint()
			}
			a.Ack.Repeated, a.Ack.LastSeq = r.bool(), r.uint()
		case a.Outcome == Failed:
			status := r.uint()
			if status < 100 || status > 599 {
				r.bad = true
			}
			a.Err = protocol.ParseError(int(status%1000), r.bytes())
		case a.Outcome >= outcomes:
			r.bad = true
		}
	}
	return f, r.end("a frame of answers")
}

func (r *reader) end(what string) error {
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%s cannot be read", what)
	}
	return nil
}
