package fence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// InFlight is how many messages a writer of a log may have unanswered.
const InFlight = 512

// epochHeader names the epoch of the writer in the messages of a run.
const epochHeader = "Weir-Epoch"

// ErrDeposed says that a writer of a later epoch has taken the log over.
var ErrDeposed = errors.New("the log belongs to a later epoch")

// DeposedError is [ErrDeposed] with the later epoch.
type DeposedError struct{ By uint64 }

func (e *DeposedError) Error() string { return fmt.Sprintf("the log belongs to epoch %d", e.By) }

func (e *DeposedError) Is(target error) bool { return target == ErrDeposed }

// ErrNoBatch says that the log takes no atomic batches: its JetStream stream has to allow them.
var ErrNoBatch = errors.New("the log does not allow atomic batches")

// TakeOver seals a log, a JetStream stream, for the writer of an epoch: it returns the log's last sequence behind the run, from
// where on nothing of an earlier epoch is stored. subject is that of the runs of the log. Every epoch has one writer, which is for the
// caller to see to, and take-overs of several may go on at once: the latest epoch wins, the others get [ErrDeposed].
//
// The run is one atomic batch, which is stored on the condition that no other run was since the newest was looked at. An attempt that
// fails, or has no answer, is made again, unless the JetStream stream is not there. elected returns a channel that is closed when the log next gets a leader; nil: it is
// not known when. What was asked before may never be answered then, so another attempt is made at once.
func TakeOver(ctx context.Context, js jetstream.JetStream, stream, subject string, epoch uint64, elected func() <-chan struct{}) (last uint64, err error) {
	patience := attempt
	for {
		var led <-chan struct{}
		if elected != nil {
			led = elected()
		}
		last, err = seal(ctx, js, stream, subject, epoch, patience, led)
		if err == nil || errors.Is(err, ErrDeposed) || errors.Is(err, ErrNoBatch) || errors.Is(err, jetstream.ErrStreamNotFound) || ctx.Err() != nil {
			return last, err
		}
		select {
		case <-led:
			patience = afterElection
		default:
			patience = min(2*patience, 4*attempt) // a store that is slow must not make every attempt in vain
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// First is where the run begins that ends at last, as TakeOver returned it. The runs before it may be purged; this one shows for as
// long as it stays that nothing else stands at its places.
func First(last uint64) uint64 { return last - InFlight }

const (
	// attempt is how long the first attempt may go without an answer: a log without a leader gives none.
	attempt = time.Second
	pause   = 5 * time.Millisecond
	// afterElection is the same for an attempt right after the log has got a leader, which says so a moment before it answers.
	afterElection = attempt / 16

	codeAtomicPublishDisabled jetstream.ErrorCode = 10174
)

// seal is one attempt to store a run, which ends when led is closed.
func seal(ctx context.Context, js jetstream.JetStream, stream, subject string, epoch uint64, patience time.Duration, led <-chan struct{}) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if led != nil {
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			select {
			case <-led:
				cancel()
			case <-ended:
			}
		}()
	}
	newest, by, err := Newest(ctx, js, stream, subject)
	if err != nil {
		return 0, fmt.Errorf("seal %s for epoch %d: %w", stream, epoch, err)
	}
	if by > epoch {
		return 0, &DeposedError{by}
	}
	if last, err = run(ctx, js.Conn(), subject, epoch, newest); err != nil {
		return 0, fmt.Errorf("seal %s for epoch %d: %w", stream, epoch, err)
	}
	return last, nil
}

// run stores a run, unless the newest message of the runs' subject does not stand at newest any more.
func run(ctx context.Context, nc *nats.Conn, subject string, epoch, newest uint64) (last uint64, err error) {
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer answers.Unsubscribe() //nolint:errcheck // the connection is closed then
	m := message(subject, epoch)
	m.Header.Set("Nats-Batch-Id", nuid.Next())
	for i := 1; i <= InFlight+1; i++ {
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i))
		m.Reply = ""
		switch i {
		case 1: // answered, so that a log that takes no batches says so
			m.Header.Set(nats.ExpectedLastSubjSeqHdr, strconv.FormatUint(newest, 10))
			m.Reply = inbox
		case 2:
			m.Header.Del(nats.ExpectedLastSubjSeqHdr)
		case InFlight + 1:
			m.Header.Set("Nats-Batch-Commit", "1")
			m.Reply = inbox
		}
		if err := nc.PublishMsg(m); err != nil {
			return 0, err
		}
	}
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return 0, err
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" {
				return 0, fmt.Errorf("a run was answered with status %s", status)
			}
			continue // the first message is there
		}
		var ack struct {
			Seq   uint64              `json:"seq"`
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(m.Data, &ack); err != nil {
			return 0, fmt.Errorf("the answer to a run: %w", err)
		}
		switch {
		case ack.Error == nil:
			return ack.Seq, nil
		case ack.Error.ErrorCode == codeAtomicPublishDisabled:
			return 0, ErrNoBatch
		}
		return 0, ack.Error
	}
}

func message(subject string, epoch uint64) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(epochHeader, strconv.FormatUint(epoch, 10))
	return m
}

// Newest returns where the newest message of the runs stands, and its epoch; 0: there is none. A server that no longer leads the log may
// give an old answer. To a take-over that does no harm: the condition of the run does not hold then.
func Newest(ctx context.Context, js jetstream.JetStream, stream, subject string) (seq, epoch uint64, err error) {
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
