package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"

	"github.com/weirstream/weir/adapter/internal/js"
	"github.com/weirstream/weir/adapter/layout"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/chunk"
)

// restoredLog is a basin's part of a log while the basin is being restored. Only the restore adds chunks of the basin to it,
// and none is removed, so their number is the progress of the restore. A restart ends the restore; see [Adapter.resumable].
type restoredLog struct {
	*log
	basin   protocol.BasinName
	restore string
	stream  *stream // stands for all streams of the basin in requests to the sequencer

	mu    sync.Mutex    // guards the rest
	have  uint64        // chunks of the basin in the log; valid if known
	known bool          // have is right
	ended bool          // the restore is over
	busy  chan struct{} // holds a token while chunks are being stored
	moved chan struct{} // closed and replaced when have moves
}

// ImportChunks implements [protocol.BackupService]. The chunks' places are given by the count of those before them, so
// that they are stored once, however often they are sent; those that come early wait for their turn.
func (a *Adapter) ImportChunks(ctx context.Context, req protocol.ImportChunksRequest) error {
	chunks := make([]restoredChunk, len(req.Chunks))
	for i := range req.Chunks {
		c := &req.Chunks[i]
		if _, err := layout.ParseStreamID(c.Stream); err != nil {
			return protocol.Errorf(protocol.CodeInvalid, "stream: %v", err)
		}
		decoded, err := chunk.Decode(c.Header, c.Payload)
		if err != nil {
			return protocol.Wrap(protocol.CodeInvalid, err, fmt.Sprintf("chunks: number %d, of the stream with id %q, is damaged", i, c.Stream))
		}
		chunks[i] = restoredChunk{restore: req.Restore, place: req.Before + uint64(i), id: decoded.ID, header: c.Header, payload: c.Payload}
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
	l, err := a.restoredLog(ctx, req.Basin, req.Restore, req.Log)
	if err != nil {
		return errNotImported(err)
	}
	for i := range chunks {
		id, err := layout.ParseStreamID(req.Chunks[i].Stream)
		if err != nil {
			return err
		}
		chunks[i].subject = l.subject(req.Basin, id)
	}
	leave()
	entered = false // a call that waits for its turn must not keep out the one that it waits for
	if err := l.turn(ctx, req.Before); err != nil {
		return err
	}
	defer func() { <-l.busy }()
	if _, _, err := a.held(req.Basin, req.Restore); err != nil {
		return err // lost while it waited
	}
	return l.fill(ctx, req.Before, chunks)
}

// restoredLog returns the one object for a basin's part of a log.
func (a *Adapter) restoredLog(ctx context.Context, basin protocol.BasinName, restore string, n int) (*restoredLog, error) {
	l, err := a.logOf(ctx, basin, n)
	if err != nil {
		return nil, err
	}
	return a.bulk.restored(restoreKey{basin, n}, restore, l), nil
}

// restored is the one object for a basin's part of a log, made if there is none yet.
func (b *bulk) restored(key restoreKey, restore string, l *log) *restoredLog {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.restores[key]
	if !ok || r.log != l || r.restore != restore { // another broker may have begun a later one
		r = &restoredLog{log: l, basin: key.basin, restore: restore, stream: l.restoring(key.basin), busy: make(chan struct{}, 1), moved: make(chan struct{})}
		b.restores[key] = r
	}
	return r
}

// restoring makes the stream whose place in the sequencer's queue the chunks of a basin have that is restored.
func (l *log) restoring(basin protocol.BasinName) *stream {
	st := &stream{log: l, ref: protocol.StreamRef{Basin: basin}, slot: slotOf(basin), checks: &catalog.CheckTime{}, ready: make(chan struct{}), live: live{stats: &l.a.live}}
	close(st.ready)
	return st
}

// restoreKey is a basin's part of a log.
type restoreKey struct {
	basin protocol.BasinName
	log   int
}

// turnPatience is how long chunks wait for those before them. Their sender may have left.
const turnPatience = 2 * time.Second

// recountPause is between two counts of the chunks that another broker may store.
const recountPause = 100 * time.Millisecond

// turn waits until the log has got as many chunks as come before, and takes it.
func (l *restoredLog) turn(ctx context.Context, before uint64) error {
	late := time.NewTimer(turnPatience)
	defer late.Stop()
	for {
		select {
		case l.busy <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.mu.Lock()
		known, ended, have, moved := l.known, l.ended, l.have, l.moved
		l.mu.Unlock()
		if ended {
			<-l.busy
			return errRestoreLost
		}
		if !known {
			have, err := l.count(ctx, l.basin)
			if err == nil {
				l.noteCount(have)
			}
			<-l.busy
			if err != nil {
				return errNotImported(err)
			}
			continue
		}
		if before <= have {
			return nil
		}
		<-l.busy
		var recount <-chan time.Time
		if l.a.opts.Shared { // another broker may have got them
			recount = time.After(recountPause)
		}
		select {
		case <-moved:
		case <-recount:
			l.forgetCount()
		case <-late.C:
			return protocol.Errorf(protocol.CodeUnavailable, "before: the log has %d chunks, not %d; those between have not come yet", have, before)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count is how many chunks of a basin the log holds.
func (l *log) count(ctx context.Context, basin protocol.BasinName) (uint64, error) {
	n, err := js.Count(ctx, l.a.manage, l.name, l.id.Basin(l.a.opts.Prefix, basin))
	if js.StreamMissing(err) {
		return 0, nil
	}
	return n, err
}

// end stops all writes to the log.
func (l *restoredLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.movedLocked()
}

// noteCount notes how many chunks the log holds.
func (l *restoredLog) noteCount(have uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have, l.known = have, true
	l.movedLocked()
}

// forgetCount lets the next turn count the chunks.
func (l *restoredLog) forgetCount() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = false
	l.movedLocked()
}

// movedLocked wakes those that wait for their turn.
func (l *restoredLog) movedLocked() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// fill stores the chunks that are not there yet, durably, through the log's sequencer. After one that fails none of the later
// ones is stored.
func (l *restoredLog) fill(ctx context.Context, before uint64, chunks []restoredChunk) error {
	have := l.have // only the restore changes it
	if stored := have - before; stored < uint64(len(chunks)) {
		chunks = chunks[stored:]
	} else {
		return l.a.commit.Wait(ctx) // an earlier call may not have waited for it
	}
	l.forgetCount() // until the stored chunks are known
	// Once begun it is not given up: a chunk on its way must be settled before the chunks are counted again.
	appender := &Appender{st: l.stream}
	outcomes := make(chan error, len(chunks))
	sent := 0
	var failed error
	for i := range chunks {
		cost := int64(min(len(chunks[i].payload)+1, protocol.MaxBatchBytes))
		if failed = l.a.budget.acquire(ctx, l.basin, cost); failed != nil {
			break
		}
		failed = l.stream.post(&request{ctx: context.Background(), st: l.stream, appender: appender, kind: restoreRequest, cost: cost,
			restored: &chunks[i], done: func(_ protocol.AppendAck, err error) { outcomes <- err }})
		if failed != nil {
			l.a.budget.release(l.basin, cost)
			break
		}
		sent++
	}
	for range sent {
		if err := <-outcomes; failed == nil || errors.Is(failed, errPoisoned) {
			failed = err
		}
	}
	if failed != nil {
		return errNotImported(failed)
	}
	l.noteCount(have + uint64(len(chunks)))
	return nil
}
