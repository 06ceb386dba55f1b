//go:build linux

package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/linear"
)

// churn counts the names that were made and deleted again.
type churn struct{ basins, streams, unknown atomic.Int64 }

// churnPause is between two steps of a client that makes and deletes names.
const churnPause = 200 * time.Millisecond

// churning makes a basin, makes and deletes a stream in it over and over, and deletes the basin, each step through another node.
// No other client uses these names, so every answer is known, but after a step without an answer: then it goes on with other names.
func (l *load) churning(k *caller, rng *rand.Rand) {
	for serial := 0; l.pause(churnPause, rng); serial++ {
		basin := protocol.BasinName(fmt.Sprintf("%s-%s-%d", l.basin, k.door, serial))
		if !l.step(k, rng, "create basin "+string(basin), func(ctx context.Context, svc protocol.Service) error {
			_, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: basin})
			return err
		}) {
			continue
		}
		for range 1 + rng.IntN(5) {
			if !l.life(k, rng, protocol.StreamRef{Basin: basin, Stream: "again"}) {
				break
			}
		}
		if l.step(k, rng, "delete basin "+string(basin), func(ctx context.Context, svc protocol.Service) error {
			return svc.DeleteBasin(ctx, basin)
		}) {
			l.churn.basins.Add(1)
			l.fades(k, rng, protocol.StreamRef{Basin: basin, Stream: "again"})
		}
	}
}

// step makes a request that has to succeed or stay without a clear answer, in which case step returns false.
func (l *load) step(k *caller, rng *rand.Rand, what string, request func(context.Context, protocol.Service) error) bool {
	k.at = rng.IntN(nodes)
	err := k.call(context.WithoutCancel(l.ctx), request)
	switch code := protocol.CodeOf(err); {
	case err == nil:
		return l.pause(churnPause, rng)
	case !code.Clean() || code.Retryable():
		l.churn.unknown.Add(1)
	default:
		l.reportName(fmt.Errorf("%s: %w", what, err))
	}
	return false
}

// life makes a stream, appends to it, reads it and deletes it.
func (l *load) life(k *caller, rng *rand.Rand, ref protocol.StreamRef) bool {
	// The space of the one before may still be given back, while which the name cannot be made.
	var err error
	for pending := true; pending; pending = protocol.CodeOf(err) == protocol.CodeStreamDeletionPending && l.pause(churnPause, rng) {
		k.at = rng.IntN(nodes)
		err = k.call(context.WithoutCancel(l.ctx), func(ctx context.Context, svc protocol.Service) error {
			_, _, err := svc.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream})
			return err
		})
	}
	if code := protocol.CodeOf(err); code != "" {
		if code.Clean() && !code.Retryable() && code != protocol.CodeStreamDeletionPending {
			l.reportName(fmt.Errorf("create %s: %w", ref, err))
		}
		l.churn.unknown.Add(1)
		return false
	}
	id := rng.Uint64()
	var ack protocol.AppendAck
	if !l.step(k, rng, "append to "+ref.String(), func(ctx context.Context, svc protocol.Service) (err error) {
		ack, err = svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{Body: linear.Body(id)}}})
		return err
	}) {
		return false
	}
	if ack.Start.SeqNum != 0 {
		l.report(fmt.Errorf("%s: the first append to a new stream was acknowledged at %d", ref, ack.Start.SeqNum))
	}
	var batch protocol.ReadBatch
	if !l.step(k, rng, "read "+ref.String(), func(ctx context.Context, svc protocol.Service) (err error) {
		batch, err = svc.Read(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
		return err
	}) {
		return false
	}
	if recs := batch.Records.Slice(); len(recs) != 1 || binary.BigEndian.Uint64(recs[0].Body) != id {
		l.report(fmt.Errorf("%s: a new stream with one record has %d, want %x: %v", ref, len(recs), id, recs))
	}
	if !l.step(k, rng, "delete "+ref.String(), func(ctx context.Context, svc protocol.Service) error { return svc.DeleteStream(ctx, ref) }) {
		return false
	}
	l.churn.streams.Add(1)
	l.gone(k, rng, ref)
	return true
}

// gone demands that a deleted stream has no tail any more, at any node.
func (l *load) gone(k *caller, rng *rand.Rand, ref protocol.StreamRef) {
	if tail, there := l.hasTail(k, rng, ref); there {
		l.report(fmt.Errorf("%v: %s was deleted and has the tail %v over %s, asked for at node %d", time.Now(), ref, tail, k.door, k.at+1))
	}
}

// fades demands it of a stream of a deleted basin, with the time that all nodes need to learn of the deletion.
func (l *load) fades(k *caller, rng *rand.Rand, ref protocol.StreamRef) {
	began := time.Now()
	for {
		tail, there := l.hasTail(k, rng, ref)
		if !there {
			return
		}
		if time.Since(began) > recovery {
			l.report(fmt.Errorf("%s has the tail %v over %s, %v after its basin was deleted", ref, tail, k.door, recovery))
			return
		}
		time.Sleep(churnPause)
	}
}

func (l *load) hasTail(k *caller, rng *rand.Rand, ref protocol.StreamRef) (tail protocol.StreamTail, there bool) {
	k.at = rng.IntN(nodes)
	err := k.call(context.WithoutCancel(l.ctx), func(ctx context.Context, svc protocol.Service) (err error) {
		tail, err = svc.CheckTail(ctx, ref)
		return err
	})
	return tail, err == nil
}
