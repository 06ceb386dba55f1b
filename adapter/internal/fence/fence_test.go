package fence

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/test/natscluster"
)

const (
	stream = "LOG"
	runs   = "log.runs"
	data   = "log.data"
	// fromHeader names the sequence behind which the writer's pipeline began.
	fromHeader = "From"
)

// cluster is three NATS servers in this process.
type cluster struct {
	*natscluster.Cluster
	t testing.TB
}

// connect opens a connection to server i at first, and to the others when that goes.
func (c *cluster) connect(i int) jetstream.JetStream {
	c.t.Helper()
	nc, err := nats.Connect(c.URLs(i), nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.IgnoreDiscoveredServers())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*InFlight), jetstream.WithPublishAsyncTimeout(time.Second))
	if err != nil {
		c.t.Fatal(err)
	}
	return js
}

// write appends as a writer of an epoch does, with a full pipeline, behind last. It does not know when it is deposed. It returns when a take-over
// of its own tells it, and adds what was acknowledged to acked, by sequence.
func write(ctx context.Context, js jetstream.JetStream, epoch, last uint64, acked func(seq uint64)) error {
	for {
		pipeline(ctx, js, epoch, last, acked)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var err error
		if last, err = TakeOver(ctx, js, stream, runs, epoch, nil); err != nil {
			return err
		}
	}
}

// pipeline publishes behind last until something fails.
func pipeline(ctx context.Context, js jetstream.JetStream, epoch, last uint64, acked func(seq uint64)) {
	acks := make(chan jetstream.PubAckFuture, InFlight-1) // one more is looked at
	var wg sync.WaitGroup
	broken := make(chan struct{})
	wg.Go(func() {
		failed := false
		for ack := range acks {
			select {
			case ok := <-ack.Ok():
				acked(ok.Sequence)
			case <-ack.Err():
				if !failed {
					failed = true
					close(broken)
				}
			}
		}
	})
	for from := last; ctx.Err() == nil; last++ {
		m := nats.NewMsg(data)
		m.Header.Set(epochHeader, strconv.FormatUint(epoch, 10))
		m.Header.Set(fromHeader, strconv.FormatUint(from, 10))
		ack, err := js.PublishMsgAsync(m, jetstream.WithExpectLastSequence(last))
		if err != nil {
			break // it was not sent
		}
		select {
		case acks <- ack:
			continue
		case <-broken: // this one is not looked at
		}
		break
	}
	close(acks)
	wg.Wait()
}

// Owners come and go while the servers do, each with a full pipeline and none of them stopping by itself: nothing of an older epoch
// stands behind the run of a newer one, and all that was acknowledged is where it was acknowledged. WEIR_FENCE_TIME makes it longer.
func TestNothingOfADeposedWriterIsStored(t *testing.T) {
	long := 4 * time.Second
	if text := os.Getenv("WEIR_FENCE_TIME"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{natscluster.Start(t), t}
	js := c.connect(0)
	made := false
	for deadline := time.Now().Add(2 * time.Minute); !made; {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"log.>"}, Replicas: 3, AllowAtomicPublish: true, Storage: jetstream.FileStorage})
		cancel()
		if made = err == nil; !made && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[uint64]uint64{} // epoch by sequence
	writing, stopWriters := context.WithCancel(t.Context())
	defer stopWriters()
	breaking, stopFaults := context.WithTimeout(t.Context(), long)
	defer stopFaults()
	wg.Go(func() { breakThings(breaking, t, c) })
	epoch, took := uint64(0), []time.Duration(nil)
	for breaking.Err() == nil {
		time.Sleep(time.Duration(30+rand.IntN(150)) * time.Millisecond)
		epoch++
		e, owner := epoch, c.connect(rand.IntN(3))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		began := time.Now()
		last, err := TakeOver(ctx, owner, stream, runs, e, nil)
		took = append(took, time.Since(began))
		cancel()
		if err != nil {
			t.Fatalf("epoch %d: %v", e, err)
		}
		wg.Go(func() {
			err := write(writing, owner, e, last, func(seq uint64) {
				mu.Lock()
				defer mu.Unlock()
				acked[seq] = e
			})
			if !errors.Is(err, ErrDeposed) && writing.Err() == nil {
				t.Errorf("writer of epoch %d: %v", e, err)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	stopWriters()
	wg.Wait()
	slices.Sort(took)
	t.Logf("a take-over took %v in the median, %v at most", took[len(took)/2], took[len(took)-1])
	check(t, js, acked, epoch)
}

// breakThings moves the lead of the log, and stops servers one at a time, until ctx ends. It leaves all of them running.
func breakThings(ctx context.Context, t *testing.T, c *cluster) {
	js := c.connect(1)
	for i := 0; ctx.Err() == nil; i++ {
		select {
		case <-time.After(400 * time.Millisecond):
		case <-ctx.Done():
			return
		}
		if i%3 != 2 {
			js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 300*time.Millisecond)
			continue
		}
		gone := rand.IntN(3)
		c.Stop(gone)
		time.Sleep(100 * time.Millisecond)
		c.StartAgain(gone)
	}
	t.Log("faults are over")
}

// check reads the whole log.
func check(t *testing.T, js jetstream.JetStream, acked map[uint64]uint64, epochs uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var last uint64
	for last == 0 && ctx.Err() == nil {
		if s, err := js.Stream(ctx, stream); err == nil {
			last = s.CachedInfo().State.LastSeq
		}
	}
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	for err != nil && ctx.Err() == nil {
		consumer, err = js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	sealed, run, runBy, stored, seen := uint64(0), 0, uint64(0), 0, 0
	before := "" // the pipeline of the message before
	for at := uint64(0); at < last; {
		m, err := messages.Next()
		if err != nil {
			t.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		at = meta.Sequence.Stream
		e, err := strconv.ParseUint(m.Headers().Get(epochHeader), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject() == runs {
			if e != runBy {
				run, runBy = 0, e
			}
			if run++; run == InFlight+1 && e > sealed {
				sealed = e
			}
			before = ""
			continue
		}
		if run > 1 && run <= InFlight {
			t.Errorf("at %d ends a run of %d messages", at, run)
		}
		run, runBy = 0, 0
		// A pipeline has no gap: a message is stored only behind all that were published before it.
		if pipeline := m.Headers().Get(fromHeader); pipeline != before {
			if pipeline != strconv.FormatUint(at-1, 10) {
				t.Errorf("at %d stands a message of a pipeline that began behind %s, and its first one is not stored", at, pipeline)
			}
			before = pipeline
		}
		stored++
		if e < sealed {
			t.Errorf("at %d stands a message of epoch %d, behind the take-over of epoch %d", at, e, sealed)
		}
		if by, ok := acked[at]; ok {
			seen++
			if by != e {
				t.Errorf("%d was acknowledged to epoch %d and holds a message of epoch %d", at, by, e)
			}
		}
	}
	if seen != len(acked) {
		t.Errorf("%d messages were acknowledged, %d are there", len(acked), seen)
	}
	if sealed == 0 || stored == 0 {
		t.Errorf("%d messages, sealed up to epoch %d", stored, sealed)
	}
	t.Logf("%d take-overs, %d messages stored, %d acknowledged", epochs, stored, len(acked))
}
