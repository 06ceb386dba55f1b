package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

const (
	// hashName is the header that holds the checksum of a record and all records before it.
	hashName = "hash"
	// overhead is the metered size of a record with an empty body: 8, the header's 2, its name and its value.
	overhead = 8 + 2 + len(hashName) + 4
	// tick is the linger of a run with a target: the records that are due by then go as one batch.
	tick = 5 * time.Millisecond
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// generator makes records. Bodies are windows of one random block, so that making them costs nothing beside storing
// them and they still do not compress.
type generator struct {
	block []byte
	size  int
	next  int
	hash  uint32
}

func newGenerator(recordSize int) *generator {
	return &generator{size: recordSize - overhead, block: randomBlock()}
}

// randomBlock is the block that all generators share.
var randomBlock = sync.OnceValue(func() []byte {
	block := make([]byte, 4<<20)
	rng := rand.New(rand.NewPCG(1, 2)) // not a secret
	for i := 0; i < len(block); i += 8 {
		binary.LittleEndian.PutUint64(block[i:], rng.Uint64())
	}
	return block
})

func (g *generator) record(timestamp uint64) protocol.Record {
	if g.next+g.size > len(g.block) {
		g.next = (g.next + 1) % 4096 // another phase, so that bodies do not repeat soon
	}
	body := g.block[g.next : g.next+g.size]
	g.next += g.size
	g.hash = crc32.Update(g.hash, castagnoli, body)
	return protocol.Record{
		Timestamp: &timestamp,
		Headers:   []protocol.Header{{Name: []byte(hashName), Value: binary.BigEndian.AppendUint32(nil, g.hash)}},
		Body:      body,
	}
}

// sent is a batch on its way.
type sent struct {
	at    time.Time
	count int
}

// append appends until the duration is over or stop is closed, and waits for all acks.
func (r *run) append(ctx context.Context, stop <-chan struct{}) (phase, error) {
	if r.o.Unary {
		return r.appendUnary(ctx, stop)
	}
	session, err := r.svc.OpenAppendSession(ctx, r.ref, r.o.Records...)
	if err != nil {
		return phase{}, err
	}
	defer session.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// The start times of batches in flight, which the session bounds by their bytes, and this queue by their number.
	inFlight := make(chan sent, 1<<12)
	var latencies Histogram
	var received error
	var group sync.WaitGroup
	group.Go(func() {
		if received = r.receive(ctx, session, inFlight, &latencies); received != nil {
			cancel(received)
		}
	})
	began := time.Now()
	err = r.batches(ctx, stop, func(batch []protocol.Record) error {
		select {
		case inFlight <- sent{time.Now(), len(batch)}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return session.Submit(ctx, protocol.AppendInput{Records: batch})
	})
	close(inFlight)
	err = errors.Join(err, session.CloseSend())
	group.Wait()
	if received != nil {
		return phase{}, received
	}
	if err != nil {
		return phase{}, err
	}
	return phase{r.acked.Load(), time.Since(began), &latencies}, nil
}

// appendUnary appends without a session, each batch after the ack of the one before.
func (r *run) appendUnary(ctx context.Context, stop <-chan struct{}) (phase, error) {
	var latencies Histogram
	began := time.Now()
	err := r.batches(ctx, stop, func(batch []protocol.Record) error {
		at := time.Now()
		ack, err := r.svc.Append(ctx, r.ref, protocol.AppendInput{Records: batch}, r.o.Records...)
		if err == nil {
			err = r.take(ack, sent{at, len(batch)}, &latencies)
		}
		return err
	})
	if err != nil {
		return phase{}, cause(ctx, err)
	}
	return phase{r.acked.Load(), time.Since(began), &latencies}, nil
}

// batches makes batches, at the rate of the target, until the duration is over or stop is closed, and hands them over.
func (r *run) batches(ctx context.Context, stop <-chan struct{}, handOver func([]protocol.Record) error) error {
	g := newGenerator(r.o.RecordSize)
	most := min(protocol.MaxBatchRecords, protocol.MaxBatchBytes/r.o.RecordSize)
	if r.o.BatchRecords > 0 {
		most = min(most, r.o.BatchRecords)
	}
	rate := r.o.TargetMiBps * r.share * (1 << 20) / float64(r.o.RecordSize) // records a second
	began := time.Now()
	end := time.NewTimer(r.o.Duration)
	defer end.Stop()
	var total float64
	for {
		select {
		case <-end.C:
			return nil
		case <-stop:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		n := most
		if rate > 0 {
			if n = min(most, int(time.Since(began).Seconds()*rate-total)); n <= 0 {
				if err := pause(ctx, tick); err != nil {
					return err
				}
				continue
			}
		}
		total += float64(n)
		batch := make([]protocol.Record, n)
		now := uint64(time.Since(r.began).Microseconds())
		for i := range batch {
			batch[i] = g.record(now)
		}
		if err := handOver(batch); err != nil {
			return err
		}
	}
}

// receive takes one ack for each batch that was sent and checks that it covers the batch.
func (r *run) receive(ctx context.Context, session protocol.AppendSession, inFlight <-chan sent, latencies *Histogram) error {
	for {
		ack, err := session.Recv(ctx)
		if errors.Is(err, io.EOF) {
			if len(inFlight) > 0 {
				return errEnded
			}
			return nil
		}
		if err != nil {
			return err
		}
		batch, ok := <-inFlight
		if !ok {
			return errEnded
		}
		if err := r.take(ack, batch, latencies); err != nil {
			return err
		}
	}
}

// take counts an ack, if it covers the batch that was sent.
func (r *run) take(ack protocol.AppendAck, batch sent, latencies *Histogram) error {
	next := r.acked.Load()
	if ack.Start.SeqNum != next || ack.End.SeqNum != next+uint64(batch.count) {
		return protocol.Errorf(protocol.CodeOther, "the ack covers [%d, %d), expected [%d, %d)",
			ack.Start.SeqNum, ack.End.SeqNum, next, next+uint64(batch.count))
	}
	latencies.Record(time.Since(batch.at), batch.count)
	r.acked.Store(ack.End.SeqNum)
	return nil
}
