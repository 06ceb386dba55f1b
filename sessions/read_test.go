package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/sessions"
)

// stallOn makes the named call hang until its context ends.
func stallOn(stalled string) func(context.Context, string) error {
	return func(ctx context.Context, op string) error {
		if op != stalled {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

func TestReadClose(t *testing.T) {
	for i, state := range []string{"following", "next", "follow", "following", "next", "follow"} {
		inBubble(t, "interrupts Next in "+state, func(t *testing.T) {
			ctx := t.Context()
			if i >= 3 {
				ctx = context.Background() // without a Done channel the session's own is used
			}
			m := newMem(at(1)...)
			s := openRead(t, m, fromSeq(0), beating(time.Hour))
			if state == "next" {
				m.hook = stallOn(state)
			} else {
				s.expect(t, "0s [0] tail {1, 1}")
			}
			switch state {
			case "follow":
				m.hook = stallOn(state)
			case "following":
				s.expect(t, "0s beat {1, 1}")
			}
			got := make(chan string)
			go func() { got <- tell(s.Next(ctx)) }()
			synctest.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if g := <-got; g != "client_hangup" {
				t.Error(g)
			}
			m.checkHeld(t, 0)
			s.expect(t, "0s client_hangup")
		})
	}

	inBubble(t, "the end releases everything by itself, and stays the end", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, withCount(fromSeq(0), 1), steady)
		s.expect(t, "0s [0] tail {1, 1}")
		m.checkHeld(t, 0)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.expect(t, "0s end")
	})
}

func TestReadContext(t *testing.T) {
	inBubble(t, "a context that ends loses nothing", func(t *testing.T) {
		m := newMem(at(1)...)
		s := openRead(t, m, fromSeq(0), beating(time.Hour))
		giveUp := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		m.hook = stallOn("next")
		giveUp()
		m.hook = nil
		s.expect(t, "1s [0] tail {1, 1}")
		m.hook = stallOn("follow")
		giveUp()
		m.hook = nil
		s.expect(t, "2s beat {1, 1}")
		giveUp()
		m.put(at(2)...)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Next(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		s.expect(t, "3s [1] tail {2, 2}")
	})

	inBubble(t, "a context that ends in the middle of a batch", func(t *testing.T) {
		m := newMem(at(1, 2, 3)...)
		s := openRead(t, m, fromSeq(0), steady)
		calls := 0
		m.hook = func(ctx context.Context, op string) error {
			if calls++; calls <= 2 {
				return nil
			}
			return stallOn("next")(ctx, op)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := tell(s.Next(ctx)); got != "[0 1]" {
			t.Error(got)
		}
		m.hook = nil
		s.expect(t, "1s [2] tail {3, 3}", "1s beat {3, 3}")
	})

	for _, op := range []string{"tail", "seek"} {
		inBubble(t, "opening gives up in "+op, func(t *testing.T) {
			m := newMem(at(1)...)
			m.hook = stallOn(op)
			h := m.open()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := sessions.OpenRead(ctx, h, fromTimestamp(1), sessions.ReadOptions{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			// The handle is still the caller's.
			m.checkHeld(t, 1)
			h.Close()
		})
	}
}

func TestReadFailures(t *testing.T) {
	broken := protocol.Errorf(protocol.CodeStorage, "broken")

	t.Run("what was read goes before the failure", func(t *testing.T) {
		m := newMem(at(1, 2, 3)...)
		calls := 0
		m.hook = func(context.Context, string) error {
			if calls++; calls == 4 { // tail, next, next, next
				return broken
			}
			return nil
		}
		if got := tellAll(t.Context(), m, fromSeq(0)); got != "[0 1], storage" {
			t.Error(got)
		}
		calls = 0
		// Row 4.11.5: a unary read discards it.
		if got := tell(readUnary(t, m, fromSeq(0))); got != "storage" {
			t.Error(got)
		}
		m.checkHeld(t, 0)
	})

	t.Run("in follow", func(t *testing.T) {
		m := newMem(at(1)...)
		m.hook = func(_ context.Context, op string) error {
			if op == "follow" {
				return broken
			}
			return nil
		}
		if got := tellAll(t.Context(), m, fromSeq(0)); got != "[0] tail {1, 1}, storage" {
			t.Error(got)
		}
	})

	two := protocol.RecordsOf(protocol.SequencedRecord{SeqNum: 0}, protocol.SequencedRecord{SeqNum: 1})
	for name, s := range map[string]brokenStream{
		"an empty run":          {runs: []protocol.Records{{}}},
		"a repeated run":        {runs: []protocol.Records{two, two}},
		"an oversized run":      {runs: []protocol.Records{protocol.MakeRecords(nil, 1001, 0, protocol.Position{}, protocol.Position{SeqNum: 1000})}},
		"a tail that is behind": {tail: protocol.Position{SeqNum: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Stream = newMem(many(10)...).open()
			r, err := sessions.OpenRead(t.Context(), &s, fromSeq(0), steady)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for got = ""; !strings.Contains(got, "storage"); got = tell(r.Next(t.Context())) {
				if got == "end" {
					t.Fatal("ended cleanly")
				}
			}
		})
	}
}

// brokenStream breaks the contract of Stream.
type brokenStream struct {
	sessions.Stream
	runs []protocol.Records
	tail protocol.Position // what Follow says instead of attaching
}

func (s *brokenStream) Scan(_, _ uint64) sessions.Cursor { return s }

func (s *brokenStream) Next(context.Context) (protocol.Records, error) {
	if len(s.runs) == 0 {
		return protocol.Records{}, io.EOF
	}
	run := s.runs[0]
	s.runs = s.runs[1:]
	return run, nil
}

func (s *brokenStream) Close() {}

func (s *brokenStream) Follow(context.Context, uint64) (sessions.Feed, protocol.Position, error) {
	return nil, s.tail, nil
}

func TestLoneRunIsNotCopied(t *testing.T) {
	m := newMem()
	m.put(many(1000)...)
	m.put(many(1000)...)
	s := openRead(t, m, fromSeq(0), steady)
	for i := range 2 {
		batch, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if &batch.Records.Wire()[0] != &m.chunks[i].Wire()[0] {
			t.Errorf("run %d was copied", i)
		}
	}
}

// A busy follower must cost no memory for each batch.
func TestFollowAllocatesNothing(t *testing.T) {
	m := newMem(many(1)...)
	s := openRead(t, m, fromTail(0), sessions.ReadOptions{})
	if got := tell(s.Next(t.Context())); got != "beat {1, 0}" {
		t.Fatal(got)
	}
	allocs := testing.AllocsPerRun(100, func() {
		// Deliver the same batch again, as far as the feed is concerned: appending would allocate.
		m.mu.Lock()
		m.ring[m.batches%ringSize] = m.again()
		m.batches++
		m.mu.Unlock()
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
}

// again makes a batch of the first chunk's bytes at the next seq_num, without allocating.
func (m *memStream) again() protocol.ReadBatch {
	chunk := m.chunks[0]
	m.tail.SeqNum++
	pos := protocol.Position{SeqNum: m.tail.SeqNum - 1}
	return protocol.ReadBatch{
		Records: protocol.MakeRecords(chunk.Wire(), 1, chunk.MeteredSize(), pos, pos),
		Tail:    &m.tail,
	}
}

// Whatever is appended and trimmed, and however the reader stalls, a follower gets every record once and in order,
// except trimmed ones.
func TestFollowerMissesNothing(t *testing.T) {
	for seed := range uint64(40) {
		inBubble(t, fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			m := newMem()
			const total = 3000
			var writer sync.WaitGroup
			defer writer.Wait()
			writer.Go(func() {
				written := 0
				for written < total {
					n := min(1+random.IntN(40), total-written)
					m.put(many(n)...)
					written += n
					if random.IntN(20) == 0 {
						m.trim(uint64(random.IntN(written)))
					}
					if random.IntN(3) == 0 {
						time.Sleep(time.Duration(random.IntN(20)) * ms)
					}
				}
			})
			s := openRead(t, m, fromSeq(0), sessions.ReadOptions{})
			stalls := rand.New(rand.NewPCG(seed, 1))
			var next uint64
			for next < total {
				batch, err := s.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for rec := range batch.Records.All() {
					m.mu.Lock()
					trimmed := m.trimmed
					m.mu.Unlock()
					if rec.SeqNum < next || rec.SeqNum > next && rec.SeqNum > trimmed {
						t.Fatalf("got seq_num %d after %d, trimmed to %d", rec.SeqNum, next, trimmed)
					}
					next = rec.SeqNum + 1
				}
				if stalls.IntN(4) == 0 {
					time.Sleep(time.Duration(stalls.IntN(300)) * ms)
				}
			}
		})
	}
}
