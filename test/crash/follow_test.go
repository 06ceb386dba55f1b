package crash

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// A follower reads one stream for as long as the episode lasts, over all restarts.
type follower struct {
	m    *model
	done chan struct{}

	mu      sync.Mutex
	next    uint64            // seq_num after the last record seen
	seen    map[uint64]uint64 // seq_num to digest
	skipped []span
	changed chan struct{}
	err     error
}

type span struct{ from, to uint64 }

var digestSeed = maphash.MakeSeed()

func digest(r *protocol.SequencedRecord) uint64 {
	var h maphash.Hash
	h.SetSeed(digestSeed)
	fmt.Fprintf(&h, "%d %d %d", r.SeqNum, r.Timestamp, len(r.Headers))
	for _, x := range r.Headers {
		fmt.Fprintf(&h, " %d %d ", len(x.Name), len(x.Value))
		_, _ = h.Write(x.Name)
		_, _ = h.Write(x.Value)
	}
	_, _ = h.Write(r.Body)
	return h.Sum64()
}

// follow begins to read at the beginning of the stream.
func follow(ctx context.Context, svc protocol.Service, m *model) (*follower, error) {
	s, err := svc.OpenReadSession(ctx, m.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		return nil, fmt.Errorf("%s: open a follower: %w", m.ref, err)
	}
	f := &follower{m: m, done: make(chan struct{}), seen: map[uint64]uint64{}, changed: make(chan struct{})}
	go func() {
		defer close(f.done)
		defer s.Close()
		for {
			b, err := s.Next(ctx)
			if ctx.Err() != nil {
				return
			}
			if !f.take(b, err) {
				return
			}
		}
	}()
	return f, nil
}

func (f *follower) take(b protocol.ReadBatch, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		close(f.changed)
		f.changed = make(chan struct{})
	}()
	if err != nil {
		f.err = fmt.Errorf("expected the session to resume, found at %d: %w", f.next, err)
		return false
	}
	for r := range b.Records.All() {
		switch {
		case r.SeqNum < f.next:
			f.err = fmt.Errorf("expected record %d, found %d: a duplicate", f.next, r.SeqNum)
			return false
		case r.SeqNum > f.next:
			f.skipped = append(f.skipped, span{f.next, r.SeqNum})
		}
		f.seen[r.SeqNum] = digest(&r)
		f.next = r.SeqNum + 1
	}
	return true
}

// verify waits until the follower has seen all that the stream has, and compares.
func (f *follower) verify(ctx context.Context, o *observed) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		f.mu.Lock()
		err, next, changed := f.err, f.next, f.changed
		f.mu.Unlock()
		switch {
		case err != nil:
			return fmt.Errorf("a follower over the restarts: %w", err)
		case next >= o.tail.SeqNum, len(o.records) == 0:
			return f.compare(o)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("a follower over the restarts: expected all records up to %v within %s, found those below %d", o.tail, patience, next)
		}
	}
}

func (f *follower) compare(o *observed) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next > o.tail.SeqNum {
		return fmt.Errorf("a follower over the restarts: expected nothing at or behind the tail %v, it has seen record %d before", o.tail, f.next-1)
	}
	for i := range o.records {
		r := &o.records[i]
		if d, ok := f.seen[r.SeqNum]; ok && d != digest(r) {
			return fmt.Errorf("a follower over the restarts: expected record %d as it is now, it has seen another", r.SeqNum)
		}
	}
	trimmed := o.first()
	if i := slices.IndexFunc(f.skipped, func(s span) bool { return s.to > trimmed }); i >= 0 {
		return fmt.Errorf("a follower over the restarts: expected no gap but below the trim point %d, found %d to %d missing", trimmed, f.skipped[i].from, f.skipped[i].to)
	}
	return nil
}
