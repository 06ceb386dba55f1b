package pipeline

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/protocol"
)

// script is a [protocol.RecordService] with one append session that acknowledges what it likes, and a source.
type script struct {
	protocol.RecordService
	// acks bounds how many inputs are acknowledged before fail; -1 is all.
	acks int
	fail error
	// room, when set, makes Submit wait for a value from it.
	room chan struct{}

	inputs []protocol.AppendInput
	queue  chan protocol.AppendInput
	closed bool
	next   uint64
}

func (s *script) OpenAppendSession(context.Context, protocol.StreamRef, ...protocol.RecordOption) (protocol.AppendSession, error) {
	s.queue = make(chan protocol.AppendInput, 100)
	return s, nil
}

func (s *script) Submit(ctx context.Context, in protocol.AppendInput) error {
	if s.room != nil {
		select {
		case <-s.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.inputs = append(s.inputs, in)
	s.queue <- in
	return nil
}

func (s *script) Recv(ctx context.Context) (ack protocol.AppendAck, err error) {
	if s.acks == 0 {
		return ack, s.fail
	}
	select {
	case in, ok := <-s.queue:
		if !ok {
			return ack, io.EOF
		}
		s.acks--
		ack.Start.SeqNum = s.next
		s.next += uint64(len(in.Records))
		ack.End.SeqNum = s.next
		return ack, nil
	case <-ctx.Done():
		return ack, ctx.Err()
	}
}

func (s *script) CloseSend() error {
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
	return nil
}

func (s *script) Close() error { return s.CloseSend() }

// feed is a source of steps: records, pauses and an end.
type feed struct {
	steps []step
}

type step struct {
	pause time.Duration
	size  int
	err   error
}

func (f *feed) Next() (protocol.Record, error) {
	if len(f.steps) == 0 {
		return protocol.Record{}, io.EOF
	}
	s := f.steps[0]
	f.steps = f.steps[1:]
	time.Sleep(s.pause)
	return protocol.Record{Body: make([]byte, s.size)}, s.err
}

func sizes(inputs []protocol.AppendInput) (out []int) {
	for _, in := range inputs {
		out = append(out, len(in.Records))
	}
	return out
}

func TestBatching(t *testing.T) {
	full := slices.Repeat([]step{{}}, 1000)
	for name, tt := range map[string]struct {
		linger time.Duration
		steps  []step
		want   []int
	}{
		"the input's end sends":               {time.Hour, []step{{}, {}}, []int{2}},
		"the linger counts from the first":    {10 * time.Millisecond, []step{{}, {pause: 6 * time.Millisecond}, {pause: 6 * time.Millisecond}}, []int{2, 1}},
		"a slow input goes record by record":  {time.Millisecond, []step{{}, {pause: time.Second}, {pause: time.Second}}, []int{1, 1, 1}},
		"a full batch does not wait":          {time.Hour, slices.Concat(full, full, []step{{}}), []int{1000, 1000, 1}},
		"bytes fill a batch too":              {time.Hour, slices.Repeat([]step{{size: 500_000}}, 5), []int{2, 2, 1}},
		"a largest record goes alone":         {time.Hour, []step{{size: 10}, {size: 1<<20 - 8}, {size: 10}}, []int{1, 1, 1}},
		"without linger what is there is one": {0, []step{{}, {pause: time.Second}}, []int{1, 1}},
		"nothing":                             {time.Hour, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{acks: -1}
				var acked uint64
				match := uint64(40)
				token := "t"
				err := Append(t.Context(), s, protocol.StreamRef{}, &feed{tt.steps}, Options{
					Linger: tt.linger, MatchSeqNum: &match, FencingToken: &token,
					Acked: func(a protocol.AppendAck) error { acked = a.End.SeqNum; return nil },
				})
				if err != nil || acked != uint64(len(tt.steps)) {
					t.Errorf("%d acknowledged, %v", acked, err)
				}
				if got := sizes(s.inputs); !slices.Equal(got, tt.want) {
					t.Errorf("batches %v, want %v", got, tt.want)
				}
				for _, in := range s.inputs {
					if in.MatchSeqNum == nil || *in.MatchSeqNum != match || *in.FencingToken != token {
						t.Errorf("conditions %v %v, want %d", in.MatchSeqNum, in.FencingToken, match)
					}
					match += uint64(len(in.Records))
				}
			})
		})
	}
}

var errBroken = errors.New("broken")

func TestFailures(t *testing.T) {
	many := slices.Repeat([]step{{}}, 5000)
	for name, tt := range map[string]struct {
		script  script
		steps   []step
		ackErr  error
		want    error
		batches int // -1: any
	}{
		"the input breaks: what came before is stored": {script{acks: -1}, []step{{}, {}, {err: errBroken}}, nil, errBroken, 1},
		"the session fails":                            {script{acks: 2, fail: errBroken}, many, nil, errBroken, -1},
		"the session fails at once":                    {script{acks: 0, fail: errBroken}, many, nil, errBroken, -1},
		"the session fails while it is full":           {script{acks: 0, fail: errBroken, room: make(chan struct{})}, many, nil, errBroken, 0},
		"the session fails on an idle input":           {script{acks: 0, fail: errBroken}, []step{{pause: time.Hour}}, nil, errBroken, 0},
		"the session ends early":                       {script{acks: 0, fail: io.EOF}, many, nil, errOver, -1},
		"the ack cannot be reported":                   {script{acks: -1}, many, errBroken, errBroken, -1},
		"the session fails after the last one":         {script{acks: 0, fail: errBroken}, []step{{}}, nil, errBroken, -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := tt.script
				err := Append(t.Context(), &s, protocol.StreamRef{}, &feed{tt.steps}, Options{
					Linger: time.Second, Acked: func(protocol.AppendAck) error { return tt.ackErr },
				})
				time.Sleep(2 * time.Hour) // a read of the source that is under way ends by itself
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if tt.batches >= 0 && len(s.inputs) != tt.batches {
					t.Errorf("%d batches, want %d", len(s.inputs), tt.batches)
				}
			})
		})
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(errBroken) })
		s := &script{acks: -1}
		err := Append(ctx, s, protocol.StreamRef{}, &feed{[]step{{}, {pause: time.Hour}}}, Options{Linger: time.Second})
		time.Sleep(2 * time.Hour) // as above
		if !errors.Is(err, errBroken) || len(s.inputs) != 1 || !s.closed {
			t.Errorf("%v, %d batches, closed %t", err, len(s.inputs), s.closed)
		}
	})
}
