//go:build linux

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/linear"
)

const (
	conditional  = 3 // streams with conditional appends, tails and reads, for the checker
	unary        = 2 // streams with unconditional appends
	sessions     = 2 // streams with append sessions
	askers       = 4 // clients of a stream with conditional appends
	writers      = 2 // clients of each other stream
	mostRecords  = 800
	askPause     = 100 * time.Millisecond // of a client of a stream with conditional appends
	writePause   = 5 * time.Millisecond
	sessionAhead = 8
	fullAhead    = 128 // where sessions have as much in flight as they may
)

// load is the clients of one round.
type load struct {
	c         *cluster
	basin     protocol.BasinName
	seed      uint64
	row       row
	kinds     map[*history]string
	streams   []*history
	followers []*follower
	churn     churn

	ctx       context.Context // of the clients
	stop      context.CancelFunc
	clients   sync.WaitGroup
	following context.Context // of the followers
	unfollow  context.CancelFunc
	readers   sync.WaitGroup

	mu  sync.Mutex
	bad []error // broken promises
}

func (l *load) report(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad = append(l.bad, err)
}

// reportName notes an answer about a name that is not as it must be.
func (l *load) reportName(err error) {
	if l.row.old {
		l.c.t.Logf("an old answer about a name: %v", err)
		return
	}
	l.report(err)
}

// newLoad makes streams of a round, and lets clients begin.
func (c *cluster) newLoad(seed uint64, name string, r row) *load {
	c.t.Helper()
	l := &load{c: c, seed: seed, kinds: map[*history]string{}, basin: protocol.BasinName(name), row: r}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.following, l.unfollow = context.WithCancel(context.Background())
	rng := rand.New(rand.NewPCG(seed, 1<<40))
	maker := c.newCaller(overHTTP, rng, rootToken)
	defer maker.close()
	c.insist(maker, "create a basin", func(ctx context.Context, svc protocol.Service) error {
		_, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: l.basin})
		return err
	}, protocol.CodeResourceAlreadyExists)
	for i := range conditional + unary + sessions {
		ref := protocol.StreamRef{Basin: l.basin, Stream: protocol.StreamName(fmt.Sprintf("s%d", i))}
		c.insist(maker, "create a stream", func(ctx context.Context, svc protocol.Service) error {
			_, _, err := svc.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream})
			return err
		}, protocol.CodeResourceAlreadyExists)
		h := newHistory(ref)
		l.streams = append(l.streams, h)
		switch {
		case i < conditional:
			l.kinds[h] = "conditional"
			l.group(h, i, askers, l.ask)
		case i < conditional+unary:
			l.kinds[h] = "unary"
			l.group(h, i, writers, l.write)
		default:
			l.kinds[h] = "session"
			l.group(h, i, writers, l.pipeline)
		}
		if i == 0 || i >= conditional {
			f := &follower{h: h, door: doorOf(i)}
			l.followers = append(l.followers, f)
			l.run(&l.readers, i, 100, f.door, func(k *caller, _ *rand.Rand) { f.run(l.following, k, l.report) })
		}
	}
	l.run(&l.clients, 99, 0, overHTTP, l.churning)
	l.run(&l.clients, 99, 1, overNATS, l.churning)
	return l
}

func doorOf(i int) string {
	if i%2 == 0 {
		return overHTTP
	}
	return overNATS
}

// run runs a client until the load stops.
func (l *load) run(wg *sync.WaitGroup, stream, number int, door string, work func(*caller, *rand.Rand)) {
	rng := rand.New(rand.NewPCG(l.seed, uint64(stream)<<16|uint64(number)))
	k := l.c.newCaller(door, rng, rootToken)
	wg.Go(func() {
		defer k.close()
		work(k, rng)
	})
}

func (l *load) group(h *history, stream, n int, work func(*history, int, *caller, *rand.Rand)) {
	for i := range n {
		l.run(&l.clients, stream, i, doorOf(i), func(k *caller, rng *rand.Rand) { work(h, i, k, rng) })
	}
}

// pause waits up to twice d, and reports whether the load goes on.
func (l *load) pause(d time.Duration, rng *rand.Rand) bool {
	if d == 0 {
		return l.ctx.Err() == nil
	}
	select {
	case <-time.After(time.Duration(rng.Int64N(int64(2 * d)))):
		return l.ctx.Err() == nil
	case <-l.ctx.Done():
		return false
	}
}

// end lets all clients but the followers finish their requests.
func (l *load) end() {
	l.stop()
	l.clients.Wait()
}

// close ends the followers too.
func (l *load) close() {
	l.end()
	l.unfollow()
	l.readers.Wait()
}

// ask is a client of a stream with conditional appends.
func (l *load) ask(h *history, id int, k *caller, rng *rand.Rand) {
	c := linear.Client{Ref: h.ref, ID: uint64(id), Rng: rng}
	if l.row.forks {
		c.Forks = k.service()
	}
	for serial := uint64(0); l.pause(askPause, rng); serial++ {
		op := c.Choose(serial)
		if op.Kind == linear.Append && h.length() > mostRecords {
			op = linear.Op{Kind: linear.Tail} // a read shows at most a thousand records
		}
		if rng.IntN(20) == 0 {
			k.move()
		}
		l.do(h, id, k, &c, op)
	}
}

// do performs an operation and enters it.
func (l *load) do(h *history, id int, k *caller, c *linear.Client, op linear.Op) {
	e := h.begin(id, op)
	var answer linear.Answer
	err := k.call(context.WithoutCancel(l.ctx), func(ctx context.Context, svc protocol.Service) (err error) {
		if c.Forks != nil {
			c.Forks = svc // forks are made where the request goes
		}
		answer, err = c.Do(ctx, svc, op)
		return err
	})
	h.end(e, answer, err)
}

// write is a client that appends without conditions.
func (l *load) write(h *history, id int, k *caller, rng *rand.Rand) {
	c := linear.Client{Ref: h.ref, ID: uint64(id), Rng: rng}
	for serial := uint64(0); l.pause(writePause, rng); serial++ {
		l.do(h, id, k, &c, appendOf(id, serial, rng))
	}
}

// appendOf is an append of some records without conditions.
func appendOf(id int, serial uint64, rng *rand.Rand) linear.Op {
	op := linear.Op{Kind: linear.Append}
	for i := range 1 + rng.Uint64N(4) {
		op.IDs = append(op.IDs, uint64(id)<<32|serial<<8|i)
	}
	return op
}

// pipeline is a client that appends in sessions, and opens another when one ends.
func (l *load) pipeline(h *history, id int, k *caller, rng *rand.Rand) {
	var serial uint64
	for l.pause(writePause, rng) {
		ctx, cancel := context.WithTimeout(l.ctx, callTimeout)
		s, err := k.service().OpenAppendSession(ctx, h.ref)
		cancel()
		if err != nil {
			k.move()
			continue
		}
		l.session(h, id, s, &serial, rng)
		_ = s.Close()
		k.move()
	}
}

// session appends, some inputs ahead of their acks, until the session fails or the load stops.
func (l *load) session(h *history, id int, s protocol.AppendSession, serial *uint64, rng *rand.Rand) {
	ahead, rest := sessionAhead, writePause
	if l.row.full {
		ahead, rest = fullAhead, 0
	}
	sent := make(chan *entry, ahead)
	var over atomic.Bool
	var sender sync.WaitGroup
	sender.Go(func() {
		defer close(sent)
		for l.pause(rest, rng) && !over.Load() {
			op := appendOf(id, *serial, rng)
			*serial++
			e := h.begin(id, op)
			sent <- e // the loop below takes it, whatever becomes of the session
			ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
			err := s.Submit(ctx, op.Input())
			cancel()
			if err != nil {
				return
			}
		}
		_ = s.CloseSend()
	})
	var failure error
	var at uint64
	for e := range sent {
		if failure != nil {
			// Behind a failure that promises no effect the session sequences nothing.
			h.end(e, linear.Answer{}, failure)
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*callTimeout)
		ack, err := s.Recv(ctx)
		cancel()
		h.end(e, linear.Answer{Start: ack.Start.SeqNum, End: ack.End.SeqNum}, err)
		if err != nil {
			failure = err
			over.Store(true)
			continue
		}
		if ack.Start.SeqNum < at {
			l.report(fmt.Errorf("%s: acknowledged at %d behind %d in the same session: %v", h.ref, ack.Start.SeqNum, at, e))
		}
		at = ack.End.SeqNum
	}
	sender.Wait()
}
