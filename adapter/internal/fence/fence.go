package fence

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// InFlight is how many messages a writer of a log may have unanswered.
const InFlight = 512

// epochHeader names the epoch of the writer in the messages of a run.
const epochHeader = "Weir-Epoch"

// ErrDeposed says that a writer of a later epoch has taken the log over.
var ErrDeposed = errors.New("the log belongs to a later epoch")

// TakeOver seals a log, a JetStream stream, for the writer of an epoch: it returns the log's last sequence behind the run, from
// where on nothing of an earlier epoch is stored. subject is that of the runs of the log. Every epoch has one writer, which is for the
// caller to see to, and take-overs of several may go on at once: the latest epoch wins, the others get [ErrDeposed].
//
// The first message of a run is stored on the condition that no other run has begun since the newest was looked at, the rest on that
// of the message before. Where something comes between, the run begins again.
func TakeOver(ctx context.Context, js jetstream.JetStream, stream, subject string, epoch uint64) (last uint64, err error) {
	for {
		last, err = seal(ctx, js, stream, subject, epoch)
		if err == nil || errors.Is(err, ErrDeposed) || ctx.Err() != nil {
			return last, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

const (
	// attempt is how long a request may go without an answer: a log without a leader gives none.
	attempt = time.Second
	runTime = 5 * time.Second // for the messages of a run behind the first
	pause   = 5 * time.Millisecond
)

// seal is one attempt to store a run.
func seal(ctx context.Context, js jetstream.JetStream, stream, subject string, epoch uint64) (last uint64, err error) {
	begin, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	newest, by, err := newestRun(begin, js, stream, subject)
	if err != nil {
		return 0, fmt.Errorf("seal %s for epoch %d: %w", stream, epoch, err)
	}
	if by > epoch {
		return 0, ErrDeposed
	}
	first, err := js.PublishMsg(begin, message(subject, epoch), jetstream.WithExpectLastSequencePerSubject(newest))
	if err == nil {
		run, cancel := context.WithTimeout(ctx, runTime)
		defer cancel()
		last, err = rest(run, js, subject, epoch, first.Sequence)
	}
	if err != nil {
		return 0, fmt.Errorf("seal %s for epoch %d: %w", stream, epoch, err)
	}
	return last, nil
}

// Renew lets a writer of an epoch that has lost track of the log begin anew: it returns the log's last sequence, which may be
// expected next. newest is where the writer's newest message of a run stands, as TakeOver or Renew returned it. It fails with
// [ErrDeposed] when another run has begun since; after any other failure a writer takes over again. To ask a server for the last sequence is
// not enough: the message that is expected there may be one behind a take-over.
func Renew(ctx context.Context, js jetstream.JetStream, subject string, epoch, newest uint64) (last uint64, err error) {
	ack, err := js.PublishMsg(ctx, message(subject, epoch), jetstream.WithExpectLastSequencePerSubject(newest))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return 0, ErrDeposed
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// rest stores the other messages of a run, whose first message stands at first.
func rest(ctx context.Context, js jetstream.JetStream, subject string, epoch, first uint64) (last uint64, err error) {
	acks := make([]jetstream.PubAckFuture, 0, InFlight)
	for i := range uint64(InFlight) {
		ack, err := js.PublishMsgAsync(message(subject, epoch), jetstream.WithExpectLastSequence(first+i))
		if err != nil {
			return 0, err
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case ok := <-ack.Ok():
			if ok.Sequence != first+uint64(i)+1 {
				err = errors.New("something came between the messages of a run")
			}
			last = ok.Sequence
		case failed := <-ack.Err():
			err = failed
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return last, err
}

func message(subject string, epoch uint64) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(epochHeader, strconv.FormatUint(epoch, 10))
	return m
}

// newestRun is where the newest message of a run stands, and its epoch; 0: there is none. A wrong answer does no harm: the
// condition of the first message of the run does not hold then.
func newestRun(ctx context.Context, js jetstream.JetStream, stream, subject string) (seq, epoch uint64, err error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, 0, err
	}
	m, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	epoch, err = strconv.ParseUint(m.Header.Get(epochHeader), 10, 64)
	return m.Sequence, epoch, err
}
