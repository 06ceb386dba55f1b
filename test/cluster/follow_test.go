//go:build linux

package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// follower reads a stream from its beginning for as long as the round lasts, over all sessions that this takes.
type follower struct {
	h    *history
	door string

	mu     sync.Mutex
	bodies []string
}

func (f *follower) next() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(len(f.bodies))
}

func (f *follower) run(ctx context.Context, k *caller, report func(error)) {
	for ctx.Err() == nil {
		opening, cancel := context.WithTimeout(ctx, callTimeout)
		s, err := k.service().OpenReadSession(opening, f.h.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(f.next())})
		cancel()
		for err == nil {
			var b protocol.ReadBatch
			if b, err = s.Next(ctx); err == nil {
				err = f.take(b)
			}
			if protocol.CodeOf(err) == protocol.CodeStorage {
				report(fmt.Errorf("a follower of %s over %s: %w", f.h.ref, f.door, err))
				return
			}
		}
		if s != nil {
			_ = s.Close()
		}
		k.move()
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (f *follower) take(b protocol.ReadBatch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range b.Records.All() {
		if r.SeqNum != uint64(len(f.bodies)) {
			return protocol.Errorf(protocol.CodeStorage, "expected record %d, got %d", len(f.bodies), r.SeqNum)
		}
		f.bodies = append(f.bodies, string(r.Body))
	}
	return nil
}

// compare compares what the follower has seen with the stream.
func (f *follower) compare(recs []protocol.SequencedRecord) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, body := range f.bodies {
		switch {
		case i >= len(recs):
			return fmt.Errorf("a follower over %s has seen %d records, the stream has %d", f.door, len(f.bodies), len(recs))
		case body != string(recs[i].Body):
			return fmt.Errorf("a follower over %s has seen %x as record %d, which is %x", f.door, body, i, recs[i].Body)
		}
	}
	return nil
}
