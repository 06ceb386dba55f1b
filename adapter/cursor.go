package adapter

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/internal/recordcipher"
	"github.com/weirstream/weir/protocol"
)

// Cursor reads stored records forward. It fetches chunks with batched direct gets, small ones first, because most reads
// are short, and asks for the next batch as soon as the last one has arrived. At most two batches are in memory.
type Cursor struct {
	st   *stream
	from uint64 // next seq_num to deliver
	to   uint64 // exclusive

	shared *sharedCursor // of a fork: the shared records before its own; nil: none, or no more
	sharer *stream       // the fork whose shared records these are; nil: they are the stream's own

	at       js.Seq       // where the next fetch begins; 0: not known yet
	last     passed       // the chunk before it
	found    *storedChunk // the chunk to begin with, when a seek by timestamp has just fetched it
	have     []*nats.Msg
	head     int // of have
	size     int // bytes to ask for next
	count    int // messages to ask for next
	inflight *js.Batch
	retries  int
	done     bool
}

const (
	firstGetBytes    = 32 << 10
	firstGetMessages = 8
	// staleRetries bounds how often a replica that is behind is asked again, staleWait apart.
	staleRetries = 500
	staleWait    = 5 * time.Millisecond
)

// Scan reads the surviving records with a seq_num in [from, to).
func (h *Stream) Scan(from, to uint64) *Cursor {
	_, trim, _ := h.st.live.position()
	if trim != protocol.TerminalTrimPoint {
		from = max(from, trim)
	}
	c := &Cursor{st: h.st, shared: h.st.sharedScan(from, to), from: from, to: to, size: firstGetBytes, count: firstGetMessages}
	if f := h.st.fork; f != nil {
		c.from = max(from, f.At.SeqNum)
	}
	if found := h.found.Swap(nil); found != nil && found.FirstSeqNum() <= from && from < found.Next {
		c.found = found
	}
	return c
}

// Next returns the next run of records, or io.EOF.
func (c *Cursor) Next(ctx context.Context) (protocol.Records, error) {
	if c.shared != nil {
		r, err := c.shared.next(ctx)
		if !errors.Is(err, io.EOF) {
			return r, err
		}
		c.shared = nil
	}
	for !c.done && c.from < c.to {
		chunk, err := c.nextChunk(ctx)
		if err != nil {
			return protocol.Records{}, err
		}
		if chunk == nil || chunk.FirstSeqNum() > c.from {
			if err := c.checkGap(ctx, chunk); err != nil {
				return protocol.Records{}, err
			}
		}
		if chunk == nil || chunk.FirstSeqNum() >= c.to {
			break
		}
		c.at, c.last = chunk.seq+1, passed{chunk.seq, chunk.Next, chunk.Expiry, chunk.Records.Len()}
		if chunk.Cipher != c.st.cipher && chunk.Records.Len() > 0 {
			return protocol.Records{}, recordcipher.ErrCipher
		}
		r := chunk.Records.From(c.from)
		if c.sharer == nil {
			r = chunk.visible(catalog.Millis(time.Now())).From(c.from)
		}
		if chunk.Next > c.to {
			r, _ = r.Take(protocol.Limit{Count: c.to - r.First().SeqNum, Bytes: ^uint64(0)})
		}
		c.from = max(c.from, chunk.Next)
		if r.Len() > 0 {
			return r, nil
		}
	}
	c.done = true
	c.Close()
	return protocol.Records{}, io.EOF
}

// passed is a cursor's note of the chunk that it left behind.
type passed struct {
	seq    js.Seq // 0: none
	next   uint64
	expiry uint64
	count  int
}

// checkGap examines records that are missing before chunk, or before the end of the range if it is nil. Chunks are purged
// from the front only, when they are below the trim point, have expired or hold no record. So the records were lost if the
// newest chunk says that they are there still, if there is a chunk before the gap that has no reason to go, or if the oldest
// chunk says that the one before it has none.
func (c *Cursor) checkGap(ctx context.Context, chunk *storedChunk) error {
	if c.sharer != nil {
		found := c.to
		if chunk != nil {
			found = min(found, chunk.FirstSeqNum())
		}
		return c.checkShared(found)
	}
	newest, err := c.st.log.getLast(ctx, c.st.subject)
	if errors.Is(err, js.ErrNotFound) {
		return nil // the stream was deleted
	}
	if err != nil {
		return err
	}
	found := c.to
	if chunk != nil {
		found = min(found, chunk.FirstSeqNum())
	}
	if from := max(c.from, newest.mustHave()); from < found {
		return errMissing(from, found)
	}
	before := c.last
	if before.seq == 0 {
		oldest, err := c.st.log.getNext(ctx, c.st.subject, 1)
		if errors.Is(err, js.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if oldest.FirstSeqNum() > c.from || chunk != nil && oldest.seq >= chunk.seq {
			if oldest.hasPredecessor(newest.Trim, catalog.Millis(time.Now())) {
				return errMissingBefore(oldest.FirstSeqNum())
			}
			return nil
		}
		before = passed{oldest.seq, oldest.Next, oldest.Expiry, oldest.Records.Len()}
	}
	now := catalog.Millis(time.Now())
	if before.count == 0 || before.next <= newest.Trim || before.expiry != 0 && before.expiry <= now {
		return nil
	}
	return errMissing(c.from, found)
}

// errMissingBefore is for a beginning of which some may have expired.
func errMissingBefore(found uint64) error {
	return protocol.Errorf(protocol.CodeStorage,
		"the store is damaged: records before %d are missing; trim the stream to %d to give them up", found, found)
}

func errMissing(from, found uint64) error {
	return protocol.Errorf(protocol.CodeStorage,
		"the store is damaged: records from %d to %d are missing; trim the stream to %d to give them up", from, found-1, found)
}

// nextChunk returns the chunk at or after c.at; nil when there is none.
func (c *Cursor) nextChunk(ctx context.Context) (*storedChunk, error) {
	if s := c.found; s != nil {
		c.found = nil
		return s, nil
	}
	if c.at == 0 {
		at, found, err := c.st.seek(ctx, c.from, bySeqNum)
		if err != nil || at == 0 {
			return nil, err
		}
		c.at = at
		if found != nil {
			return found, nil
		}
		// Most reads want no more than this one.
		s, err := c.st.log.getNext(ctx, c.st.subject, at)
		if errors.Is(err, js.ErrNotFound) {
			return nil, nil
		}
		return &s, err
	}
	for {
		if c.head < len(c.have) {
			m := c.have[c.head]
			c.have[c.head] = nil
			c.head++
			s, err := c.st.log.decode(m)
			return &s, err
		}
		c.have, c.head = c.have[:0], 0
		if c.inflight == nil {
			if err := c.request(ctx, c.at); err != nil {
				return nil, err
			}
		}
		again, err := c.collect(ctx)
		if err != nil || !again {
			return nil, err
		}
	}
}

// collect takes in at least one message and all others that have arrived. When the batch is complete it asks for the
// next one, if the budget has room. again is false when the stream has no chunk there.
func (c *Cursor) collect(ctx context.Context) (again bool, err error) {
	m, err := c.inflight.Next(ctx)
	for ; err == nil && m != nil; m, err = c.inflight.Ready() {
		c.retries = 0
		c.have = append(c.have, m)
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, io.EOF):
		c.finishFetch()
		if len(c.have) > 0 {
			c.prefetch()
		}
		return true, nil
	case errors.Is(err, js.ErrNotFound):
		c.finishFetch()
		// With replicas, the one that answered may be behind the durable tail; by itself it is a deleted stream.
		if c.st.log.a.opts.maxReplicas() > 1 && c.retries < staleRetries {
			c.retries++
			sleep(ctx, staleWait)
			return true, ctx.Err()
		}
		return false, nil
	}
	return false, readFailure(err)
}

// prefetch asks for the batch behind the messages at hand, unless they reach the end of the range.
func (c *Cursor) prefetch() {
	seq, err := js.SeqOf(c.have[len(c.have)-1])
	if err != nil || c.to-c.from <= uint64(len(c.have)) {
		return
	}
	if seq < c.st.live.newest() {
		_ = c.requestAhead(seq + 1) // if it fails now, it is made again, and fails, when it is needed
	}
}

// request starts a batched get at seq.
func (c *Cursor) request(ctx context.Context, seq js.Seq) error {
	return c.started(c.st.log.get.Batch(ctx, c.st.log.name, c.batchAt(seq)))
}

// requestAhead is request that does nothing when the budget for reading ahead is used up.
func (c *Cursor) requestAhead(seq js.Seq) error {
	return c.started(c.st.log.get.Ahead(c.st.log.name, c.batchAt(seq)))
}

func (c *Cursor) batchAt(seq js.Seq) js.Request {
	return js.Request{Subject: c.st.subject, Seq: seq, Count: c.count, MaxBytes: c.size}
}

// started takes in a batched get. The next one is larger.
func (c *Cursor) started(b *js.Batch, err error) error {
	c.inflight = b
	if err != nil || c.inflight == nil {
		return err
	}
	c.size = min(4*c.size, js.MaxBatchBytes)
	c.count = min(4*c.count, js.MaxBatchMessages)
	return nil
}

func (c *Cursor) finishFetch() {
	if c.inflight != nil {
		c.inflight.Close()
		c.inflight = nil
	}
}

// Close gives up the requests under way.
func (c *Cursor) Close() {
	if c.shared != nil {
		c.shared.close()
		c.shared = nil
	}
	c.finishFetch()
	c.have, c.head = nil, 0
}
