package protocol

import "time"

// StartKind says how a read names its first record.
type StartKind uint8

const (
	// StartTailOffset counts seq_nums back from the tail; with offset 0 it is the default: the tail.
	StartTailOffset StartKind = iota
	// StartSeqNum starts at a seq_num, or at the first surviving record after it.
	StartSeqNum
	// StartTimestamp starts at the first surviving record with at least this timestamp.
	StartTimestamp
)

// Start is where a read begins. The zero value is the tail.
type Start struct {
	Kind  StartKind // the meaning of Value
	Value uint64    // a seq_num, a timestamp or an offset
}

// FromSeqNum, FromTimestamp and FromTail make a [Start].
func FromSeqNum(n uint64) Start     { return Start{StartSeqNum, n} }
func FromTimestamp(ts uint64) Start { return Start{StartTimestamp, ts} }
func FromTail(n uint64) Start       { return Start{StartTailOffset, n} }

// ReadRequest states the range of a read (data plane 4.1). The zero value follows from the tail for ever as a session,
// and fails as a unary read, which may not wait.
type ReadRequest struct {
	Start Start // the first record
	// Clamp moves a start beyond the tail to the tail.
	Clamp bool
	// Count stops the read after this many records; nil means no such limit.
	Count *uint64
	// Bytes stops the read before it exceeds this many metered bytes; nil means no such limit.
	Bytes *uint64
	// Until stops the read before the first record with a timestamp of at least this; nil means no such limit.
	Until *uint64
	// Wait is how long a read at the tail waits without a delivered batch; nil: for ever if the read is unbounded,
	// not at all if it is bounded. Resolution on the wire is a second; in process any duration works.
	Wait *time.Duration
}

// Bounded reports whether any of Count, Bytes, Until is set.
func (r *ReadRequest) Bounded() bool { return r.Count != nil || r.Bytes != nil || r.Until != nil }

// MayFollow reports whether a session with this request waits at the tail (data plane 4.4).
func (r *ReadRequest) MayFollow() bool { return !r.Bounded() || r.Wait != nil && *r.Wait > 0 }

// Limit is the request's limit as a value to take records with. A Count or Bytes of zero admits no record.
func (r *ReadRequest) Limit() Limit {
	l := NoLimit
	if r.Count != nil {
		l.Count = *r.Count
	}
	if r.Bytes != nil {
		l.Bytes = *r.Bytes
	}
	if r.Until != nil {
		l.Until, l.HasUntil = *r.Until, true
	}
	return l
}

// Spend lowers Count and Bytes by records that were delivered, not below 0, for a request that reads on behind them.
func (r *ReadRequest) Spend(records, metered uint64) {
	r.Count, r.Bytes = lower(r.Count, records), lower(r.Bytes, metered)
}

func lower(limit *uint64, by uint64) *uint64 {
	if limit == nil {
		return nil
	}
	left := *limit - min(*limit, by)
	return &left
}

// Validate checks the rule that needs no stream: a timestamp start must be below Until. The error has code invalid.
func (r *ReadRequest) Validate() error {
	if r.Start.Kind == StartTimestamp && r.Until != nil && r.Start.Value >= *r.Until {
		// Clients look for this text (data plane 4.1).
		return Errorf(CodeInvalid, "start `timestamp` exceeds or equal to `until`")
	}
	return nil
}

// ReadBatch is one delivery of a read: at most 1000 records and 1 MiB metered.
type ReadBatch struct {
	Records Records // consecutive, ascending; empty in a heartbeat
	// Tail is the stream's tail right after the append batch that was delivered live, or the known tail in a
	// heartbeat; nil in batches read from storage (data plane 4.9).
	Tail *Position
}

// Heartbeat reports whether the batch only says that the session is alive and where the tail is.
func (b *ReadBatch) Heartbeat() bool { return b.Records.Len() == 0 && b.Tail != nil }
