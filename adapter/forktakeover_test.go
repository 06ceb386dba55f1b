package adapter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/adapter/internal/catalog"
	"github.com/weirstream/weir/protocol"
)

// Forks are made through all brokers while their sources are appended to, trimmed, expire and are deleted, and their log changes its owner again and
// again. Each holds what its source held at one moment, for good.
func TestForksUnderTakeOvers(t *testing.T) {
	hs := brokers(t)
	c := claimsFor(hs...)
	basin := hs[0].basin("test-basin", protocol.BasinConfig{})
	sources := []protocol.StreamRef{
		hs[0].stream(basin, "trimmed", keepForever),
		hs[0].stream(basin, "aged", protocol.StreamConfig{RetentionPolicy: &protocol.RetentionPolicy{AgeSecs: 1}}),
	}
	log := hs[0].logName(basin, 0)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var shared atomic.Int64 // forks that share records
	var mu sync.Mutex
	made := map[protocol.StreamRef]*catalog.Fork{}
	// Each record of a source says its seq_num.
	right := func(rec protocol.SequencedRecord) error {
		if !rec.IsCommand() && string(rec.Body) != fmt.Sprint(rec.SeqNum) {
			return fmt.Errorf("record %d is %q", rec.SeqNum, rec.Body)
		}
		return nil
	}
	write := func(h *harness, ref protocol.StreamRef, at uint64, rec protocol.Record) uint64 {
		limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		s, err := h.OpenStream(limit, ref, ForAppend, protocol.StreamConfig{})
		if err != nil {
			return at
		}
		defer s.Close()
		out := make(chan outcome, 1)
		if err := s.Appender().Submit(limit, protocol.AppendInput{Records: []protocol.Record{rec}, MatchSeqNum: &at},
			func(ack protocol.AppendAck, err error) { out <- outcome{ack, err} }); err != nil {
			return at
		}
		got := <-out
		if e := protocol.AsError(got.err); e != nil && e.SeqNumMismatch != nil {
			return *e.SeqNumMismatch
		} else if got.err != nil {
			return at
		}
		return got.ack.End.SeqNum
	}
	for _, ref := range sources {
		wg.Go(func() {
			next := uint64(0)
			for ctx.Err() == nil {
				rec := body("%d", next)
				if ref == sources[0] && rand.IntN(20) == 0 {
					rec = protocol.TrimRecord(next - min(next, rand.Uint64N(30)))
				}
				next = write(hs[rand.IntN(len(hs))], ref, next, rec)
				sleep(ctx, time.Millisecond)
			}
		})
	}
	for i, h := range hs {
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				source := sources[rand.IntN(2)]
				ref := protocol.StreamRef{Basin: basin, Stream: protocol.StreamName(fmt.Sprintf("f%d/%d", i, k))}
				mu.Lock()
				for made := range made { // any
					if rand.IntN(3) == 0 {
						source = made
					}
					break
				}
				mu.Unlock()
				limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				_, _, err := h.CreateStream(limit, basin, protocol.CreateStreamRequest{Stream: ref.Stream, Config: keepForever, Fork: &protocol.ForkRequest{Source: source.Stream}})
				cancel()
				switch protocol.CodeOf(err) {
				case protocol.CodeTransactionConflict, protocol.CodeUnavailable:
					continue
				}
				if err != nil {
					t.Errorf("fork %v of %v: %v", ref, source, err)
					return
				}
				f, err := hs[rand.IntN(len(hs))].complete(ref, right)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				made[ref] = f
				mu.Unlock()
				if len(f.Segments) > 0 {
					shared.Add(1)
				}
				sleep(ctx, 20*time.Millisecond)
			}
		})
	}
	for end := time.Now().Add(stormTime(t)); time.Now().Before(end); {
		sleep(ctx, time.Duration(50+rand.IntN(150))*time.Millisecond)
		c.move(log, rand.IntN(len(hs)))
	}
	// A machine that is busy has not come to such a fork yet.
	eventually(t, "a fork shares records", func() bool { return shared.Load() > 0 || t.Failed() })
	stop()
	wg.Wait()
	for i, ref := range sources {
		if err := hs[i].DeleteStream(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range sources {
		for _, h := range hs {
			eventually(t, "the name of a source is free", func() bool {
				e, _, _ := h.catalog.View.Stream(ref)
				return e == nil
			})
		}
	}
	for ref := range made {
		for _, h := range hs {
			if _, err := h.complete(ref, right); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("%d forks, %d of them with records of others", len(made), shared.Load())
}
