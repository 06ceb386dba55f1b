// Package sessions holds the conversations: append and read sessions, and the unary calls that are sessions cut
// short. It is a part of the broker, with no promise of a stable API; programs use packages broker, client and protocol. It
// knows the rules of data plane sections 3.8 and 4 (start, limits, wait window, heartbeats, following,
// pipelining, poison) and nothing of JetStream: it reads and appends through [Stream], which the storage adapter
// implements and tests implement in memory.
package sessions

import (
	"context"

	"github.com/weirstream/weir/protocol"
)

// Stream is one opened stream: a handle that keeps it loaded until Close. All methods may be called at once.
// Failures are [*protocol.Error] or the context's.
type Stream interface {
	// Tail returns the durable tail. It is never behind an ack already delivered.
	Tail(ctx context.Context) (protocol.StreamTail, error)
	// SeekTimestamp returns the seq_num of the first surviving record below tail with a timestamp of at least ts,
	// and tail.SeqNum if there is none.
	SeekTimestamp(ctx context.Context, ts uint64, tail protocol.Position) (uint64, error)
	// Scan reads the surviving records with a seq_num in [from, to), where to is at most the durable tail. The
	// caller closes the cursor.
	Scan(from, to uint64) Cursor
	// Follow attaches to the live feed exactly at the durable tail, if that is from; otherwise the feed is nil and
	// the returned tail is the newer one. Check and attachment are one atomic step. At the tail of a closed stream the error is
	// [protocol.ErrStreamEnd].
	Follow(ctx context.Context, from uint64) (Feed, protocol.Position, error)
	// Appender opens an ordered sequence of appends.
	Appender() Appender
	// Close gives the handle back. Cursors and feeds must be closed before; appends may still be in flight and are
	// answered all the same.
	Close()
}

// Cursor walks stored records forward. It is for one goroutine.
type Cursor interface {
	// Next returns the next run of records, never empty, as large as it is stored (at most 1000 records and 1 MiB
	// metered), or io.EOF at the end of the range. The memory belongs to the caller and is not written again.
	Next(ctx context.Context) (protocol.Records, error)
	Close()
}

// Feed delivers append batches as they become durable. It is for one goroutine.
type Feed interface {
	// Poll returns the next append batch with the tail right after it, if there is one; otherwise a channel that is
	// closed when there may be one, or an error. [protocol.ErrLagged] means that batches were dropped for this follower: it
	// must close the feed, read on from storage and attach again. [protocol.ErrStreamEnd] comes after the last batch of a stream
	// that was closed. Any other error is final. A batch has records, from
	// where the feed was attached on and in order, and a tail; all followers share it, so neither is written.
	Poll() (batch protocol.ReadBatch, changed <-chan struct{}, err error)
	Close()
}

// Appender is an ordered sequence of appends to one stream: inputs are sequenced in the order of the Submit calls, and
// after the first that fails none is (data plane 3.8).
type Appender interface {
	// Submit waits for room in the budget of bytes in flight, until ctx ends, and queues the input. An error means
	// that the input was not queued. Otherwise done is called exactly once, in the order of the inputs, from a
	// goroutine that must not be blocked: with the ack once the batch is durable, or with the failure once it may be
	// answered. If ctx ends before the input is sequenced, it is dropped without effect and done gets the context's
	// error. The input was validated, and its bytes must not change until done.
	Submit(ctx context.Context, in protocol.AppendInput, done func(protocol.AppendAck, error)) error
}
