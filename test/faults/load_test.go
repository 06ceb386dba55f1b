package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/protocol"
)

// load is a number of appenders and followers at work.
type load struct {
	t    testing.TB
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// appendTimeout is how long a client waits for one answer.
const appendTimeout = 20 * time.Second

// startAppenders lets n clients append to each ledger one batch after the other, until the load is stopped. Every second client uses
// a session.
func startAppenders(t testing.TB, svc protocol.Service, n int, ledgers []*ledger) *load {
	ctx, cancel := context.WithCancel(t.Context())
	r := &load{t: t, stop: cancel}
	for _, l := range ledgers {
		for i := range n {
			r.wg.Go(func() {
				if i%2 == 1 {
					appendInSessions(ctx, svc, l)
					return
				}
				for k := 0; ctx.Err() == nil; k++ {
					// The load ends between appends, so that what is open stays open for the fault's sake alone.
					own, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
					err := l.append(own, svc, k%5+1, 100)
					cancel()
					if err != nil {
						pause(ctx)
					}
				}
			})
		}
	}
	return r
}

// pause keeps a client from asking a broker that refuses in a busy loop.
func pause(ctx context.Context) {
	t := time.NewTimer(5 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// end ends the load and waits for it.
func (r *load) end() {
	r.stop()
	r.wg.Wait()
}

// appendInSessions appends through one session after the other, ten inputs ahead.
func appendInSessions(ctx context.Context, svc protocol.Service, l *ledger) {
	for ctx.Err() == nil {
		appendInSession(ctx, svc, l)
		pause(ctx)
	}
}

func appendInSession(ctx context.Context, svc protocol.Service, l *ledger) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	s, err := svc.OpenAppendSession(own, l.ref)
	if err != nil {
		return
	}
	defer s.Close()
	sent := make(chan *entry, 10)
	go func() {
		defer close(sent)
		for k := 0; ctx.Err() == nil; k++ {
			e, in := l.begin(k%7+1, 100)
			if err := s.Submit(own, in); err != nil {
				// It was not taken: but a client over the network cannot know, so it stays open.
				return
			}
			select {
			case sent <- e:
			case <-own.Done():
				return
			}
		}
		_ = s.CloseSend()
	}()
	for e := range sent {
		ack, err := s.Recv(own)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the session ended with an input unanswered")
			}
			// The first input without an answer is the one that the failure is about; those behind it are open.
			l.end(e, ack, openUnlessCondition(err))
			cancel()
			break
		}
		l.end(e, ack, nil)
	}
	for range sent {
	}
}

// openUnlessCondition strips the promise of a failure in a session: its end may come for other reasons than the input
// that is next to be answered, and such a one may be stored.
func openUnlessCondition(err error) error {
	if protocol.CodeOf(err) == protocol.CodeConditionFailed {
		return err
	}
	return fmt.Errorf("session: %v", err)
}

// followers read a stream from its start to wherever it goes and check that what they get has no gap and no duplicate.
type followers struct {
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	records atomic.Int64
	mu      sync.Mutex // guards the fields below
	ends    []error    // how each ended; nil while it goes on
	at      []uint64   // the seq_num after the last record of each
}

// startFollowers starts n of them. They begin anew where they are after a failure with one of the codes resumable.
func startFollowers(t testing.TB, svc protocol.Service, n int, l *ledger, resumable ...protocol.Code) *followers {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &followers{cancel: cancel, ends: make([]error, n), at: make([]uint64, n)}
	open := func(next uint64) (protocol.ReadSession, error) {
		return svc.OpenReadSession(ctx, l.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(next)})
	}
	for i := range n {
		s, err := open(0)
		must(t, err)
		f.wg.Go(func() {
			for {
				next, err := f.follow(ctx, t, s, i, l)
				s.Close()
				for err != nil && ctx.Err() == nil && slices.Contains(resumable, protocol.CodeOf(err)) {
					t.Logf("a follower of %v begins again at %d after: %v", l.ref, next, err)
					pause(ctx)
					s, err = open(next)
				}
				if err != nil {
					f.mu.Lock()
					defer f.mu.Unlock()
					f.ends[i] = err
					return
				}
			}
		})
	}
	return f
}

// follow reads with the session of one follower until it fails, and returns where.
func (f *followers) follow(ctx context.Context, t testing.TB, s protocol.ReadSession, i int, l *ledger) (next uint64, err error) {
	for next = f.at[i]; ; {
		b, err := s.Next(ctx)
		if err != nil {
			return next, err
		}
		for _, r := range b.Records.Slice() {
			if r.SeqNum != next {
				t.Errorf("a follower of %v got record %d where %d is due", l.ref, r.SeqNum, next)
			}
			next = r.SeqNum + 1
			f.records.Add(1)
		}
		f.mu.Lock()
		f.at[i] = next
		f.mu.Unlock()
	}
}

// end ends the followers that have not ended and returns how all did.
func (f *followers) end() []error {
	f.cancel()
	f.wg.Wait()
	return f.ends
}
