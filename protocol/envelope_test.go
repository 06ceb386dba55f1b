package protocol_test

import (
	"bytes"
	"testing"

	"github.com/weirstream/weir/protocol"
)

func TestEnvelopeBehindItsHeadIsARecord(t *testing.T) {
	for _, r := range []protocol.SequencedRecord{
		{},
		{SeqNum: 1 << 40, Timestamp: 1 << 41, Body: []byte("b")},
		{SeqNum: 3, Headers: []protocol.Header{{Name: []byte("k"), Value: []byte("v")}, {Name: []byte("l")}}},
		{Timestamp: 5, Headers: []protocol.Header{{Name: []byte("k")}}, Body: make([]byte, 300)},
	} {
		envelope := protocol.AppendEnvelope(nil, r.Headers, r.Body)
		if n := protocol.EnvelopeSize(r.Headers, r.Body); n != len(envelope) {
			t.Errorf("%+v: size %d, has %d", r, n, len(envelope))
		}
		got := protocol.AppendSequencedHead([]byte("before"), protocol.Position{SeqNum: r.SeqNum, Timestamp: r.Timestamp}, len(envelope))
		got = append(got, envelope...)
		want := protocol.AppendSequenced([]byte("before"), r.SeqNum, r.Timestamp, r.Headers, r.Body)
		if !bytes.Equal(got, want) {
			t.Errorf("%+v: got %x, want %x", r, got, want)
		}
		if n, err := protocol.MeasureEnvelope(envelope); err != nil || n != r.MeteredSize() {
			t.Errorf("%+v: measured %d, %v", r, n, err)
		}
	}
}

func TestWhatIsNoEnvelope(t *testing.T) {
	for name, b := range map[string][]byte{
		"a position":             protocol.AppendSequencedHead(nil, protocol.Position{SeqNum: 1}, 0)[2:],
		"two bodies":             append(protocol.AppendEnvelope(nil, nil, []byte("a")), protocol.AppendEnvelope(nil, nil, []byte("b"))...),
		"a header behind a body": append(protocol.AppendEnvelope(nil, nil, []byte("a")), protocol.AppendEnvelope(nil, []protocol.Header{{Name: []byte("k")}}, nil)...),
		"a command":              protocol.AppendEnvelope(nil, []protocol.Header{{Value: []byte("trim")}}, nil),
		"a cut body":             protocol.AppendEnvelope(nil, nil, []byte("abc"))[:3],
		"an unknown field":       {0x2a, 0x00},
		"bytes":                  {0xff},
	} {
		if n, err := protocol.MeasureEnvelope(b); err == nil {
			t.Errorf("%s: measured %d", name, n)
		}
	}
}

func FuzzMeasureEnvelope(f *testing.F) {
	f.Add(protocol.AppendEnvelope(nil, []protocol.Header{{Name: []byte("k"), Value: []byte("v")}}, []byte("body")))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := protocol.MeasureEnvelope(b)
		if err != nil {
			return
		}
		wire := append(protocol.AppendSequencedHead(nil, protocol.Position{SeqNum: 1, Timestamp: 2}, len(b)), b...)
		recs, err := protocol.ParseRecords(wire)
		if err != nil || recs.Len() != 1 || recs.MeteredSize() != n {
			t.Fatalf("%x: measured %d, a record of %d (%v)", b, n, recs.MeteredSize(), err)
		}
	})
}
