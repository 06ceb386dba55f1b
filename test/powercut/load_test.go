//go:build linux

package powercut

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
)

// A world is what clients have made on a machine.
type world struct {
	m     *machine
	rnd   *rand.Rand
	kept  []*ledger // streams that stay
	short int       // basins that come and go, numbered
	mu    sync.Mutex
	gone  []protocol.StreamRef // streams whose deletion was acknowledged
	acks  atomic.Int64
}

func newWorld(m *machine, rnd *rand.Rand) *world {
	w := &world{m: m, rnd: rnd}
	for i := range 4 {
		w.kept = append(w.kept, newLedger("kept-basin", fmt.Sprintf("plain/%d", i)))
	}
	// One log holds what is trimmed nearly at once and a little that stays, so that its blocks are compacted.
	for i := range 2 {
		w.kept = append(w.kept, newLedger("bulk-basin", fmt.Sprintf("bulk/%d", i)))
	}
	w.kept = append(w.kept, newLedger("bulk-basin", "witness"))
	return w
}

// keep is a stream that is never trimmed: the broker's default retention would do here as well.
func keep() protocol.StreamConfig {
	return protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{}}
}

// make makes basin and stream of a ledger, as far as they are missing.
func (l *ledger) make(ctx context.Context, svc protocol.Service) bool {
	if _, _, err := svc.EnsureBasin(ctx, l.ref.Basin, protocol.EnsureBasinRequest{DedicatedLogs: l.dedicated}); err != nil {
		return false
	}
	if _, _, err := svc.EnsureStream(ctx, l.ref, keep()); err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = true
	return true
}

// load lets clients work until ctx ends or they fail, which they do soon after a cut.
func (w *world) load(ctx context.Context, svc protocol.Service) *sync.WaitGroup {
	var clients sync.WaitGroup
	for _, l := range w.kept {
		rnd := rand.New(rand.NewPCG(w.rnd.Uint64(), 1))
		clients.Go(func() { w.client(ctx, svc, l, rnd) })
	}
	for range 2 {
		rnd := rand.New(rand.NewPCG(w.rnd.Uint64(), 2))
		clients.Go(func() {
			for ctx.Err() == nil && w.passing(ctx, svc, rnd) {
			}
		})
	}
	return &clients
}

func (w *world) client(ctx context.Context, svc protocol.Service, l *ledger, rnd *rand.Rand) {
	if !l.make(ctx, svc) {
		return
	}
	bulk, witness := l.ref.Basin == "bulk-basin", l.ref.Stream == "witness"
	for ctx.Err() == nil {
		n, pad, trim := 1+rnd.IntN(8), rnd.IntN(400), uint64(0)
		switch {
		case witness:
			n, pad = 1, 100
			if !pause(ctx, 20*time.Millisecond) {
				return
			}
		case bulk:
			n, pad = 3, 60_000+rnd.IntN(60_000)
			if rnd.IntN(3) == 0 {
				trim = l.tail()
			}
			if !pause(ctx, 4*time.Millisecond) {
				return
			}
		case rnd.IntN(12) == 0:
			n++
			trim = l.tail() - min(l.tail(), uint64(rnd.IntN(200)))
		}
		if !l.append(ctx, svc, l.begin(n, pad, trim)) {
			return
		}
		w.acks.Add(1)
	}
}

// passing makes a basin with a stream, writes to it, and deletes the stream, the basin or nothing.
func (w *world) passing(ctx context.Context, svc protocol.Service, rnd *rand.Rand) bool {
	w.mu.Lock()
	w.short++
	l := newLedger(fmt.Sprintf("passing-basin-%d", w.short), "s")
	w.mu.Unlock()
	l.dedicated = rnd.IntN(2) // a basin's own logs are made and deleted with it
	if !l.make(ctx, svc) {
		w.remember(l)
		return false
	}
	for range 1 + rnd.IntN(20) {
		if !l.append(ctx, svc, l.begin(1+rnd.IntN(3), 50, 0)) {
			w.remember(l)
			return false
		}
		w.acks.Add(1)
	}
	var err error
	switch rnd.IntN(3) {
	case 0:
		w.remember(l)
		return true
	case 1:
		err = svc.DeleteStream(ctx, l.ref)
	default:
		err = svc.DeleteBasin(ctx, l.ref.Basin)
	}
	if err == nil {
		w.mu.Lock()
		w.gone = append(w.gone, l.ref)
		w.mu.Unlock()
	}
	return err == nil
}

func (w *world) remember(l *ledger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, l)
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// verify compares all streams with what is known.
func (w *world) verify(svc protocol.Service, mayLose bool) {
	w.m.t.Helper()
	missing, records := 0, 0
	for _, l := range w.kept {
		n, err := l.verify(w.m.t.Context(), svc, mayLose)
		if err != nil {
			w.m.t.Errorf("%s, %s: %v", w.m.spec.name, w.m.note, err)
		}
		missing += n
		records += int(l.tail())
	}
	for _, ref := range w.gone {
		if _, err := svc.CheckTail(w.m.t.Context(), ref); err == nil && !mayLose {
			w.m.t.Errorf("%s, %s: %v was deleted and is there", w.m.spec.name, w.m.note, ref)
		}
	}
	w.m.t.Logf("%s, %s: %d acknowledged batches, %d records verified, %d batches missing", w.m.spec.name, w.m.note, w.acks.Load(), records, missing)
	if w.m.t.Failed() {
		w.m.t.Fatalf("the brokers' last words:\n%s", w.m.lastWords(30))
	}
}
