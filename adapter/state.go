package adapter

import (
	"errors"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/recordcipher"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// state is a stream's state after some record: conditions are checked against it, and a chunk carries it.
type state struct {
	next  uint64 // seq_num of the next record
	last  uint64 // timestamp of the last record
	trim  uint64 // records below are not shown
	kept  uint64 // records from here on do not expire
	total uint64 // metered bytes ever appended
	// lastExpiry is when the last record expires, in milliseconds since the epoch; 0: never, or there is none.
	lastExpiry uint64
	fence      string // fencing token
	// fencedAt is the tail's seq_num from which on the current token may be revealed: that after the fence record, so that
	// a rejection never reveals a token that is not durable (data plane 3.7).
	fencedAt uint64
	// terminal is set by the terminal trim: no append follows.
	terminal bool
	// closed is set by an append that closes the stream: no other append follows.
	closed chunk.Closing
	// producers is the remembered state of the producers.
	producers *chunk.Producers
	// writerSeq is the highest writer_seq.
	writerSeq string
	// wrote is the last append, from which delete-on-empty counts.
	wrote chunk.LastAppend
}

func (s *state) tail() protocol.Position { return protocol.Position{SeqNum: s.next, Timestamp: s.last} }

// prevExpiry is the expiry of the record before it that a following chunk carries, whose own records expire at expiry.
func (s *state) prevExpiry(expiry uint64) uint64 {
	if s.next > 0 && s.lastExpiry == 0 && expiry != 0 {
		return chunk.NeverExpires
	}
	return s.lastExpiry
}

func (s *state) isClosed() bool { return s.closed != chunk.NotClosed }

// stateOf is the state after a stored, durable chunk.
func stateOf(c *storedChunk) state {
	return state{next: c.Next, last: c.Last, trim: c.Trim, kept: c.Kept, total: c.Total, lastExpiry: c.lastExpiry(), fence: c.Fence, fencedAt: c.Next,
		terminal: c.Trim == protocol.TerminalTrimPoint, closed: c.Closed, producers: c.Producers, writerSeq: c.WriterSeq, wrote: c.lastAppend()}
}

// settings is the part of a stream's configuration that appends depend on. It is immutable.
type settings struct {
	mode     protocol.TimestampingMode
	uncapped bool
	ageSecs  uint64 // 0: infinite
	minAge   uint64 // of delete-on-empty, in seconds; 0: disabled
	idleSecs uint64 // of the expiry, in seconds; 0: none
	gcm      bool   // the stream is encrypted with AES-256-GCM; never changes
	class    protocol.StorageClass
	revision uint64 // of the catalog's entry
}

func settingsOf(e *catalog.Entry) *settings {
	c := e.Config()
	return &settings{c.TimestampingMode, c.Uncapped, c.RetentionPolicy.AgeSecs, c.DeleteOnEmptyMinAge, c.Expiry.IdleSecs,
		e.Cipher() == protocol.CipherAES256GCM, c.StorageClass, e.Revision}
}

// expiry is when records that arrive at now (milliseconds) are no longer shown; 0: never.
func (s *settings) expiry(now uint64) uint64 {
	if s.ageSecs == 0 {
		return 0
	}
	if s.ageSecs > (^uint64(0)-now)/1000 {
		return 0 // beyond the end of time
	}
	return now + s.ageSecs*1000
}

var (
	errMissingTimestamp = protocol.Errorf(protocol.CodeInvalid, "records: a record has no timestamp, and the stream's timestamping mode is client-require")
	errDeleting         = protocol.Errorf(protocol.CodeStreamDeletionPending, "the stream is being deleted")
	errGCMExhausted     = protocol.Errorf(protocol.CodeInvalid, "records: a record would get a seq_num above %d, the highest with aes-256-gcm", uint64(recordcipher.MaxGCMSeqNum))
	errSeqNumsExhausted = protocol.Errorf(protocol.CodeInvalid, "records: no seq_num is left in the stream")
	// errPoisoned goes to inputs that follow a failed one in the same appender; sessions do not pass it on.
	errPoisoned = errors.New("an earlier append of the session failed")
)

// everything is a threshold that is reached when all chunks of the stream are durable.
const everything = ^uint64(0)

// repeated reports an append that need not be stored because its request was done before: its producer made it, or it
// closes a stream that is closed. The answer must wait as long as one of check.
func (s *state) repeated(in *protocol.AppendInput, key *chunk.ProducerKey) (ack protocol.AppendAck, threshold uint64, done bool, err error) {
	if p := in.Producer; p != nil && !s.terminal {
		epoch, seq, recent, known := s.producers.Find(*key)
		switch back := seq - p.Seq; {
		case !known || p.Epoch > epoch:
		case p.Epoch < epoch:
			return ack, everything, true, protocol.ProducerFenced(epoch)
		case p.Seq > seq:
		case back < uint64(len(recent)):
			at := recent[back]
			return protocol.AppendAck{Start: at.Start, End: at.End, Tail: s.tail(), Repeated: true, LastSeq: seq}, everything, true, nil
		default:
			return ack, everything, true, protocol.ProducerRepeated(protocol.ProducerMismatch{Epoch: &epoch, Expected: seq + 1, Received: p.Seq})
		}
	}
	return s.closedBefore(in)
}

// closedBefore is repeated for the closing of a closed stream. The conditions are checked as the first time.
func (s *state) closedBefore(in *protocol.AppendInput) (ack protocol.AppendAck, threshold uint64, done bool, err error) {
	if s.closed == chunk.NotClosed || s.terminal || !in.OnlyCloses() {
		return ack, 0, false, nil
	}
	tail := s.tail()
	ack = protocol.AppendAck{Start: tail, End: tail, Tail: tail, Repeated: true}
	if len(in.Records) > 0 {
		if s.closed != chunk.ClosedByCommand {
			return ack, 0, false, nil // there is no record that the positions could be of
		}
		ack.Start.SeqNum--
	}
	switch {
	case in.FencingToken != nil && *in.FencingToken != s.fence:
		err = protocol.FencingTokenMismatch(s.fence)
	case in.MatchSeqNum != nil && *in.MatchSeqNum != ack.Start.SeqNum:
		err = protocol.SeqNumMismatch(s.next)
	}
	return ack, everything, true, err
}

// check evaluates an append's conditions against the state (data plane 3.1 D). A failure must not be answered before the
// durable tail's seq_num is at least threshold.
func (s *state) check(in *protocol.AppendInput, key *chunk.ProducerKey, set *settings) (threshold uint64, err error) {
	switch {
	case s.terminal:
		return 0, errDeleting
	case s.closed != chunk.NotClosed:
		return everything, protocol.StreamClosed(s.tail())
	}
	if in.Producer != nil {
		if err := s.checkProducer(in.Producer, key); err != nil {
			return everything, err
		}
		// Any other failure shows that the producer's append before this one is stored, or it would be a gap.
		defer func() {
			if err != nil {
				threshold = everything
			}
		}()
	}
	switch {
	case in.WriterSeq != nil && *in.WriterSeq <= s.writerSeq:
		return everything, protocol.WriterSeqConflict(s.writerSeq)
	case in.FencingToken != nil && *in.FencingToken != s.fence:
		return s.fencedAt, protocol.FencingTokenMismatch(s.fence)
	case in.MatchSeqNum != nil && *in.MatchSeqNum != s.next:
		return s.next, protocol.SeqNumMismatch(s.next)
	case s.next+uint64(len(in.Records)) < s.next:
		return 0, errSeqNumsExhausted
	}
	if end := s.next + uint64(len(in.Records)); set.gcm && end > recordcipher.MaxGCMSeqNum+1 {
		for i := range in.Records {
			if s.next+uint64(i) > recordcipher.MaxGCMSeqNum && in.Records[i].Command() == protocol.NoCommand {
				return 0, errGCMExhausted
			}
		}
	}
	if set.mode == protocol.TimestampClientRequire {
		for i := range in.Records {
			if in.Records[i].Timestamp == nil {
				return 0, errMissingTimestamp
			}
		}
	}
	return 0, nil
}

// checkProducer fails unless the append is the next one of its producer.
func (s *state) checkProducer(p *protocol.Producer, key *chunk.ProducerKey) error {
	epoch, seq, _, known := s.producers.Find(*key)
	m := protocol.ProducerMismatch{Received: p.Seq}
	if known {
		m.Epoch = &epoch
		if p.Epoch == epoch {
			m.Expected = seq + 1
		}
	}
	if p.Seq != m.Expected {
		return protocol.ProducerGap(m)
	}
	return nil
}

// timestamp applies data plane 3.3 to one record.
func (s *state) timestamp(r *protocol.Record, set *settings, now uint64) uint64 {
	ts := now
	if r.Timestamp != nil && set.mode != protocol.TimestampArrival {
		ts = *r.Timestamp
	}
	if !set.uncapped && ts > now {
		ts = now
	}
	return max(ts, s.last)
}

// apply advances the state over one record that gets timestamp ts.
func (s *state) apply(r *protocol.Record, ts uint64) {
	seq := s.next
	s.next, s.last = seq+1, ts
	//exhaustive:enforce
	switch r.Command() {
	case protocol.FenceCommand:
		s.fence, s.fencedAt = string(r.Body), seq+1
	case protocol.TrimCommand:
		// A client's point ends right after its own record, so it can never delete the stream (data plane 3.5).
		s.trim = max(s.trim, min(r.TrimPoint(), seq+1))
	case protocol.CloseCommand:
		s.closed = chunk.ClosedByCommand
	case protocol.NoCommand:
	}
}

// wroteSeq remembers the writer_seq of an append.
func (s *state) wroteSeq(in *protocol.AppendInput) {
	if in.WriterSeq != nil {
		s.writerSeq = *in.WriterSeq
	}
}

// produced remembers an append of a producer, whose records begin at start and end at the tail.
func (s *state) produced(r *request, start protocol.Position) {
	p := r.in.Producer
	s.producers = s.producers.With(*r.producer, p.Epoch, p.Seq, chunk.Placed{Start: start, End: s.tail()})
}

// end applies the terminal trim, which is exempt from the clamp.
func (s *state) end(ts uint64) {
	s.next, s.last, s.trim, s.terminal = s.next+1, ts, protocol.TerminalTrimPoint, true
}
