package adapter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/internal/lease"
	"github.com/weirstream/weir/protocol"
)

// testClaims gives logs to nodes as a test wants it. Owner and Sure answer every node with the present owner; only the new owner gets a notice of a change.
type testClaims struct {
	mu    sync.Mutex
	logs  map[string]lease.Owner
	nodes []*testNode
	blind bool // no node is sure of its lease
	over  bool // the test has ended: no log changes its owner, and none is sealed while its server stops
}

// doubt says whether the nodes are in doubt of their leases.
func (c *testClaims) doubt(blind bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blind = blind
}

// testNode is one broker's view of the claims.
type testNode struct {
	c    *testClaims
	name string
	h    *harness
}

// claimsFor lets the brokers take their owners from a test.
func claimsFor(hs ...*harness) *testClaims {
	c := &testClaims{logs: map[string]lease.Owner{}}
	hs[0].t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over = true
	})
	for i, h := range hs {
		h.keeper.stop()
		h.owners.Close(context.Background())
		n := &testNode{c, fmt.Sprintf("n%d", i), h}
		h.owners, h.registry = n, nil
		h.keeper.epoch.Store(0)
		h.keeper.start(n)
		c.nodes = append(c.nodes, n)
	}
	return c
}

// move gives a log to a node and notifies it.
func (c *testClaims) move(log string, to int) {
	c.mu.Lock()
	o := c.logs[log]
	c.logs[log] = lease.Owner{Node: c.nodes[to].name, Incarnation: c.nodes[to].name, Epoch: o.Epoch + 1}
	c.mu.Unlock()
	c.nodes[to].changed(log)
}

func (n *testNode) changed(log string) {
	if log == accountClaim {
		n.h.keeper.poke()
	}
	if l := n.h.logs.opened(log); l != nil {
		l.own.poke()
	}
}

func (n *testNode) Owner(_ context.Context, log string) (lease.Owner, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.c.over {
		return lease.Owner{}, errors.New("the test has ended")
	}
	o, ok := n.c.logs[log]
	if !ok {
		o = lease.Owner{Node: n.name, Incarnation: n.name, Epoch: 1}
		n.c.logs[log] = o
	}
	o.Mine = o.Node == n.name
	return o, nil
}

func (n *testNode) Newest(ctx context.Context, log string) (lease.Owner, error) {
	return n.Owner(ctx, log)
}

func (n *testNode) Sure(log string, epoch uint64) bool {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return !n.c.blind && n.c.logs[log].Node == n.name && n.c.logs[log].Epoch == epoch
}

func (n *testNode) Release(ctx context.Context, log string, epoch uint64, _ string) (lease.Owner, error) {
	n.c.mu.Lock()
	mine := !n.c.over && n.c.logs[log].Node == n.name && n.c.logs[log].Epoch == epoch
	n.c.mu.Unlock()
	if !mine {
		return lease.Owner{}, lease.ErrMoved
	}
	for i, other := range n.c.nodes {
		if other == n {
			n.c.move(log, (i+1)%len(n.c.nodes))
		}
	}
	return n.Owner(ctx, log)
}

func (n *testNode) Raise(ctx context.Context, log string, _, above uint64) (lease.Owner, error) {
	n.c.mu.Lock()
	o := n.c.logs[log]
	o.Epoch = max(o.Epoch, above) + 1
	n.c.logs[log] = o
	n.c.mu.Unlock()
	return n.Owner(ctx, log)
}

func (n *testNode) Forget(context.Context, string) error { return nil }
func (n *testNode) Held() []string                       { return nil }
func (n *testNode) Unowned(string) bool                  { return false }
func (n *testNode) SetDraining(bool)                     {}
func (n *testNode) Close(context.Context)                {}

// stormTime is how long the storms take. WEIR_STORM_TIME makes it longer.
func stormTime(t *testing.T) time.Duration {
	long := 3 * time.Second
	if text := os.Getenv("WEIR_STORM_TIME"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	return long
}

// storm lets writers append through all brokers while change changes the owner of the log again and again, some times at least. Afterwards every acknowledged
// append stands once, at its place, in the order of its session, and nothing that was refused stands there. It returns how many appends were acknowledged, and
// how many have an unknown outcome.
func storm(t *testing.T, hs []*harness, change func(log string)) (acknowledged, unknown int) {
	t.Helper()
	const streams, sessions = 3, 2
	b := hs[0].basin("test-basin", protocol.BasinConfig{})
	var refs []protocol.StreamRef
	for i := range streams {
		refs = append(refs, hs[0].stream(b, fmt.Sprint("s", i), protocol.StreamConfig{}))
	}
	log := hs[0].logName(b, 0)
	for _, h := range hs {
		h.mustAppend(refs[0], body("begin"))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type fate struct {
		seq uint64
		err error
	}
	var mu sync.Mutex
	fates := map[string]fate{} // by body
	var some atomic.Bool       // an append was acknowledged
	var wg sync.WaitGroup
	for n, h := range hs {
		for i, ref := range refs {
			for k := range sessions {
				wg.Go(func() {
					for round := 0; ctx.Err() == nil; round++ {
						s := h.handle(ref)
						appender := s.Appender()
						var inFlight sync.WaitGroup
						var failed atomic.Bool
						window := make(chan struct{}, 16)
						for j := 0; ctx.Err() == nil && !failed.Load(); j++ {
							name := fmt.Sprintf("%d/%d/%d/%d/%d", n, i, k, round, j)
							window <- struct{}{}
							inFlight.Add(1)
							limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
							err := appender.Submit(limit, protocol.AppendInput{Records: []protocol.Record{body("%s", name)}}, func(ack protocol.AppendAck, err error) {
								defer cancel()
								defer inFlight.Done()
								<-window
								if err != nil {
									failed.Store(true)
								} else {
									some.Store(true)
								}
								mu.Lock()
								defer mu.Unlock()
								if _, twice := fates[name]; twice {
									t.Errorf("%s was answered twice", name)
								}
								fates[name] = fate{ack.Start.SeqNum, err}
							})
							if err != nil {
								t.Errorf("submit: %v", err)
								inFlight.Done()
								break
							}
						}
						inFlight.Wait()
						s.Close()
					}
				})
			}
		}
		// Tails never go back.
		wg.Go(func() {
			last := uint64(0)
			s := h.handle(refs[0])
			defer s.Close()
			for ctx.Err() == nil {
				limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				tail, err := s.Tail(limit)
				cancel()
				switch {
				case err != nil && protocol.CodeOf(err) != protocol.CodeUnavailable:
					t.Errorf("tail: %v", err)
				case err == nil && tail.SeqNum < last:
					t.Errorf("the tail went back from %d to %d", last, tail.SeqNum)
				case err == nil:
					last = tail.SeqNum
				}
			}
		})
	}
	const least = 5
	changes := 0
	for end := time.Now().Add(stormTime(t)); changes < least || time.Now().Before(end); changes++ {
		change(log)
	}
	// A machine that is busy has not come to its first append yet.
	eventually(t, "an append is acknowledged", func() bool { return some.Load() || t.Failed() })
	stop()
	wg.Wait()
	t.Logf("%d changes", changes)
	stored := map[string]uint64{}
	for i, ref := range refs {
		for at, rec := range hs[0].read(ref, 0) {
			if rec.SeqNum != uint64(at) {
				t.Fatalf("record %d of %v has seq_num %d", at, ref, rec.SeqNum)
			}
			name := string(rec.Body)
			if _, twice := stored[fmt.Sprint(i, name)]; twice && name != "begin" {
				t.Errorf("%s stands twice in %v", name, ref)
			}
			stored[fmt.Sprint(i, name)] = rec.SeqNum
		}
	}
	for name, f := range fates {
		var n, i, k, round, j int
		fmt.Sscanf(name, "%d/%d/%d/%d/%d", &n, &i, &k, &round, &j)
		at, there := stored[fmt.Sprint(i, name)]
		switch {
		case f.err == nil && (!there || at != f.seq):
			t.Errorf("%s was acknowledged at %d and stands at %d (%v)", name, f.seq, at, there)
		case f.err == nil:
			acknowledged++
			if before, ok := stored[fmt.Sprintf("%d%d/%d/%d/%d/%d", i, n, i, k, round, j-1)]; ok && before >= at {
				t.Errorf("%s stands at %d, before the input before it", name, at)
			}
		case protocol.CodeOf(f.err) == protocol.CodeOther && !errors.Is(f.err, errPoisoned):
			unknown++
		case there:
			t.Errorf("%s failed and stands at %d: %v", name, at, f.err)
		case !errors.Is(f.err, errPoisoned):
			t.Errorf("%s failed: %v", name, f.err)
		}
	}
	return acknowledged, unknown
}

// brokers opens three brokers on three servers.
func brokers(t *testing.T) []*harness {
	t.Helper()
	c := startCluster(t)
	return []*harness{c.broker(0, nil), c.broker(1, nil), c.broker(2, nil)}
}

// A log is given from node to node under load, each time after what is in flight is settled: no append fails.
func TestHandOverUnderLoad(t *testing.T) {
	hs := brokers(t)
	c := claimsFor(hs...)
	acknowledged, unknown := storm(t, hs, func(log string) {
		time.Sleep(100 * time.Millisecond)
		c.mu.Lock()
		owner := c.logs[log].Node
		c.mu.Unlock()
		for _, n := range c.nodes {
			if n.name == owner {
				n.h.logs.opened(log).own.leave(t.Context())
			}
		}
	})
	if unknown > 0 {
		t.Errorf("%d acknowledged, %d unknown", acknowledged, unknown)
	}
	t.Logf("%d acknowledged", acknowledged)
}

// A log is taken from owners that do not know it and have their pipelines full: they store nothing more, what they had in flight is decided by the next owner,
// and nothing fails.
func TestTakeOverUnderLoad(t *testing.T) {
	hs := brokers(t)
	c := claimsFor(hs...)
	acknowledged, unknown := storm(t, hs, func(log string) {
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		c.move(log, rand.IntN(len(hs)))
	})
	t.Logf("%d acknowledged, %d unknown", acknowledged, unknown)
}
