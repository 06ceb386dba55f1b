package test

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// memStream is one stream of the model. Its service's lock guards it.
type memStream struct {
	info    protocol.StreamInfo
	config  protocol.ResolvedStreamConfig
	key     *memKey
	deleted bool

	tail    protocol.Position
	closed  bool // no record follows
	byWord  bool // it was closed by its last record
	writers []*memProducer
	seq     string // the highest writer_seq
	token   string
	trim    uint64
	batches []memBatch // every append batch ever, for followers and catch-up alike

	wrote     time.Time // the last append, or the creation
	deadlines []memDeadline
	used      time.Time // last, for the expiry
	using     int       // open sessions
}

// memBatch is one append batch as it was stored.
type memBatch struct {
	records []protocol.SequencedRecord
	expires time.Time // zero: never
	key     [protocol.EncryptionKeyBytes]byte
}

func (b *memBatch) end() protocol.Position {
	last := &b.records[len(b.records)-1]
	return protocol.Position{SeqNum: last.SeqNum + 1, Timestamp: last.Timestamp}
}

// surviving returns the records that a read from start to end shows.
func (s *memStream) surviving(start, end uint64) (out []protocol.SequencedRecord) {
	now := time.Now()
	for _, b := range s.batches {
		if !b.expires.IsZero() && !now.Before(b.expires) {
			continue
		}
		for _, rec := range b.records {
			if rec.SeqNum >= max(start, s.trim) && rec.SeqNum < end {
				out = append(out, rec)
			}
		}
	}
	return out
}

// resolve returns the key of opts for the stream (data plane 7.2).
func (s *memStream) resolve(opts []protocol.RecordOption) (key [protocol.EncryptionKeyBytes]byte, err error) {
	if s.info.Cipher == protocol.CipherNone {
		return key, nil
	}
	return protocol.MakeRecordOptions(opts...).EncryptionKey.Resolve(s.info.Cipher)
}

// decipher fails if the key is not that of all the records but commands (data plane 7.4).
func (s *memStream) decipher(records protocol.Records, key [protocol.EncryptionKeyBytes]byte) error {
	for _, b := range s.batches {
		for i := range b.records {
			rec := &b.records[i]
			inside := rec.SeqNum >= records.First().SeqNum && rec.SeqNum <= records.Last().SeqNum
			if inside && b.key != key && rec.Command() == protocol.NoCommand {
				return protocol.Errorf(protocol.CodeDecryptionFailed, "record decryption failed")
			}
		}
	}
	return nil
}

// append applies data plane 3.1 D and E.
func (s *memStream) append(in protocol.AppendInput, key [protocol.EncryptionKeyBytes]byte) (protocol.AppendAck, error) {
	if s.deleted {
		return protocol.AppendAck{}, protocol.Errorf(protocol.CodeStreamDeletionPending, "stream is deleted")
	}
	if ack, err, done := s.produced(in.Producer); done {
		return ack, err
	}
	start := s.tail
	if s.closed {
		if !in.OnlyCloses() || len(in.Records) > 0 && !s.byWord {
			return protocol.AppendAck{}, protocol.StreamClosed(s.tail)
		}
		start.SeqNum -= uint64(len(in.Records)) // asked for the second time
	}
	if err := s.nextOf(in.Producer); err != nil && !s.closed {
		return protocol.AppendAck{}, err
	}
	if in.WriterSeq != nil && !s.closed {
		if *in.WriterSeq <= s.seq {
			return protocol.AppendAck{}, protocol.WriterSeqConflict(s.seq)
		}
	}
	if in.FencingToken != nil && *in.FencingToken != s.token {
		return protocol.AppendAck{}, protocol.FencingTokenMismatch(s.token)
	}
	if in.MatchSeqNum != nil && *in.MatchSeqNum != start.SeqNum {
		return protocol.AppendAck{}, protocol.SeqNumMismatch(s.tail.SeqNum)
	}
	if s.closed || len(in.Records) == 0 {
		repeated := s.closed
		s.closed = true
		ack := protocol.AppendAck{Start: start, End: s.tail, Tail: s.tail, Repeated: repeated}
		if !repeated {
			s.remember(in.Producer, ack)
		}
		return ack, nil
	}
	now := uint64(time.Now().UnixMilli())
	batch, tail := memBatch{key: key}, s.tail
	for _, rec := range in.Records {
		ts := now
		switch mode := s.config.TimestampingMode; {
		case mode == protocol.TimestampArrival:
		case rec.Timestamp != nil:
			ts = *rec.Timestamp
		case mode == protocol.TimestampClientRequire:
			return protocol.AppendAck{}, protocol.Errorf(protocol.CodeInvalid, "a record lacks its timestamp")
		}
		if !s.config.Uncapped {
			ts = min(ts, now)
		}
		tail.Timestamp = max(tail.Timestamp, ts)
		batch.records = append(batch.records, protocol.SequencedRecord{
			SeqNum: tail.SeqNum, Timestamp: tail.Timestamp, Headers: rec.Headers, Body: rec.Body})
		tail.SeqNum++
	}
	for i := range in.Records {
		switch rec := &in.Records[i]; rec.Command() {
		case protocol.FenceCommand:
			s.token = string(rec.Body)
		case protocol.TrimCommand:
			s.trim = max(s.trim, min(rec.TrimPoint(), batch.records[i].SeqNum+1))
		case protocol.CloseCommand:
			s.closed, s.byWord = true, true
		}
	}
	s.closed = s.closed || in.Close
	if p := s.config.RetentionPolicy; !p.Infinite() {
		batch.expires = time.Now().Add(time.Duration(min(p.AgeSecs, 1e9)) * time.Second)
	}
	s.batches = append(s.batches, batch)
	s.tail = tail
	s.wroteLocked()
	first := &batch.records[0]
	ack := protocol.AppendAck{
		Start: protocol.Position{SeqNum: first.SeqNum, Timestamp: first.Timestamp}, End: tail, Tail: tail}
	s.remember(in.Producer, ack)
	if in.WriterSeq != nil {
		s.seq = *in.WriterSeq
	}
	return ack, nil
}

func (m *memService) CheckTail(_ context.Context, ref protocol.StreamRef) (protocol.StreamTail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.openLocked(ref, onRead, nil)
	if err != nil {
		return protocol.StreamTail{}, err
	}
	return protocol.StreamTail{Position: s.tail, Closed: s.closed}, nil
}

func (m *memService) Append(_ context.Context, ref protocol.StreamRef, in protocol.AppendInput, opts ...protocol.RecordOption) (protocol.AppendAck, error) {
	if err := in.Validate(); err != nil {
		return protocol.AppendAck{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.openLocked(ref, onAppend, opts)
	if err != nil {
		return protocol.AppendAck{}, err
	}
	key, err := s.resolve(opts)
	if err != nil {
		return protocol.AppendAck{}, err
	}
	defer m.notifyLocked()
	s.used = time.Now()
	return s.append(in, key)
}

// memAppend is an append session of the model: it appends in Submit and remembers the outcome for Recv.
type memAppend struct {
	m   *memService
	s   *memStream
	key [protocol.EncryptionKeyBytes]byte

	opts    protocol.RecordOptions
	mu      sync.Mutex
	acks    []protocol.AppendAck
	failure error
	sent    chan struct{} // closed and replaced when there is something to receive
	endUse  func()
}

func (m *memService) OpenAppendSession(_ context.Context, ref protocol.StreamRef, opts ...protocol.RecordOption) (protocol.AppendSession, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.openLocked(ref, onAppend, opts)
	if err != nil {
		return nil, err
	}
	key, err := s.resolve(opts)
	if err != nil {
		return nil, err
	}
	return &memAppend{m: m, s: s, key: key, opts: protocol.MakeRecordOptions(opts...), sent: make(chan struct{}), endUse: s.useLocked()}, nil
}

func (a *memAppend) Submit(_ context.Context, in protocol.AppendInput) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failure != nil {
		return a.failure
	}
	a.opts.Number(&in)
	var ack protocol.AppendAck
	err := in.Validate()
	if err == nil {
		a.m.mu.Lock()
		ack, err = a.s.append(in, a.key)
		a.m.notifyLocked()
		a.m.mu.Unlock()
	}
	if err != nil {
		a.endLocked(err)
		return nil
	}
	a.acks = append(a.acks, ack)
	a.wakeLocked()
	return nil
}

func (a *memAppend) endLocked(err error) {
	if a.failure == nil {
		a.failure = err
		a.wakeLocked()
	}
}

func (a *memAppend) wakeLocked() {
	close(a.sent)
	a.sent = make(chan struct{})
}

func (a *memAppend) Recv(ctx context.Context) (protocol.AppendAck, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		if len(a.acks) > 0 {
			ack := a.acks[0]
			a.acks = a.acks[1:]
			return ack, nil
		}
		if a.failure != nil {
			return protocol.AppendAck{}, a.failure
		}
		sent := a.sent
		a.mu.Unlock()
		select {
		case <-sent:
		case <-ctx.Done():
		}
		a.mu.Lock()
		if ctx.Err() != nil {
			return protocol.AppendAck{}, protocol.AsError(ctx.Err())
		}
	}
}

func (a *memAppend) CloseSend() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked(io.EOF)
	return nil
}

func (a *memAppend) Close() error {
	a.m.mu.Lock()
	a.endUse()
	a.endUse = func() {}
	a.m.mu.Unlock()
	return a.CloseSend()
}
