package adapter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

const (
	// readBudget bounds the payload bytes that one connection's direct gets may have on their way, so that the server's
	// pending limit for the connection (64 MiB) is never near, and memory stays bounded with any number of readers.
	readBudget = 32 << 20
	// maxGetBytes and maxGetMessages bound one batched get. The server includes the message that crosses max_bytes, and
	// holds a lock that commits of the log wait for (jetstream-notes, "Batched direct get").
	maxGetBytes    = 1 << 20
	maxGetMessages = 512
)

// stored is a chunk with its place in the log.
type stored struct {
	seq jsSeq
	chunk.Chunk
	at string // when JetStream stored it, RFC 3339; read only when it is asked for
}

// lastAppend is the last append of the stream as of this chunk. A chunk that does not tell it has records, which came
// when it was stored.
func (c *stored) lastAppend() chunk.LastAppend {
	if c.LastAppend.At != 0 {
		return c.LastAppend
	}
	at, err := time.Parse(time.RFC3339Nano, c.at)
	if err != nil {
		return chunk.LastAppend{}
	}
	return chunk.LastAppend{At: millis(at)}
}

// errStoredChunk says that the store returned something that is no intact chunk.
func errStoredChunk(l *log, seq jsSeq, err error) error {
	return protocol.Wrap(protocol.CodeStorage, fmt.Errorf("message %d of %s: %w", seq, l.name, err),
		"a stored chunk is damaged")
}

// A getter makes direct gets over one connection. All answers come to one wildcard inbox; the callback only hands them
// to whoever waits, and never blocks, because a call's channel holds the largest answer.
type getter struct {
	nc     *nats.Conn
	prefix string // of reply subjects
	budget *semaphore.Weighted

	mu    sync.Mutex
	next  uint64
	calls map[uint64]chan *nats.Msg
	free  []chan *nats.Msg // of capacity 1, for single gets
}

func newGetter(nc *nats.Conn) (*getter, error) {
	g := &getter{nc: nc, prefix: nats.NewInbox() + ".", budget: semaphore.NewWeighted(readBudget),
		calls: map[uint64]chan *nats.Msg{}}
	sub, err := nc.Subscribe(g.prefix+"*", g.deliver)
	if err != nil {
		return nil, fmt.Errorf("subscribe for direct gets: %w", err)
	}
	// The budget bounds what can be pending.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("set pending limits: %w", err)
	}
	return g, nil
}

func (g *getter) deliver(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, g.prefix), 36, 64)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case g.calls[token] <- m: // a nil channel, after the caller has gone, is never ready
	default:
	}
}

// open registers a call that gets at most n messages.
func (g *getter) open(n int) (token uint64, ch chan *nats.Msg) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := len(g.free); n == 1 && k > 0 {
		ch, g.free = g.free[k-1], g.free[:k-1]
	} else {
		ch = make(chan *nats.Msg, n)
	}
	token = g.next
	g.next++
	g.calls[token] = ch
	return token, ch
}

func (g *getter) close(token uint64, ch chan *nats.Msg) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, token)
	if cap(ch) == 1 && len(ch) == 0 && len(g.free) < 64 {
		g.free = append(g.free, ch)
	}
}

var (
	errNotFound   = errors.New("no such message")
	errEndOfBatch = errors.New("end of batch")
)

// getStatus tells a message (nil) from the statuses of a direct get.
func getStatus(m *nats.Msg) error {
	if len(m.Data) > 0 {
		return nil
	}
	switch status := m.Header.Get("Status"); status {
	case "": // a state chunk
		return nil
	case "404":
		return errNotFound
	case "204":
		return errEndOfBatch
	default:
		return errNoStore(fmt.Errorf("direct get answered with status %s %s", status, m.Header.Get("Description")))
	}
}

// await waits for one answer.
func await(ctx context.Context, ch <-chan *nats.Msg) (*nats.Msg, error) {
	select { // mostly it is not there yet, but a timer costs more than a look
	case m := <-ch:
		return m, nil
	default:
	}
	timeout := time.NewTimer(apiTimeout)
	defer timeout.Stop()
	select {
	case m := <-ch:
		return m, nil
	case <-timeout.C:
		return nil, errNoStore(errors.New("direct get was not answered"))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// errNoStore is the failure of a read that the store did not answer.
func errNoStore(err error) error {
	return protocol.Wrap(protocol.CodeUnavailable, err, "the store does not answer")
}

// getOne fetches one message; body is the request.
func (l *log) getOne(ctx context.Context, body []byte) (stored, error) {
	g := l.get
	token, ch := g.open(1)
	defer g.close(token, ch)
	if err := g.nc.PublishRequest(apiDirectGet+l.name, g.prefix+strconv.FormatUint(token, 36), body); err != nil {
		return stored{}, errNoStore(err)
	}
	m, err := await(ctx, ch)
	if err != nil {
		return stored{}, err
	}
	if err := getStatus(m); err != nil {
		return stored{}, err
	}
	return l.decode(m)
}

// getLast fetches the newest chunk of a subject; errNotFound when it has none.
func (l *log) getLast(ctx context.Context, subject string) (stored, error) {
	if l.a.opts.maxReplicas() > 1 { // a replica may be behind; the leader is not
		return l.leaderGet(ctx, msgGet{LastFor: subject})
	}
	return l.getOne(ctx, lastRequest(subject))
}

// getNext fetches the first chunk of a subject at or after seq; errNotFound when there is none.
func (l *log) getNext(ctx context.Context, subject string, seq jsSeq) (stored, error) {
	s, err := l.getOne(ctx, nextRequest(subject, seq, 0, 1))
	if errors.Is(err, errNotFound) && l.a.opts.maxReplicas() > 1 { // as above
		return l.leaderGet(ctx, msgGet{Seq: max(seq, 1), NextFor: subject})
	}
	return s, err
}

// nextRequest is the body of a direct get by subject. With a batch it asks for several messages, until they have maxBytes.
// Without one maxBytes says nothing, but it is always given: for a request without it the server looks at its options, and
// does so without their lock (nats-server 2.15), while a reload may be changing them.
func nextRequest(subject string, seq jsSeq, batch, maxBytes int) []byte {
	b := make([]byte, 0, 160)
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, uint64(max(seq, 1)), 10)
	b = append(b, `,"next_by_subj":"`...)
	b = append(b, subject...) // ours: nothing in it needs escaping
	b = append(b, `","max_bytes":`...)
	b = strconv.AppendInt(b, int64(maxBytes), 10)
	if batch > 0 {
		b = append(b, `,"batch":`...)
		b = strconv.AppendInt(b, int64(batch), 10)
	}
	return append(b, '}')
}

// lastRequest is the body of a direct get of a subject's newest message; see nextRequest for max_bytes.
func lastRequest(subject string) []byte {
	b := make([]byte, 0, 160)
	b = append(b, `{"last_by_subj":"`...)
	b = append(b, subject...)
	return append(b, `","max_bytes":1}`...)
}

// decode turns a stored message into a chunk, and verifies its checksum.
func (l *log) decode(m *nats.Msg) (stored, error) {
	seq, err := strconv.ParseUint(lastValue(m.Header, "Nats-Sequence"), 10, 64)
	if err != nil {
		return stored{}, errStoredChunk(l, 0, fmt.Errorf("sequence: %w", err))
	}
	c, err := chunk.Decode(m.Header.Get(chunk.Header), m.Data)
	if err != nil {
		return stored{}, errStoredChunk(l, jsSeq(seq), err)
	}
	return stored{jsSeq(seq), c, lastValue(m.Header, "Nats-Time-Stamp")}, nil
}

// lastValue is the last value of a header: stored headers come before those that JetStream adds.
func lastValue(h nats.Header, key string) string {
	v := h[key]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}
