package adapter

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// restoredLog is a log that is being filled. Nobody else writes to it, so its last sequence is how many chunks it has got,
// also after a restart.
type restoredLog struct {
	*log
	basin protocol.BasinName

	mu    sync.Mutex    // guards the rest
	last  js.Seq        // valid if known
	known bool          // the JetStream stream is there and last is right
	ended bool          // the restore is over
	busy  chan struct{} // holds a token while chunks are being stored
	moved chan struct{} // closed and replaced when last moves
}

// ImportChunks implements [protocol.BackupService]. The chunks' places are given by the count of those before them, so
// that they are stored once, however often they are sent; those that come early wait for their turn.
func (a *Adapter) ImportChunks(ctx context.Context, req protocol.ImportChunksRequest) error {
	for i := range req.Chunks {
		c := &req.Chunks[i]
		if err := checkStreamID(c.Stream); err != nil {
			return err
		}
		if _, err := chunk.Decode(c.Header, c.Payload); err != nil {
			return protocol.Wrap(protocol.CodeInvalid, err, fmt.Sprintf("chunks: number %d, of the stream with id %q, is damaged", i, c.Stream))
		}
	}
	leave, err := a.enterBulk(ctx)
	if err != nil {
		return err
	}
	entered := true
	defer func() {
		if entered {
			leave()
		}
	}()
	rec, _, err := a.held(req.Basin, req.Restore)
	if err != nil {
		return err
	}
	if !slices.Contains(a.logNumbers(rec), req.Log) {
		return protocol.Errorf(protocol.CodeInvalid, "log: the basin has no log %d", req.Log)
	}
	l, err := a.restoredLog(req.Basin, req.Log)
	if err != nil {
		return err
	}
	leave()
	entered = false // who waits for a turn must not keep out the one it waits for
	if err := l.turn(ctx, req.Basin, req.Log, js.Seq(req.Before)); err != nil {
		return err
	}
	defer func() { <-l.busy }()
	if _, _, err := a.held(req.Basin, req.Restore); err != nil {
		return err // lost while it waited
	}
	return l.fill(ctx, js.Seq(req.Before), req.Chunks)
}

// restoredLog returns the one object for a log that is being filled.
func (a *Adapter) restoredLog(basin protocol.BasinName, n int) (*restoredLog, error) {
	l, err := a.bulkLog(basin, n)
	if err != nil {
		return nil, err
	}
	a.bulk.mu.Lock()
	defer a.bulk.mu.Unlock()
	r, ok := a.bulk.restores[l.name]
	if !ok {
		r = &restoredLog{log: l, basin: basin, busy: make(chan struct{}, 1), moved: make(chan struct{})}
		a.bulk.restores[l.name] = r
	}
	return r, nil
}

// turnPatience is how long chunks wait for those before them. Their sender may have left.
const turnPatience = 2 * time.Second

// turn waits until the log has got as many chunks as come before, and takes it.
func (l *restoredLog) turn(ctx context.Context, basin protocol.BasinName, n int, before js.Seq) error {
	late := time.NewTimer(turnPatience)
	defer late.Stop()
	for {
		select {
		case l.busy <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.mu.Lock()
		known, ended, last, moved := l.known, l.ended, l.last, l.moved
		l.mu.Unlock()
		if ended {
			<-l.busy
			return errRestoreLost
		}
		if !known {
			last, err := l.ensure(ctx, basin, n)
			if err == nil {
				l.set(last, true)
			}
			<-l.busy
			if err != nil {
				return errNotImported(err)
			}
			continue
		}
		if before <= last {
			return nil
		}
		<-l.busy
		select {
		case <-moved:
		case <-late.C:
			return protocol.Errorf(protocol.CodeUnavailable, "before: the log has %d chunks, not %d; those between have not come yet", last, before)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end lets nobody write to the log any more.
func (l *restoredLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	close(l.moved)
	l.moved = make(chan struct{})
}

func (l *restoredLog) set(last js.Seq, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.known = last, known
	close(l.moved)
	l.moved = make(chan struct{})
}

// fill stores the chunks that are not there yet, durably.
func (l *restoredLog) fill(ctx context.Context, before js.Seq, chunks []protocol.StoredChunk) (err error) {
	last := l.last // nobody else moves it
	if have := uint64(last - before); have < uint64(len(chunks)) {
		chunks = chunks[have:]
	} else {
		chunks = nil
	}
	defer func() { l.set(last, err == nil) }()
	acks := make([]jetstream.PubAckFuture, 0, len(chunks))
	for i := range chunks {
		c := &chunks[i]
		ack, err := l.a.bulk.js.PublishMsgAsync(&nats.Msg{Subject: l.subjects + c.Stream, Data: c.Payload, Header: nats.Header{
			chunk.Header:            {c.Header},
			nats.ExpectedLastSeqHdr: {strconv.FormatUint(uint64(last)+uint64(i), 10)},
		}}, importOptions...)
		if err != nil {
			return errNotImported(err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		if _, err := awaitPubAck(ctx, ack); err != nil {
			return err
		}
	}
	last += js.Seq(len(chunks))
	return l.a.commit.Wait(ctx)
}
