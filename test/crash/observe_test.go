package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weirstream/weir/protocol"
)

// patience bounds what must happen soon after a restart.
const patience = 2 * time.Minute

// wrongToken is no token that a batch ever sets.
const wrongToken = "never set"

// observe reads everything that a broker says of a stream.
func observe(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) (*observed, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := &observed{}
	tail, err := svc.CheckTail(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("check-tail: %w", err)
	}
	o.tail = tail.Position
	if o.token, err = currentToken(ctx, svc, ref); err != nil {
		return nil, err
	}
	if o.tail.SeqNum == 0 {
		return o, nil
	}
	o.records, err = readTo(ctx, svc, ref, o.tail)
	return o, err
}

// currentToken asks for the fencing token in force, by an append that must fail.
func currentToken(ctx context.Context, svc protocol.Service, ref protocol.StreamRef) (string, error) {
	token := wrongToken
	_, err := svc.Append(ctx, ref, protocol.AppendInput{Records: []protocol.Record{{Body: []byte("must not be stored")}}, FencingToken: &token})
	var e *protocol.Error
	if !errors.As(err, &e) || e.FencingTokenMismatch == nil {
		return "", fmt.Errorf("an append with a wrong fencing token: expected %s with the current token, found %w", protocol.CodeConditionFailed, err)
	}
	return *e.FencingTokenMismatch, nil
}

// readTo reads all records up to a tail. On a failure it returns those before it too.
func readTo(ctx context.Context, svc protocol.Service, ref protocol.StreamRef, tail protocol.Position) ([]protocol.SequencedRecord, error) {
	s, err := svc.OpenReadSession(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0), Count: &tail.SeqNum})
	if err != nil {
		return nil, fmt.Errorf("read from 0 to %v: %w", tail, err)
	}
	defer s.Close()
	var recs []protocol.SequencedRecord
	for {
		b, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return recs, fmt.Errorf("read from 0 to %v, after %d records: %w", tail, len(recs), err)
		}
		recs = append(recs, b.Records.Slice()...)
	}
}

// until asks again and again until ask says that it is done, for at most the patience.
func until(ctx context.Context, what string, ask func() (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		done, err := ask()
		if done || err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, patience)
		}
	}
}
