// Package pipeline appends a source of records to a stream: it gathers records into batches, keeps many batches in
// flight through one append session, and reports the acks in order.
package pipeline

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/weirstream/weir/cmd/weir/internal/records"
	"github.com/weirstream/weir/protocol"
)

// Options says how records become batches.
type Options struct {
	// Linger is how long a batch that is not full waits for more records; 0 sends the records that are there.
	Linger time.Duration
	// FencingToken goes with every batch.
	FencingToken *string
	// MatchSeqNum is the seq_num that the first record must get; each later batch must follow the one before.
	MatchSeqNum *uint64
	// Session are the options of the append session.
	Session []protocol.RecordOption
	// Acked receives every ack, in order, from one goroutine. An error ends the append.
	Acked func(protocol.AppendAck) error
}

// Append appends everything that src yields and returns when all of it is acknowledged.
//
// On a failure it returns the first: that of the input, after the records before it are acknowledged; that of the
// session; that of Acked; or the context's cause, in which case batches in flight may or may not be stored. A read from
// src that is blocked when Append returns is left to itself, since nothing can end a read from a terminal.
func Append(ctx context.Context, svc protocol.RecordService, ref protocol.StreamRef, src records.Source, o Options) error {
	session, err := svc.OpenAppendSession(ctx, ref, o.Session...)
	if err != nil {
		return err
	}
	defer session.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	received := make(chan error, 1)
	acks := 0
	go func() {
		err := receive(ctx, session, func(ack protocol.AppendAck) error {
			acks++
			if o.Acked == nil {
				return nil
			}
			return o.Acked(ack)
		})
		received <- err
		// Wakes the sender: with io.EOF there is nothing left to send.
		cancel(err)
	}()
	b := batcher{session: session, options: o, input: pull(ctx, src), next: o.MatchSeqNum}
	err = b.run(ctx)
	if closed := session.CloseSend(); err == nil {
		err = closed
	}
	if reason := <-received; !errors.Is(reason, io.EOF) {
		return reason
	}
	if errors.Is(err, io.EOF) || acks != b.submitted {
		return errOver // the session ended before the input did, or owes acks
	}
	return err
}

// receive reports acks until the session ends; io.EOF is the clean end.
func receive(ctx context.Context, s protocol.AppendSession, acked func(protocol.AppendAck) error) error {
	for {
		ack, err := s.Recv(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		if err := acked(ack); err != nil {
			return err
		}
	}
}

// pulled is one step of the source.
type pulled struct {
	record protocol.Record
	err    error
}

// pull reads ahead, at most one batch, so that lingering can wait for a record and for the clock.
func pull(ctx context.Context, src records.Source) <-chan pulled {
	out := make(chan pulled, protocol.MaxBatchRecords)
	go func() {
		for {
			rec, err := src.Next()
			select {
			case out <- pulled{rec, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// batcher gathers records into batches and submits them.
type batcher struct {
	session protocol.AppendSession
	options Options
	input   <-chan pulled
	next    *uint64 // match_seq_num of the next batch

	batch []protocol.Record
	bytes uint64
	// submitted is the number of batches that the session took.
	submitted int
}

// run submits everything that the source yields. It returns the source's error, without io.EOF, after submitting the
// records before it, or the first error of Submit.
func (b *batcher) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case p := <-b.input:
			if p.err != nil {
				if err := b.flush(ctx); err != nil {
					return err
				}
				if errors.Is(p.err, io.EOF) {
					return nil
				}
				return p.err
			}
			if err := b.add(ctx, p.record); err != nil {
				return err
			}
			switch {
			case len(b.batch) == protocol.MaxBatchRecords, b.options.Linger <= 0 && len(b.input) == 0:
				if err := b.flush(ctx); err != nil {
					return err
				}
			case len(b.batch) == 1 && b.options.Linger > 0:
				timer.Reset(b.options.Linger)
			}
		case <-timer.C:
			if err := b.flush(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add puts a record into the batch, and sends the batch first if the record does not fit beside the others.
func (b *batcher) add(ctx context.Context, rec protocol.Record) error {
	size := rec.MeteredSize()
	if len(b.batch) > 0 && b.bytes+size > protocol.MaxBatchBytes {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.batch = append(b.batch, rec)
	b.bytes += size
	return nil
}

func (b *batcher) flush(ctx context.Context) error {
	if len(b.batch) == 0 {
		return nil
	}
	in := protocol.AppendInput{Records: b.batch, FencingToken: b.options.FencingToken, MatchSeqNum: b.next}
	if b.next != nil {
		after := *b.next + uint64(len(b.batch))
		b.next = &after
	}
	b.batch, b.bytes = nil, 0
	if err := b.session.Submit(ctx, in); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return errOver
	}
	b.submitted++
	return nil
}

// errOver says that the session ended without a reason: unacknowledged records may or may not be stored.
var errOver = errors.New("the append session ended before everything was acknowledged")
