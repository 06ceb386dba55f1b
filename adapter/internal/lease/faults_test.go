package lease

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watcher looks for two nodes that are sure of a log, and for epochs that fall.
type watcher struct {
	t     testing.TB
	nodes []*Registry

	mu    sync.Mutex
	epoch map[string]uint64 // the latest that a node was sure of
	seen  int
}

// look asks for the owner of a log at a node, and checks what the node is sure of.
func (w *watcher) look(ctx context.Context, r *Registry, log string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	w.mu.Lock()
	before := w.epoch[log] // of a node that was sure before the question
	w.mu.Unlock()
	o, err := r.Owner(ctx, log)
	if err != nil || !o.Mine || !r.Sure(log, o.Epoch) {
		return
	}
	for _, other := range w.nodes {
		for _, c := range other.Claims() {
			if other == r || c.Log != log || !c.Mine || !other.Sure(log, c.Epoch) {
				continue
			}
			// It may have got the log meanwhile. But if this one is still sure, it was all the time.
			if r.Sure(log, o.Epoch) {
				w.t.Errorf("%s is sure of epoch %d of %s, and %s of epoch %d", r.config.Node, o.Epoch, log, other.config.Node, c.Epoch)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.Epoch < before {
		w.t.Errorf("%s is sure of epoch %d of %s, and epoch %d was before", r.config.Node, o.Epoch, log, before)
	}
	w.epoch[log] = max(w.epoch[log], o.Epoch)
	w.seen++
}

// Servers stop and start, the bucket's leader moves and logs are handed over, while all nodes are asked for the owners: no two nodes are sure of one
// log, the epochs grow, and afterwards every log has an owner. WEIR_LEASE_TIME makes it longer.
func TestOwnersWhileServersStop(t *testing.T) {
	long := 6 * time.Second
	if text := os.Getenv("WEIR_LEASE_TIME"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	c := startCluster(t)
	w := &watcher{t: t, epoch: map[string]uint64{}}
	for i := range 3 {
		w.nodes = append(w.nodes, c.open(i, fmt.Sprintf("n%d", i)))
	}
	logs := logNames(6)
	for _, log := range logs {
		owner(t, w.nodes[0], log)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	var handed atomic.Int64
	for _, r := range w.nodes {
		wg.Go(func() {
			for ctx.Err() == nil {
				w.look(ctx, r, logs[rand.IntN(len(logs))])
				sleep(ctx, time.Millisecond)
			}
		})
		wg.Go(func() {
			for ctx.Err() == nil {
				sleep(ctx, time.Duration(rand.IntN(100))*time.Millisecond)
				held := r.Claims()
				if len(held) == 0 {
					continue
				}
				log := held[rand.IntN(len(held))]
				to := w.nodes[rand.IntN(len(w.nodes))].config.Node
				attempt, cancel := context.WithTimeout(ctx, time.Second)
				if _, err := r.Release(attempt, log.Log, log.Epoch, to); err == nil {
					handed.Add(1)
				}
				cancel()
			}
		})
	}
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			sleep(ctx, 500*time.Millisecond)
			if i%3 != 2 {
				nc := w.nodes[i%3].nc
				_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.KV_S2_CLUSTER", nil, 300*time.Millisecond)
				continue
			}
			stopped := rand.IntN(3)
			c.Stop(stopped)
			sleep(ctx, time.Duration(rand.IntN(4000))*time.Millisecond)
			c.StartAgain(stopped)
		}
	})
	// A machine that is busy needs more time until something has happened.
	eventually(t, "a node was found to be sure, and a log was handed over", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return time.Since(began) >= long && w.seen > 0 && handed.Load() > 0
	})
	cancel()
	wg.Wait()

	for _, log := range logs {
		for _, r := range w.nodes {
			o := owner(t, r, log)
			for _, other := range w.nodes {
				if other.config.Node != o.Node {
					continue
				}
				eventually(t, "the owner is sure of its log", func() bool {
					o := owner(t, other, log)
					return !o.Mine || other.Sure(log, o.Epoch)
				})
			}
		}
	}
	t.Logf("a node was found to be sure %d times, %d logs were handed over", w.seen, handed.Load())
}
