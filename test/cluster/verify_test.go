//go:build linux

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/linear"
)

// checkerTime is how long Porcupine may search in one history.
const checkerTime = 60 * time.Second

// verify compares everything with everything, after the clients have ended.
func (l *load) verify() {
	t := l.c.t
	t.Helper()
	rng := rand.New(rand.NewPCG(l.seed, 1<<41))
	askers := [nodes]*caller{}
	for node := range nodes {
		askers[node] = l.c.newCaller(overHTTP, rng, rootToken)
		defer askers[node].close()
	}
	for _, h := range l.streams {
		if l.kinds[h] == "conditional" {
			for node, k := range askers {
				l.lastLook(h, node, k)
			}
		}
		var final []protocol.SequencedRecord
		for node, k := range askers {
			recs := l.readAll(h.ref, node, k)
			for i := range min(len(recs), len(final)) {
				if string(recs[i].Body) != string(final[i].Body) || recs[i].SeqNum != final[i].SeqNum || recs[i].Timestamp != final[i].Timestamp {
					t.Errorf("%s: record %d is %+v at node %d and %+v at the node before", h.ref, i, recs[i], node+1, final[i])
					break
				}
			}
			// An append without an answer may still arrive between two reads.
			if len(recs) < len(final) {
				t.Errorf("%s has %d records at node %d and %d at the node before", h.ref, len(recs), node+1, len(final))
				continue
			}
			final = recs
		}
		if err := h.check(final); err != nil {
			t.Errorf("%s: %v", h.ref, err)
			h.dump(t, final)
			continue
		}
		for _, f := range l.followers {
			if f.h == h {
				l.caughtUp(f, final)
			}
		}
		if l.kinds[h] == "conditional" {
			l.order(h, final)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.bad {
		t.Error(err)
	}
}

// order asks for an order that explains all answers.
func (l *load) order(h *history, final []protocol.SequencedRecord) {
	t := l.c.t
	t.Helper()
	result, n := h.linearizable(checkerTime)
	switch result {
	case porcupine.Illegal:
		t.Errorf("%s: %d operations are not linearizable", h.ref, n)
		h.dump(t, final)
	case porcupine.Unknown:
		t.Logf("%s: no order of %d operations was found or excluded within %v", h.ref, n, checkerTime)
	case porcupine.Ok:
	}
}

// lastLook has a node say at rest what a stream holds.
func (l *load) lastLook(h *history, node int, k *caller) {
	c := linear.Client{Ref: h.ref, ID: 1 << 20, Rng: rand.New(rand.NewPCG(0, 0))}
	for _, kind := range []linear.Kind{linear.Tail, linear.Read} {
		op := linear.Op{Kind: kind}
		l.c.insist(k, fmt.Sprintf("a look at %s at node %d", h.ref, node+1), func(ctx context.Context, _ protocol.Service) error {
			e := h.begin(askers+1, op)
			answer, err := c.Do(ctx, k.byURL[node], op)
			h.end(e, answer, err)
			return err
		})
	}
}

// readAll reads a stream at a node, up to the tail that the node reports.
func (l *load) readAll(ref protocol.StreamRef, node int, k *caller) (recs []protocol.SequencedRecord) {
	what := fmt.Sprintf("read %s at node %d", ref, node+1)
	var tail protocol.StreamTail
	l.c.insist(k, what, func(ctx context.Context, _ protocol.Service) (err error) {
		tail, err = k.byURL[node].CheckTail(ctx, ref)
		return err
	})
	for from := uint64(0); from < tail.SeqNum; from = uint64(len(recs)) {
		var batch protocol.ReadBatch
		count := tail.SeqNum - from
		l.c.insist(k, what, func(ctx context.Context, _ protocol.Service) (err error) {
			batch, err = k.byURL[node].Read(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(from), Count: &count})
			return err
		})
		if batch.Records.Len() == 0 {
			l.c.t.Errorf("%s: nothing at %d, the tail is %v", what, from, tail)
			return recs
		}
		recs = append(recs, batch.Records.Slice()...)
	}
	return recs
}

// caughtUp demands that a follower sees the whole stream, and nothing else.
func (l *load) caughtUp(f *follower, recs []protocol.SequencedRecord) {
	t := l.c.t
	t.Helper()
	deadline := time.Now().Add(recovery)
	for f.next() < uint64(len(recs)) {
		if time.Now().After(deadline) {
			t.Errorf("%s: a follower over %s has seen %d of %d records %v after the end", f.h.ref, f.door, f.next(), len(recs), recovery)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := f.compare(recs); err != nil {
		t.Errorf("%s: %v", f.h.ref, err)
	}
}
