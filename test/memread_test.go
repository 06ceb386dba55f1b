package test

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// memRead is a read session of the model: data plane 4.5, step by step.
type memRead struct {
	m   *memService
	s   *memStream
	req protocol.ReadRequest
	key [protocol.EncryptionKeyBytes]byte

	next      uint64            // s: seq_num to deliver next
	tail      protocol.Position // T
	limit     protocol.Limit    // L
	deadline  time.Time         // D
	following bool
	tellTail  bool      // a batch that reaches the known tail carries it
	feed      int       // index of the next batch to follow
	beat      time.Time // when the next heartbeat is due
	over      bool
	failed    error

	closeOnce sync.Once
	closed    chan struct{}
	endUse    func()
}

func (m *memService) OpenReadSession(_ context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadSession, error) {
	r, err := m.openRead(ref, req, opts)
	if err != nil {
		return nil, err
	}
	r.tellTail = true
	return r, nil
}

func (m *memService) openRead(ref protocol.StreamRef, req protocol.ReadRequest, opts []protocol.RecordOption) (opened *memRead, err error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.openLocked(ref, onRead, opts)
	if err != nil {
		return nil, err
	}
	key, err := s.resolve(opts)
	if err != nil {
		return nil, err
	}
	r := &memRead{m: m, s: s, req: req, key: key, tail: s.tail, limit: req.Limit(), closed: make(chan struct{}), endUse: s.useLocked()}
	defer func() {
		if opened == nil {
			r.endUse()
		}
	}()
	if r.limit.Exhausted() {
		r.over = true
		return r, nil
	}
	start := req.Start
	if start.Kind == protocol.StartTailOffset {
		start = protocol.FromSeqNum(r.tail.SeqNum - min(r.tail.SeqNum, start.Value))
	}
	if start.Kind == protocol.StartSeqNum && start.Value > r.tail.SeqNum ||
		start.Kind == protocol.StartTimestamp && start.Value > r.tail.Timestamp {
		if !req.Clamp {
			return nil, protocol.Unwritten(r.tail)
		}
		start = protocol.FromSeqNum(r.tail.SeqNum)
	}
	r.next = r.tail.SeqNum
	if start.Kind == protocol.StartSeqNum {
		r.next = start.Value
	} else {
		for _, rec := range s.surviving(0, r.tail.SeqNum) {
			if rec.Timestamp >= start.Value {
				r.next = rec.SeqNum
				break
			}
		}
	}
	if r.next == r.tail.SeqNum && !req.MayFollow() {
		return nil, protocol.Unwritten(r.tail)
	}
	return r, nil
}

func (r *memRead) Close() error {
	r.closeOnce.Do(func() {
		close(r.closed)
		r.m.mu.Lock()
		defer r.m.mu.Unlock()
		r.endUse()
	})
	return nil
}

// emit applies what data plane 4.5 says of an emitted batch.
func (r *memRead) emit(batch protocol.ReadBatch) (protocol.ReadBatch, error) {
	if r.s.info.Cipher != protocol.CipherNone {
		if r.failed = r.s.decipher(batch.Records, r.key); r.failed != nil {
			return protocol.ReadBatch{}, r.failed
		}
	}
	r.next = batch.Records.Last().SeqNum + 1
	r.limit = r.limit.Spend(batch.Records.Len(), batch.Records.MeteredSize())
	if batch.Tail != nil {
		r.tail = *batch.Tail
	}
	r.deadline = time.Time{}
	if r.req.Wait != nil {
		r.deadline = time.Now().Add(*r.req.Wait)
	}
	r.rest()
	return batch, nil
}

// rest draws the gap before the next heartbeat.
func (r *memRead) rest() {
	r.beat = time.Now().Add(protocol.MinHeartbeatGap + rand.N(protocol.MaxHeartbeatGap-protocol.MinHeartbeatGap))
}

func (r *memRead) end() (protocol.ReadBatch, error) {
	r.over = true
	return protocol.ReadBatch{}, io.EOF
}

func (r *memRead) Next(ctx context.Context) (protocol.ReadBatch, error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	for {
		if r.failed != nil {
			return protocol.ReadBatch{}, r.failed
		}
		if r.over || !r.following && r.limit.Exhausted() {
			return r.end()
		}
		if !r.following {
			if batch, ok := r.catchUp(); ok {
				return r.emit(batch)
			}
			if r.over {
				return r.end()
			}
			if !r.req.MayFollow() {
				return r.end()
			}
			if r.s.tail.SeqNum != r.next {
				r.tail = r.s.tail
				continue
			}
			if r.s.deleted {
				return protocol.ReadBatch{}, protocol.Errorf(protocol.CodeUnavailable, "stream is deleted")
			}
			if r.s.closed {
				return r.end()
			}
			if r.deadline.IsZero() && r.req.Wait != nil {
				r.deadline = time.Now().Add(*r.req.Wait)
			}
			if !r.deadline.IsZero() && !time.Now().Before(r.deadline) {
				return r.end()
			}
			r.following, r.feed = true, len(r.s.batches)
			r.rest()
			tail := r.tail
			return protocol.ReadBatch{Tail: &tail}, nil
		}
		batch, ok, err := r.follow(ctx)
		if err != nil || ok {
			return batch, err
		}
	}
}

// catchUp returns the next batch below the known tail. Without one, next is at the tail, or the session is over.
func (r *memRead) catchUp() (protocol.ReadBatch, bool) {
	if r.next >= r.tail.SeqNum {
		return protocol.ReadBatch{}, false
	}
	recs := r.s.surviving(r.next, r.tail.SeqNum)
	taken, cut := protocol.RecordsOf(recs...).Take(r.limit)
	if cut && taken.Len() == 0 {
		r.over = true
		return protocol.ReadBatch{}, false
	}
	taken, _ = taken.Take(protocol.Limit{Count: protocol.MaxBatchRecords, Bytes: protocol.MaxBatchBytes})
	if taken.Len() == 0 {
		r.next = r.tail.SeqNum
		return protocol.ReadBatch{}, false
	}
	batch := protocol.ReadBatch{Records: taken}
	if len(recs) == taken.Len() && r.tellTail {
		tail := r.tail
		batch.Tail = &tail
	}
	return batch, true
}

// follow returns the next live batch or heartbeat, or the end; ok is false if the session lagged.
func (r *memRead) follow(ctx context.Context) (protocol.ReadBatch, bool, error) {
	for {
		if behind := len(r.s.batches) - r.feed; behind > memLag {
			r.following, r.tail = false, r.s.tail
			return protocol.ReadBatch{}, false, nil
		} else if behind > 0 {
			live := &r.s.batches[r.feed]
			r.feed++
			tail := live.end()
			taken, cut := protocol.RecordsOf(live.records...).Take(r.limit)
			r.over = cut
			if taken.Len() == 0 {
				batch, err := r.end()
				return batch, true, err
			}
			batch, err := r.emit(protocol.ReadBatch{Records: taken, Tail: &tail})
			r.over = r.over || r.limit.Exhausted()
			return batch, true, err
		}
		if r.s.deleted {
			return protocol.ReadBatch{}, true, protocol.Errorf(protocol.CodeUnavailable, "stream is deleted")
		}
		if r.s.closed {
			batch, err := r.end()
			return batch, true, err
		}
		now := time.Now()
		if !r.deadline.IsZero() && !now.Before(r.deadline) {
			batch, err := r.end()
			return batch, true, err
		}
		if !now.Before(r.beat) {
			r.rest()
			tail := r.tail
			return protocol.ReadBatch{Tail: &tail}, true, nil
		}
		if err := r.sleep(ctx); err != nil {
			return protocol.ReadBatch{}, true, err
		}
	}
}

// sleep waits, without the lock, for a change, the next heartbeat, the deadline, the end of ctx or Close.
func (r *memRead) sleep(ctx context.Context) error {
	until := r.beat
	if !r.deadline.IsZero() && r.deadline.Before(until) {
		until = r.deadline
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	changed := r.m.changed
	r.m.mu.Unlock()
	defer r.m.mu.Lock()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return protocol.AsError(ctx.Err())
	case <-r.closed:
		return io.ErrClosedPipe
	}
	return nil
}

// Read is a session cut short: data plane 4.11.
func (m *memService) Read(ctx context.Context, ref protocol.StreamRef, req protocol.ReadRequest, opts ...protocol.RecordOption) (protocol.ReadBatch, error) {
	count, bytes := uint64(protocol.MaxBatchRecords), uint64(protocol.MaxBatchBytes)
	if req.Count != nil {
		count = min(count, *req.Count)
	}
	if req.Bytes != nil {
		bytes = min(bytes, *req.Bytes)
	}
	req.Count, req.Bytes = &count, &bytes
	if req.Wait != nil {
		wait := min(*req.Wait, protocol.MaxUnaryWait)
		req.Wait = &wait
	}
	r, err := m.openRead(ref, req, opts)
	if err != nil {
		return protocol.ReadBatch{}, err
	}
	defer r.Close()
	var out protocol.ReadBatch
	for {
		batch, err := r.Next(ctx)
		switch {
		case err == io.EOF || err == nil && batch.Heartbeat() && out.Records.Len() > 0:
			return out, nil
		case err != nil:
			return protocol.ReadBatch{}, err
		case batch.Heartbeat():
			continue
		}
		out.Records, out.Tail = out.Records.Join(batch.Records), batch.Tail
		if batch.Tail != nil {
			return out, nil
		}
	}
}
