package forward

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func sample() Frame {
	return Frame{Link: "link", Epoch: 7, Number: 3, Answered: 2, Requests: []Request{
		{Number: 1, Stream: protocol.StreamRef{Basin: "test-basin", Stream: "s"}, ID: [16]byte{1, 2}, Revision: 5, Appender: 6, Wait: 1000, Cost: 20,
			Input: protocol.AppendInput{MatchSeqNum: new(uint64(0)), FencingToken: new(""), Close: true, Producer: &protocol.Producer{ID: "p", Epoch: 1, Seq: 2},
				WriterSeq: new("w"), Records: []protocol.Record{{Body: []byte("a")}, {Timestamp: new(uint64(0)), Headers: []protocol.Header{{Name: []byte("n")}, {Value: []byte("v")}}}}}},
		{Number: 2, Kind: 3, Restored: &Restored{Restore: "r", Place: 3, ID: "i", Subject: "s", Header: "h", Payload: []byte("p")}},
		{Number: 9, Kind: 5, Next: 12},
	}}
}

func sampleAnswers() Answers {
	return Answers{Number: 2, Received: 8, Moved: true, Answers: []Answer{
		{Number: 1, Ack: protocol.AppendAck{Start: protocol.Position{SeqNum: 1, Timestamp: 2}, End: protocol.Position{SeqNum: 3, Timestamp: 4},
			Tail: protocol.Position{SeqNum: 5, Timestamp: 6}, Repeated: true, LastSeq: 9}, Newest: 70},
		{Number: 2, Outcome: Failed, Err: protocol.SeqNumMismatch(5)},
		{Number: 3, Outcome: Failed, Err: protocol.Errorf(protocol.CodeStorage, "full")},
		{Number: 4, Outcome: Failed, Err: protocol.StreamClosed(protocol.Position{SeqNum: 1, Timestamp: 2})},
		{Number: 5, Outcome: Moved}, {Number: 6, Outcome: Poisoned}, {Number: 7, Outcome: InUse},
	}}
}

func TestFramesAreReadAsWritten(t *testing.T) {
	f := sample()
	if got, err := DecodeFrame(f.Encode(nil)); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
	a := sampleAnswers()
	got, err := DecodeAnswers(a.Encode(nil))
	if err != nil || len(got.Answers) != len(a.Answers) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range a.Answers {
		want, have := a.Answers[i], got.Answers[i]
		if (want.Err == nil) != (have.Err == nil) || want.Err != nil && (want.Err.Code != have.Err.Code || !bytes.Equal(want.Err.Body(), have.Err.Body())) {
			t.Errorf("answer %d has the error %v, want %v", i, have.Err, want.Err)
		}
		want.Err, have.Err = nil, nil
		if want != have {
			t.Errorf("answer %d is %+v, want %+v", i, have, want)
		}
	}
	got.Answers, a.Answers = nil, nil
	if !reflect.DeepEqual(got, a) {
		t.Errorf("%+v", got)
	}
}

// What is cut short or too long is refused.
func TestDamagedFramesAreRefused(t *testing.T) {
	f, a := sample(), sampleAnswers()
	frame, answers := f.Encode(nil), a.Encode(nil)
	for n := range frame {
		if _, err := DecodeFrame(frame[:n]); err == nil {
			t.Errorf("the first %d bytes of a frame were read", n)
		}
	}
	for n := range answers {
		if _, err := DecodeAnswers(answers[:n]); err == nil {
			t.Errorf("the first %d bytes of answers were read", n)
		}
	}
	if _, err := DecodeFrame(append(frame, 0)); err == nil {
		t.Error("a byte too many was read")
	}
	frame[0]++
	if _, err := DecodeFrame(frame); err == nil {
		t.Error("a frame of a later version was read")
	}
}

func FuzzDecodeFrame(f *testing.F) {
	s := sample()
	f.Add(s.Encode(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := DecodeFrame(data)
		if err != nil {
			return
		}
		again, err := DecodeFrame(frame.Encode(nil))
		if err != nil || !bytes.Equal(again.Encode(nil), frame.Encode(nil)) {
			t.Fatalf("%+v is not read as written: %v", frame, err)
		}
	})
}

func FuzzDecodeAnswers(f *testing.F) {
	s := sampleAnswers()
	f.Add(s.Encode(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		answers, err := DecodeAnswers(data)
		if err != nil {
			return
		}
		if _, err := DecodeAnswers(answers.Encode(nil)); err != nil {
			t.Fatalf("%+v is not read as written: %v", answers, err)
		}
	})
}
