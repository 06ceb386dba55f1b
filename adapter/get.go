package adapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/internal/recordcipher"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// storedChunk is a chunk with its place in the log.
type storedChunk struct {
	seq js.Seq
	chunk.Chunk
	at string // when JetStream stored it, RFC 3339; read only when it is asked for
}

// mustHave is the seq_num from which on the stream's records must be there, up to its tail, if this is its newest chunk.
func (c *storedChunk) mustHave() uint64 { return max(c.Trim, c.Kept) }

// lastExpiry is when the stream's last record expires, if this is its newest chunk; 0: never.
func (c *storedChunk) lastExpiry() uint64 {
	switch {
	case c.Records.Len() > 0:
		return c.Expiry
	case c.PrevExpiry == chunk.NeverExpires:
		return 0
	}
	return c.PrevExpiry
}

// expiryMargin is by how much a record's expiry must be ahead for its absence to be a loss: the clock by which it was removed
// may have been wrong, or that of another server.
const expiryMargin = 2 * 3600 * 1000 // milliseconds

// hasPredecessor reports whether the stream's chunk before this one must be there: its last record has neither been trimmed
// nor, at now in milliseconds, expired.
func (c *storedChunk) hasPredecessor(trim, now uint64) bool {
	return c.FirstSeqNum() > trim && c.PrevExpiry > now+expiryMargin
}

// lastAppend is the last append of the stream as of this chunk. A chunk that does not carry it has records, and the time of
// their append is the time at which the chunk was stored.
func (c *storedChunk) lastAppend() chunk.LastAppend {
	if c.LastAppend.At != 0 {
		return c.LastAppend
	}
	at, err := time.Parse(time.RFC3339Nano, c.at)
	if err != nil {
		return chunk.LastAppend{}
	}
	return chunk.LastAppend{At: catalog.Millis(at)}
}

// visible is the chunk's records, none once they have expired.
func (c *storedChunk) visible(now uint64) protocol.Records {
	if c.Expiry != 0 && c.Expiry <= now {
		return protocol.Records{}
	}
	return c.Records
}

// emptied reports whether the stream's last append was a trim that left nothing.
func (c *storedChunk) emptied() bool { return c.Trim > 0 && c.Trim >= c.Next }

// meteredFrom is the metered size of the chunk's records with a seq_num of at least seq, as they were appended.
func (c *storedChunk) meteredFrom(seq uint64) (metered uint64) {
	if seq <= c.FirstSeqNum() {
		return c.Records.MeteredSize()
	}
	if c.Cipher == protocol.CipherNone {
		return c.Records.From(seq).MeteredSize()
	}
	for rec := range c.Records.From(seq).All() {
		metered += recordcipher.StoredMeteredSize(&rec)
	}
	return metered
}

// errStoredChunk says that the store returned something that is no intact chunk.
func errStoredChunk(l *log, seq js.Seq, err error) error {
	what := "a stored chunk is damaged"
	if _, ok := errors.AsType[*chunk.VersionError](err); ok {
		what = "a stored chunk was written by a later version of weir"
	}
	return protocol.Wrap(protocol.CodeStorage, fmt.Errorf("message %d of %s: %w", seq, l.name, err), what)
}

// errNoStore is the failure of a read that the store did not answer.
func errNoStore(err error) error {
	return protocol.Wrap(protocol.CodeUnavailable, err, "the store does not answer")
}

// readFailure gives the failure of a direct get its code. That there is no message, and the end of a context, stay as they
// are.
func readFailure(err error) error {
	if err == nil || errors.Is(err, js.ErrNotFound) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return err // it has one
	}
	return errNoStore(err)
}

// getOne fetches one message; body is the request.
func (l *log) getOne(ctx context.Context, body []byte) (storedChunk, error) {
	m, err := l.get.One(ctx, l.name, body)
	if js.NoResponders(err) {
		l.missing.Store(true) // or it has no leader: the health check asks
	}
	if err != nil {
		return storedChunk{}, readFailure(err)
	}
	return l.decode(m)
}

// getLast fetches the newest chunk of a subject; js.ErrNotFound when it has none.
func (l *log) getLast(ctx context.Context, subject string) (storedChunk, error) {
	get := func() (storedChunk, error) {
		if l.a.opts.maxReplicas() > 1 { // a replica may be behind; the leader is not
			return l.leaderGet(ctx, js.Wanted{LastFor: subject})
		}
		return l.getOne(ctx, js.LastRequest(subject))
	}
	c, err := get()
	if !errors.Is(err, js.ErrNotFound) {
		return c, err
	}
	// JetStream says the same of a message that it cannot read. A stream that seems empty would begin at 0 again.
	n, err := js.Count(ctx, l.a.manage, l.name, subject)
	if js.StreamMissing(err) {
		l.missing.Store(true)
	}
	switch {
	case js.StreamMissing(err) || err == nil && n == 0:
		return storedChunk{}, js.ErrNotFound
	case err != nil:
		return storedChunk{}, readFailure(err)
	}
	if c, err = get(); errors.Is(err, js.ErrNotFound) { // and not one that has come since
		return storedChunk{}, protocol.Errorf(protocol.CodeStorage, "the store is damaged or its disk fails: log %s counts %d chunks of the stream and shows none", l.name, n)
	}
	return c, err
}

// getNext fetches the first chunk of a subject at or after seq; js.ErrNotFound when there is none.
func (l *log) getNext(ctx context.Context, subject string, seq js.Seq) (storedChunk, error) {
	s, err := l.getOne(ctx, js.NextRequest(subject, seq, 0, 1))
	if errors.Is(err, js.ErrNotFound) && l.a.opts.maxReplicas() > 1 { // as above
		return l.leaderGet(ctx, js.Wanted{Seq: max(seq, 1), NextFor: subject})
	}
	return s, err
}

// leaderGet asks the log's leader for one chunk; js.ErrNotFound when there is no such message.
func (l *log) leaderGet(ctx context.Context, which js.Wanted) (storedChunk, error) {
	var m js.Message
	err := l.whileNew(ctx, func() (err error) {
		m, err = js.LeaderGet(ctx, l.a.manage, l.name, which)
		return err
	})
	if _, ok := errors.AsType[*js.HeaderError](err); ok {
		return storedChunk{}, errStoredChunk(l, m.Seq, err)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil || js.NoLeader(err) {
		err = errNoStore(err) // a deadline was that of the request alone
	}
	if err != nil {
		return storedChunk{}, err
	}
	c, err := chunk.Decode(m.Header.Get(chunk.Header), m.Data)
	if err != nil {
		return storedChunk{}, errStoredChunk(l, m.Seq, err)
	}
	return storedChunk{m.Seq, c, m.Time}, nil
}

// lastSeq asks the log's leader for its last sequence.
func (l *log) lastSeq(ctx context.Context) (js.Seq, error) {
	var state js.State
	err := l.whileNew(ctx, func() (err error) {
		state, err = js.StreamState(ctx, l.a.manage, l.name)
		return err
	})
	if err == nil || js.StreamMissing(err) {
		l.missing.Store(err != nil)
	}
	return state.LastSeq, err
}

// whileNew asks the servers about the log, and asks again while one says that the log does not exist soon after it was opened: the
// servers of a cluster learn about a new JetStream stream one after the other.
func (l *log) whileNew(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if !js.StreamMissing(err) || !l.a.opts.Shared || time.Since(l.opened) > newFor || ctx.Err() != nil {
			return err
		}
		sleep(ctx, recoverBackoffMin)
	}
}

// newFor is how long a log counts as new.
const newFor = 5 * time.Second

// decode turns a stored message into a chunk, and verifies its checksum.
func (l *log) decode(m *nats.Msg) (storedChunk, error) {
	seq, err := js.SeqOf(m)
	if err != nil {
		return storedChunk{}, errStoredChunk(l, 0, err)
	}
	c, err := chunk.Decode(m.Header.Get(chunk.Header), m.Data)
	if err != nil {
		return storedChunk{}, errStoredChunk(l, seq, err)
	}
	return storedChunk{seq, c, js.TimeOf(m)}, nil
}
