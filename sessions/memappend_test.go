package sessions_test

import (
	"context"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

func (h *memHandle) Appender() sessions.Appender { return &memLane{h: h} }

// memLane is an ordered sequence of appends to a memStream.
type memLane struct {
	h      *memHandle
	failed bool // guarded by the stream's mutex
}

func (l *memLane) Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error {
	m := l.h.memStream
	if err := m.call(ctx, "submit"); err != nil {
		return err
	}
	a := &memAppend{size: in.MeteredSize(), done: done}
	if err := m.admit(ctx, a.size); err != nil {
		return err
	}
	m.mu.Lock()
	switch {
	case l.failed:
		a.err = protocol.Errorf(protocol.CodeUnavailable, "an earlier input of the lane failed")
	case ctx.Err() != nil:
		a.err = ctx.Err()
	default:
		a.recs, a.err = m.sequenceLocked(in)
	}
	l.failed = l.failed || a.err != nil
	m.queue = append(m.queue, a)
	m.mu.Unlock()
	switch {
	case m.manual:
	case m.latency > 0:
		// Each timer answers the oldest, so the order holds whichever of two fires first.
		time.AfterFunc(m.latency, func() { m.commit(1) })
	default:
		m.commit(1)
	}
	return nil
}

// admit waits for the budget of bytes in flight.
func (m *memStream) admit(ctx context.Context, size uint64) error {
	for {
		m.mu.Lock()
		if m.gone != nil {
			defer m.mu.Unlock()
			return m.gone
		}
		if m.budget == 0 || m.inflight == 0 || m.inflight+size <= m.budget {
			m.inflight += size
			m.mu.Unlock()
			return nil
		}
		freed := m.freed
		m.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *memStream) sequenceLocked(in protocol.AppendInput) (protocol.Records, error) {
	switch {
	case m.deleting:
		return protocol.Records{}, protocol.Errorf(protocol.CodeStreamDeletionPending, "the stream is being deleted")
	case in.FencingToken != nil && *in.FencingToken != m.token:
		return protocol.Records{}, protocol.FencingTokenMismatch(m.token)
	case in.MatchSeqNum != nil && *in.MatchSeqNum != m.assigned.SeqNum:
		return protocol.Records{}, protocol.SeqNumMismatch(m.assigned.SeqNum)
	}
	now := uint64(time.Now().UnixMilli())
	recs := make([]protocol.SequencedRecord, len(in.Records))
	for i, rec := range in.Records {
		ts := now
		if rec.Timestamp != nil {
			ts = min(now, *rec.Timestamp)
		}
		m.assigned.Timestamp = max(m.assigned.Timestamp, ts)
		recs[i] = protocol.SequencedRecord{SeqNum: m.assigned.SeqNum, Timestamp: m.assigned.Timestamp, Headers: rec.Headers, Body: rec.Body}
		m.assigned.SeqNum++
		switch rec.Command() {
		case protocol.FenceCommand:
			m.token = string(rec.Body)
		case protocol.TrimCommand:
			m.trimmed = max(m.trimmed, min(rec.TrimPoint(), m.assigned.SeqNum))
		case protocol.NoCommand:
		}
	}
	return protocol.RecordsOf(recs...), nil
}
