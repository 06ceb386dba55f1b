package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/weirstream/weir/protocol"
)

// Client is one client of one stream. What it saw last guides its conditions, so that they hold often enough.
type Client struct {
	Ref protocol.StreamRef
	ID  uint64 // below 1<<31; no other client of the stream has it
	Rng *rand.Rand
	// Closes is the serial number from which on the client closes the stream now and then; 0: never.
	Closes uint64
	// Produces lets the client append as a producer now and then. The producers are shared by all clients of the stream.
	Produces bool
	// Forks makes the client fork the stream now and then, through this service; nil: never.
	Forks protocol.StreamService

	n        uint64
	token    string
	forks    int // made so far
	producer [Producers]struct{ epoch, next uint64 }
}

// Choose chooses the client's operation with a serial number, which is below 1<<24.
func (c *Client) Choose(serial uint64) Op {
	switch c.Rng.IntN(10) {
	case 0, 1:
		return Op{Kind: Tail}
	case 2, 3:
		if c.Forks != nil && c.Rng.IntN(4) == 0 {
			return Op{Kind: Fork}
		}
		return Op{Kind: Read}
	}
	op := Op{Kind: Append}
	for i := range 1 + c.Rng.Uint64N(2) {
		op.IDs = append(op.IDs, c.ID<<32|serial<<8|i)
	}
	if c.Rng.IntN(2) == 0 {
		op.Match = new(c.n)
	}
	if c.Rng.IntN(3) == 0 {
		op.Token = new(c.token)
	}
	if c.Rng.IntN(6) == 0 {
		op.Fence = new([]string{"", "a", "b", fmt.Sprintf("token-%d", c.ID)}[c.Rng.IntN(4)])
	}
	if c.Produces && c.Rng.IntN(2) == 0 {
		op.Producer = c.number()
	}
	if c.Closes != 0 && serial > c.Closes && c.Rng.IntN(60) == 0 {
		op.Close = true
		if c.Rng.IntN(2) == 0 {
			op.IDs, op.Fence = nil, nil
		}
	}
	return op
}

// number is the number of a producer's append: mostly the next one, as far as the client knows, or else one that is stored, one
// too far, or one of another epoch.
func (c *Client) number() *Producer {
	slot := c.Rng.IntN(Producers)
	known := &c.producer[slot]
	p := &Producer{Slot: slot, Epoch: max(1, known.epoch), Seq: known.next}
	switch c.Rng.IntN(12) {
	case 0:
		p.Epoch, p.Seq = p.Epoch+1, 0
	case 1:
		p.Seq += 1 + c.Rng.Uint64N(2)
	case 2, 3, 4:
		p.Seq -= min(p.Seq, 1+c.Rng.Uint64N(2))
	}
	return p
}

// learn notes what an answer says of a producer.
func (c *Client) learn(p *Producer, stored bool, failure *protocol.ProducerMismatch) {
	if p == nil {
		return
	}
	known := &c.producer[p.Slot]
	switch {
	case stored && (known.epoch < p.Epoch || known.next <= p.Seq):
		known.epoch, known.next = p.Epoch, p.Seq+1
	case failure != nil && failure.Epoch != nil && *failure.Epoch > known.epoch:
		known.epoch, known.next = *failure.Epoch, 0
	case failure != nil && failure.Epoch != nil && *failure.Epoch == p.Epoch:
		known.epoch, known.next = p.Epoch, failure.Expected
	}
}

// Do performs the operation. An error is a failure that is no answer of [Model].
func (c *Client) Do(ctx context.Context, svc protocol.RecordService, op Op) (Answer, error) {
	switch op.Kind {
	case Tail:
		tail, err := svc.CheckTail(ctx, c.Ref)
		if err != nil {
			return Answer{}, err
		}
		c.n = tail.SeqNum
		return Answer{N: tail.SeqNum, Closed: tail.Closed}, nil
	case Read:
		answer, err := read(ctx, svc, c.Ref)
		if err == nil {
			c.n = answer.N
		}
		return answer, err
	case Fork:
		return c.fork(ctx, svc)
	case Append:
	}
	ack, err := svc.Append(ctx, c.Ref, op.Input())
	var failure *protocol.Error
	switch {
	case err == nil:
		c.n = ack.End.SeqNum
		if op.Fence != nil {
			c.token = *op.Fence
		}
		c.learn(op.Producer, true, nil)
		return Answer{Start: ack.Start.SeqNum, End: ack.End.SeqNum, Repeated: ack.Repeated}, nil
	case errors.As(err, &failure) && failure.Code == protocol.CodeProducerFenced && failure.Producer != nil:
		c.learn(op.Producer, false, failure.Producer)
		return Answer{Fenced: failure.Producer.Epoch}, nil
	case failure != nil && failure.Code == protocol.CodeProducerGap && failure.Producer != nil:
		c.learn(op.Producer, false, failure.Producer)
		return Answer{Expected: &failure.Producer.Expected}, nil
	case errors.As(err, &failure) && failure.Code == protocol.CodeStreamClosed && failure.Tail != nil:
		return Answer{Final: &failure.Tail.SeqNum}, nil
	case failure == nil || failure.Code != protocol.CodeConditionFailed:
		return Answer{}, err
	case failure.SeqNumMismatch != nil:
		c.n = *failure.SeqNumMismatch
	case failure.FencingTokenMismatch != nil:
		c.token = *failure.FencingTokenMismatch
	}
	return Answer{Next: failure.SeqNumMismatch, Current: failure.FencingTokenMismatch}, nil
}

// fork makes a fork of the stream and reads it.
func (c *Client) fork(ctx context.Context, svc protocol.RecordService) (Answer, error) {
	c.forks++
	fork := protocol.StreamRef{Basin: c.Ref.Basin, Stream: protocol.StreamName(fmt.Sprintf("%s/fork-%d-%d", c.Ref.Stream, c.ID, c.forks))}
	_, _, err := c.Forks.CreateStream(ctx, fork.Basin, protocol.CreateStreamRequest{Stream: fork.Stream, Fork: &protocol.ForkRequest{Source: c.Ref.Stream}})
	if err != nil {
		return Answer{}, err
	}
	return read(ctx, svc, fork)
}

// read reads a whole stream.
func read(ctx context.Context, svc protocol.RecordService, ref protocol.StreamRef) (Answer, error) {
	batch, err := svc.Read(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
	if protocol.CodeOf(err) == protocol.CodeUnwritten {
		return Answer{}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	var s State
	for rec := range batch.Records.All() {
		if rec.SeqNum != s.N {
			return Answer{}, fmt.Errorf("record %d follows %d records", rec.SeqNum, s.N)
		}
		s = s.Push(rec.Body)
	}
	return Answer{N: s.N, Chain: s.Chain}, nil
}
