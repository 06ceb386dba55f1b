package js

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"
)

const (
	// getBudget bounds the payload bytes that one connection's direct gets may have on their way, so that the server's
	// pending limit for the connection (64 MiB) is never near. What has arrived does not count: a reader that does not go on keeps
	// no other one waiting.
	getBudget = 16 << 20
	// aheadBudget bounds the payload bytes of the batches that readers have asked for ahead, until they are taken.
	aheadBudget = 16 << 20
	// MaxBatchBytes and MaxBatchMessages bound one batched get of a reader. The server includes the message that crosses
	// max_bytes, and holds a lock that commits of the stream wait for (docs/spec/jetstream-notes.md, "Batched direct get").
	MaxBatchBytes    = 1 << 20
	MaxBatchMessages = 512
	// maxMessageBytes is the largest message of weir's: a batch of a megabyte and the chunk around it.
	maxMessageBytes = 1 << 20
)

// A Getter makes direct gets over one connection. All answers come to one wildcard inbox; the callback hands them to the
// call that waits, and never blocks, because a call's channel holds the largest answer. A request that gets lost with a
// connection or a server, or whose answer does, is made again.
type Getter struct {
	nc     *nats.Conn
	prefix string // of reply subjects
	budget *semaphore.Weighted
	ahead  *semaphore.Weighted

	mu    sync.Mutex // guards the fields below
	next  uint64
	calls map[uint64]call
	free  []chan *nats.Msg // of capacity 1, for single gets
}

// call waits for an answer.
type call struct {
	ch   chan *nats.Msg
	cost int64 // of the budget, until the answer is complete
}

// NewGetter makes a getter that uses nc, which Close closes.
func NewGetter(nc *nats.Conn) (*Getter, error) {
	g := &Getter{nc: nc, prefix: nats.NewInbox() + ".", budget: semaphore.NewWeighted(getBudget), ahead: semaphore.NewWeighted(aheadBudget),
		calls: map[uint64]call{}}
	sub, err := nc.Subscribe(g.prefix+"*", g.deliver)
	if err != nil {
		return nil, fmt.Errorf("subscribe for direct gets: %w", err)
	}
	// The budget bounds the pending messages.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("set pending limits: %w", err)
	}
	return g, nil
}

// Close closes the connection. Calls that wait fail with [ErrNoAnswer] in time.
func (g *Getter) Close() { g.nc.Close() }

func (g *Getter) deliver(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, g.prefix), 36, 64)
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.calls[token]
	select {
	case c.ch <- m: // a nil channel, after the caller has left, is never ready
	default:
	}
	if c.cost > 0 && completes(m) {
		g.budget.Release(c.cost)
		c.cost = 0
		g.calls[token] = c
	}
}

// completes reports whether m ends an answer: no message of it is on its way behind it.
func completes(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") != "" && !absent(m)
}

// open registers a call that gets at most n messages. Cost is its part of the budget, which it has.
func (g *Getter) open(n int, cost int64) (token uint64, ch chan *nats.Msg) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := len(g.free); n == 1 && k > 0 {
		ch, g.free = g.free[k-1], g.free[:k-1]
	} else {
		ch = make(chan *nats.Msg, n)
	}
	token = g.next
	g.next++
	g.calls[token] = call{ch, cost}
	return token, ch
}

func (g *Getter) close(token uint64, ch chan *nats.Msg) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.budget.Release(g.calls[token].cost)
	delete(g.calls, token)
	if cap(ch) == 1 && len(ch) == 0 && len(g.free) < 64 {
		g.free = append(g.free, ch)
	}
}

func (g *Getter) request(stream string, token uint64, body []byte) error {
	return g.nc.PublishRequest(apiDirectGet+stream, g.prefix+strconv.FormatUint(token, 36), body)
}

// One fetches one message of a stream; body is [NextRequest] or [LastRequest]. It fails with [ErrNotFound] when there is
// none.
func (g *Getter) One(ctx context.Context, stream string, body []byte) (*nats.Msg, error) {
	token, ch := g.open(1, 0)
	defer g.close(token, ch)
	ask := func() error { return g.request(stream, token, body) }
	if err := ask(); err != nil {
		return nil, err
	}
	m, err := g.await(ctx, stream, ch, ask)
	if err != nil {
		return nil, err
	}
	switch end, err := answerStatus(m); {
	case err != nil:
		return nil, err
	case end:
		return nil, ErrNotFound
	}
	return m, nil
}

// answerStatus distinguishes a message from the statuses of a direct get. end says that the answer is complete.
func answerStatus(m *nats.Msg) (end bool, err error) {
	if len(m.Data) > 0 {
		return false, nil
	}
	switch status := m.Header.Get("Status"); status {
	case "": // a message without a payload
		return false, nil
	case "404":
		return true, ErrNotFound
	case "204":
		return true, nil
	default:
		return true, &StatusError{status, m.Header.Get("Description")}
	}
}

// absence is how long the servers of a stream may be away before that is the answer: they start, or elect a leader.
const absence = 5 * time.Second

// absent reports whether m is the NATS server's answer that no server answers direct gets of the stream.
func absent(m *nats.Msg) bool { return len(m.Data) == 0 && m.Header.Get("Status") == "503" }

// await waits for the next message of an answer, at most [Timeout]. Over a connection that may lose it, again repeats the
// request while none comes, after [Attempt] and then at growing intervals, and while the servers of the stream are away.
// Messages of all attempts count, so that a server that takes long is not given up.
func (g *Getter) await(ctx context.Context, stream string, ch <-chan *nats.Msg, again func() error) (*nats.Msg, error) {
	var away *nats.Msg // the last answer that no server answers
	select {           // mostly it is not there yet, but a timer costs more than a look
	case m := <-ch:
		if away = m; !absent(m) {
			return m, nil
		}
	default:
	}
	began, pause := time.Now(), Timeout
	loses := MayLose(g.nc)
	if loses {
		pause = Attempt
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	known := false // whether the stream exists
	for {
		if away != nil {
			if !loses || time.Since(began) >= absence || !known && g.gone(ctx, stream) {
				return away, nil
			}
			away, known, pause = nil, true, electionPause
			timer.Reset(pause)
		}
		select {
		case m := <-ch:
			if away = m; !absent(m) {
				return m, nil
			}
		case <-timer.C:
			left := Timeout - time.Since(began)
			if left <= 0 {
				return nil, ErrNoAnswer
			}
			if err := again(); err != nil {
				return nil, err
			}
			pause = min(2*pause, left)
			timer.Reset(pause)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// gone reports whether JetStream says that there is no such stream.
func (g *Getter) gone(ctx context.Context, stream string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*Attempt)
	defer cancel()
	_, err := StreamState(ctx, g.nc, stream)
	return StreamMissing(err)
}

// Request describes a batched get: it asks for the messages at or after Seq, of a subject or wildcard, or with "" of the whole
// stream, which costs JetStream the same for any number of subjects. At most Count come, and none after MaxBytes are
// reached.
type Request struct {
	Subject  string
	Seq      Seq
	Count    int
	MaxBytes int
}

func (r *Request) cost() int64 { return int64(r.MaxBytes) + maxMessageBytes } // the message that crosses the limit comes too

// NextRequest is the body of a direct get by subject. With a count it asks for several messages, until they have maxBytes.
// Without one maxBytes says nothing, but it is always given: for a request without it the server looks at its options, and
// does so without their lock (nats-server 2.15), while a reload may be changing them.
func NextRequest(subject string, seq Seq, count, maxBytes int) []byte {
	b := make([]byte, 0, 160)
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, uint64(max(seq, 1)), 10)
	if subject != "" {
		b = append(b, `,"next_by_subj":"`...)
		b = append(b, subject...) // ours: nothing in it needs escaping
		b = append(b, '"')
	}
	b = append(b, `,"max_bytes":`...)
	b = strconv.AppendInt(b, int64(maxBytes), 10)
	if count > 0 {
		b = append(b, `,"batch":`...)
		b = strconv.AppendInt(b, int64(count), 10)
	}
	return append(b, '}')
}

// LastRequest is the body of a direct get of a subject's newest message; see [NextRequest] for max_bytes.
func LastRequest(subject string) []byte {
	b := make([]byte, 0, 160)
	b = append(b, `{"last_by_subj":"`...)
	b = append(b, subject...)
	return append(b, `","max_bytes":1}`...)
}
