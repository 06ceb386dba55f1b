package adapter

import (
	"testing"

	"github.com/weirstream/weir/protocol"
)

// The checks of a plain append against the state of its stream, those of closing, producers and writer_seq among them. The cost of these
// to an append that names none of them is below this figure; see docs/performance.md for its share of the whole append.
//
//	go test ./adapter -run '^$' -bench 'PlainAppendChecks|BenchmarkAppend$' -benchmem -count 10
func BenchmarkPlainAppendChecks(b *testing.B) {
	in := protocol.AppendInput{Records: []protocol.Record{{Body: make([]byte, 200)}}}
	set := &settings{mode: protocol.TimestampClientPrefer}
	st := &state{next: 100, last: 1_732_900_000_000}
	r := &request{in: in, kind: appendRequest}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, done, err := st.repeated(&r.in, r.producer); done || err != nil {
			b.Fatal(done, err)
		}
		if st.isClosed() {
			b.Fatal("closed")
		}
		if _, err := st.check(&r.in, r.producer, set); err != nil {
			b.Fatal(err)
		}
		if st.wroteSeq(&r.in); r.in.Producer != nil {
			st.produced(r, protocol.Position{})
		}
	}
}
