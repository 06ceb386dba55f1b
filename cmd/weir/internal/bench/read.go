package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/weirstream/weir/protocol"
)

// checker follows the records of a stream and finds those that are missing, doubled or changed.
type checker struct {
	next uint64
	hash uint32
}

func (c *checker) check(rec *protocol.SequencedRecord) error {
	if rec.SeqNum != c.next {
		return protocol.Errorf(protocol.CodeOther, "got record %d, expected %d", rec.SeqNum, c.next)
	}
	c.next++
	c.hash = crc32.Update(c.hash, castagnoli, rec.Body)
	if len(rec.Headers) != 1 || string(rec.Headers[0].Name) != hashName || len(rec.Headers[0].Value) != 4 ||
		binary.BigEndian.Uint32(rec.Headers[0].Value) != c.hash {
		return protocol.Errorf(protocol.CodeOther, "record %d does not hold what was appended", rec.SeqNum)
	}
	return nil
}

// readLive follows the stream from its start until it has read everything that was acknowledged.
func (r *run) readLive(ctx context.Context) (phase, error) {
	// The reader learns by its context that the appending is over and nothing is owed any more.
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-r.appended:
			if r.read.Load() >= r.acked.Load() {
				cancel(errComplete)
			}
		case <-ctx.Done():
		}
	})
	defer watch.Wait()
	defer cancel(nil)
	session, err := r.svc.OpenReadSession(ctx, r.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)}, r.o.Records...)
	if err != nil {
		return phase{}, err
	}
	defer session.Close()
	began := time.Now()
	var latencies Histogram
	var c checker
	for {
		batch, err := session.Next(ctx)
		switch {
		case errors.Is(context.Cause(ctx), errComplete):
			return phase{c.next, time.Since(began), &latencies}, nil
		case errors.Is(err, io.EOF):
			return phase{}, errEnded
		case err != nil:
			return phase{}, cause(ctx, err)
		}
		now := time.Since(r.began)
		for rec := range batch.Records.All() {
			if err := c.check(&rec); err != nil {
				return phase{}, err
			}
			latencies.Record(now-time.Duration(rec.Timestamp)*time.Microsecond, 1)
		}
		r.read.Store(c.next)
		if r.complete() {
			return phase{c.next, time.Since(began), &latencies}, nil
		}
	}
}

var errComplete = errors.New("complete")

// complete reports whether everything that was ever acknowledged has been read.
func (r *run) complete() bool {
	select {
	case <-r.appended:
		return r.read.Load() >= r.acked.Load()
	default:
		return false
	}
}

// readAgain reads all records from the start, as fast as they come.
func (r *run) readAgain(ctx context.Context) (phase, error) {
	want := r.acked.Load()
	if want == 0 {
		return phase{}, nil
	}
	if r.o.Unary {
		return r.readUnary(ctx, want)
	}
	began := time.Now()
	session, err := r.svc.OpenReadSession(ctx, r.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: &want}, r.o.Records...)
	if err != nil {
		return phase{}, err
	}
	defer session.Close()
	r.read.Store(0)
	var c checker
	for {
		batch, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			if c.next != want {
				return phase{}, errEnded
			}
			return phase{c.next, time.Since(began), nil}, nil
		}
		if err != nil {
			return phase{}, cause(ctx, err)
		}
		for rec := range batch.Records.All() {
			if err := c.check(&rec); err != nil {
				return phase{}, err
			}
		}
		r.read.Store(c.next)
	}
}

// readUnary reads all records from the start, batch by batch. Its latencies are those of single reads.
func (r *run) readUnary(ctx context.Context, want uint64) (phase, error) {
	began := time.Now()
	r.read.Store(0)
	var latencies Histogram
	var c checker
	for c.next < want {
		at := time.Now()
		batch, err := r.svc.Read(ctx, r.ref, protocol.ReadRequest{Start: protocol.FromSeqNum(c.next)}, r.o.Records...)
		if err != nil {
			return phase{}, cause(ctx, err)
		}
		latencies.Record(time.Since(at), 1)
		if batch.Records.Len() == 0 {
			return phase{}, errEnded
		}
		for rec := range batch.Records.All() {
			if err := c.check(&rec); err != nil {
				return phase{}, err
			}
		}
		r.read.Store(c.next)
	}
	return phase{c.next, time.Since(began), &latencies}, nil
}

// cause prefers the reason why ctx ended over the session's error for it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}
