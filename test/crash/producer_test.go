package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/protocol"
)

// TestProducersAcrossKills: producers append through sessions and by single calls while the broker is killed again and again.
// Every record is in the stream once, in its producer's order, and the closing at the end is there after another kill.
func TestProducersAcrossKills(t *testing.T) {
	const (
		kills     = 4
		producers = 4
	)
	m := newMachine(t, t.TempDir())
	m.start()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // only a hang fails
	defer cancel()
	nc := m.connect(true)
	defer nc.Close()
	svc := client.New(nc, client.Options{Timeout: 2 * time.Second})
	ref := protocol.StreamRef{Basin: "crash-producing", Stream: "s"}
	if _, _, err := svc.CreateBasin(ctx, protocol.CreateBasinRequest{Basin: ref.Basin}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := svc.CreateStream(ctx, ref.Basin, protocol.CreateStreamRequest{Stream: ref.Stream}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	sent := make([]atomic.Int64, producers) // each producer's acknowledged records
	var work sync.WaitGroup
	for i := range producers {
		work.Go(func() {
			produce := produceBySession
			if i%2 == 1 {
				produce = produceByCalls
			}
			if err := produce(ctx, svc, ref, fmt.Sprintf("producer %d", i), &sent[i], stop); err != nil {
				t.Errorf("producer %d, after %d records: %v", i, sent[i].Load(), err)
				cancel()
			}
		})
	}
	// goOn waits until each producer has gone on for a while.
	goOn := func() {
		for i := range sent {
			for before := sent[i].Load(); sent[i].Load() < before+10 && ctx.Err() == nil; {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	for range kills {
		goOn()
		m.kill()
		m.start()
	}
	goOn()
	close(stop)
	work.Wait()
	tail, err := svc.CheckTail(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Append(ctx, ref, protocol.AppendInput{Close: true}); err != nil {
		t.Fatal(err)
	}
	m.kill()
	m.start()
	again := m.connect(false)
	defer again.Close()
	svc = client.New(again, client.Options{})
	next := map[string]int{}
	reader, err := svc.OpenReadSession(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var records uint64
	for {
		b, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) { // it follows without a limit: only the end of the stream ends it
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for rec := range b.Records.All() {
			var id string
			var n int
			if _, err := fmt.Sscanf(string(rec.Body), "%q %d", &id, &n); err != nil {
				t.Fatalf("record %d: %q: %v", rec.SeqNum, rec.Body, err)
			}
			if n != next[id] {
				t.Fatalf("record %d: %s has %d, want %d", rec.SeqNum, id, n, next[id])
			}
			next[id]++
			records++
		}
	}
	total := 0
	for i := range sent {
		n := int(sent[i].Load())
		if got := next[fmt.Sprintf("producer %d", i)]; got != n {
			t.Errorf("producer %d: %d records are there, %d were acknowledged", i, got, n)
		}
		total += n
	}
	if records != tail.SeqNum {
		t.Errorf("%d records read, a tail of %v, %d acknowledged", records, tail, total)
	}
	t.Logf("%d records over %d kills", total, kills)
	if _, err := svc.Append(ctx, ref, numberedInput("late", 0)); protocol.CodeOf(err) != protocol.CodeStreamClosed {
		t.Errorf("an append after the closing: %v", err)
	}
}

func numberedInput(id string, n int) protocol.AppendInput {
	return protocol.AppendInput{Records: []protocol.Record{{Body: fmt.Appendf(nil, "%q %d", id, n)}}}
}

// produceBySession appends through one session until stop is closed, and counts the records that were acknowledged.
func produceBySession(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, id string, acked *atomic.Int64, stop <-chan struct{}) error {
	s, err := svc.OpenAppendSession(ctx, ref, protocol.WithProducer(protocol.Producer{ID: id, Epoch: 1}))
	if err != nil {
		return err
	}
	defer s.Close()
	submitted := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				submitted <- s.CloseSend()
				return
			default:
			}
			if err := s.Submit(ctx, numberedInput(id, n)); err != nil {
				submitted <- err
				return
			}
		}
	}()
	var at uint64
	for {
		ack, err := s.Recv(ctx)
		if errors.Is(err, io.EOF) {
			return <-submitted
		}
		if err != nil {
			return err
		}
		if ack.Start.SeqNum < at {
			return fmt.Errorf("acknowledged at %d after another that ends at %d", ack.Start.SeqNum, at)
		}
		at = ack.End.SeqNum
		acked.Add(1)
	}
}

// produceByCalls appends one record after the other until stop is closed, and counts those that were acknowledged.
func produceByCalls(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, id string, acked *atomic.Int64, stop <-chan struct{}) error {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		in := numberedInput(id, n)
		in.Producer = &protocol.Producer{ID: id, Epoch: 7, Seq: uint64(n)}
		if _, err := svc.Append(ctx, ref, in); err != nil {
			return err
		}
		acked.Add(1)
	}
}
