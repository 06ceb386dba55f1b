// Package phases carries the times of an append from the storage up to a layer that traces it. Package adapter notes them,
// package sessions hands them on, and neither knows their purpose. An append that is not traced has none, and costs
// one look into its context.
package phases

import (
	"context"
	"sync"
	"time"
)

// Phase is a step on the way of an append. Each begins when the one before it ends.
type Phase int

// The phases, in their order.
const (
	// Queue begins when the append is let in, and ends when the sequencer of its log takes it.
	Queue Phase = iota
	// Publish ends when the chunk that holds its records is handed to NATS.
	Publish
	// Store ends when JetStream has acknowledged the chunk.
	Store
	// Sync ends when the chunk is durable.
	Sync
	count
)

// Count is how many phases there are.
const Count = int(count)

// Times are those of one append. The storage writes them, from any goroutine, and may go on after no caller waits for the
// append any more.
type Times struct {
	mu sync.Mutex // guards at
	at At
}

// At is a copy of [Times].
type At struct {
	// Begin is when the first phase began; zero if the append was not let in.
	Begin time.Time
	// End has the end of each phase; zero for one that was not reached.
	End [Count]time.Time
	// Log is the JetStream stream that the records went to, and Sequence the sequence of their chunk in it; "" and 0 before
	// they were published.
	Log      string
	Sequence uint64
}

// Begin notes that the append was let in.
func (t *Times) Begin(at time.Time) {
	t.mu.Lock()
	t.at.Begin = at
	t.mu.Unlock()
}

// Ended notes the end of a phase.
func (t *Times) Ended(p Phase, at time.Time) {
	t.mu.Lock()
	t.at.End[p] = at
	t.mu.Unlock()
}

// Placed notes where the records were published to.
func (t *Times) Placed(log string, sequence uint64) {
	t.mu.Lock()
	t.at.Log, t.at.Sequence = log, sequence
	t.mu.Unlock()
}

// At returns the times that are known by now.
func (t *Times) At() At {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

type key struct{}

// With returns a context whose append notes its times in t.
func With(ctx context.Context, t *Times) context.Context { return context.WithValue(ctx, key{}, t) }

// From returns the Times that [With] put into the context, or nil.
func From(ctx context.Context) *Times {
	t, _ := ctx.Value(key{}).(*Times)
	return t
}

// Carry returns a context that ends with ctx and has the values of from as well, if from has [Times]; otherwise ctx.
func Carry(ctx, from context.Context) context.Context {
	if From(from) == nil {
		return ctx
	}
	return carried{ctx, from}
}

type carried struct {
	context.Context //nolint:containedctx // two contexts in one
	values          context.Context
}

func (c carried) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}
