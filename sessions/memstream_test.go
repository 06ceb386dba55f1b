package sessions_test

import (
	"context"
	"io"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// ringSize is the number of append batches that a follower of a memStream may fall behind.
const ringSize = protocol.MinFollowLag

var errGone = protocol.Errorf(protocol.CodeUnavailable, "the stream's owner is gone")

// memStream is one stream in memory, with the levers that tests pull: when appends become durable, what is trimmed,
// where a call stalls or fails. Handles opened on it implement sessions.Stream.
type memStream struct {
	manual  bool                                       // appends wait for commit
	latency time.Duration                              // from sequencing to durability
	budget  uint64                                     // metered bytes of appends in flight; 0: no bound
	hook    func(ctx context.Context, op string) error // called first by tail, seek, next, follow and submit

	answering sync.Mutex // held by commit, so that answers keep their order; taken before mu

	mu       sync.Mutex
	chunks   []protocol.Records // durable, oldest first, one for each append
	trimmed  uint64             // records below are gone
	tail     protocol.Position  // durable
	assigned protocol.Position  // speculative
	token    string
	queue    []*memAppend // sequenced or refused, not answered
	gone     error        // once the owner has stopped
	deleting bool
	final    bool // the stream is closed

	ring    [ringSize]protocol.ReadBatch
	batches uint64        // that ever became durable; the last ringSize of them are in ring
	changed chan struct{} // closed with the next of them

	inflight uint64
	freed    chan struct{} // closed when inflight falls

	handles, cursors, feeds int
	follows, lags           int // how often a feed was attached, and lagged
}

type memAppend struct {
	recs protocol.Records
	size uint64
	err  error
	done func(protocol.AppendAck, error)
}

func newMem(recs ...protocol.SequencedRecord) *memStream {
	m := &memStream{changed: make(chan struct{}), freed: make(chan struct{})}
	for _, rec := range recs {
		m.put(rec)
	}
	return m
}

// put appends one batch, durable at once. The records' seq_nums are assigned here.
func (m *memStream) put(recs ...protocol.SequencedRecord) protocol.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range recs {
		recs[i].SeqNum = m.assigned.SeqNum + uint64(i)
	}
	batch := protocol.RecordsOf(recs...)
	m.assigned = end(batch)
	m.storeLocked(batch)
	return m.tail
}

func end(recs protocol.Records) protocol.Position {
	return protocol.Position{SeqNum: recs.Last().SeqNum + 1, Timestamp: recs.Last().Timestamp}
}

func (m *memStream) storeLocked(batch protocol.Records) {
	m.chunks = append(m.chunks, batch)
	m.tail = end(batch)
	tail := m.tail
	m.ring[m.batches%ringSize] = protocol.ReadBatch{Records: batch, Tail: &tail}
	m.batches++
	close(m.changed)
	m.changed = make(chan struct{})
}

// trim removes the records below point, as trimming and retention do.
func (m *memStream) trim(point uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trimmed = max(m.trimmed, point)
}

// stop ends the stream's owner with err; what is stored can still be read.
func (m *memStream) stop(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = err
	close(m.changed)
	m.changed = make(chan struct{})
}

// closeStream closes the stream.
func (m *memStream) closeStream() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.final = true
	close(m.changed)
	m.changed = make(chan struct{})
}

// unloadIdle stops the owner if no handle is open, as the owner itself would after a minute without work.
func (m *memStream) unloadIdle() (unloaded bool) {
	m.mu.Lock()
	idle := m.handles == 0
	m.mu.Unlock()
	if idle {
		m.stop(errGone)
	}
	return idle
}

// commit makes the oldest n queued appends durable and answers them.
func (m *memStream) commit(n int) {
	m.answering.Lock()
	defer m.answering.Unlock()
	for range n {
		m.mu.Lock()
		a := m.queue[0]
		m.queue = m.queue[1:]
		var ack protocol.AppendAck
		if a.err == nil {
			m.storeLocked(a.recs)
			ack = protocol.AppendAck{Start: a.recs.First(), End: end(a.recs), Tail: m.tail}
		}
		m.inflight -= a.size
		close(m.freed)
		m.freed = make(chan struct{})
		m.mu.Unlock()
		a.done(ack, a.err)
	}
}

func (m *memStream) queued() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)
}

func (m *memStream) followed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.follows
}

func (m *memStream) call(ctx context.Context, op string) error {
	if m.hook == nil {
		return nil
	}
	return m.hook(ctx, op)
}

// held counts what was opened and not closed.
func (m *memStream) held() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.handles + m.cursors + m.feeds
}

// checkHeld fails the test unless exactly n handles, cursors and feeds are open.
func (m *memStream) checkHeld(t *testing.T, n int) {
	t.Helper()
	if m.held() != n {
		t.Errorf("open: %d handles, %d cursors, %d feeds; want %d in all", m.handles, m.cursors, m.feeds, n)
	}
}

// open returns a new handle.
func (m *memStream) open() sessions.Stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handles++
	return &memHandle{memStream: m}
}

type memHandle struct {
	*memStream
	closed bool
}

func (h *memHandle) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		panic("stream handle closed twice")
	}
	h.closed = true
	h.handles--
}

func (h *memHandle) Tail(ctx context.Context) (protocol.StreamTail, error) {
	if err := h.call(ctx, "tail"); err != nil {
		return protocol.StreamTail{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return protocol.StreamTail{Position: h.tail, Closed: h.final}, nil
}

func (h *memHandle) SeekTimestamp(ctx context.Context, ts uint64, tail protocol.Position) (uint64, error) {
	if err := h.call(ctx, "seek"); err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, chunk := range h.chunks {
		if found := chunk.From(h.trimmed).FromTimestamp(ts); found.Len() > 0 && found.First().SeqNum < tail.SeqNum {
			return found.First().SeqNum, nil
		}
	}
	return tail.SeqNum, nil
}

func (h *memHandle) Scan(from, to uint64) sessions.Cursor {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to > h.tail.SeqNum {
		panic("scan beyond the durable tail")
	}
	h.cursors++
	return &memCursor{h: h, next: from, to: to}
}

type memCursor struct {
	h        *memHandle
	next, to uint64
	closed   bool
}

func (c *memCursor) Next(ctx context.Context) (protocol.Records, error) {
	if err := c.h.call(ctx, "next"); err != nil {
		return protocol.Records{}, err
	}
	h := c.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.closed || h.closed {
		panic("cursor used after Close")
	}
	from := max(c.next, h.trimmed)
	i := sort.Search(len(h.chunks), func(i int) bool { return h.chunks[i].Last().SeqNum >= from })
	if i == len(h.chunks) || from >= c.to {
		return protocol.Records{}, io.EOF
	}
	run, _ := h.chunks[i].From(from).Take(protocol.Limit{Count: c.to - from, Bytes: protocol.NoLimit.Bytes})
	c.next = run.Last().SeqNum + 1
	return run, nil
}

func (c *memCursor) Close() {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if c.closed || c.h.closed {
		panic("cursor closed twice or after its stream")
	}
	c.closed = true
	c.h.cursors--
}

func (h *memHandle) Follow(ctx context.Context, from uint64) (sessions.Feed, protocol.Position, error) {
	if err := h.call(ctx, "follow"); err != nil {
		return nil, protocol.Position{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone != nil {
		return nil, protocol.Position{}, h.gone
	}
	if h.tail.SeqNum != from {
		return nil, h.tail, nil
	}
	if h.final {
		return nil, h.tail, protocol.ErrStreamEnd
	}
	h.feeds++
	h.follows++
	return &memFeed{h: h, next: h.batches}, h.tail, nil
}

type memFeed struct {
	h      *memHandle
	next   uint64
	closed bool
}

func (f *memFeed) Poll() (protocol.ReadBatch, <-chan struct{}, error) {
	h := f.h
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case f.closed || h.closed:
		panic("feed used after Close")
	case h.batches-f.next > ringSize:
		h.lags++
		return protocol.ReadBatch{}, nil, protocol.ErrLagged
	case f.next < h.batches:
		f.next++
		return h.ring[(f.next-1)%ringSize], nil, nil
	case h.gone != nil:
		return protocol.ReadBatch{}, nil, h.gone
	case h.final:
		return protocol.ReadBatch{}, nil, protocol.ErrStreamEnd
	}
	return protocol.ReadBatch{}, h.changed, nil
}

func (f *memFeed) Close() {
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	if f.closed || f.h.closed {
		panic("feed closed twice or after its stream")
	}
	f.closed = true
	f.h.feeds--
}
