package door

import "sync/atomic"

// Budget bounds the bytes and sessions that several doors hold together, beside the limits of each of them. Make one with
// [NewBudget]; all methods of a nil one allow everything.
type Budget struct {
	maxBytes, maxSessions int64
	bytes, sessions       atomic.Int64
}

// NewBudget makes a budget of so many bytes of requests and session inputs in flight, and so many open sessions.
func NewBudget(bytes int64, sessions int) *Budget {
	return &Budget{maxBytes: bytes, maxSessions: int64(sessions)}
}

func (b *Budget) takeBytes(n int) bool { return b == nil || take(&b.bytes, int64(n), b.maxBytes) }

func (b *Budget) giveBytes(n int) {
	if b != nil {
		b.bytes.Add(int64(-n))
	}
}

func (b *Budget) takeSession() bool { return b == nil || take(&b.sessions, 1, b.maxSessions) }

func (b *Budget) giveSession() {
	if b != nil {
		b.sessions.Add(-1)
	}
}

func take(held *atomic.Int64, n, limit int64) bool {
	if held.Add(n) <= limit {
		return true
	}
	held.Add(-n)
	return false
}
